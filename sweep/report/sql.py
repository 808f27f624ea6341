"""Pieces of SQL that the queries of a report share.

Each query of a report is one that `sweep query` answers as it stands. A figure never has more than
some 2,000 points, however long the study. If the study has more trials, the figure draws the best
of them and an even sample of all, such as every 10th; the column `points` tells of how many.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sweep.results import Row

#: The most trials that a figure draws, and the most that a Pareto front draws.
POINTS, FRONT = 2_000, 500


def quoted(text: str) -> str:
    """Return a text as a literal of SQL."""
    return "'" + text.replace("'", "''") + "'"


def in_list(values: Sequence[Any]) -> str:
    """Return values as the right side of SQL's ``IN``."""
    literals = [quoted(value) if isinstance(value, str) else str(value) for value in values]
    return f"({', '.join(literals)})"


def columns(names: Sequence[str]) -> str:
    """Return the list of columns of a SELECT, each named once."""
    return ", ".join(dict.fromkeys(names))


def evenly_sampled(most: int) -> str:
    """Return the condition that keeps at most `most` rows, evenly spread over all.

    The rows need the columns `place`, which counts them, and `points`, their number.
    """
    return f"place % ((points + {most - 1}) // {most}) = 0"


def is_one_of(policies: Sequence[Row]) -> str:
    """Return the condition that a row belongs to one of some trials and baselines."""
    pairs = ", ".join(f"({quoted(row['role'])}, {row['number']})" for row in policies)
    return f"(role, number) IN ({pairs})"
