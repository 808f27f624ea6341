"""Costs: what each operation takes, in whole nanoseconds, and where each number comes from.

A source is a document that anybody can look up. A number without one says `assumed`. Every number
has the range in which it is plausible for machines of its kind, and what bounds that range.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.declaration import Declaration, declarations_of, declare

Int64 = NDArray[np.int64]

#: A cost is below this.
COST_LIMIT_NS = 2**40
#: Sources of several costs.
MEMCPY = "memcpy of tinymembench, as sbc-bench collects it: "
GCMA = "GCMA v2 (1424721263-25314-1), 4 x 1 GHz ARMv7, latency table: "
ZRAM = "zram of a Raspberry Pi 4 with lz4 (Zram Performance Analysis, page-cluster 0): 9.4 us"
LZ4 = "LZ4's own benchmark, Core i5-4300U: 385 MB/s in, 1,850 MB/s out"
_UFS = "Samsung, 512 GB eUFS 3.1 (March 2020): "
_CMA = "Linux commit 02c6de8d757c, mm: cma: discard clean pages during contiguous allocation: "


def _cost(default_ns: int, meaning: str, plausible_ns: tuple[int, int], source: str) -> Any:
    return declare(
        default_ns,
        meaning,
        bounds=(0, COST_LIMIT_NS - 1),
        unit="ns",
        plausible=plausible_ns,
        source=source,
        is_world=True,
    )


@dataclass(frozen=True)
class Costs:
    """A table of nanoseconds; those of a page are for a page of the machine.

    The defaults are the preset `ufs_phone`.

    Raises
    ------
    ValueError
        When a cost is negative or not whole, or `read_parallel_ns` is above `read_random_ns`.
    """

    reserve_base_ns: int = _cost(
        2_000,
        "an allocation that reserves tag blocks, before anything is dropped",
        (300, 13_000),
        f"assumed; {GCMA}at most 13 us for the fastest allocation of a page",
    )
    cache_line_ns: int = _cost(
        6,
        "one cache line invalidated: data lines of a reserved block, tag lines of a freed page",
        (1, 100),
        "assumed: from a line that no cache holds to one that goes to DRAM first",
    )
    slot_drop_ns: int = _cost(
        350,
        "one cached page dropped: reclaimed, recalled or collateral",
        (100, 2_800),
        f"assumed: a few cache misses and atomic operations; {_CMA}10 MiB of clean pages discarded "
        "in 7 ms, in QEMU",
    )
    read_random_ns: int = _cost(
        110_000,
        "the first command of a request that a task waits for: one page read from idle storage",
        (52_000, 250_000),
        "assumed: 9,000 reads/s at depth 1, of which data sheets of UFS say nothing; "
        "an NVMe drive does 19,000 (Samsung 970 EVO Plus), eMMC about 4,000",
    )
    read_parallel_ns: int = _cost(
        10_000,
        "one more command of a request that is already waited for, in parallel; at most "
        "`read_random_ns`",
        (5_000, 23_810),
        f"{_UFS}100,000 random reads/s at full depth; 42,000 of eUFS 2.1 (2017); twice as many "
        "are assumed of the newest",
    )
    read_sequential_ns: int = _cost(
        2_800,
        "each further page of a command",
        (1_950, 4_763),
        f"assumed: 1.5 GB/s; {_UFS}2,100 MB/s in long streams; 860 MB/s of eUFS 2.1 (2017)",
    )
    copy_in_ns: int = _cost(
        550,
        "one page copied into tag storage",
        (234, 1_000),
        f"assumed: 7.4 GB/s; {MEMCPY}17.5 GB/s on a Snapdragon 8cx Gen 3, 4.1 GB/s on the "
        "Cortex-A72 of an RK3399",
    )
    copy_out_ns: int = _cost(
        550, "one page copied out of tag storage", (234, 1_000), "as `copy_in_ns`"
    )
    lookup_ns: int = _cost(
        120,
        "one page looked up at a restore",
        (50, 1_000),
        "assumed: from a lookup in warm caches to eight misses to DRAM",
    )
    migrate_base_ns: int = _cost(
        150_000,
        "a reservation that migrates, before the first page: per-CPU lists drained, page blocks "
        "isolated",
        (0, 1_000_000),
        f"assumed; 0 if nothing has to be drained; {GCMA}CMA takes 684 us on average for a page, "
        "that page's migration included",
    )
    migrate_page_ns: int = _cost(
        8_000,
        "one page migrated out of tag storage: copied, with its mappings changed",
        (1_000, 57_000),
        f"assumed; {_CMA}10 MiB migrated in 146 ms, 57 us a page, in QEMU; {GCMA}20 us a page "
        "on average over 32,000",
    )
    compress_ns: int = _cost(
        5_500,
        "one page compressed into tag storage",
        (3_000, 10_640),
        f"assumed: LZ4 at 0.75 GB/s, faster than on files since many pages hold zeros; {LZ4}",
    )
    decompress_ns: int = _cost(
        2_600,
        "one page decompressed out of tag storage",
        (1_060, 9_420),
        f"assumed; {LZ4}; 3,850 MB/s in zstd's README; {ZRAM} to read a page",
    )
    swap_write_ns: int = _cost(
        40_000,
        "one page written to the swap device",
        (14_290, 250_000),
        f"assumed: 25,000 writes/s into the device's own cache; {_UFS}70,000 random writes/s "
        "at full depth",
    )
    tmem_copy_in_ns: int = _cost(
        1_300,
        "one page copied into the memory behind a hypervisor's region",
        (550, 10_000),
        "assumed: a hypercall, and a copy to a slower tier; at least a copy",
    )
    tmem_copy_out_ns: int = _cost(
        1_300,
        "one page copied out of the memory behind a hypervisor's region",
        (550, 10_000),
        "as `tmem_copy_in_ns`",
    )

    def __post_init__(self) -> None:
        for name in COST_FIELDS:
            value = getattr(self, name)
            if type(value) is not int or not 0 <= value < COST_LIMIT_NS:
                raise ValueError(f"{name} {value!r} is not a whole number from 0 to 2**40")
        if self.read_parallel_ns > self.read_random_ns:
            raise ValueError(
                f"read_parallel_ns {self.read_parallel_ns} is above read_random_ns "
                f"{self.read_random_ns}: a command in parallel is no slower than the first one"
            )


#: What is declared of each cost, in the order of `Costs`.
DECLARED_COSTS: dict[str, Declaration] = declarations_of(Costs)
COST_FIELDS: tuple[str, ...] = tuple(DECLARED_COSTS)


def pack_costs(costs: Costs | Sequence[Costs], lanes: int) -> dict[str, Int64]:
    """Return costs as arrays by name.  # each [lane]

    Parameters
    ----------
    costs
        One table for all lanes, or one for each.
    lanes
        Number of lanes.
    """
    tables = [costs] * lanes if isinstance(costs, Costs) else list(costs)
    if len(tables) != lanes:
        raise ValueError(f"{len(tables)} tables of costs for {lanes} lanes")
    # Most lanes share one: each is read once (1 ms for 64 lanes otherwise).
    places = {id(table): table for table in tables}
    numbers = {each: place for place, each in enumerate(places)}
    lane_of = np.array([numbers[id(table)] for table in tables], dtype=np.int64)
    return {
        name: np.array([getattr(table, name) for table in places.values()], dtype=np.int64)[lane_of]
        for name in COST_FIELDS
    }
