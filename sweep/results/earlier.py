"""Rows of an earlier version: what they lack is made from what they have.

One that knew no scenarios has one scenario. What its trials are ranked by stood in its objectives
alone. One that wrote down how often a trial had failed has a row of the last failure alone.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from core.system import SYSTEMS
from sweep.results.schema import OUTCOME_COLUMNS, WORLD_COLUMNS
from sweep.study.worlds import AS_GIVEN

if TYPE_CHECKING:
    import duckdb


#: Columns that have another name now, by table.
RENAMED: dict[str, dict[str, str]] = {"attempts": {"attempts": "attempt"}}


def fill_in(connection: duckdb.DuckDBPyConnection) -> None:
    """Give the rows of an earlier version what those of this one have; again, it changes nothing.

    Parameters
    ----------
    connection
        A database whose tables have this version's form, open for writing, in a transaction.
    """
    earlier = connection.execute("SELECT study, identity FROM studies WHERE goals IS NULL")
    for study, identity in earlier.fetchall():
        try:
            goals = [
                {"name": str(each["metric"]), "over": "worst", "scenario": None}
                | {name: str(each[name]) for name in ("metric", "direction")}
                for each in json.loads(identity)["objectives"]
            ]
        except (ValueError, TypeError, LookupError, RecursionError):
            continue  # it says of none
        connection.execute("UPDATE studies SET goals = ? WHERE study = ?", [goals, study])
    _fill_scenarios(connection)
    _fill_objectives(connection)
    beyond = [name for name in SYSTEMS if SYSTEMS[name].beyond]
    connection.execute(
        "UPDATE trials SET attainable = NOT list_contains(?, system) WHERE attainable IS NULL",
        [beyond],
    )
    outcomes = ", ".join(f'"{name}"' for name in OUTCOME_COLUMNS)
    connection.execute(
        f"INSERT INTO outcomes BY NAME SELECT study, role, number, '{AS_GIVEN}' AS scenario, "
        f"{outcomes} FROM trials ANTI JOIN outcomes USING (study, role, number) "
        "WHERE stored IS NOT NULL"
    )


def _fill_objectives(connection: duckdb.DuckDBPyConnection) -> None:
    """Enter the values of goals, which were columns of their own, in one statement for all."""
    values = ""
    asked = "SELECT study, goals FROM studies WHERE goals IS NOT NULL"
    for study, goals in connection.execute(asked).fetchall():
        metrics = [goal["metric"] if goal else None for goal in goals]
        if all(metric in OUTCOME_COLUMNS for metric in metrics):
            listed = ", ".join(f"{metric}::DOUBLE" for metric in metrics)
            values += f" WHEN {_quoted(study)} THEN [{listed}]"
    if values:
        connection.execute(
            f"UPDATE trials SET objectives = CASE study{values} END "
            "WHERE objectives IS NULL AND stored IS NOT NULL"
        )


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _fill_scenarios(connection: duckdb.DuckDBPyConnection) -> None:
    """Enter the worlds of studies whose trials had costs and parameters of their own.

    What all trials of a study agree on is entered; what was searched is NULL.
    """
    present = {row[0] for row in connection.execute("DESCRIBE trials").fetchall()}
    values = "".join(
        f', CASE WHEN min("{name}") = max("{name}") THEN min("{name}") END AS "{name}"'
        for name in WORLD_COLUMNS
        if name in present
    )
    connection.execute(
        f"INSERT INTO scenarios BY NAME SELECT study, '{AS_GIVEN}' AS scenario, 0 AS place{values} "
        "FROM trials ANTI JOIN scenarios USING (study) GROUP BY study"
    )
