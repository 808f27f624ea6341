"""A results database in memory, which another process may hold, with the rules of the real one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from pathlib import Path
from typing import Any

import pyarrow as pa
from simulated_files import SimulatedFiles
from simulated_world import World

from sweep.results.database import PATIENCE_S, Database, Found
from sweep.results.errors import LockedError, told_errors
from sweep.results.inserting import REPLACED
from sweep.results.schema import TABLES, Row
from sweep.results.spool import Spool, SpoolFile, read_content

Key = tuple[Any, ...]
#: The rows of each table by key: the Arrow table that one is in, and its place there.
Content = dict[str, dict[Key, tuple[pa.Table, int]]]
_ASKED = ["role", "number", "state", "asked", "objectives", "violations", "feasible", "attainable"]
_ASKED += ["policy_key", "core_digest"]


class SimulatedDatabase:
    """A database, as it is and as a power failure would leave it.

    Parameters
    ----------
    world
        What it happens in.
    """

    def __init__(self, world: World) -> None:
        self._world = world
        #: What is merged into it: that of the driver that runs.
        self.spool: Spool
        self.content: Content = {table: {} for table in TABLES}
        #: The content before the last change, until that is safe.
        self._before: Content | None = None
        self.held_s = 0.0
        self.is_held = 0.0
        self.is_locked = False

    def merge(self) -> None:
        with self._world.operation("lock the database"):
            if self._world.now_s >= self.held_s and self._world.happens(self.is_held):
                self.held_s = self._world.now_s + self._world.chance.uniform(0, 3)
            if self._world.now_s < self.held_s:
                self._world.now_s += PATIENCE_S
                raise LockedError("another process holds it open", file=Path("simulated"))
        self.is_locked = True
        try:
            names = self.spool.names()
            with told_errors(Path("simulated")):
                content = _with(self.content, self.spool.read(names, may_be_gone=True))
            with self._world.operation("replace the database"):
                self._before, self.content = self.content, content
            with self._world.operation("sync the database's folder"):
                self._before = None
        finally:
            self.is_locked = False
        with told_errors(Path("simulated")):
            self.spool.remove(names)

    def lose_power(self) -> None:
        """Forget the last change if it was not safe, or not."""
        if self._before is not None and self._world.happens(0.5):
            self.content = self._before
        self._before = None

    @property
    def safe(self) -> Content:
        """What a power failure would leave at the worst."""
        return self.content if self._before is None else self._before

    def rows_of(self, table: str, study: str) -> pa.Table:
        """Return the rows of a study, in the order of their keys."""
        rows = sorted(self.content[table].items(), key=_key)
        mine = [part.slice(place, 1) for key, (part, place) in rows if key[0] == study]
        return pa.concat_tables(mine).combine_chunks()

    def reading(self) -> AbstractContextManager[object]:
        return nullcontext()

    def recorded(self, study: str) -> list[Row]:
        rows = _rows(self._read()["trials"], ("study", *_ASKED))
        return [row for row in rows if row["study"] == study]

    def attempts(self, study: str) -> list[Row]:
        return [
            row
            for row in _rows(self._read()["attempts"], TABLES["attempts"].columns)
            if row["study"] == study
        ]

    def known(self, code_digest: str) -> set[str]:
        return {
            row["policy_key"]
            for row in _rows(self._read()["trials"], _ASKED)
            if row["state"] == "complete" and row["core_digest"] == code_digest
        }

    def evaluated(self, keys: Sequence[str]) -> Found:
        content = self._read()
        names = ("policy_key", "state", *TABLES["trials"].key)
        firsts: dict[Key, str] = {}
        for row in sorted(_rows(content["trials"], names), key=lambda row: list(row.values())):
            key = row["policy_key"]
            if row["state"] == "complete" and key in keys and key not in firsts.values():
                firsts[row["study"], row["role"], row["number"]] = key
        return Found(*(_of_firsts(content[table], firsts) for table in ("outcomes", "runs")))

    def _read(self) -> Content:
        """Return all rows: with those of the spool, which are merged if nobody holds the file."""
        while self.spool.names():
            try:
                self.merge()
            except LockedError:
                # The real one reads a copy, and tries again if files are merged meanwhile.
                with suppress(FileNotFoundError):
                    return _with(self.content, list(self.spool.read(self.spool.names())))
        with self._world.operation("read the database"):
            return self.content


def _with(content: Content, files: Iterable[SpoolFile]) -> Content:
    changed = {table: dict(of_table) for table, of_table in content.items()}
    for table, of_table in (rows for file in files for rows in file.rows):
        keys = zip(*(of_table[name].to_pylist() for name in TABLES[table].key), strict=True)
        for place, key in enumerate(keys):
            if table in REPLACED or key not in changed[table]:
                changed[table][key] = (of_table, place)
    return changed


def _key(item: tuple[Key, object]) -> Key:
    return item[0]


def _rows(of_table: dict[Key, tuple[pa.Table, int]], names: Iterable[str]) -> list[Row]:
    parts: dict[int, list[Row]] = {}
    rows = []
    for table, place in of_table.values():
        if id(table) not in parts:
            parts[id(table)] = table.select(list(names)).to_pylist()
        rows.append(parts[id(table)][place])
    return rows


def _of_firsts(of_table: dict[Key, tuple[pa.Table, int]], firsts: dict[Key, str]) -> pa.Table:
    chosen = [(key[:3], row) for key, row in of_table.items() if key[:3] in firsts]
    if not chosen:
        table = "runs" if any(len(key) > 4 for key in of_table) else "outcomes"
        raise AssertionError(f"no rows of known policies in {table}")
    table = pa.concat_tables([part.slice(place, 1) for _, (part, place) in chosen])
    return table.append_column("key", pa.array([firsts[key] for key, _ in chosen]))


class Reader:
    """Another process that reads the database now and then, and so merges what is spooled.

    Parameters
    ----------
    world, files, database
        What it happens in, and what it reads.
    folder
        The spool.
    """

    def __init__(
        self, world: World, files: SimulatedFiles, database: SimulatedDatabase, folder: Path
    ) -> None:
        self._world, self._files, self._database = world, files, database
        self._folder = folder
        self._to_remove: list[Path] = []

    def act(self) -> None:
        """Do the next step, if it is time for it."""
        database = self._database
        if not self._world.happens(0.05):
            return
        if self._to_remove:
            file = self._to_remove.pop(0)
            self._world.log.append(f"          a reader removes {file.name}")
            self._files.take_away(file)
        elif not database.is_locked and self._world.now_s >= database.held_s:
            names = [name for name in self._files.left(self._folder) if name.endswith(".arrows")]
            files = {name: self._files.content(self._folder / name) for name in names}
            read = [read_content(name, files[name]) for name in names]
            self._world.log.append(f"          a reader merges {names}")
            database.content = _with(database.content, read)
            self._to_remove = [self._folder / name for name in names]


class WatchedDatabase:
    """A real database, whose operations are those of a world.

    Parameters
    ----------
    world
        What they happen in.
    database
        Where they are done.
    """

    def __init__(self, world: World, database: Database) -> None:
        self._world, self._database = world, database

    def merge(self) -> None:
        with self._world.operation("merge"):
            self._database.merge()

    def reading(self) -> AbstractContextManager[object]:
        return self._database.reading()

    def recorded(self, study: str) -> list[Row]:
        with self._world.operation("recorded"):
            return self._database.recorded(study)

    def attempts(self, study: str) -> list[Row]:
        with self._world.operation("attempts"):
            return self._database.attempts(study)

    def known(self, code_digest: str) -> set[str]:
        with self._world.operation("known"):
            return self._database.known(code_digest)

    def evaluated(self, keys: Sequence[str]) -> Found:
        with self._world.operation("evaluated"):
            return self._database.evaluated(keys)
