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
from core.eviction.queue import CACHED_PAGE_NS, PEAK_CACHED, TALLIES, WITHHELD_PAGE_NS
from core.machine import DATA_PAGES_PER_TAG_PAGE, Machine
from core.policy import Metadata, System, code
from core.timeline.prepare import RELEASE, RESERVE, RESIZE, Timeline

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
    **dict.fromkeys(("compressions", "decompressions", "migrations", "swap_writes"), "pages"),
    "metadata_bytes": "bytes",
    **dict.fromkeys(("read_ns", "time_saved_ns"), "ns"),
    "share_of_ideal": "ratio",
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
    series: Int64  # [lane, point] pages cached
    system: NDArray[np.uint8]  # [lane]
    metadata: NDArray[np.uint8]  # [lane]
    headroom_blocks: Int64  # [lane]
    kept_blocks: Int64  # [lane] of the headroom, if it is dynamic
    ideal_restored: int  # pages, by the bound
    timeline: Timeline
    machine: Machine

    def under(self, *systems: System) -> NDArray[np.bool_]:
        """Whether each lane is under one of some systems."""
        return np.isin(self.system, [code(system) for system in systems])


class Samples(NamedTuple):
    """Tallies of reservation latency: how often a triple (blocks, dropped, written) occurred."""

    atomic: NDArray[np.bool_]  # [bin]
    blocks: Int64  # [bin]
    dropped: Int64  # [bin]
    written: Int64  # [bin] of those dropped, pages written to the swap device
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
        written=np.repeat(classes[:, 4], bins)[used],
        block_lines=np.full(used.size, _block_lines(outcomes.machine), dtype=np.int64),
        counts=outcomes.samples[:, used],
    )


#: What a series tells of each of its moments: time since the first event, and pages of tag storage.
SERIES = (
    "series_time_ns",
    "series_reserved_pages",
    "series_cached_pages",
    "series_empty_pages",
)


def series_of(outcomes: Outcomes) -> dict[str, Int64]:
    """Return what tag storage holds over time.  # each [lane, point]

    Headroom that is not reserved counts as empty; of a region, what was handed back as reserved.
    """
    timeline = outcomes.timeline
    kinds = timeline.word & 7
    resized = kinds == RESIZE
    change = np.where(kinds == RESERVE, 1, np.where(kinds == RELEASE, -1, 0))
    reserved = np.concatenate([[0], np.cumsum(change * timeline.block_pages)])
    if resized.any():
        last = np.maximum.accumulate(np.where(resized, np.arange(kinds.size), -1))
        size = np.where(last < 0, timeline.slots, timeline.page[np.maximum(last, 0)])
        reserved = np.concatenate([[0], timeline.slots - size])
    at = reserved[timeline.series_steps[1:]]
    always = outcomes.under(System.CARVEOUT)[:, None]
    held = np.where(always, timeline.slots, at[None, :])
    points = at.size
    times = np.array([timeline.span_ns * (point + 1) // points for point in range(points)])
    return {
        "series_time_ns": np.broadcast_to(times, held.shape),
        "series_reserved_pages": held,
        "series_cached_pages": outcomes.series,
        "series_empty_pages": timeline.slots - held - outcomes.series,
    }


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
    first = workloads[0]
    reserves = ~first.under(System.CARVEOUT)
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
    copies = first.under(System.CLEANCACHE, System.TMEM)
    columns["failed_pinned"] = _whole(counted["failed_pinned"])
    columns["failed_atomic"] = _whole(counted["failed_atomic"])
    columns["copies_in"] = _whole(np.where(copies, counted["stored"], 0))
    columns["copies_out"] = _whole(np.where(copies, restored, 0))
    columns["compressions"] = _whole(counted["compressed"])
    columns["decompressions"] = _whole(counted["decompressed"])
    columns["migrations"] = _whole(counted["migrated"])
    columns["swap_writes"] = _whole(counted["written"])
    columns["metadata_bytes"] = _whole(np.max([_metadata_bytes(run) for run in workloads], axis=0))
    columns |= _time(workloads, counted, costs)
    ideal = _zero(workloads) + sum(run.ideal_restored for run in workloads)
    columns["share_of_ideal"] = _ratio(restored, ideal)
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
        timeline, reserves = run.timeline, ~run.under(System.CARVEOUT)
        occupancy, blocks = timeline.occupancy, run.machine.tag_blocks
        pages = timeline.block_pages
        reserved_ns = np.concatenate([[0], np.cumsum(occupancy.block_reserved_ns)]) * pages
        all_ns = timeline.slots * timeline.span_ns
        withheld_ns = run.tallies[:, WITHHELD_PAGE_NS]
        mine = np.where(reserves, reserved_ns[-1], all_ns)
        mine = np.where(run.under(System.TMEM), withheld_ns, mine)
        caching = run.tallies[:, CACHED_PAGE_NS]
        unreserved = run.headroom_blocks * pages * timeline.span_ns
        spare = unreserved - reserved_ns[run.headroom_blocks]
        # Blocks that are kept empty are others by and by: the replay has counted how long.
        kept = run.kept_blocks * pages * timeline.span_ns + withheld_ns
        spare = np.where(run.under(System.CLEANCACHE) & (run.kept_blocks > 0), kept, spare)
        spare = np.where(run.under(System.CLEANCACHE, System.ZSWAP), spare, 0)
        total += all_ns
        reserved += mine
        cached += caching
        headroom += spare
        empty += all_ns - mine - caching - spare
        always = blocks * occupancy.inverse_ideal_ns
        blocks_ns += np.where(reserves, occupancy.amplification_ns, always)
        tagged_ns += occupancy.tagged_ns
        here = np.where(reserves, occupancy.peak_reserved, blocks)
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
    blocks, dropped, written, lines = (
        np.concatenate([getattr(part, name) for part in parts])
        for name in ("blocks", "dropped", "written", "block_lines")
    )
    atomic = np.concatenate([part.atomic for part in parts])
    counts = np.concatenate([part.counts for part in parts], axis=1)
    values = (
        costs["reserve_base_ns"][:, None]
        + (blocks * lines) * costs["cache_line_ns"][:, None]
        + dropped * _per_page_ns(workloads[0], costs)[:, None]
        + written * costs["swap_write_ns"][:, None]
        + (dropped > 0) * _before_ns(workloads[0], costs)[:, None]
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


def _per_page_ns(run: Outcomes, costs: dict[str, Int64]) -> Int64:
    """Return what a reservation pays for each page in its way."""
    migrates = run.under(System.MIGRATE_CMA)
    return np.where(migrates, costs["migrate_page_ns"], costs["slot_drop_ns"])


def _before_ns(run: Outcomes, costs: dict[str, Int64]) -> Int64:
    """Return what a reservation pays before the first page in its way."""
    return np.where(run.under(System.MIGRATE_CMA), costs["migrate_base_ns"], 0)


def _metadata_bytes(run: Outcomes) -> Int64:
    slots = np.full(run.system.size, run.timeline.slots, dtype=np.int64)
    used = np.select(
        [
            run.under(System.CARVEOUT, System.IDEAL),
            run.under(System.MIGRATE_CMA) | (run.metadata == code(Metadata.MEMMAP)),
            run.metadata == code(Metadata.COMPACT),
        ],
        [0, slots * STRUCT_PAGE_BYTES, run.tallies[:, PEAK_CACHED] * COMPACT_BYTES],
        default=0,
    )
    return used.astype(np.int64)


def _read_ns(pages: Int64, sequential: Int64, costs: dict[str, Int64]) -> Int64:
    random = pages - sequential
    return random * costs["read_random_ns"] + sequential * costs["read_sequential_ns"]


def _emptied(workloads: Sequence[Outcomes]) -> Int64:
    """Return how many reservations had to migrate pages."""
    found = _zero(workloads)
    for run in workloads:
        samples = samples_of(run)
        moves = samples.counts * (samples.dropped > 0)
        found = found + np.where(run.under(System.MIGRATE_CMA), moves.sum(axis=1), 0)
    return found


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
    first = workloads[0]
    # A compressed page is not copied besides; one that was not read since it never left is neither.
    copies = first.under(System.CLEANCACHE, System.TMEM)
    tmem = first.under(System.TMEM)
    copy_in_ns = np.where(tmem, costs["tmem_copy_in_ns"], costs["copy_in_ns"])
    copy_out_ns = np.where(tmem, costs["tmem_copy_out_ns"], costs["copy_out_ns"])
    looks = ~first.under(System.MIGRATE_CMA)
    offered_to_swap = zero + sum(run.timeline.offered_anonymous_pages for run in workloads)
    paid = (
        np.where(copies, counted["stored"] * copy_in_ns + counted["restored"] * copy_out_ns, 0)
        + np.where(looks, counted["restored"] + counted["missed"], 0) * costs["lookup_ns"]
        + dropped * costs["slot_drop_ns"]
        + lines * costs["cache_line_ns"]
        + counted["compressed"] * costs["compress_ns"]
        + counted["decompressed"] * costs["decompress_ns"]
        + counted["migrated"] * costs["migrate_page_ns"]
        + _emptied(workloads) * costs["migrate_base_ns"]
        # Without it every page that is swapped out is written.
        + (counted["written"] - offered_to_swap) * costs["swap_write_ns"]
    )
    pays = ~first.under(System.CARVEOUT, System.IDEAL)
    saved = all_missed - read - np.where(pays, paid, 0)
    return {"read_ns": _whole(read), "time_saved_ns": _whole(saved)}
