"""A schedule: a study that is run by one driver after the other, each stopped somewhere.

Its seed decides all that happens. What holds whatever happens is checked on the way and at the end.
"""

from __future__ import annotations

import random
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from functools import cache, partial
from pathlib import Path
from unittest import mock

import pyarrow as pa
from simulated_executors import KIND, Faults, Poison, SimulatedExecutor
from simulated_media import ENDS_WITH, Memory, Place, Real
from simulated_study import INPUTS, STUDIES, StubSearch, evaluate, narrow_tables
from simulated_world import Died, LawBroken, World

from core.errors import InputError
from sweep.engine import generations
from sweep.engine.driver import MAX_ATTEMPTS
from sweep.engine.executor import Cause
from sweep.engine.handed_out import Starting
from sweep.engine.in_flight import SUSPECTED
from sweep.engine.search import Search
from sweep.results import Row
from sweep.study.model import Study

#: Of so many schedules one is on a real database and real files.
REAL_ONE_IN = 100
#: The share of schedules at whose end what failed is tried again.
RETRIED = 0.2
#: Drivers that a study takes at most once nobody stops them.
MOST_DRIVERS = 40
#: What is to blame, whoever replays it: `restore` and `folio_order`.
POISONS: tuple[Poison, ...] = (
    Poison(),
    Poison(kills=frozenset({("inclusive", 3)})),
    Poison(kills=frozenset({("exclusive", 1), ("inclusive", 2)})),
    Poison(hogs=frozenset({("inclusive", 2)}), hangs=frozenset({("exclusive", 5)})),
    Poison(
        frozenset({("inclusive", 1)}), frozenset({("exclusive", 4)}), frozenset({("inclusive", 6)})
    ),
)
#: What may differ from an uninterrupted run; `attempts` has a law of its own.
VARYING = ("host", "finished_at", "attempts")
Medium = Memory | Real


class Told:
    """The progress of a run, which holds that what it is told is safe, and is told once.

    Parameters
    ----------
    world, medium
        What happens, and where rows are kept.
    study
        The study that is run.
    """

    def __init__(self, world: World, medium: Medium, study: str) -> None:
        self._world, self._medium, self._study = world, medium, study
        self.places: set[Place] = set()

    def began(self, total: int, recorded: int) -> None:
        told = sum(role == "trial" for _, role, _ in self.places)
        self._world.hold(recorded >= told, f"{told} trials were told, and {recorded} are there")

    def finished(self, row: Row) -> None:
        place = (self._study, row["role"], row["number"])
        self._world.hold(place not in self.places, f"{place} is told twice")
        self._world.hold(self._medium.is_safe(place), f"{place} is told before it is safe")
        self.places.add(place)
        with self._world.operation(f"tell of {place}"):
            pass


class Schedule:
    """One study, and what happens until it is done.

    Parameters
    ----------
    chance
        What decides all of it.
    study, poison
        The number of the study, and of what kills what replays it.
    medium
        Where rows are kept.
    world
        What happens to its drivers.
    search
        What is asked for trials.
    """

    def __init__(self, study: int, poison: int, medium: Medium, world: World, search: type) -> None:
        self.world, self._medium, self._search = world, medium, search
        self._study = STUDIES[study]
        self._chance = world.chance
        self._faults = Faults(POISONS[poison])
        self._told = Told(world, medium, self._study.study)
        self._executors: list[SimulatedExecutor] = []
        self._isolates = 1.0
        self._retries = False
        self._power_failed = False
        self._killed = 0

    def run(self) -> dict[str, pa.Table]:
        """Run the study to its end, however often it is stopped, and return its tables."""
        if self._chance.random() < 0.3:
            self._run_earlier()
        self._faults.probability = self._chance.choice([0.0, 0.05, 0.3])
        self._faults.kills = self._chance.random() < 0.3
        self._isolates = self._chance.choice([0.0, 0.5, 1.0])
        # Of what is real a merge takes 0.1 s.
        stops = self._chance.choice([1, 2] if isinstance(self._medium, Real) else [0, 1, 3, 6])
        self._run_drivers(stops)
        return self._tables()

    def retry(self) -> dict[str, pa.Table]:
        """Try what failed again, now that nothing is to blame any more, and return the tables."""
        self.world.log.append("--- what failed is tried again")
        self._cure()
        self._run_drivers(self._chance.choice([0, 1, 2]))
        return self._tables()

    def _cure(self) -> None:
        self._faults.poison, self._retries, self._killed = Poison(), True, 0
        self._told = Told(self.world, self._medium, self._study.study)

    def _run_drivers(self, stops: int) -> None:
        drivers = 0
        while not self._driver(drivers, drivers < stops):
            drivers += 1
            if drivers > stops + MOST_DRIVERS:
                raise LawBroken("drivers die for ever")

    def run_undisturbed(self, retries: bool) -> dict[str, pa.Table]:
        """Run the study to its end, or try what failed in it again, and return its tables."""
        if retries:
            self._cure()
        self.world.boot()
        start = partial(self._start, True, 1, False, True)
        self._run(self._study, self._told, Starting(start, start))
        return self._tables()

    def _run_earlier(self) -> None:
        """Run another study before, which has policies in common with this one."""
        self.world.boot()
        study = STUDIES[0].model_copy(update={"study": "earlier"})
        told = Told(self.world, self._medium, study.study)
        start = partial(self._start, True, 1, False, True)
        self._run(study, told, Starting(start, start))

    def _driver(self, number: int, is_stopped: bool) -> bool:
        """Run one driver; return whether it came to its end."""
        chance = self._chance
        within = chance.choice([20, 60, 200])
        how = chance.choice(["kill", "kill", "power", "interrupt"])
        stop = (chance.randint(1, within), how, chance.random() < 0.5)
        self.world.boot(stop if is_stopped else None)
        fails = chance.choice([0, 0, 0, 0.02]) if is_stopped else 0
        self._medium.fail(fails, chance.choice([0, 0.3]))
        isolates = chance.random() < self._isolates
        start = partial(self._start, isolates, chance.randint(1, 4), chance.random() < 0.3)
        self._executors.clear()
        try:
            starting = Starting(start, partial(self._start, True, 1, False, True))
            self._run(self._study, self._told, starting, 1 + number % 3)
        except Died:
            if self.world.stopped_by == "power":
                self._medium.lose_power()
                self._power_failed = True
            self._killed += self.world.stopped_by == "poison"
            most = SUSPECTED * len(self._faults.poison.kills) * len(self._study.subspaces)
            self.world.hold(
                self._killed <= most or self._power_failed,
                "a policy kills one driver after the other",
            )
            return False
        except (KeyboardInterrupt, InputError) as error:
            self.world.log.append(f"--- ends with {error!r}")
            why = self.world.has_failed or isinstance(error, KeyboardInterrupt)
            self.world.hold(why, f"the driver gives up without a cause: {error}")
            self._check_closed()
            return False
        self._check_closed()
        self.world.hold(self.world.stopped_by is None, "the driver goes on after Ctrl-C")
        return True

    def _run(self, study: Study, told: Told, starting: Starting, writer: int = 0) -> None:
        store = self._medium.store(writer)
        try:
            with mock.patch.object(generations, "Search", self._search):
                generations.run_study(
                    *(study, INPUTS, store, starting, told, self.world.clock),
                    retry_failed=self._retries,
                )
        except Died:
            self.world.hold(not self.world.broken, self.world.broken)
            raise

    def _start(
        self, isolates: bool, workers: int, changes: bool, is_child: bool = False
    ) -> SimulatedExecutor:
        with self.world.operation("start an executor"):
            executor = SimulatedExecutor(
                self.world, self._faults, evaluate, isolates, workers, changes, is_child
            )
            self._executors.append(executor)
            self.world.executors.append(executor)
        return executor

    def _check_closed(self) -> None:
        if self.world.stopped_in.startswith(("close", "start")):
            return  # an interrupt came in between
        if not all(executor.closed for executor in self._executors):
            raise LawBroken("an executor is not closed")

    def _tables(self) -> dict[str, pa.Table]:
        """Return what is left once the study is done, after a look at what is beside it."""
        self.world.boot()
        self._medium.fail(0, 0)
        self._medium.store(0).merge()
        left = [name for name in self._medium.left() if name.endswith((".arrows", ".in-flight"))]
        if left:
            raise LawBroken(f"left beside the database: {left}")
        tables = self._medium.tables(self._study.study)
        for row in (
            tables["trials"].select(["number", "state", "attempts", "retried", *KIND]).to_pylist()
        ):
            self._check_state(row)
        return {
            table: tables[table].drop_columns(
                [name for name in VARYING if name in tables[table].column_names]
            )
            for table in ENDS_WITH
        }

    def _check_state(self, row: Row) -> None:
        """Hold that a trial failed if it is to blame, and is charged for what it did alone."""
        cause = self._faults.poison.cause((row["restore"], row["folio_order"]))
        if cause is not None:
            least = 1 if cause is Cause.TIME else MAX_ATTEMPTS
            if row["state"] != "fail" or not least <= row["attempts"] <= MAX_ATTEMPTS:
                raise LawBroken(f"a trial that is to blame is recorded as {row}")
            return
        most = 1 + self._faults.undeserved[tuple(row[name] for name in KIND)]
        if self._faults.kills:
            most = MAX_ATTEMPTS
        if row["retried"]:
            most += MAX_ATTEMPTS
        if row["state"] != "complete" or not 1 <= row["attempts"] <= most:
            raise LawBroken(f"a trial that is not to blame is recorded as {row}")


@cache
def undisturbed(study: int, poison: int, real: bool) -> list[dict[str, pa.Table]]:
    """Return what a study ends with if nothing happens to it, and once what failed is retried.

    Parameters
    ----------
    study, poison
        Its number, and that of what kills what replays it.
    real
        Whether its tables have all columns, and the samplers themselves are asked.
    """
    world = World(random.Random(0))
    memory = Memory(world, Path("results.duckdb"))
    with nullcontext() if real else narrow_tables():
        search = Search if real else StubSearch
        schedule = Schedule(study, poison, memory, world, search)
        return [schedule.run_undisturbed(retries) for retries in (False, True)]


def run_seed(seed: int, real: bool | None = None) -> None:
    """Run the schedule of a seed, and hold what holds of every one.

    Parameters
    ----------
    seed
        What decides all of it.
    real
        Whether it is on a real database and files, and asks the samplers; by default one in
        `REAL_ONE_IN` is.

    Raises
    ------
    LawBroken
        When a law does not hold, or the driver ends in an error that no user should see. It tells
        the seed, and the last operations.
    """
    chance = random.Random(seed)
    real = seed % REAL_ONE_IN == REAL_ONE_IN - 1 if real is None else real
    world = World(chance)
    study, poison = chance.randrange(len(STUDIES)), chance.randrange(len(POISONS))
    try:
        expected = undisturbed(study, poison, real)
        made = _tables_of(study, poison, world, real)
        for tables, of_undisturbed in zip(made, expected, strict=False):
            for table, rows in of_undisturbed.items():
                if not tables[table].equals(rows.cast(tables[table].schema)):
                    raise LawBroken(f"{table} differs from that of an uninterrupted run")
    except (Exception, KeyboardInterrupt) as error:
        if isinstance(error, KeyboardInterrupt) and world.stopped_by != "interrupt":
            raise
        lines = "\n".join(world.log)
        raise LawBroken(f"{lines}\nseed {seed}: {type(error).__name__}: {error}") from error


def _tables_of(study: int, poison: int, world: World, real: bool) -> list[dict[str, pa.Table]]:
    with narrow_tables() if not real else nullcontext(), _medium(world, real) as medium:
        search = Search if real else StubSearch
        schedule = Schedule(study, poison, medium, world, search)
        tables = [schedule.run()]
        if world.chance.random() < RETRIED:
            tables.append(schedule.retry())
        return tables


@contextmanager
def _medium(world: World, real: bool) -> Iterator[Medium]:
    if not real:
        yield Memory(world, Path("results.duckdb"))
        return
    with tempfile.TemporaryDirectory(prefix="sweep-soak-") as folder:
        yield Real(world, Path(folder, "results.duckdb"))
