"""Times: what a replay's reads, waits and work take under costs, up to each mark of its timeline.

Each is a sum of counters times a cost, so that what two marks differ by is what was taken between
them: in a part of the time, or in one occurrence of a phase.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from core.costs import Int64
from core.lane import TALLIES
from core.machine import DATA_PAGES_PER_TAG_PAGE
from core.replayed import Replayed
from core.system.contract import CACHE_LINE_BYTES, CostTable, Reserving, Work, reservation_ns

#: Times that a run keeps of each of the equal parts of its series.
PARTS = ("read_ns", "wait_ns", "cpu_ns", "all_missed_read_ns", "all_missed_wait_ns")


class Times(NamedTuple):
    """Nanoseconds up to each mark, of the warm-up too.  # each [lane, mark]"""

    read_ns: Int64
    wait_ns: Int64
    cpu_ns: Int64
    all_missed_read_ns: Int64  # read_ns if every restore had missed
    all_missed_wait_ns: Int64  # the reads' part of wait_ns if every restore had missed


def _read_ns(counted: Mapping[str, Int64], costs: CostTable) -> Int64:
    """Return the device time of all reads.

    ``Q (read_random_ns - read_parallel_ns) + R read_parallel_ns + (M - R) read_sequential_ns``: of
    R commands for M pages, the first of each of Q requests that a task waits for takes
    `read_random_ns`, any other `read_parallel_ns`, and each further page `read_sequential_ns`.
    """
    return _commands_ns(
        *(counted["waited_requests"], counted["read_commands"], counted["read_pages"]), costs
    )


def _waited_read_ns(counted: Mapping[str, Int64], costs: CostTable) -> Int64:
    """Return the device time of the requests that a task waits for."""
    return _commands_ns(
        *(counted["waited_requests"], counted["waited_commands"], counted["waited_pages"]), costs
    )


def _commands_ns(requests: Int64, commands: Int64, pages: Int64, costs: CostTable) -> Int64:
    taken: Int64 = (
        requests * (costs["read_random_ns"] - costs["read_parallel_ns"])
        + commands * costs["read_parallel_ns"]
        + (pages - commands) * costs["read_sequential_ns"]
    )
    return taken


def times_of(run: Replayed, costs: CostTable, marks: Sequence[int] | None = None) -> Times:
    """Return the times of the lanes of one system on one workload; `costs` are each [lane].

    Of costs that are each [table, 1], times are each [table, lane, mark]. They are those up to all
    marks, or up to some of them. `wait_ns` is what tasks wait for: the reads of requests that a
    task waits for, every sample of reservation latency, and what the system says. `cpu_ns` is what
    the system pays.
    """
    by_lane = {name: values[..., None] for name, values in costs.items()}
    work = _work_of(run, slice(None) if marks is None else list(marks))
    read = _read_ns(work.counted, by_lane)
    waited = _waited_read_ns(work.counted, by_lane)
    waited = waited + reservation_ns(work.reserving, by_lane) + run.traits.waits(work, by_lane)
    return Times(
        read_ns=read,
        wait_ns=waited,
        cpu_ns=run.traits.pays(work, by_lane),
        all_missed_read_ns=np.broadcast_to(_read_ns(work.all_missed, by_lane), read.shape),
        all_missed_wait_ns=np.broadcast_to(_waited_read_ns(work.all_missed, by_lane), read.shape),
    )


def _work_of(run: Replayed, marks: slice | list[int]) -> Work:
    tallies, timeline = run.counted.tallies[:, marks], run.timeline
    counted = {name: tallies[:, :, place] for place, name in enumerate(TALLIES)}
    missed = timeline.all_missed[marks]
    all_missed = {name: missed[:, place] for place, name in enumerate(TALLIES)}
    page_lines = run.machine.page_size // DATA_PAGES_PER_TAG_PAGE // CACHE_LINE_BYTES
    return Work(
        counted,
        all_missed,
        Reserving(
            samples=counted["sampled"],
            cache_lines=counted["sampled_blocks"] * run.block_lines,
            dropped=counted["sampled_dropped"],
            written=counted["sampled_written"],
            migrated=counted["sampled_migrated"],
            migrating=counted["sampled_migrating"],
        ),
        timeline.reservations[marks] * run.block_lines
        + timeline.freed_tagged_pages[marks] * page_lines,
    )


def in_all(run: Replayed, costs: CostTable) -> Times:
    """Return the times in all, after the warm-up.  # each [lane]"""
    # Up to these marks alone: cost by cost, what is saved is worked out in a fifth of the time.
    begin = run.timeline.warm_up_marks
    times = times_of(run, costs, [begin - 1, -1] if begin else [-1])
    return Times(*(values[..., -1] - (values[..., 0] if begin else 0) for values in times))


def parts_of(run: Replayed, times: Times) -> dict[str, Int64]:
    """Return the times of `PARTS` in each of the equal parts of the series.  # each [lane, part]"""
    points = run.timeline.marks.points
    return {name: np.diff(getattr(times, name)[:, points], axis=1, prepend=0) for name in PARTS}


class PhaseTimes(NamedTuple):
    """What the lanes of one system waited for in the occurrences of phases, in order."""

    names: list[str]  # [occurrence]
    wait_ns: Int64  # [lane, occurrence]
    all_missed_wait_ns: Int64  # [lane, occurrence]


def phases_of(run: Replayed, times: Times) -> PhaseTimes:
    """Return what lanes waited for in each occurrence of a phase, after the warm-up.

    An occurrence that ends in the warm-up is left out.
    """
    phases = run.timeline.marks.counted_phases(run.timeline.warm_up_marks)
    begin = np.array([phase.begin for phase in phases], dtype=np.int64)
    end = np.array([phase.end for phase in phases], dtype=np.int64)
    waits = (times.wait_ns, times.all_missed_wait_ns)
    return PhaseTimes(
        [phase.name for phase in phases],
        *(values[:, end] - values[:, begin] for values in waits),
    )
