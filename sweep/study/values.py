"""The types of values in a study: sizes, whole numbers, words; each tells what is wrong."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    PlainSerializer,
    TypeAdapter,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WithJsonSchema,
    WrapValidator,
)
from pydantic_core import PydanticCustomError

from core.cost_presets import COST_PRESETS
from core.declaration import Declaration
from core.outcomes import UNITS
from core.policy import PRESETS
from core.registry import PLUGIN_PATTERN, Registry
from core.timeline.marks import parts_of_share
from core.workload.synthetic import GENERATORS, PARAMETERS
from sweep.study.wording import suggest

#: Trials of a study, and points of a grid, at most.
MAX_TRIALS = 10_000_000
#: A tenant over a trace may have the share of tagged pages that was sampled while it was recorded.
SAMPLED = "sampled"
#: What may be searched and is written as a size.
SIZE_FIELDS = ("tag_block_size", "zram_size", "swap_size", "readahead_size")
#: Seconds of the units of a duration.
_SECONDS = {"s": 1, "min": 60, "h": 3600, "d": 86400}
_UNITS = {"B": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40}


def _size(value: object) -> object:
    if not isinstance(value, str):
        return value
    match = re.fullmatch(r"([0-9]{1,15})\s*([A-Za-z]*)", value.strip())
    if not match:
        raise ValueError(f"{value!r} is not a size such as 4KiB")
    number, unit = match.groups()
    if unit and unit not in _UNITS:
        near = {name[0].upper(): name for name in _UNITS}.get(unit[0].upper())
        hint = f", did you mean {number}{near}?" if near else ""
        raise ValueError(f"{value}: no unit {unit} (there are B, KiB, MiB, GiB, TiB){hint}")
    return int(number) * _UNITS[unit or "B"]


def _page_size(value: int) -> int:
    if not 4096 <= value <= 2**30 or value & (value - 1):
        raise ValueError(f"{value} is not a power of two from 4KiB to 1GiB")
    return value


def _printable(name: str) -> str:
    if not name.isprintable():
        raise ValueError(f"{name!a} has a character that is not printable")
    return name


def _warm_up(share: float) -> float:
    parts_of_share(share)
    return share


def size_in_bytes(value: int | str | float, least: int = 1) -> int:
    """Return the bytes of a size such as ``4KiB``, or of a whole number of bytes.

    Parameters
    ----------
    value
        The size as a study, or an option of a command, has it.
    least
        1 to refuse 0, or 0 to take it.

    Raises
    ------
    ValueError
        With what is wrong, in a line.
    """
    try:
        return _sizes(least).validate_python(value)
    except ValidationError as error:
        message = str(error.errors()[0]["msg"]).removeprefix("Value error, ")
        raise ValueError(message[:1].lower() + message[1:]) from None


def duration_in_seconds(value: int | str | float) -> float:
    """Return the seconds of a duration such as ``10min``, or of a number of seconds.

    Raises
    ------
    ValueError
        With what is wrong, in a line.
    """
    if isinstance(value, str):
        match = re.fullmatch(r"([0-9]{1,9}(?:\.[0-9]{1,6})?)\s*([A-Za-z]*)", value.strip())
        units = ", ".join(_SECONDS)
        if not match:
            raise ValueError(f"{value!r} is not a duration such as 10min (units: {units})")
        number, unit = match.groups()
        if unit and unit not in _SECONDS:
            hint = suggest(unit, _SECONDS)
            raise ValueError(f"{value}: no unit {unit} (there are {units}){hint}")
        value = float(number) * _SECONDS[unit or "s"]
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 1e9:
        raise ValueError(f"{value} s is no duration above 0")
    return float(value)


@cache
def _sizes(least: int) -> TypeAdapter[int]:
    return TypeAdapter(Size if least else SizeOrZero)


def is_size(value: Any) -> bool:
    """Return whether something is a size above 0."""
    try:
        return size_in_bytes(value) > 0
    except ValueError:
        return False


def known_word(kind: str, words: Iterable[str]) -> AfterValidator:
    """Return a validator that takes `words` alone, and tells which of them was meant.

    Parameters
    ----------
    kind
        What the words are, in the message: ``unknown metric time_saved``.
    words
        The words.
    """
    known = list(words)

    def check(word: str) -> str:
        if word not in known:
            raise ValueError(f"unknown {kind} {word}{suggest(word, known)}")
        return word

    return AfterValidator(check)


Whole = Annotated[int, Field(strict=True)]
Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]
Flag = Annotated[bool, Field(strict=True)]
Text = Annotated[str, Field(strict=True)]
#: A file's name, which tables show as it is.
FileName = Annotated[Text, Field(min_length=1), AfterValidator(_printable)]
Size = Annotated[
    int,
    BeforeValidator(_size),
    Field(strict=True, ge=1, lt=2**50),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "integer", "minimum": 1},
                {"type": "string", "pattern": r"^\s*[0-9]{1,15}\s*(B|KiB|MiB|GiB|TiB)?\s*$"},
            ]
        }
    ),
]
#: A size that may be 0.
Duration = Annotated[
    float,
    BeforeValidator(duration_in_seconds),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "number", "exclusiveMinimum": 0},
                {"type": "string", "pattern": r"^\s*[0-9]{1,9}(\.[0-9]{1,6})?\s*(s|min|h|d)?\s*$"},
            ]
        }
    ),
]
SizeOrZero = Annotated[
    int,
    BeforeValidator(_size),
    Field(strict=True, ge=0, lt=2**50),
    WithJsonSchema({"anyOf": [{"type": "integer", "minimum": 0}, {"type": "string"}]}),
]
PageSize = Annotated[Size, AfterValidator(_page_size)]
TagBlockSize = Annotated[Size, Field(le=2**30)]
WarmUp = Annotated[Number, Field(ge=0, lt=1), AfterValidator(_warm_up)]
Metric = Annotated[
    str, known_word("metric", UNITS), WithJsonSchema({"type": "string", "enum": list(UNITS)})
]
Preset = Annotated[
    str, known_word("preset", PRESETS), WithJsonSchema({"type": "string", "enum": list(PRESETS)})
]
CostPreset = Annotated[
    str,
    known_word("cost preset", COST_PRESETS),
    WithJsonSchema({"type": "string", "enum": list(COST_PRESETS)}),
]
Generator = Annotated[
    str,
    known_word("synthetic workload", GENERATORS),
    WithJsonSchema({"type": "string", "enum": list(GENERATORS)}),
]


def _sampled_or_number(value: object, is_number: ValidatorFunctionWrapHandler) -> object:
    if isinstance(value, str) and value != SAMPLED:
        raise ValueError(f"{value!r} is neither a number nor {SAMPLED}{suggest(value, [SAMPLED])}")
    return value if value == SAMPLED else is_number(value)


class _OrSampled:
    """What an editor's schema says beside the number."""

    def __get_pydantic_json_schema__(self, schema: Any, handler: Any) -> dict[str, Any]:
        return {"anyOf": [handler(schema), {"type": "string", "const": SAMPLED}]}


def number_of(least: float, most: float) -> Any:
    """Return the type of a number of a study: a whole one, if its bounds are."""
    # The bound of a ratio that must stay below 1 is the float before 1: messages should say 1.
    bounds = Field(ge=least, lt=1) if 0.9 < most < 1 else Field(ge=least, le=most)
    return Annotated[Whole if isinstance(least, int) else Number, bounds]


def word_of(registry: Registry[Any]) -> Any:
    """Return the type of a word that a registry knows, or of a user's own ``module:NAME``."""
    names = ", ".join(f"'{name}'" for name in registry)

    def check(word: object) -> object:
        if word not in registry:
            message = "Input should be {expected}"
            raise PydanticCustomError("enum", message, {"expected": names})
        return word

    schema = {"anyOf": [{"enum": list(registry)}, {"type": "string", "pattern": PLUGIN_PATTERN}]}
    return Annotated[str, BeforeValidator(check), WithJsonSchema(schema)]


def type_of(declared: Declaration) -> Any:
    """Return the type of a declared field in a study, described in the words of its declaration."""
    if isinstance(declared.words, Registry):
        kind = word_of(declared.words)
    elif declared.words is not None:
        kind = declared.words
    elif declared.in_bytes:
        kind = SizeOrZero
    else:
        assert declared.bounds is not None
        kind = number_of(*declared.bounds)
    return Annotated[kind, Field(description=declared.meaning)]


#: The share of a tenant's tagged pages: a number, or the word `SAMPLED`.
TAGGED_RATIO: Any = Annotated[
    type_of(PARAMETERS["tagged_ratio"]),
    WrapValidator(_sampled_or_number),
    PlainSerializer(lambda value: value),
    _OrSampled(),
]
