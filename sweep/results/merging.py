"""Databases brought together: the rows of several in one, where every trial is there once.

A trial has one outcome, whichever machine replays it. So a trial that two databases have must be
the same in both, and where it is not, nothing is merged.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, NamedTuple

from core.files import DISK
from sweep.results.differences import VARYING, Difference, Differences, Side, compare_sides
from sweep.results.errors import StoreError, told_errors
from sweep.results.file import give_name, rewrite, spool_folder
from sweep.results.identity import identity_changes
from sweep.results.inserting import merge, transaction
from sweep.results.precedence import UNEVALUATED, replaces
from sweep.results.reading import open_for_reading, read_rows, told_contradictions
from sweep.results.schema import TABLES, Row
from sweep.results.spool import Spool
from sweep.results.tables import make_table

if TYPE_CHECKING:
    from sweep.results.reading import Connection

#: How long to wait for a process that holds a database.
PATIENCE_S = 10.0
#: How long to wait for one that is read: a copy of it does as well.
_READ_PATIENCE_S = 0.2
#: Why a trial failed may name the machine where it did; that it failed is in its state.
_NOT_COMPARED = (*VARYING, "reason")
#: Columns of `studies` that tell of all machines that ran one: both sides' are kept.
_OF_ALL = ("hosts", "executors")
_SOURCE = "merged_from"
_BATCH_ROWS = 10_000


class MergedDatabase(NamedTuple):
    """What one database brought.

    Parameters
    ----------
    database
        Its file.
    studies
        The names of its studies.
    trials
        How many trials and baselines it has.
    added
        How many of them were not there before.
    """

    database: Path
    studies: list[str]
    trials: int
    added: int


def merge_databases(
    into: Path, sources: Sequence[Path], merged: Callable[[MergedDatabase], None]
) -> None:
    """Bring the rows of databases into one; all of them, or, where one is refused, none.

    Merging a database again changes nothing, and the order of databases decides nothing but which
    machine and time stand at a trial that several have.

    Parameters
    ----------
    into
        The database that gets the rows; it is made if there is none.
    sources
        The databases that are read. They, and the rows spooled beside them, stay.
    merged
        What is called after each of them.

    Raises
    ------
    StoreError
        When two databases contradict each other, or one cannot be used.
    """
    spool = Spool(spool_folder(into))
    if into.exists() or spool.names():
        merge(into, spool, PATIENCE_S)
        _merge_all(into, into, sources, merged)
        return
    # Made aside, so that a refusal leaves no empty database.
    with told_errors(into), TemporaryDirectory(dir=into.parent, prefix=f".{into.name}.") as folder:
        draft = Path(folder) / into.name
        _merge_all(draft, into, sources, merged)
        try:
            give_name(draft, into)
        except FileExistsError:
            what = "another process has made it meanwhile, and nothing is merged; merge again"
            raise StoreError(what, file=into) from None
        DISK.sync(into.parent)


def _merge_all(
    target: Path, into: Path, sources: Sequence[Path], merged: Callable[[MergedDatabase], None]
) -> None:
    """Merge databases into the file `target`, which errors call `into`."""
    with rewrite(target, PATIENCE_S) as connection:
        for source in sources:
            with (
                told_errors(source),
                told_contradictions(source),
                _attached(connection, source, target),
            ):
                merged(_merge_attached(connection, into, source))


@contextmanager
def _attached(connection: Connection, source: Path, beside: Path) -> Iterator[None]:
    """Attach the rows of a database, in the form of this version and with those spooled for it.

    The database itself, which may be a stranger's, is read by a connection that cannot write.
    """
    draft = spool_folder(beside) / "merged.duckdb"
    DISK.remove(draft)  # a kill left it
    name = str(draft).replace("'", "''")
    connection.execute(f"ATTACH '{name}' AS {_SOURCE}")
    try:
        with open_for_reading(source, _READ_PATIENCE_S) as reading:
            for table, (columns, _) in TABLES.items():
                make_table(connection, table, f"{_SOURCE}.main.{table}")
                names = ", ".join(f'"{column}"' for column in columns)
                batches = reading.sql(f"SELECT {names} FROM {table}").to_arrow_reader(_BATCH_ROWS)
                connection.register("read", batches)
                connection.execute(f"INSERT INTO {_SOURCE}.main.{table} BY NAME FROM read")
                connection.unregister("read")
        yield
    finally:
        connection.execute(f"DETACH {_SOURCE}")
        DISK.remove(draft)


def _merge_attached(connection: Connection, into: Path, source: Path) -> MergedDatabase:
    theirs = _studies_of(connection, f"{_SOURCE}.main.")
    ours = _studies_of(connection, "")
    for study in theirs.keys() & ours.keys():
        _check_same_study(into, source, ours[study], theirs[study])
        places = read_rows(
            connection,
            f"SELECT role, number FROM (FROM trials WHERE NOT {UNEVALUATED}) SEMI JOIN "
            f"(FROM {_SOURCE}.main.trials WHERE NOT {UNEVALUATED}) "
            "USING (study, role, number) WHERE study = ?",
            [study],
        )
        chosen = [(row["role"], row["number"]) for row in places]
        before, now = Side("", study), Side(f"{_SOURCE}.main.", study)
        differences = compare_sides(connection, before, now, chosen, varying=_NOT_COMPARED)
        if differences.different:
            raise StoreError(_told(study, source, differences), file=into)
    trials, before_it = _trials_of(connection, f"{_SOURCE}.main."), _trials_of(connection, "")
    with transaction(connection):
        _insert_attached(connection)
    return MergedDatabase(source, sorted(theirs), trials, _trials_of(connection, "") - before_it)


def _insert_attached(connection: Connection) -> None:
    for name in _OF_ALL:
        connection.execute(
            f"UPDATE studies SET {name} = list_sort(list_distinct(list_concat(studies.{name}, "
            f"theirs.{name}))) FROM {_SOURCE}.main.studies AS theirs "
            f"WHERE theirs.study = studies.study AND theirs.{name} IS NOT NULL"
        )
    for table, (columns, key) in TABLES.items():
        names = ", ".join(f'"{name}"' for name in columns)
        connection.execute(
            f"INSERT INTO {table} BY NAME SELECT {names} FROM {_SOURCE}.main.{table} "
            f"ON CONFLICT {_conflict(table, columns.keys() - key)}"
        )


def _trials_of(connection: Connection, prefix: str) -> int:
    ((trials,),) = connection.execute(f"SELECT count(*) FROM {prefix}trials").fetchall()
    return int(trials)


def _conflict(table: str, values: set[str]) -> str:
    """Return what becomes of a row whose key is there already.

    Of two rows of a study that of more trials stays, and a trial has its outcomes if one of the two
    has them. All others are equal in all that decides, and the first one stays.
    """
    where = replaces(table)
    if table == "studies":
        where = " WHERE excluded.n_trials > studies.n_trials"
    if not where:
        return "DO NOTHING"
    update = ", ".join(f'"{name}" = excluded."{name}"' for name in values if name not in _OF_ALL)
    return f"({', '.join(TABLES[table].key)}) DO UPDATE SET {update}{where}"


def _studies_of(connection: Connection, prefix: str) -> dict[str, Row]:
    """Return what makes each study of a database the one that it is, by name."""
    simulators = f"(SELECT list_sort(list(DISTINCT core_digest)) FROM {prefix}trials AS trial "
    rows = read_rows(
        connection,
        "SELECT study, identity, coalesce(model_version, 1) AS model_version, events_digests, "
        f"coalesce({simulators} WHERE trial.study = entry.study), []) AS simulators "
        f"FROM {prefix}studies AS entry ORDER BY study",
    )
    return {row["study"]: row for row in rows}


def _check_same_study(into: Path, source: Path, ours: Row, theirs: Row) -> None:
    """Raise `StoreError` if two studies of one name are not the same study."""
    changes = list(identity_changes(json.loads(ours["identity"]), json.loads(theirs["identity"])))
    if ours["events_digests"] != theirs["events_digests"]:
        changes.append("a workload holds other events")
    versions = (
        ("the version of the model", "model_version"),
        ("the simulator (source digest)", "simulators"),
    )
    for what, name in versions:
        if ours[name] and theirs[name] and ours[name] != theirs[name]:
            was, now = (
                ", ".join(map(str, value)) if isinstance(value, list) else value
                for value in (ours[name], theirs[name])
            )
            changes.append(f"{what}: was {was}, is {now}")
    if changes:
        listed = "\n".join(f"  {change}" for change in changes)
        raise StoreError(
            f"study {ours['study']} of {source} is not the one of this name here, and nothing is "
            f"merged:\n{listed}\n"
            "  a name is one study, by one simulator: give one of them another name, or run it "
            "again with what the other was run with",
            file=into,
        )


def _told(study: str, source: Path, differences: Differences) -> str:
    listed = "\n".join(f"  {_line(each, source)}" for each in differences.first)
    more = differences.different - len(differences.first)
    rest = f"\n  and {more:,} more, in {differences.different_trials:,} trials" if more > 0 else ""
    return (
        f"study {study}: a trial that was merged before has other values in {source}, and nothing "
        f"is merged:\n{listed}{rest}\n"
        f"  a trial has one outcome: sweep verify {study} --db {source} replays its trials and "
        "tells whether these values are right"
    )


def _line(difference: Difference, source: Path) -> str:
    """Return ``trial 3, scenario fast, workload tar: restored is 5 here and 6 in b.duckdb``."""
    places = [] if difference.role is None else [f"{difference.role} {difference.number}"]
    for word in ("scenario", "workload"):
        value = getattr(difference, word)
        places += [] if value is None else [f"{word} {value}"]
    column = difference.column if difference.column != "(row)" else f"{difference.table}"
    stored, replayed = (_shown(each) for each in (difference.stored, difference.replayed))
    return f"{', '.join(places)}: {column} is {stored} here and {replayed} in {source}"


def _shown(value: str | None) -> str:
    text = "NULL" if value is None else value
    return text if len(text) <= 80 else f"{text[:77]}…"
