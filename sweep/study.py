"""The study: what `study.yaml` may say, and what it says once every mistake is out of it."""

from __future__ import annotations

from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.json_schema import GenerateJsonSchema

from core.costs import COST_FIELDS, COST_PRESETS, Costs
from core.frontend.run import Reclaim
from core.policy import (
    MAX_FOLIO_ORDER,
    Admission,
    Drop,
    Eviction,
    LargeFolios,
    Metadata,
    Restore,
    System,
)
from sweep.check import MAX_TRIALS, SEARCHABLE, check_study, explain
from sweep.fields import (
    CostPreset,
    Flag,
    Generator,
    Metric,
    Nanoseconds,
    Number,
    PageSize,
    Preset,
    Size,
    SizeOrZero,
    TagBlockSize,
    Text,
    Whole,
    number_of,
)
from sweep.source import Source, SourceError, parse_source, read_source
from sweep.workload import WORKLOAD_FIELDS

SAMPLERS = ("grid", "random", "qmc", "tpe", "nsga2", "nsga3", "cmaes", "gp")


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class PolicyFields(_Model):
    """Policy fields by name; those left out are the preset's, or the defaults of docs/model.md."""

    system: System = System.CLEANCACHE
    eviction: Eviction = Eviction.LRU
    admission: Admission = Admission.ALL
    restore: Restore = Restore.INCLUSIVE
    drop: Drop = Drop.PAGE
    folio_order: Annotated[Whole, Field(ge=0, le=MAX_FOLIO_ORDER)] = 0
    large_folios: LargeFolios = LargeFolios.CUT
    headroom: Annotated[Number, Field(ge=0, lt=1)] = 0.0
    metadata: Metadata = Metadata.MEMMAP
    seed: Annotated[Whole, Field(ge=0, lt=2**31)] = 0


class FixedPolicy(PolicyFields):
    """What is held fixed: a preset, policy fields, or a preset with fields changed."""

    preset: Preset | None = None


class Baseline(FixedPolicy):
    """A policy that is run and stored beside the trials, but not shown to the sampler."""

    tag_block_size: TagBlockSize | None = None


FileName = Annotated[Text, Field(min_length=1)]


class Workload(_Model):
    """Where events come from: one of a table of them, an access trace, a synthetic workload."""

    trace: Annotated[FileName, Field(description="Parquet file of mm events")] | None = None
    accesses: Annotated[FileName, Field(description="Parquet file of accesses")] | None = None
    synthetic: Generator | None = None
    seed: Annotated[Whole, Field(ge=0, lt=2**32)] = 0
    asks: number_of("asks") | None = None  # type: ignore[valid-type]
    compiles: number_of("compiles") | None = None  # type: ignore[valid-type]
    launches: number_of("launches") | None = None  # type: ignore[valid-type]
    apps: number_of("apps") | None = None  # type: ignore[valid-type]
    file_ratio: number_of("file_ratio") | None = None  # type: ignore[valid-type]
    skew: number_of("skew") | None = None  # type: ignore[valid-type]
    write_ratio: number_of("write_ratio") | None = None  # type: ignore[valid-type]
    large_folio_ratio: number_of("large_folio_ratio") | None = None  # type: ignore[valid-type]
    anonymous_ratio: number_of("anonymous_ratio") | None = None  # type: ignore[valid-type]
    tagged_ratio: number_of("tagged_ratio") | None = None  # type: ignore[valid-type]
    atomic_ratio: number_of("atomic_ratio") | None = None  # type: ignore[valid-type]
    burstiness: number_of("burstiness") | None = None  # type: ignore[valid-type]

    @property
    def said(self) -> dict[str, Any]:
        """What the study says of it."""
        return self.model_dump(exclude_none=True)


class MachineFields(_Model):
    """The machine, where it is not the one of the capture."""

    page_size: PageSize | None = None
    data_memory: Size | None = None
    tag_block_size: TagBlockSize | None = None
    # The kernel under accesses and synthetic workloads.
    reclaim: Reclaim | None = None
    zram_size: SizeOrZero | None = None
    zram_ratio: number_of("zram_ratio") | None = None  # type: ignore[valid-type]
    swappiness: number_of("swappiness") | None = None  # type: ignore[valid-type]
    readahead_size: SizeOrZero | None = None
    page_cache_order: number_of("page_cache_order") | None = None  # type: ignore[valid-type]


class CostFields(_Model):
    """A preset of nanoseconds, and those of it that the study changes."""

    preset: CostPreset | None = None
    reserve_base_ns: Nanoseconds | None = None
    cache_line_ns: Nanoseconds | None = None
    slot_drop_ns: Nanoseconds | None = None
    read_random_ns: Nanoseconds | None = None
    read_sequential_ns: Nanoseconds | None = None
    copy_in_ns: Nanoseconds | None = None
    copy_out_ns: Nanoseconds | None = None
    lookup_ns: Nanoseconds | None = None


class Categorical(_Model):
    """One of several values."""

    type: Literal["categorical"]
    choices: Annotated[list[str | Whole | Number], Field(min_length=1)]


class IntRange(_Model):
    """A whole number from `low` to `high`, both included."""

    type: Literal["int"]
    low: Whole
    high: Whole
    step: Annotated[Whole, Field(ge=1)] = 1
    log: Flag = False


class FloatRange(_Model):
    """A number from `low` to `high`."""

    type: Literal["float"]
    low: Number
    high: Number
    step: Annotated[Number, Field(gt=0)] | None = None
    log: Flag = False


Parameter = Annotated[Categorical | IntRange | FloatRange, Field(discriminator="type")]


class Objective(_Model):
    """An outcome to make large or small."""

    metric: Metric
    direction: Literal["minimize", "maximize"]


class Constraint(_Model):
    """Bounds that an outcome must keep; a trial that breaks them is infeasible, not failed."""

    metric: Metric
    lower: Number | None = None
    upper: Number | None = None


class Sampler(_Model):
    """Which of Optuna's samplers asks, and its seed."""

    name: Literal["grid", "random", "qmc", "tpe", "nsga2", "nsga3", "cmaes", "gp"]
    seed: Annotated[Whole, Field(ge=0, lt=2**32)] = 0


class Study(_Model):
    """A question, the policies to try on which workloads, and what makes one better."""

    study: Annotated[Text, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=100)]
    question: Text = ""
    workload: Annotated[list[Workload], Field(min_length=1)]
    machine: MachineFields = MachineFields()
    costs: CostFields = CostFields()
    policy: FixedPolicy = FixedPolicy()
    parameters: Annotated[dict[str, Parameter], Field(min_length=1)]
    baselines: list[Baseline] = []
    objectives: Annotated[list[Objective], Field(min_length=1)]
    constraints: list[Constraint] = []
    sampler: Sampler
    n_trials: Annotated[Whole, Field(ge=1, le=MAX_TRIALS)] | None = None
    generation: Annotated[Whole, Field(ge=2, le=65_536)] = 64
    replicates: Annotated[Whole, Field(ge=1, le=1000)] = 1

    def identity(self) -> dict[str, Any]:
        """Return what makes this study this one: all but its question and its length."""
        content = self.model_dump(mode="json", exclude_unset=True)
        return {key: content[key] for key in content if key not in ("question", "n_trials")}

    def cost_table(self, changed: dict[str, int] | None = None) -> Costs:
        """Return the study's costs, with some of them `changed`."""
        values = self.costs.model_dump(exclude={"preset"}, exclude_none=True) | (changed or {})
        base = COST_PRESETS[self.costs.preset or "ufs_phone"]
        return Costs(**(vars(base) | values))


def load_study(path: Path) -> tuple[Study, str]:
    """Return the study in a file, and its text.

    Raises
    ------
    SourceError
        With every mistake in it, each by line and column.
    """
    source = read_source(path)
    return validate_source(source), source.text


def parse_study(text: str, path: Path) -> Study:
    """Return the study in `text`, as it was stored; its traces are not looked for."""
    return validate_source(parse_source(path, text), look=False)


def validate_source(source: Source, look: bool = True) -> Study:
    """Return the study in a parsed file; `look` for its traces too."""
    data = source.data
    if not isinstance(data, dict):
        keys = ", ".join(_FIELDS[""])
        source.complain((), f"a study is a mapping with the keys {keys}")
        source.check()
    data = dict(data)
    # One workload or one name of a cost preset may stand alone.
    if isinstance(data.get("workload"), dict):
        data["workload"] = [data["workload"]]
    if isinstance(data.get("costs"), str):
        data["costs"] = {"preset": data["costs"]}
    study = None
    try:
        study = Study.model_validate(data)
    except ValidationError as error:
        for problem in error.errors(include_url=False):
            place, message, key = explain(problem, _FIELDS)
            source.complain(source.place_of(place), message, key=key)
    check_study(source, data, _sizes(data.get("machine")), _searched_value, look)
    source.check()
    assert study is not None
    return study


def _sizes(machine: Any) -> dict[str, int]:
    """Return the sizes of a machine that are right in themselves, in bytes."""
    sizes: dict[str, int] = {}
    for name, raw in machine.items() if isinstance(machine, dict) else ():
        with suppress(ValidationError):
            fields = MachineFields.model_validate({name: raw})
            sizes |= fields.model_dump(exclude_none=True)
    return sizes


def _searched_value(name: str, raw: Any) -> Any:
    """Return a value of something searchable, or raise ValueError with what is wrong."""
    try:
        return _domain(name).validate_python(raw)
    except ValidationError as error:
        problem = error.errors(include_url=False)[0] | {"loc": (name,)}
        raise ValueError(explain(problem, _FIELDS)[1]) from None


@cache
def _domain(name: str) -> TypeAdapter[Any]:
    if name in COST_FIELDS:
        return TypeAdapter(Nanoseconds)
    if name == "tag_block_size":
        return TypeAdapter(TagBlockSize)
    for model in (Workload, MachineFields):
        if name in WORKLOAD_FIELDS and name in model.model_fields:
            return TypeAdapter(model.model_fields[name].rebuild_annotation())
    return TypeAdapter(PolicyFields.model_fields[name].rebuild_annotation())


_FIELDS: dict[str, list[str]] = {
    section: list(model.model_fields)
    for section, model in (
        ("", Study),
        ("workload", Workload),
        ("machine", MachineFields),
        ("costs", CostFields),
        ("policy", FixedPolicy),
        ("baselines", Baseline),
        ("objectives", Objective),
        ("constraints", Constraint),
        ("sampler", Sampler),
        ("categorical", Categorical),
        ("int", IntRange),
        ("float", FloatRange),
    )
}


class _Draft7(GenerateJsonSchema):
    schema_dialect = "http://json-schema.org/draft-07/schema#"

    def nullable_schema(self, schema: Any) -> dict[str, Any]:
        """Return the schema of what may be left out: a key that is there has a value."""
        return self.generate_inner(schema["schema"])

    def default_schema(self, schema: Any) -> dict[str, Any]:
        """Return the schema of what has a default; None stands for none."""
        found = super().default_schema(schema)
        default = found.pop("default", None)
        if isinstance(default, dict):
            default = {key: value for key, value in default.items() if value is not None}
        return found if default is None else {**found, "default": default}


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 7) of a study, for editors."""
    schema = Study.model_json_schema(ref_template="#/definitions/{model}", schema_generator=_Draft7)
    schema["definitions"] = schema.pop("$defs")
    workload = schema["properties"]["workload"]
    single = {"$ref": "#/definitions/Workload"}
    schema["properties"]["workload"] = {"anyOf": [single, workload], "title": "Workload"}
    schema["properties"]["parameters"]["propertyNames"] = {"enum": list(SEARCHABLE)}
    names = {"type": "string", "enum": list(COST_PRESETS)}
    schema["properties"]["costs"] = {"anyOf": [{"$ref": "#/definitions/CostFields"}, names]}
    return {"$schema": _Draft7.schema_dialect, **schema}


__all__ = ["SourceError", "Study", "json_schema", "load_study", "parse_study"]
