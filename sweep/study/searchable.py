"""What a study can search: what a designer decides. And which values each of it may have."""

from __future__ import annotations

from functools import cache
from typing import Any

from pydantic import TypeAdapter, ValidationError

from core.policy import DECISIONS, DECLARED
from sweep.study.model import SECTION_KEYS
from sweep.study.values import type_of
from sweep.study.wording import explain

#: What may be searched.
SEARCHABLE: tuple[str, ...] = DECISIONS
#: Those whose values are words, and those whose values are fractions. The others are whole numbers.
SEARCHABLE_WORDS = tuple(name for name in DECISIONS if DECLARED[name].sql_type == "VARCHAR")
SEARCHABLE_FRACTIONS = tuple(name for name in DECISIONS if DECLARED[name].sql_type == "DOUBLE")


def searched_value(name: str, raw: Any) -> Any:
    """Return `raw` as a value of something searchable, in the simulator's units.

    Raises
    ------
    ValueError
        With what is wrong, in a line.
    """
    try:
        return _type_of(name).validate_python(raw)
    except ValidationError as error:
        problem = error.errors(include_url=False)[0] | {"loc": (name,)}
        raise ValueError(explain(problem, SECTION_KEYS).message) from None


@cache
def _type_of(name: str) -> TypeAdapter[Any]:
    return TypeAdapter(type_of(DECLARED[name]))
