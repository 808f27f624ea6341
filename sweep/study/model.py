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
    Admission,
    Anonymous,
    Drop,
    Eviction,
    Guests,
    HeadroomMode,
    LargeFolios,
    Metadata,
    Packing,
    Placement,
    Policy,
    Restore,
    System,
    TaggedPlacement,
)
from sweep.study.check_search import MAX_TRIALS, SEARCHABLE, check_study, explain
from sweep.study.values import (
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
from sweep.study.workloads import WORKLOAD_FIELDS
from sweep.study.yaml_source import Source, SourceError, parse_source, read_source


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class PolicyFields(_Model):
    """Policy fields by name; those left out are the preset's, or the defaults of docs/model.md."""

    system: System = System.CLEANCACHE
    eviction: Eviction = Eviction.LRU
    admission: Admission = Admission.ALL
    restore: Restore = Restore.INCLUSIVE
    drop: Drop = Drop.PAGE
    folio_order: number_of("folio_order") = Policy.folio_order  # type: ignore[valid-type]
    large_folios: LargeFolios = LargeFolios.CUT
    headroom: number_of("headroom") = Policy.headroom  # type: ignore[valid-type]
    headroom_mode: HeadroomMode = HeadroomMode.STATIC
    placement: Placement = Placement.QUEUE
    tagged_placement: TaggedPlacement = TaggedPlacement.RECORDED
    guests: Guests = Guests.KVM
    guest_ratio: number_of("guest_ratio") = Policy.guest_ratio  # type: ignore[valid-type]
    packing: Packing = Packing.ZSMALLOC
    anonymous: Anonymous = Anonymous.NONE
    compression_ratio: number_of("compression_ratio") = Policy.compression_ratio  # type: ignore[valid-type]
    tmem_ratio: number_of("tmem_ratio") = Policy.tmem_ratio  # type: ignore[valid-type]
    tmem_swing: number_of("tmem_swing") = Policy.tmem_swing  # type: ignore[valid-type]
    tmem_period_ns: number_of("tmem_period_ns") = Policy.tmem_period_ns  # type: ignore[valid-type]
    discard_ratio: number_of("discard_ratio") = Policy.discard_ratio  # type: ignore[valid-type]
    pinned_ratio: number_of("pinned_ratio") = Policy.pinned_ratio  # type: ignore[valid-type]
    pin_duration_ns: number_of("pin_duration_ns") = Policy.pin_duration_ns  # type: ignore[valid-type]
    pinned_on_purpose: number_of("pinned_on_purpose") = 0  # type: ignore[valid-type]
    metadata: Metadata = Metadata.MEMMAP
    seed: number_of("seed") = Policy.seed  # type: ignore[valid-type]


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
    swap_size: SizeOrZero | None = None
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
    migrate_base_ns: Nanoseconds | None = None
    migrate_page_ns: Nanoseconds | None = None
    compress_ns: Nanoseconds | None = None
    decompress_ns: Nanoseconds | None = None
    swap_write_ns: Nanoseconds | None = None
    tmem_copy_in_ns: Nanoseconds | None = None
    tmem_copy_out_ns: Nanoseconds | None = None


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


class Subspace(_Model):
    """Policies of one kind: what is held fixed, and what is searched, if anything."""

    policy: FixedPolicy = FixedPolicy()
    parameters: dict[str, Parameter] = {}


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
    parameters: Annotated[dict[str, Parameter], Field(min_length=1)] | None = None
    policies: Annotated[list[Subspace], Field(min_length=1)] | None = None
    baselines: list[Baseline] = []
    objectives: Annotated[list[Objective], Field(min_length=1)]
    constraints: list[Constraint] = []
    sampler: Sampler
    n_trials: Annotated[Whole, Field(ge=1, le=MAX_TRIALS)] | None = None
    generation: Annotated[Whole, Field(ge=2, le=65_536)] = 64
    replicates: Annotated[Whole, Field(ge=1, le=1000)] = 1

    @property
    def subspaces(self) -> list[Subspace]:
        """What is searched in turn: `policies`, or else the one of `policy` and `parameters`."""
        return self.policies or [Subspace(policy=self.policy, parameters=self.parameters or {})]

    @property
    def searched(self) -> dict[str, Parameter]:
        """All that is searched, by name."""
        return {name: one for space in self.subspaces for name, one in space.parameters.items()}

    def within(self, subspace: Subspace) -> Study:
        """Return the study that searches one subspace alone."""
        content = {"policy": subspace.policy, "parameters": subspace.parameters, "policies": None}
        return self.model_copy(update=content)

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
        ("policies", Subspace),
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
    searched = (schema, schema["definitions"]["Subspace"])
    for one in searched:
        one["properties"]["parameters"]["propertyNames"] = {"enum": list(SEARCHABLE)}
    names = {"type": "string", "enum": list(COST_PRESETS)}
    schema["properties"]["costs"] = {"anyOf": [{"$ref": "#/definitions/CostFields"}, names]}
    return {"$schema": _Draft7.schema_dialect, **schema}


__all__ = ["SourceError", "Study", "json_schema", "load_study", "parse_study"]
