"""Which of two rows of a trial stays: one that has outcomes, or else that of more attempts.

So a trial that failed, and is tried again, has its new row whatever the order in which both are
inserted, and however often.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa

#: Whether a trial failed before it had outcomes: of these alone a row is replaced.
UNEVALUATED = "(state = 'fail' AND objectives IS NULL)"
_RANKED_BY = ("state", "objectives", "attempts")


def replaces(table: str) -> str:
    """Return on which condition, in SQL, a row takes the place of one with its key; "" for none."""
    if table != "trials":
        return ""
    stands = "trials.state = 'fail' AND trials.objectives IS NULL"
    has_outcomes = "excluded.state != 'fail' OR excluded.objectives IS NOT NULL"
    more = "coalesce(excluded.attempts, 0) > coalesce(trials.attempts, 0)"
    return f" WHERE {stands} AND ({has_outcomes} OR {more})"


def ranks(table: str, rows: pa.Table) -> list[tuple[int, ...]]:
    """Return the rank of each row: of rows with one key the first of the highest rank stays."""
    if table != "trials":
        return [()] * len(rows)
    there = [name in rows.column_names for name in _RANKED_BY]
    columns = [
        rows[name].to_pylist() if has else [None] * len(rows)
        for name, has in zip(_RANKED_BY, there, strict=True)
    ]
    return [
        (1,) if state != "fail" or objectives is not None else (0, attempts or 0)
        for state, objectives, attempts in zip(*columns, strict=True)
    ]


def best_places(table: str, keys: Sequence[Any], rows: pa.Table) -> dict[Any, int]:
    """Return the place of the row that stays, by key.

    Parameters
    ----------
    table
        The table that the rows are of.
    keys
        The keys of the rows, in order.
    rows
        The rows, some of which may have the same key.
    """
    rank = ranks(table, rows)
    places: dict[Any, int] = {}
    for place, key in enumerate(keys):
        if key not in places or rank[place] > rank[places[key]]:
            places[key] = place
    return places
