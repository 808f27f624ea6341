"""Rows of an earlier version, which knew no scenarios: what they lack is made from what they have.

Such a study has one scenario. What its trials are ranked by stood in its objectives alone.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from sweep.results.schema import OUTCOME_COLUMNS, WORLD_COLUMNS
from sweep.study.worlds import AS_GIVEN

if TYPE_CHECKING:
    import duckdb


def fill_in(connection: duckdb.DuckDBPyConnection) -> None:
    """Give the rows of an earlier version what those of this one have; again, it changes nothing.

    Parameters
    ----------
    connection
        A database whose tables have this version's form, open for writing, in a transaction.
    """
    earlier = connection.execute("SELECT study, identity FROM studies WHERE goals IS NULL")
    for study, identity in earlier.fetchall():
        objectives = json.loads(identity)["objectives"]
        goals = [
            {"name": each["metric"], "over": "worst", "scenario": None}
            | {name: each[name] for name in ("metric", "direction")}
            for each in objectives
        ]
        connection.execute("UPDATE studies SET goals = ? WHERE study = ?", [goals, study])
        _fill_scenario(connection, study)
    for study, goals in connection.execute(
        "SELECT DISTINCT study, goals FROM studies SEMI JOIN "
        "(SELECT * FROM trials WHERE objectives IS NULL AND state = 'complete') USING (study)"
    ).fetchall():
        values = ", ".join(f'"{goal["metric"]}"::DOUBLE' for goal in goals)
        connection.execute(
            f"UPDATE trials SET objectives = [{values}] "
            "WHERE study = ? AND objectives IS NULL AND state = 'complete'",
            [study],
        )
    outcomes = ", ".join(f'"{name}"' for name in OUTCOME_COLUMNS)
    connection.execute(
        f"INSERT INTO outcomes BY NAME SELECT study, role, number, '{AS_GIVEN}' AS scenario, "
        f"{outcomes} FROM trials ANTI JOIN outcomes USING (study, role, number) "
        "WHERE stored IS NOT NULL"
    )


def _fill_scenario(connection: duckdb.DuckDBPyConnection, study: str) -> None:
    """Enter the world of a study whose trials had costs and parameters of their own.

    What all of them agree on is entered; what was searched is NULL.
    """
    present = {row[0] for row in connection.execute("DESCRIBE trials").fetchall()}
    names = [name for name in WORLD_COLUMNS if name in present]
    values = "".join(
        f', CASE WHEN count(DISTINCT "{name}") = 1 THEN any_value("{name}") END AS "{name}"'
        for name in names
    )
    connection.execute(
        f"INSERT OR IGNORE INTO scenarios BY NAME "
        f"SELECT study, '{AS_GIVEN}' AS scenario, 0 AS place{values} "
        "FROM trials WHERE study = ? GROUP BY study",
        [study],
    )
