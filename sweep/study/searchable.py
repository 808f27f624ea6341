"""What a study can search: what a designer decides."""

from __future__ import annotations

from core.policy import DECISIONS, DECLARED

#: What may be searched.
SEARCHABLE: tuple[str, ...] = DECISIONS
#: Those whose values are words, and those whose values are fractions. The others are whole numbers.
SEARCHABLE_WORDS = tuple(name for name in DECISIONS if DECLARED[name].sql_type == "VARCHAR")
SEARCHABLE_FRACTIONS = tuple(name for name in DECISIONS if DECLARED[name].sql_type == "DOUBLE")
