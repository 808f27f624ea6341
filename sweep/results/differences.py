"""Two studies' rows side by side: where the values of a replay differ from those that were stored.

The databases are compared inside DuckDB, column by column: a study may have millions of values.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from sweep.results.reading import open_for_reading, read_rows, read_table
from sweep.results.schema import BY_COST, OUTCOME_COLUMNS, TABLES, Row

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

#: The tables of what a study gives. The rows of `scenarios` are of no trial.
COMPARED = ("scenarios", "trials", "outcomes", "runs")
#: Columns that tell how a row came to be, and not what it says.
VARYING = ("attempts", "retried", "host", "finished_at")
#: Differences of each column that are read.
_SHOWN = 10


class Rows(NamedTuple):
    """Where the rows of a study are: the database, and the study's name in it."""

    database: Path
    study: str


class Side(NamedTuple):
    """The rows of a study as one connection sees them.

    Parameters
    ----------
    prefix
        What stands before the names of tables: nothing for those of the database that was opened;
        else such as ``made_``, or ``merged_from.main.`` for an attached database.
    study
        The study's name there.
    """

    prefix: str
    study: str


class Difference(NamedTuple):
    """A value that is not the same in both, or a row that one of them lacks."""

    table: str
    role: str | None
    number: int | None
    scenario: str | None
    workload: str | None
    column: str
    stored: str | None
    replayed: str | None


class Differences(NamedTuple):
    """How far two studies' rows are the same.

    Parameters
    ----------
    trials
        How many trials and baselines are compared.
    values
        How many of their values are.
    different
        How many values differ, and rows that one of the two lacks.
    different_trials
        How many trials and baselines have such a value.
    most
        The largest difference of two numbers, as a share of the larger one, and its column; None
        if no number differs.
    first
        Some of the differences, those of the first trials.
    """

    trials: int
    values: int
    different: int
    different_trials: int
    most: tuple[float, str] | None
    first: list[Difference]


def find_differences(
    database: Rows,
    made: Rows,
    chosen: Sequence[tuple[str, int]],
    *,
    made_is_stored: bool,
    outcomes_alone: bool,
) -> Differences:
    """Return how far the rows of two databases are the same.

    Parameters
    ----------
    database
        Rows of a database that other processes may be using.
    made
        Rows of a database that this process has made, and holds closed.
    chosen
        (role, number) of the trials and baselines that are compared.
    made_is_stored
        Whether it is the rows of `made` that count as stored, and the others as replayed.
    outcomes_alone
        Whether only outcomes are compared, and of those only what is stored of any trial: what two
        versions of the simulator have in common.

    Raises
    ------
    StoreError
        When one of them cannot be read.
    """
    with open_for_reading(made.database) as connection:
        rows = {
            table: read_table(connection, f"SELECT * FROM {table} WHERE study = $1", [made.study])
            for table in COMPARED
        }
    with open_for_reading(database.database) as connection:
        for table, of_table in rows.items():
            connection.register(f"made_{table}", of_table)
        sides = Side("", database.study), Side("made_", made.study)
        stored, replayed = reversed(sides) if made_is_stored else sides
        return compare_sides(connection, stored, replayed, chosen, outcomes_alone=outcomes_alone)


def compare_sides(
    connection: DuckDBPyConnection,
    stored: Side,
    replayed: Side,
    chosen: Sequence[tuple[str, int]],
    *,
    outcomes_alone: bool = False,
    varying: Sequence[str] = VARYING,
) -> Differences:
    """Return how far the rows that one connection sees on two sides are the same.

    Parameters
    ----------
    connection
        An open database.
    stored, replayed
        The rows.
    chosen, outcomes_alone
        As for `find_differences`.
    varying
        The columns that are not compared.
    """
    sides = _Sides(connection, stored, replayed, chosen)
    found = [
        _compare_table(sides, table, _columns_of(table, outcomes_alone, varying), outcomes_alone)
        for table in COMPARED
        if not (outcomes_alone and table == "scenarios")
    ]
    different = [each for each in found if each.different]
    first = [difference for each in different for difference in each.first]
    trials = {place for each in different for place in each.places}
    most = max((each.most for each in found if each.most), default=None)
    order = {table: place for place, table in enumerate(COMPARED)}
    first.sort(key=lambda of: (of.role or "", of.number or 0, order[of.table], of.scenario or ""))
    return Differences(
        len(chosen),
        sum(each.values for each in found),
        sum(each.different for each in found),
        len(trials),
        most,
        first[:_SHOWN],
    )


class _OfTable(NamedTuple):
    """What a comparison found in one table."""

    values: int
    different: int
    places: list[tuple[str, int]]
    most: tuple[float, str] | None
    first: list[Difference]


class _Sides:
    """The rows that are compared, as one connection sees them."""

    def __init__(
        self,
        connection: DuckDBPyConnection,
        stored: Side,
        replayed: Side,
        chosen: Sequence[tuple[str, int]],
    ) -> None:
        import pyarrow as pa

        self.connection, self._stored, self._replayed = connection, stored, replayed
        roles, numbers = [role for role, _ in chosen], [number for _, number in chosen]
        places = {"role": pa.array(roles, pa.string()), "number": pa.array(numbers, pa.int64())}
        connection.register("chosen", pa.table(places))

    def joined(self, table: str) -> tuple[str, list[str]]:
        """Return the FROM of a table's rows beside each other, and its values."""
        keys = [name for name in TABLES[table].key if name != "study"]
        of_trials = " SEMI JOIN chosen USING (role, number)" if "role" in keys else ""
        stored, replayed = (
            f"(SELECT *, true AS there FROM {prefix}{table}{of_trials} WHERE study = {mark}) {name}"
            for (prefix, _), mark, name in (
                (self._stored, "$1", "stored"),
                (self._replayed, "$2", "replayed"),
            )
        )
        return f"FROM {stored} FULL JOIN {replayed} USING ({', '.join(keys)})", [
            self._stored.study,
            self._replayed.study,
        ]

    def rows(self, sql: str, values: Sequence[Any]) -> list[Row]:
        """Return the rows of a query."""
        return read_rows(self.connection, sql, values)


def _compare_table(
    sides: _Sides, table: str, columns: dict[str, str], outcomes_alone: bool
) -> _OfTable:
    joined, values = sides.joined(table)
    (summed,) = sides.rows(
        "SELECT count(*) FILTER (stored.there AND replayed.there) AS both, count(*) AS all_rows, "
        f"coalesce(bool_or({_rows_differ(columns)}), false) AS any_differs {joined}",
        values,
    )
    if not (outcomes_alone or summed["any_differs"] or summed["both"] < summed["all_rows"]):
        # Planning what follows takes 70 ms a table, and this a tenth of it.
        return _OfTable(summed["both"] * len(columns), 0, [], None, [])
    asked = ["count(*) FILTER (stored.there AND replayed.there) AS both", "count(*) AS all_rows"]
    for place, (name, of) in enumerate(columns.items()):
        asked += [
            f"count(*) FILTER ({_differs(name, of)}) AS different_{place}",
            f'count(stored."{name}") AS known_{place}',
            f"{_share(name) if of in ('BIGINT', 'DOUBLE') else 'NULL'} AS most_{place}",
        ]
    (counted,) = sides.rows(f"SELECT {', '.join(asked)} {joined}", values)
    known = {
        name: place
        for place, name in enumerate(columns)
        if counted[f"known_{place}"] or not outcomes_alone
    }
    different = {name: place for name, place in known.items() if counted[f"different_{place}"]}
    lacking = counted["all_rows"] - counted["both"]
    tests = [_differs(name, columns[name]) for name in different]
    tests += ["(stored.there AND replayed.there) IS NOT TRUE"] if lacking else []
    places = []
    if tests and "role" in TABLES[table].key:
        any_test = " OR ".join(tests)
        rows = sides.rows(f"SELECT DISTINCT role, number {joined} WHERE {any_test}", values)
        places = [(row["role"], row["number"]) for row in rows]
    shares = [(counted[f"most_{place}"], name) for name, place in different.items()]
    most = max((share for share in shares if share[0] is not None), default=None)
    first = [
        difference
        for name in [*different, *([""] if lacking else [])]
        for difference in _first_of(sides, table, name, columns.get(name, ""))
    ]
    return _OfTable(
        counted["both"] * len(known),
        sum(counted[f"different_{place}"] for place in different.values()) + lacking,
        places,
        most,
        first,
    )


def _columns_of(table: str, outcomes_alone: bool, varying: Sequence[str]) -> dict[str, str]:
    """Return the columns of a table that are compared, with their types."""
    columns, key = TABLES[table]
    return {
        name: of.split(" NOT NULL")[0]
        for name, of in columns.items()
        if name not in (*key, *varying) and (name in OUTCOME_COLUMNS or not outcomes_alone)
    }


def _value(side: str, name: str, of: str) -> str:
    """Return the SQL of a value; a map becomes its items in order, since its own says nothing."""
    value = f'{side}."{name}"'
    return f"list_sort(map_entries({value}))" if of == BY_COST else value


def _differs(name: str, of: str) -> str:
    stored, replayed = _value("stored", name, of), _value("replayed", name, of)
    return f"(stored.there AND replayed.there AND {stored} IS DISTINCT FROM {replayed})"


def _rows_differ(columns: dict[str, str]) -> str:
    """Return the SQL of whether any value of two rows differs."""
    rows = (
        f"row({', '.join(_value(side, name, of) for name, of in columns.items())})"
        for side in ("stored", "replayed")
    )
    return f"(stored.there AND replayed.there AND {' IS DISTINCT FROM '.join(rows)})"


def _share(name: str) -> str:
    """Return the SQL of the largest difference of two numbers, as a share of the larger one."""
    stored, replayed = f'stored."{name}"::DOUBLE', f'replayed."{name}"::DOUBLE'
    return (
        f"max(abs({stored} - {replayed}) / greatest(abs({stored}), abs({replayed}))) "
        f"FILTER ({stored} <> {replayed})"
    )


def _first_of(sides: _Sides, table: str, name: str, of: str) -> list[Difference]:
    """Return the first differences of a column; "" stands for rows that one side lacks."""
    joined, values = sides.joined(table)
    key = [column for column in TABLES[table].key if column != "study"]
    if name:
        test = _differs(name, of)
        shown = [f"{_value(side, name, of)}::VARCHAR" for side in ("stored", "replayed")]
    else:
        test = "(stored.there AND replayed.there) IS NOT TRUE"
        shown = [f"if({side}.there, 'a row', 'no row')" for side in ("stored", "replayed")]
    rows = sides.rows(
        f"SELECT {', '.join(key)}, {shown[0]} AS was, {shown[1]} AS now_is {joined} "
        f"WHERE {test} ORDER BY {', '.join(key)} LIMIT {_SHOWN}",
        values,
    )
    return [
        Difference(
            table,
            row.get("role"),
            row.get("number"),
            row.get("scenario"),
            row.get("workload"),
            name or "(row)",
            row["was"],
            row["now_is"],
        )
        for row in rows
    ]
