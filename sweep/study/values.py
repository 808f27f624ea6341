"""The kinds of values in a study: sizes, whole numbers, words; each says what is wrong with one."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    TypeAdapter,
    ValidationError,
    WithJsonSchema,
)

from core.costs import COST_PRESETS
from core.outcomes import UNITS
from core.policy import NUMBERS, PRESETS, WHOLE_NUMBERS
from core.workload.synthetic import GENERATORS
from sweep.study.workloads import WHOLE_FIELDS, bounds_of
from sweep.study.yaml_source import suggest

#: What may be searched and is written as a size.
SIZE_FIELDS = ("tag_block_size", "zram_size", "swap_size", "readahead_size")
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
    if value < 4096 or value & (value - 1):
        raise ValueError(f"{value} is not a power of two of at least 4KiB")
    return value


def size_in_bytes(value: int | str | float, least: int = 1) -> int:
    """Return the bytes of a size such as ``4KiB``, or of a whole number of them; 0 if `least` is.

    Raises
    ------
    ValueError
        With what is wrong, in a line.
    """
    try:
        return TypeAdapter(Size if least else SizeOrZero).validate_python(value)
    except ValidationError as error:
        told = str(error.errors()[0]["msg"]).removeprefix("Value error, ")
        raise ValueError(told[:1].lower() + told[1:]) from None


def is_size(value: Any) -> bool:
    """Return whether something is a size above 0."""
    try:
        return size_in_bytes(value) > 0
    except ValueError:
        return False


def known_word(kind: str, words: Iterable[str]) -> AfterValidator:
    """Return what refuses a word that is none of a kind, with the one that was meant."""
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
#: A size that may be none.
SizeOrZero = Annotated[
    int,
    BeforeValidator(_size),
    Field(strict=True, ge=0, lt=2**50),
    WithJsonSchema({"anyOf": [{"type": "integer", "minimum": 0}, {"type": "string"}]}),
]
PageSize = Annotated[Size, AfterValidator(_page_size)]
TagBlockSize = Annotated[Size, Field(le=2**30)]
Nanoseconds = Annotated[int, Field(strict=True, ge=0, lt=2**40)]
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


def number_of(name: str) -> Any:
    """Return the kind of a workload's parameter, of a setting or policy field that is a number."""
    if name in NUMBERS:
        least, most = NUMBERS[name]
        kind = Whole if name in WHOLE_NUMBERS else Number
        # A share below 1 is written so, not by the number before it.
        return Annotated[
            kind, Field(ge=least, lt=1) if 0.9 < most < 1 else Field(ge=least, le=most)
        ]
    least, most = bounds_of(name)
    kind = Whole if name in WHOLE_FIELDS else Number
    return Annotated[kind, Field(ge=least, le=most)]
