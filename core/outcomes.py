"""Outcomes: what a policy achieved, from the tallies of its replays and a table of costs.

Integers add up over several workloads, peaks are the largest, and every ratio, mean and quantile is
worked out anew from the sums. What has no value (a ratio over nothing) is masked.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from core.costs import Int64
from core.eviction.queue import CACHED_PAGE_NS, PEAK_CACHED, TALLIES
from core.machine import DATA_PAGES_PER_TAG_PAGE, Machine
from core.policy import Metadata, code
from core.timeline import Timeline

CACHE_LINE_BYTES = 64
STRUCT_PAGE_BYTES = 64
COMPACT_BYTES = 16

PAGE_COUNTERS = TALLIES[:10]
_LATENCIES = ("mean_ns", "p50_ns", "p99_ns", "max_ns")

#: Every outcome and its unit; ratios and means are doubles, all else is whole numbers.
UNITS: dict[str, str] = {
    **dict.fromkeys(PAGE_COUNTERS, "pages"),
    **dict.fromkeys(("reservations", "releases"), "blocks"),
    "refaults": "pages",
    **dict.fromkeys(("hit_ratio", "refault_hit_ratio", "collateral_ratio"), "ratio"),
    **dict.fromkeys(
        ("reserved_share", "cached_share", "empty_share", "headroom_share", "amplification"),
        "ratio",
    ),
    "peak_reserved": "blocks",
    **{f"reservation_{name}": "ns" for name in _LATENCIES},
    **{f"atomic_reservation_{name}": "ns" for name in _LATENCIES},
    **dict.fromkeys(("failed_pinned", "failed_atomic"), "allocs"),
    **dict.fromkeys(("copies_in", "copies_out"), "pages"),
    "metadata_bytes": "bytes",
    **dict.fromkeys(("read_ns", "time_saved_ns"), "ns"),
}

Column = np.ma.MaskedArray[tuple[int], np.dtype[np.int64]]
DoubleColumn = np.ma.MaskedArray[tuple[int], np.dtype[np.float64]]
Columns = dict[str, Column | DoubleColumn]


def is_double(outcome: str) -> bool:
    """Return whether an outcome is a double rather than a whole number."""
    return UNITS[outcome] == "ratio" or outcome.endswith("_mean_ns")


class Outcomes(NamedTuple):
    """What B replays of one workload counted, before costs."""

    tallies: Int64  # [lane, TALLIES]
    samples: Int64  # [lane, bin] reserving allocations, by class and pages dropped
    reserves: NDArray[np.bool_]  # [lane] whether tag blocks come and go (not in a carve-out)
    metadata: NDArray[np.uint8]  # [lane]
    headroom_blocks: Int64  # [lane]
    timeline: Timeline
    machine: Machine


class Samples(NamedTuple):
    """Tallies of reservation latency: how often a pair (blocks, dropped) occurred."""

    atomic: NDArray[np.bool_]  # [bin]
    blocks: Int64  # [bin]
    dropped: Int64  # [bin]
    block_lines: Int64  # [bin] data cache lines of a block
    counts: Int64  # [lane, bin]


def samples_of(outcomes: Outcomes) -> Samples:
    """Return the latency tallies of every lane, without the bins that all lanes left empty."""
    classes = outcomes.timeline.classes
    bins = classes[:, 3]
    used = np.flatnonzero(outcomes.samples.any(axis=0))
    dropped = np.arange(int(bins.sum()), dtype=np.int64) - np.repeat(classes[:, 2], bins)
    return Samples(
        atomic=np.repeat(classes[:, 0] == 1, bins)[used],
        blocks=np.repeat(classes[:, 1], bins)[used],
        dropped=dropped[used],
        block_lines=np.full(used.size, _block_lines(outcomes.machine), dtype=np.int64),
        counts=outcomes.samples[:, used],
    )


def _block_lines(machine: Machine) -> int:
    return machine.tag_block_pages * machine.page_size // CACHE_LINE_BYTES


def measure(workloads: Sequence[Outcomes], costs: dict[str, Int64]) -> Columns:
    """Return every outcome of `UNITS` over one or several workloads.  # each [lane]

    Parameters
    ----------
    workloads
        The outcomes of the same lanes, a workload each.
    costs
        Nanoseconds by name.  # each [lane]
    """
    counted = {
        name: sum((run.tallies[:, column] for run in workloads), _zero(workloads))
        for column, name in enumerate(TALLIES)
    }
    columns: Columns = {name: _whole(counted[name]) for name in PAGE_COUNTERS}
    reserves = workloads[0].reserves
    reservations = sum(run.timeline.occupancy.reservations for run in workloads)
    releases = sum(run.timeline.occupancy.releases for run in workloads)
    refaults = _zero(workloads) + sum(run.timeline.refaults for run in workloads)
    columns["reservations"] = _whole(np.where(reserves, reservations, 0))
    columns["releases"] = _whole(np.where(reserves, releases, 0))
    columns["refaults"] = _whole(refaults)
    restored, recalled = counted["restored"], counted["recalled"]
    columns["hit_ratio"] = _ratio(restored, restored + counted["missed"])
    columns["refault_hit_ratio"] = _ratio(restored, refaults)
    columns["collateral_ratio"] = _ratio(counted["collateral"], recalled + counted["collateral"])
    columns |= _occupancy(workloads)
    columns |= _latency(workloads, costs)
    columns["failed_pinned"] = _whole(_zero(workloads))
    columns["failed_atomic"] = _whole(_zero(workloads))
    columns["copies_in"] = columns["stored"]
    columns["copies_out"] = columns["restored"]
    columns["metadata_bytes"] = _whole(np.max([_metadata_bytes(run) for run in workloads], axis=0))
    columns |= _time(workloads, counted, costs)
    return {name: columns[name] for name in UNITS}


def _zero(workloads: Sequence[Outcomes]) -> Int64:
    return np.zeros(workloads[0].tallies.shape[0], dtype=np.int64)


def _whole(values: NDArray[np.int64]) -> Column:
    return np.ma.array(values.astype(np.int64), mask=False)


def _ratio(part: NDArray[np.generic], whole: NDArray[np.generic]) -> DoubleColumn:
    empty = whole == 0
    values = np.divide(part, np.where(empty, 1, whole), dtype=np.float64)
    return np.ma.array(values, mask=empty)


def _occupancy(workloads: Sequence[Outcomes]) -> Columns:
    """Shares of all slots over time, tag-block amplification and the peak of reserved blocks."""
    lanes = workloads[0].tallies.shape[0]
    total, reserved, cached, headroom, empty = (np.zeros(lanes) for _ in range(5))
    blocks_ns, tagged_ns = np.zeros(lanes), np.zeros(lanes)
    peak = np.zeros(lanes, dtype=np.int64)
    for run in workloads:
        timeline, machine, reserves = run.timeline, run.machine, run.reserves
        occupancy = timeline.occupancy
        pages = machine.tag_block_pages
        reserved_ns = np.concatenate([[0], np.cumsum(occupancy.block_reserved_ns)]) * pages
        all_ns = machine.slots * timeline.span_ns
        mine = np.where(reserves, reserved_ns[-1], all_ns)
        caching = run.tallies[:, CACHED_PAGE_NS]
        unreserved = run.headroom_blocks * pages * timeline.span_ns
        spare = np.where(reserves, unreserved - reserved_ns[run.headroom_blocks], 0)
        total += all_ns
        reserved += mine
        cached += caching
        headroom += spare
        empty += all_ns - mine - caching - spare
        always = machine.tag_blocks * occupancy.inverse_ideal_ns
        blocks_ns += np.where(reserves, occupancy.amplification_ns, always)
        tagged_ns += occupancy.tagged_ns
        here = np.where(reserves, occupancy.peak_reserved, machine.tag_blocks)
        peak = np.maximum(peak, here)
    return {
        "reserved_share": _ratio(reserved, total),
        "cached_share": _ratio(cached, total),
        "empty_share": _ratio(empty, total),
        "headroom_share": _ratio(headroom, total),
        "amplification": _ratio(blocks_ns, tagged_ns),
        "peak_reserved": _whole(peak),
    }


def _latency(workloads: Sequence[Outcomes], costs: dict[str, Int64]) -> Columns:
    """Mean and nearest-rank quantiles of the reservation samples: of all, and of atomic ones."""
    parts = [samples_of(run) for run in workloads]
    blocks, dropped, lines = (
        np.concatenate([getattr(part, name) for part in parts])
        for name in ("blocks", "dropped", "block_lines")
    )
    atomic = np.concatenate([part.atomic for part in parts])
    counts = np.concatenate([part.counts for part in parts], axis=1)
    values = (
        costs["reserve_base_ns"][:, None]
        + (blocks * lines) * costs["cache_line_ns"][:, None]
        + dropped * costs["slot_drop_ns"][:, None]
    )  # [lane, bin]
    ranking = np.argsort(values, axis=1, kind="stable")
    values = np.take_along_axis(values, ranking, axis=1)
    columns: Columns = {}
    for prefix, chosen in (("reservation", counts), ("atomic_reservation", counts * atomic)):
        weights = np.take_along_axis(chosen, ranking, axis=1)
        reached = np.cumsum(weights, axis=1)
        number = weights.sum(axis=1)
        columns[f"{prefix}_mean_ns"] = _ratio((values * weights).sum(axis=1), number)
        for name, hundredths in (("p50_ns", 50), ("p99_ns", 99), ("max_ns", 100)):
            rank = -(-number * hundredths // 100)
            place = (reached < rank[:, None]).sum(axis=1)
            column = np.zeros_like(number)
            some = number > 0
            column[some] = values[some, place[some]]
            columns[f"{prefix}_{name}"] = np.ma.array(column, mask=~some)
    return columns


def _metadata_bytes(run: Outcomes) -> Int64:
    slots = np.full(run.reserves.size, run.machine.slots, dtype=np.int64)
    used = np.select(
        [
            ~run.reserves,
            run.metadata == code(Metadata.MEMMAP),
            run.metadata == code(Metadata.COMPACT),
        ],
        [0, slots * STRUCT_PAGE_BYTES, run.tallies[:, PEAK_CACHED] * COMPACT_BYTES],
        default=0,
    )
    return used.astype(np.int64)


def _read_ns(pages: Int64, sequential: Int64, costs: dict[str, Int64]) -> Int64:
    random = pages - sequential
    return random * costs["read_random_ns"] + sequential * costs["read_sequential_ns"]


def _time(
    workloads: Sequence[Outcomes], counted: dict[str, Int64], costs: dict[str, Int64]
) -> Columns:
    """Storage time, and what of it was saved once all that the policy did is paid."""
    read = _read_ns(counted["missed"], counted["missed_sequential"], costs)
    zero = _zero(workloads)
    all_missed = _read_ns(
        zero + sum(run.timeline.restore_pages for run in workloads),
        zero + sum(run.timeline.restore_sequential_pages for run in workloads),
        costs,
    )
    lines = 0
    for run in workloads:
        occupancy = run.timeline.occupancy
        page_lines = run.machine.page_size // DATA_PAGES_PER_TAG_PAGE // CACHE_LINE_BYTES
        data = occupancy.reservations * _block_lines(run.machine)
        lines += data + occupancy.freed_tagged_pages * page_lines
    dropped = counted["reclaimed"] + counted["recalled"] + counted["collateral"]
    paid = (
        counted["stored"] * costs["copy_in_ns"]
        + counted["restored"] * costs["copy_out_ns"]
        + (counted["restored"] + counted["missed"]) * costs["lookup_ns"]
        + dropped * costs["slot_drop_ns"]
        + lines * costs["cache_line_ns"]
    )
    saved = all_missed - read - np.where(workloads[0].reserves, paid, 0)
    return {"read_ns": _whole(read), "time_saved_ns": _whole(saved)}
