"""The study: what `study.yaml` may say, and what it says once every mistake is out of it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
    WithJsonSchema,
)
from pydantic.json_schema import GenerateJsonSchema

from core.costs import COST_PRESETS, Costs
from core.outcomes import UNITS
from core.policy import (
    MAX_FOLIO_ORDER,
    PRESETS,
    Admission,
    Drop,
    Eviction,
    LargeFolios,
    Metadata,
    Restore,
    System,
)
from sweep.source import Place, Source, SourceError, parse_source, read_source, suggest

SAMPLERS = ("grid", "random", "qmc", "tpe", "nsga2", "nsga3", "cmaes", "gp")
_UNITS = {"B": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40}


def _size(value: object) -> object:
    if isinstance(value, str):
        match = re.fullmatch(r"(\d+)\s*([A-Za-z]*)", value.strip())
        if not match:
            raise ValueError(f"{value!r} is not a size such as 4KiB")
        number, unit = match.groups()
        if unit not in _UNITS:
            near = {name[0].upper(): name for name in _UNITS}.get(unit[:1].upper())
            hint = f", did you mean {number}{near}?" if near else ""
            raise ValueError(f"{value}: no unit {unit or '(none)'} (KiB, MiB, GiB){hint}")
        return int(number) * _UNITS[unit]
    return value


def size_in_bytes(value: int | str) -> int:
    """Return the bytes of a size such as ``4KiB``."""
    return TypeAdapter(Size).validate_python(value)


def _known(kind: str, words: Iterable[str]) -> AfterValidator:
    known = list(words)

    def check(word: str) -> str:
        if word not in known:
            raise ValueError(f"unknown {kind} {word}{suggest(word, known)}")
        return word

    return AfterValidator(check)


Whole = Annotated[int, Field(strict=True)]
Number = Annotated[float, Field(strict=True)]
Text = Annotated[str, Field(strict=True)]
Size = Annotated[
    int,
    BeforeValidator(_size),
    Field(strict=True, ge=1, lt=2**50),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "integer", "minimum": 1},
                {"type": "string", "pattern": r"^\d+\s*(B|KiB|MiB|GiB|TiB)$"},
            ]
        }
    ),
]
Nanoseconds = Annotated[int, Field(strict=True, ge=0, lt=2**40)]
Metric = Annotated[
    str, _known("metric", UNITS), WithJsonSchema({"type": "string", "enum": list(UNITS)})
]
Preset = Annotated[
    str, _known("preset", PRESETS), WithJsonSchema({"type": "string", "enum": list(PRESETS)})
]
CostPreset = Annotated[
    str,
    _known("cost preset", COST_PRESETS),
    WithJsonSchema({"type": "string", "enum": list(COST_PRESETS)}),
]


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

    tag_block_size: Size | None = None


class Workload(_Model):
    """Where events come from."""

    trace: Annotated[Text, Field(min_length=1, description="Parquet file of mm events")]


class MachineFields(_Model):
    """The machine, where it is not the one of the capture."""

    page_size: Size | None = None
    data_memory: Size | None = None
    tag_block_size: Size | None = None


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
    log: bool = False


class FloatRange(_Model):
    """A number from `low` to `high`."""

    type: Literal["float"]
    low: Annotated[Number, Field(allow_inf_nan=False)]
    high: Annotated[Number, Field(allow_inf_nan=False)]
    step: Annotated[Number, Field(gt=0)] | None = None
    log: bool = False


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
    n_trials: Annotated[Whole, Field(ge=1, le=10_000_000)] | None = None
    generation: Annotated[Whole, Field(ge=2, le=65_536)] = 64

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
    from sweep.check import check_study

    data = source.data
    if not isinstance(data, dict):
        source.complain((), "not a study: a mapping with the keys study, workload, …")
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
            place, message, key = _explain(problem)
            source.complain(_place_in(data, place), message, key=key)
    check_study(source, data, look)
    source.check()
    assert study is not None
    return study


_SECTIONS: dict[str, type[_Model]] = {
    "workload": Workload,
    "machine": MachineFields,
    "costs": CostFields,
    "policy": FixedPolicy,
    "baselines": Baseline,
    "objectives": Objective,
    "constraints": Constraint,
    "sampler": Sampler,
}
_PARAMETERS: dict[str, type[_Model]] = {
    "categorical": Categorical,
    "int": IntRange,
    "float": FloatRange,
}


def _fields_at(place: Place) -> list[str]:
    if len(place) == 1:
        return list(Study.model_fields)
    if place[0] == "parameters" and len(place) > 2 and place[2] in _PARAMETERS:
        return list(_PARAMETERS[str(place[2])].model_fields)
    return list(_SECTIONS[str(place[0])].model_fields) if place[0] in _SECTIONS else []


def _explain(problem: Any) -> tuple[Place, str, bool]:
    """Return (place, message, whether it is about the key) of an error of pydantic."""
    place: Place = tuple(problem["loc"])
    kind, given, context = problem["type"], problem.get("input"), problem.get("ctx", {})
    if kind == "extra_forbidden":
        return place, f"unknown key {place[-1]}{suggest(str(place[-1]), _fields_at(place))}", True
    if kind == "missing":
        return place[:-1], f"key {place[-1]} is missing", False
    if kind == "union_tag_not_found":
        return place, "key type is missing: categorical, int or float", False
    if kind == "union_tag_invalid":
        found = str(context.get("tag"))
        return (*place, "type"), f"unknown type {found}{suggest(found, _PARAMETERS)}", False
    if kind in ("enum", "literal_error"):
        words = re.findall(r"'([^']*)'", str(context.get("expected", "")))
        return place, f"{place[-1]} cannot be {_say(given)}{suggest(str(given), words)}", False
    if kind == "value_error":
        return place, str(context.get("error")), False
    text = str(problem["msg"]).replace("Input should", "should").replace("valid ", "")
    text = text.replace("integer", "whole number")
    name = next((str(part) for part in reversed(place) if isinstance(part, str)), "value")
    return place, f"{name}: {text}, not {_say(given)}", False


def _say(value: object) -> str:
    text = json.dumps(value, default=str, ensure_ascii=False)
    return text if len(text) <= 60 else text[:57] + "…"


def _place_in(data: Any, place: Place) -> Place:
    """Return `place` without the parts that name no place in `data` (tags of a union)."""
    found: list[str | int] = []
    for part in place:
        if isinstance(data, dict) and part in data:
            found.append(part)
            data = data[part]
        elif isinstance(data, list) and isinstance(part, int):
            found.append(part)
            data = data[part]
        elif part == place[-1] and isinstance(data, dict) and part not in _PARAMETERS:
            found.append(part)
    return tuple(found)


class _Draft7(GenerateJsonSchema):
    schema_dialect = "http://json-schema.org/draft-07/schema#"


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 7) of a study, for editors."""
    schema = Study.model_json_schema(ref_template="#/definitions/{model}", schema_generator=_Draft7)
    schema["definitions"] = schema.pop("$defs")
    workload = schema["properties"]["workload"]
    single = {"$ref": "#/definitions/Workload"}
    schema["properties"]["workload"] = {"anyOf": [single, workload], "title": "Workload"}
    names = {"type": "string", "enum": list(COST_PRESETS)}
    schema["properties"]["costs"] = {"anyOf": [{"$ref": "#/definitions/CostFields"}, names]}
    return {"$schema": _Draft7.schema_dialect, **schema}


__all__ = ["SourceError", "Study", "json_schema", "load_study", "parse_study"]
