"""Where a simulated study's rows are kept: in memory, or in a DuckDB file."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

import pyarrow as pa
from simulated_database import Reader, SimulatedDatabase, WatchedDatabase
from simulated_files import SimulatedFiles, WatchedFiles
from simulated_world import World

from core.files import DISK
from sweep.results import RunStore, open_for_reading, read_table, spool_folder
from sweep.results.database import DuckDB
from sweep.results.schema import TABLES
from sweep.results.spool import Spool, read_content

#: A study, a role and a number.
Place = tuple[str, str, int]
#: The tables that a study ends with.
ENDS_WITH = ("trials", "outcomes", "runs")


class Memory:
    """A database and files in memory, which lose what is not synced.

    Parameters
    ----------
    world
        What happens to them.
    path
        The name of the database.
    """

    def __init__(self, world: World, path: Path) -> None:
        self._world, self._path, self._folder = world, path, spool_folder(path)
        self._files = SimulatedFiles(world)
        self._database = SimulatedDatabase(world)
        self._safe_state = (-1, -1)
        self._safe: set[tuple[Any, ...]] = set()

    def store(self, writer: int) -> RunStore:
        """Return what a driver writes through."""
        wall_s = self._world.chance.choice([1e9, 1e9, 0.0])  # somebody sets the clock back

        def clock_ns() -> int:
            return int((wall_s + self._world.now_s) * 1e9)

        spool = Spool(self._folder, self._files, clock_ns, lambda: str(writer))
        self._database.spool = spool
        return RunStore(self._path, spool, self._database)

    def fail(self, files: float, held: float) -> None:
        """Let writes fail, and the database be held, with such probabilities."""
        self._files.fails, self._database.is_held = files, held
        reader = Reader(self._world, self._files, self._database, self._folder)
        self._world.others = reader.act if held else None
        self._database.held_s = 0.0

    def lose_power(self) -> None:
        """Forget what is not synced."""
        self._files.lose_power()
        self._database.lose_power()

    def is_safe(self, place: Place) -> bool:
        """Return whether a trial would be there after a power failure."""
        state = (self._files.version, len(self._database.safe["trials"]))
        if state != self._safe_state:
            self._safe_state = state
            self._safe = set(self._database.safe["trials"])
            for name, content in self._files.safe(self._folder).items():
                if name.endswith(".arrows"):
                    self._safe |= _places_in(content)
        return place in self._safe

    def tables(self, study: str) -> dict[str, pa.Table]:
        """Return the rows of a study in each table, in the order of their keys."""
        return {table: self._database.rows_of(table, study) for table in ENDS_WITH}

    def left(self) -> list[str]:
        """Return the names beside the database."""
        return self._files.left(self._folder)


@lru_cache(1000)
def _places_in(content: bytes) -> set[Place]:
    return {
        place
        for table, rows in read_content("a.arrows", content).rows
        if table == "trials"
        for place in zip(*(rows[name].to_pylist() for name in TABLES[table].key), strict=True)
    }


def _rows_of(table: str) -> str:
    return f"SELECT * FROM {table} WHERE study = ? ORDER BY {', '.join(TABLES[table].key)}"


class Real:
    """A DuckDB file, and files beside it, which fail by what happens to the driver alone.

    Parameters
    ----------
    world
        What happens to the driver.
    path
        The database.
    """

    def __init__(self, world: World, path: Path) -> None:
        self._world, self._path = world, path
        self._files = WatchedFiles(world, DISK)

    def store(self, writer: int) -> RunStore:
        """Return what a driver writes through."""
        spool = Spool(spool_folder(self._path), self._files, writer=lambda: str(writer))
        database = WatchedDatabase(self._world, DuckDB(self._path, spool))
        if not self._path.exists():
            DuckDB(self._path, Spool(spool.folder)).merge()
        return RunStore(self._path, spool, database)

    def fail(self, files: float, held: float) -> None:
        """Do nothing: nobody else is there."""

    def lose_power(self) -> None:
        """Do nothing: what is real keeps its power."""

    def is_safe(self, place: Place) -> bool:
        """Return True: that it is there is seen when the next driver starts."""
        return True

    def tables(self, study: str) -> dict[str, pa.Table]:
        """Return the rows of a study in each table, in the order of their keys."""
        with open_for_reading(self._path) as connection:
            return {table: read_table(connection, _rows_of(table), [study]) for table in ENDS_WITH}

    def left(self) -> list[str]:
        """Return the names beside the database."""
        return DISK.names(spool_folder(self._path))
