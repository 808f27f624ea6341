"""Outcomes: what policies achieved, from the tallies of their replays and a table of costs.

core/outcome_declarations.py says what each is, and how it goes over several workloads. What has no
value (a ratio over nothing) is masked.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.costs import COST_FIELDS, Costs, Int64, pack_costs
from core.lane import CACHED_PAGE_NS, PEAK_CACHED, TALLIES, WITHHELD_PAGE_NS
from core.outcome_declarations import DECLARED_OUTCOMES
from core.policy import headroom_blocks, reads
from core.policy_words import Metadata
from core.replayed import Outcomes, Replayed, samples_of
from core.system.contract import CostTable, Holding, Reserving, Samples, reservation_ns
from core.times import Times, in_all

STRUCT_PAGE_BYTES = 64
COMPACT_BYTES = 16

#: Every outcome and its unit; ratios and means are doubles, all else is whole numbers.
UNITS: dict[str, str] = {name: declared.unit for name, declared in DECLARED_OUTCOMES.items()}

Column = np.ma.MaskedArray[tuple[int], np.dtype[np.int64]]
DoubleColumn = np.ma.MaskedArray[tuple[int], np.dtype[np.float64]]
Columns = dict[str, Column | DoubleColumn]


def is_double(outcome: str) -> bool:
    """Return whether an outcome is a double rather than a whole number."""
    return DECLARED_OUTCOMES[outcome].is_double


def measure(
    workloads: Outcomes | Sequence[Outcomes], costs: Costs | Sequence[Costs] | None = None
) -> Columns:
    """Return every outcome of `UNITS` over one or several workloads.  # each [lane]

    Parameters
    ----------
    workloads
        The outcomes of the same policies, a workload each.
    costs
        One table of costs for all lanes, or one for each; by default those of a UFS phone.

    Returns
    -------
    dict of str to numpy.ma.MaskedArray
        Columns by name, for `pandas.DataFrame` or a row a policy; what has no value is masked.
    """
    runs = [workloads] if isinstance(workloads, Outcomes) else list(workloads)
    lanes = runs[0].group_of.size
    table = pack_costs(costs if costs is not None else Costs(), lanes)
    parts = list(_of_one_system(runs))
    if len(parts) == 1:
        ((_, groups),) = parts
        measured = _measure(groups, table)
        return {name: _column(measured, name, lanes) for name in UNITS}
    columns: Columns = {name: _no_value(lanes, is_double(name)) for name in UNITS}
    for mine, groups in parts:
        mine_costs = {name: values[mine] for name, values in table.items()}
        for name, column in _measure(groups, mine_costs).items():
            columns[name][mine] = column
    return columns


#: The savings that are sums of costs, each so many times: `saved_by_cost` tells how many times.
SAVED = ("time_saved_ns", "wait_saved_ns")


def saved_by_cost(workloads: Sequence[Outcomes]) -> dict[str, dict[str, Int64]]:
    """Return how many times each cost is in what is saved, by saving and cost.  # each [lane]

    ``time_saved_ns`` is the sum of each cost times its number here, whatever the costs are: so a
    saving is known under other costs without another replay.
    """
    lanes = workloads[0].group_of.size
    times: dict[str, Int64] = {
        saving: np.zeros((len(COST_FIELDS), lanes), dtype=np.int64) for saving in SAVED
    }
    # Each cost alone, all in one pass: times are sums of costs (a pass for each takes 12 times
    # as long).
    alone = np.eye(len(COST_FIELDS), dtype=np.int64)[:, :, None]
    costs = dict(zip(COST_FIELDS, alone, strict=True))
    for mine, groups in _of_one_system(workloads):
        columns = _time(groups, costs)
        for saving in SAVED:
            times[saving][:, mine] = columns[saving]
    return {saving: dict(zip(COST_FIELDS, values, strict=True)) for saving, values in times.items()}


def _of_one_system(
    runs: Sequence[Outcomes],
) -> Iterator[tuple[NDArray[np.int64], list[Replayed]]]:
    """Yield lanes that are of one group in every workload, and what they counted in each."""
    groups = np.stack([run.group_of for run in runs], axis=1)
    for numbers in np.unique(groups, axis=0):
        mine = np.flatnonzero((groups == numbers).all(axis=1))
        pairs = zip(runs, numbers, strict=True)
        yield mine, [run.groups[number].of(run.place_of[mine]) for run, number in pairs]


def _measure(workloads: Sequence[Replayed], costs: CostTable) -> Columns:
    """Return every outcome of lanes of one system."""
    traits = workloads[0].traits
    totals = _total([run.totals for run in workloads])
    counted = {name: totals[:, column] for column, name in enumerate(TALLIES)}
    columns: Columns = {
        name: _whole(counted[declared.tally])
        for name, declared in DECLARED_OUTCOMES.items()
        if declared.tally
    }
    zero = np.zeros_like(counted["stored"])
    reserves = traits.holding is not Holding.ALWAYS
    occupancies = [run.timeline.occupancy for run in workloads]
    refaults = zero + sum(run.timeline.refaults for run in workloads)
    reservations = sum(occupancy.reservations for occupancy in occupancies) if reserves else 0
    releases = sum(occupancy.releases for occupancy in occupancies) if reserves else 0
    columns["reservations"] = _whole(zero + reservations)
    columns["releases"] = _whole(zero + releases)
    columns["refaults"] = _whole(refaults)
    restored, recalled = counted["restored"], counted["recalled"]
    columns["hit_ratio"] = _ratio(restored, restored + counted["missed"])
    columns["refault_hit_ratio"] = _ratio(restored, refaults)
    columns["collateral_ratio"] = _ratio(counted["collateral"], recalled + counted["collateral"])
    columns |= _occupancy(workloads)
    samples = _samples_together(workloads)
    columns |= _latency(samples, _samples_ns(samples, costs))
    columns["copies_in"] = _whole(counted["stored"] if traits.caches_copies else zero)
    columns["copies_out"] = _whole(restored if traits.caches_copies else zero)
    columns["metadata_bytes"] = _whole(np.max([_metadata_bytes(run) for run in workloads], axis=0))
    columns |= _time(workloads, costs)
    ideal = zero + sum(run.ideal_restored for run in workloads)
    columns["share_of_ideal"] = _ratio(restored, ideal)
    return columns


def _column(measured: Columns, name: str, lanes: int) -> Any:
    return measured[name] if name in measured else _no_value(lanes, is_double(name))


def _no_value(lanes: int, double: bool) -> Any:
    """Return a column of no values."""
    return np.ma.array(np.zeros(lanes, dtype=np.float64 if double else np.int64), mask=True)


def _total(parts: Sequence[Int64]) -> Int64:
    total: Int64 = np.sum(parts, axis=0)
    return total


def _whole(values: NDArray[np.int64]) -> Column:
    return np.ma.array(values.astype(np.int64), mask=False)


def _ratio(part: NDArray[np.generic], whole: NDArray[np.generic]) -> DoubleColumn:
    empty = whole == 0
    values = np.divide(part, np.where(empty, 1, whole), dtype=np.float64)
    return np.ma.array(values, mask=empty)


def _occupancy(workloads: Sequence[Replayed]) -> Columns:
    """Shares of all slots over time, tag-block amplification and the peak of reserved blocks."""
    lanes, holding = workloads[0].lanes, workloads[0].traits.holding
    always = holding is Holding.ALWAYS
    total, reserved, cached, headroom, empty = (np.zeros(lanes) for _ in range(5))
    blocks_ns, tagged_ns = np.zeros(lanes), np.zeros(lanes)
    peak = np.zeros(lanes, dtype=np.int64)
    for run in workloads:
        timeline, blocks = run.timeline, run.machine.tag_blocks
        occupancy, all_ns = timeline.occupancy, timeline.slots * timeline.counted_ns
        mine = _reserved_ns(run)
        caching = run.totals[:, CACHED_PAGE_NS]
        spare = _headroom_ns(run)
        total += all_ns
        reserved += mine
        cached += caching
        headroom += spare
        empty += all_ns - mine - caching - spare
        carved_ns = blocks * occupancy.inverse_ideal_ns
        blocks_ns += carved_ns if always else occupancy.amplification_ns
        tagged_ns += occupancy.tagged_ns
        peak = np.maximum(peak, blocks if always else occupancy.peak_reserved)
    return {
        "reserved_share": _ratio(reserved, total),
        "cached_share": _ratio(cached, total),
        "empty_share": _ratio(empty, total),
        "headroom_share": _ratio(headroom, total),
        "amplification": _ratio(blocks_ns, tagged_ns),
        "peak_reserved": _whole(peak),
    }


def _block_ns(run: Replayed) -> Int64:
    """Return the slot time for which the first so many blocks are reserved.  # [blocks + 1]"""
    reserved_ns = run.timeline.occupancy.block_reserved_ns
    return np.concatenate([[0], np.cumsum(reserved_ns)]) * run.timeline.block_pages


def _reserved_ns(run: Replayed) -> Int64:
    """Return the slot time for which tag storage holds something else.  # [lane]"""
    if run.traits.holding is Holding.AS_COUNTED:
        return run.totals[:, WITHHELD_PAGE_NS]
    timeline = run.timeline
    always = run.traits.holding is Holding.ALWAYS
    held_ns = timeline.slots * timeline.counted_ns if always else _block_ns(run)[-1]
    return np.full(run.lanes, held_ns, dtype=np.int64)


def _headroom_ns(run: Replayed) -> Int64:
    """Return the slot time of headroom that is not reserved.  # [lane]"""
    if "headroom" not in reads(run.system):
        return np.zeros(run.lanes, dtype=np.int64)
    timeline = run.timeline
    blocks = headroom_blocks(run.policies["headroom"], run.machine.tag_blocks)
    all_ns = blocks * timeline.block_pages * timeline.counted_ns
    # Blocks that are kept empty are others by and by: the replay has counted how long.
    dynamic = (run.policies["headroom_mode"] == "dynamic") & (blocks > 0)
    counted_ns = all_ns + run.totals[:, WITHHELD_PAGE_NS]
    spare: Int64 = np.where(dynamic, counted_ns, all_ns - _block_ns(run)[blocks])
    return spare


def _samples_together(workloads: Sequence[Replayed]) -> Samples:
    parts = [samples_of(run) for run in workloads]
    columns = [np.concatenate(column, axis=-1) for column in zip(*parts, strict=True)]
    return Samples(*columns)


def _samples_ns(samples: Samples, costs: CostTable) -> Int64:
    """Return what each sample of reservation latency takes.  # [lane, bin]"""
    each = Reserving(
        samples=np.ones_like(samples.blocks),
        cache_lines=samples.blocks * samples.block_lines,
        dropped=samples.dropped,
        written=samples.written,
        migrated=samples.migrated,
        migrating=(samples.migrated > 0).astype(np.int64),
    )
    return reservation_ns(each, {name: values[:, None] for name, values in costs.items()})


def _latency(samples: Samples, values_ns: Int64) -> Columns:
    """Mean and nearest-rank quantiles of the reservation samples: of all, and of atomic ones.

    Parameters
    ----------
    samples
        Those of all workloads together.
    values_ns
        What each takes.  # [lane, bin]
    """
    ranking = np.argsort(values_ns, axis=1, kind="stable")
    values = np.take_along_axis(values_ns, ranking, axis=1)
    columns: Columns = {}
    atomic = samples.counts * samples.atomic
    for prefix, chosen in (("reservation", samples.counts), ("atomic_reservation", atomic)):
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


def _metadata_bytes(run: Replayed) -> Int64:
    """Return the most that describes tag pages at one time.  # [lane]"""
    schemes = run.policies["metadata"]
    if run.traits.metadata is not None:
        schemes = np.full(run.lanes, run.traits.metadata, dtype=object)
    memmap = run.timeline.slots * STRUCT_PAGE_BYTES
    compact = run.totals[:, PEAK_CACHED] * COMPACT_BYTES
    used = np.where(schemes == Metadata.MEMMAP, memmap, 0)
    return np.where(schemes == Metadata.COMPACT, compact, used).astype(np.int64)


def _time(workloads: Sequence[Replayed], costs: CostTable) -> Columns:
    """Return what reads, waits and work take, and what of storage time and of waiting is saved."""
    runs = [in_all(run, costs) for run in workloads]
    total = Times(*(_total(column) for column in zip(*runs, strict=True)))
    saved = total.all_missed_read_ns - total.read_ns - total.cpu_ns
    wait_saved = total.all_missed_wait_ns - total.wait_ns
    return {
        "read_ns": _whole(total.read_ns),
        "wait_ns": _whole(total.wait_ns),
        "cpu_ns": _whole(total.cpu_ns),
        "time_saved_ns": _whole(saved),
        "time_saved_ratio": _ratio(saved, total.all_missed_read_ns),
        "wait_saved_ns": _whole(wait_saved),
        "wait_saved_ratio": _ratio(wait_saved, total.all_missed_wait_ns),
    }
