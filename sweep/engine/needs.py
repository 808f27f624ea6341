"""What a study needs, told in numbers before any of its tables is made, and held against the
machine: what is beyond it is refused at its line of the study, what is merely large is said.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from core.available_memory import memory_limit_bytes
from core.evaluator import TIMELINE_BYTES
from core.events import Events
from core.jit import KEPT_FOLDER
from core.workload.expected import EVENT_BYTES, Expected, expect, touched_by
from core.workload.kept_tables import KEPT_BYTES, kept_bytes
from core.workload.recipe import Recipe
from sweep.engine.generations import number_of_trials
from sweep.engine.inputs import Inputs
from sweep.results import Row
from sweep.study.model import Study
from sweep.study.workloads import titles
from sweep.study.worlds import World, worlds_of
from sweep.study.yaml_source import Mistake, Place, Source

#: What a worker or the driver takes before it has read anything.
_PROCESS_BYTES = 200_000_000
# Bytes of an event while its timeline is prepared, and in the timeline.
_PREPARING_BYTES, _TIMELINE_BYTES = 100, 14
#: Nanoseconds that an event takes to replay, of one policy.
_REPLAY_NS = 30
#: Bytes of a run (a trial on a workload in a scenario) in the database.
_RUN_BYTES = 4000
#: What takes longer, or a larger share of memory, is said as a warning.
LONG_S, LARGE_SHARE = 600.0, 0.25


class Table(NamedTuple):
    """A table to be made, as often as its workload has replicates.

    Parameters
    ----------
    workload, name
        The number of the workload in the study, and its name.
    world
        The scenario that it is made for.
    replicates
        How many there are that differ in their seed alone.
    expected
        What making one comes to.
    is_kept
        Whether the first of them is on disk already.
    """

    workload: int
    name: str
    world: World
    replicates: int
    expected: Expected
    is_kept: bool


class Needs(NamedTuple):
    """What a run of a study needs on this machine, about.

    Parameters
    ----------
    tables
        The tables that are to be made.
    tables_made, events
        How many they are with all replicates, and the events in them.
    held_bytes
        Memory for the traces that are read whole, and for the process itself.
    runs, replays
        Trials and baselines, each on every workload in every scenario; and those that are replayed,
        at most: scenarios that differ in costs alone are one.
    replay_s
        The seconds that these take.
    workers
        Threads that replay.
    """

    tables: list[Table]
    tables_made: int
    events: int
    held_bytes: int
    runs: int
    replays: int
    replay_s: float
    workers: int

    @property
    def making_s(self) -> float:
        """The seconds that all tables take that are not on disk yet."""
        return sum(
            table.replicates * table.expected.making_s for table in self.tables if not table.is_kept
        )

    @property
    def cache_bytes(self) -> int:
        """What the tables take on disk that are not there yet."""
        return sum(
            table.replicates * table.expected.table_bytes
            for table in self.tables
            if not table.is_kept
        )

    @property
    def memory_bytes(self) -> int:
        """The memory that the driver takes at most, with the workers that share it."""
        return self.held_bytes + max(map(self.memory_of, self.tables), default=0)

    def memory_of(self, table: Table) -> int:
        """Return the memory that a table takes to make, or to prepare for replays."""
        at_once = min(self.workers, self.tables_made)
        preparing = _PREPARING_BYTES * table.expected.events * at_once
        kept = min(TIMELINE_BYTES, _TIMELINE_BYTES * self.events)
        return max(table.expected.making_bytes, preparing + kept)

    @property
    def database_bytes(self) -> int:
        """What the rows take in the database."""
        return _RUN_BYTES * self.runs

    def row(self) -> Row:
        """Return the needs as `sweep validate --json` tells them."""
        return {
            "tables": self.tables_made,
            "events": self.events,
            "making_seconds": round(self.making_s, 1),
            "memory_bytes": self.memory_bytes,
            "cache_bytes": self.cache_bytes,
            "cache_bound_bytes": KEPT_BYTES,
            "cache_free_bytes": free_disk_bytes(KEPT_FOLDER),
            "replays": self.replays,
            "replay_seconds": round(self.replay_s, 1),
            "database_bytes": self.database_bytes,
        }


def needs_of(study: Study, inputs: Inputs, workers: int) -> Needs:
    """Return what a run of a study needs; nothing is made."""
    worlds = worlds_of(study)
    tables = _tables(study, inputs, worlds)
    recorded = [each for each in inputs.workloads.sources if isinstance(each, Events)]
    under = {id(each.table): each.table for each in inputs.workloads.sources
             if isinstance(each, Recipe) and each.table is not None}  # fmt: skip
    read = sum(int(each.op.size) for each in (*recorded, *under.values()))
    grounds = len({(w.tag_block_size, w.workload, repr(w.policy)) for w in worlds})
    asked = number_of_trials(study) + len(study.baselines)
    made = len({world.workload for world in worlds})
    replayed = sum(int(each.op.size) for each in recorded) * grounds + sum(
        table.replicates * table.expected.events * grounds / made for table in tables
    )
    return Needs(
        tables,
        sum(table.replicates for table in tables),
        sum(table.replicates * table.expected.events for table in tables),
        _PROCESS_BYTES + EVENT_BYTES * read,
        asked * len(worlds) * len(inputs.names),
        asked * grounds * len(inputs.names),
        asked * replayed * _REPLAY_NS / 1e9 / workers,
        workers,
    )


def _tables(study: Study, inputs: Inputs, worlds: Sequence[World]) -> list[Table]:
    """Return the tables to be made: of each workload one in each world that differs for it."""
    names = titles([workload.given_fields for workload in study.workload])
    sources: dict[str, list[Events | Recipe]] = {}
    for source, name in zip(inputs.workloads.sources, inputs.names, strict=True):
        sources.setdefault(name, []).append(source)
    different = list({world.workload: world for world in reversed(worlds)}.values())[::-1]
    tables = []
    for number, name in enumerate(names):
        of_it = sources[name]
        first = of_it[0]
        if isinstance(first, Events):
            continue
        touched, seen = touched_by(first.accesses), set()
        for world in different:
            recipe = first.changed(dict(world.workload))
            if (key := (recipe.parameters, recipe.data_pages, recipe.page_size,
                        recipe.front_end)) not in seen:  # fmt: skip
                seen.add(key)
                made = expect(recipe, touched)
                tables.append(Table(number, name, world, len(of_it), made, recipe.is_kept()))
    return tables


def check_needs(study: Study, source: Source, needs: Needs) -> None:
    """Check that a study needs no more than this machine has.

    Raises
    ------
    SourceError
        With the first workload that needs more, at the line that causes it.
    """
    limit = memory_limit_bytes()
    for table in needs.tables:
        wanted = needs.held_bytes + needs.memory_of(table)
        if wanted > limit:
            raise source.error([_beyond_memory(study, source, table, wanted, limit)])
    _check_disk(study, source, needs)


def _beyond_memory(study: Study, source: Source, table: Table, wanted: int, limit: int) -> Mistake:
    made = table.expected
    message = (
        f"{_named(study, table)} comes to about {made.rows:,} accesses and {made.events:,} events, "
        f"which take about {_gb(wanted)} of memory, and this machine has {_gb(limit)}: less "
        f"{_what_helps(source, table)}, or fewer workers"
    )
    return Mistake(_place(source, table), message)


def _check_disk(study: Study, source: Source, needs: Needs) -> None:
    free, kept = free_disk_bytes(KEPT_FOLDER), kept_bytes()
    # Tables used longest ago are deleted where all together would be more.
    wanted = min(needs.cache_bytes + kept, max(KEPT_BYTES, kept)) - kept
    if free is None or wanted <= free:
        return
    largest = max(needs.tables, key=lambda table: table.expected.table_bytes * table.replicates)
    place: Place = ("replicates",) if study.replicates > 1 else _place(source, largest)
    message = (
        f"the tables of the study take about {_gb(needs.cache_bytes)} on disk, of which "
        f"{_gb(wanted)} would have to fit into {KEPT_FOLDER}, and {_gb(free)} are free there: less "
        f"{_what_helps(source, largest)} or replicates, or another XDG_CACHE_HOME"
    )
    raise source.error([Mistake(place, message)])


def needs_warnings(needs: Needs) -> Iterator[str]:
    """Yield what of a study's needs is large, though this machine has it."""
    limit = memory_limit_bytes()
    if needs.memory_bytes > LARGE_SHARE * limit:
        yield f"memory: about {_gb(needs.memory_bytes)} of {_gb(limit)}"
    if needs.making_s > LONG_S:
        yield f"{needs.tables_made:,} tables of events take about {_time(needs.making_s)} to make"
    if needs.cache_bytes > KEPT_BYTES:
        yield (
            f"the tables take about {_gb(needs.cache_bytes)}, and {_gb(KEPT_BYTES)} of tables are "
            "kept on disk: the rest is made again whenever it is replayed"
        )
    if needs.replay_s > LONG_S:
        yield (
            f"{needs.replays:,} replays take about {_time(needs.replay_s)} on {needs.workers} "
            f"workers, and {_gb(needs.database_bytes)} in the database"
        )


def needs_line(needs: Needs) -> str:
    """Return what a study needs in one line."""
    free = free_disk_bytes(KEPT_FOLDER)
    cache = f"{_gb(needs.cache_bytes)} on disk for {needs.tables_made:,} tables"
    left = f", {_gb(free)} are free" if free is not None else ""
    in_cache = f" ({_gb(KEPT_BYTES)} at most are kept{left})"
    return (
        f"needs about {_gb(needs.memory_bytes)} of memory, {cache}{in_cache}, {needs.replays:,} "
        f"replays ({_time(needs.replay_s)} on {needs.workers} workers), and "
        f"{_gb(needs.database_bytes)} of database"
    )


def _place(source: Source, table: Table) -> Place:
    """Return what in a study makes a table large: the memory of its machine, or the workload."""
    if table.world.workload:
        return ("scenarios",)
    machine = source.data.get("machine")
    if isinstance(machine, dict) and "data_memory" in machine:
        return ("machine", "data_memory")
    return ("workload", table.workload)


def _named(study: Study, table: Table) -> str:
    return table.name + (f" in the scenario {table.world.name}" if study.scenarios else "")


def _what_helps(source: Source, table: Table) -> str:
    """Return the parameters that a table is large by."""
    workloads = source.data.get("workload")
    given = workloads if isinstance(workloads, dict) else workloads[table.workload]
    count = {"app_launch": "launches", "build": "compiles"}.get(str(given.get("synthetic")), "asks")
    return f"data_memory or {count if 'synthetic' in given else 'tagged_ratio'}"


def _gb(size: int | float) -> str:
    return f"{size / 1e9:,.1f} GB" if size >= 1e8 else f"{size / 1e6:,.1f} MB"


def _time(seconds: float) -> str:
    for unit, length in (("days", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:,.0f} {unit}"
    return f"{seconds:,.1f} s"


def free_disk_bytes(folder: Path) -> int | None:
    """Return the free space where a folder is, or is to be made; None if that is not known."""
    for each in (folder, *folder.parents):
        with suppress(OSError):
            return shutil.disk_usage(each).free
    return None
