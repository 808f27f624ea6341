"""What a study can search, and which values each of it may have."""

from __future__ import annotations

from functools import cache
from typing import Any

from pydantic import TypeAdapter, ValidationError

from core.costs import COST_FIELDS, DECLARED_COSTS
from core.declaration import Declaration
from core.policy import DECLARED, POLICY_FIELDS
from sweep.study.model import SECTION_KEYS
from sweep.study.values import TagBlockSize, type_of
from sweep.study.wording import explain
from sweep.study.workloads import DECLARED_WORKLOAD, WORKLOAD_FIELDS

#: What may be searched: policy fields, the tag block size, costs, workload parameters, and settings
#: of the kernel under the workloads.
SEARCHABLE: tuple[str, ...] = (*POLICY_FIELDS, "tag_block_size", *COST_FIELDS, *WORKLOAD_FIELDS)
_DECLARED: dict[str, Declaration] = {**DECLARED, **DECLARED_COSTS, **DECLARED_WORKLOAD}
#: Those whose values are words, and those whose values are fractions. The others are whole numbers.
SEARCHABLE_WORDS = tuple(name for name in _DECLARED if _DECLARED[name].sql_type == "VARCHAR")
SEARCHABLE_FRACTIONS = tuple(name for name in _DECLARED if _DECLARED[name].sql_type == "DOUBLE")


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
    if name == "tag_block_size":
        return TypeAdapter(TagBlockSize)
    return TypeAdapter(type_of(_DECLARED[name]))
