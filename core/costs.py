"""Costs: what each operation takes, in whole nanoseconds, and where each number comes from."""

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
_COPY = "order of magnitude: a 4 KiB copy at 7 to 13 GB/s"
_UFS = "order of magnitude: data sheets of UFS 3.1"
_MIGRATION = (
    "order of magnitude: several times a copy (Yan et al., Nimble Page Management for Tiered "
    "Memory Systems, ASPLOS 2019: unmapping, TLB shootdown and remapping cost more than the copy)"
)
_LZ4 = "order of magnitude: LZ4 at about 0.75 GB/s in and 1.6 GB/s out on a core of a phone"
_TMEM = "order of magnitude: a hypercall, and a copy from or to a slower tier"
_KERNEL = "order of magnitude: a few cache misses and atomic operations"


def _cost(default_ns: int, meaning: str, source: str) -> Any:
    return declare(default_ns, meaning, bounds=(0, COST_LIMIT_NS - 1), source=source)


@dataclass(frozen=True)
class Costs:
    """A table of nanoseconds; those of a page are for a page of the machine.

    The defaults are the preset `ufs_phone`.

    Raises
    ------
    ValueError
        When a cost is negative or not whole.
    """

    reserve_base_ns: int = _cost(
        2_000, "an allocation that reserves tag blocks, before anything is dropped", _KERNEL
    )
    cache_line_ns: int = _cost(
        6,
        "one cache line invalidated: data lines of a reserved block, tag lines of a freed page",
        _KERNEL,
    )
    slot_drop_ns: int = _cost(
        350, "one cached page dropped: reclaimed, recalled or collateral", _KERNEL
    )
    read_random_ns: int = _cost(
        110_000,
        "one page read from storage out of order",
        _UFS + ", 9,000 random reads/s at depth 1",
    )
    read_parallel_ns: int = _cost(10_000, "a further command of a request", _UFS)
    read_sequential_ns: int = _cost(
        2_800,
        "one page read from storage after the page before it in its file",
        _UFS + ", 1.5 GB/s streaming",
    )
    copy_in_ns: int = _cost(550, "one page copied into tag storage", _COPY)
    copy_out_ns: int = _cost(550, "one page copied out of tag storage", _COPY)
    lookup_ns: int = _cost(120, "one page looked up at a restore", _KERNEL)
    migrate_base_ns: int = _cost(
        150_000,
        "a reservation that migrates, before the first page: per-CPU lists drained, page blocks "
        "isolated",
        _MIGRATION,
    )
    migrate_page_ns: int = _cost(
        8_000, "one page migrated out of tag storage: copied, with its mappings changed", _MIGRATION
    )
    compress_ns: int = _cost(5_500, "one page compressed into tag storage", _LZ4)
    decompress_ns: int = _cost(2_600, "one page decompressed out of tag storage", _LZ4)
    swap_write_ns: int = _cost(
        40_000,
        "one page written to the swap device",
        _UFS + ", 25,000 writes/s into the device's own cache",
    )
    tmem_copy_in_ns: int = _cost(
        1_300, "one page copied into the memory behind a hypervisor's region", _TMEM
    )
    tmem_copy_out_ns: int = _cost(
        1_300, "one page copied out of the memory behind a hypervisor's region", _TMEM
    )

    def __post_init__(self) -> None:
        for name in COST_FIELDS:
            value = getattr(self, name)
            if type(value) is not int or not 0 <= value < COST_LIMIT_NS:
                raise ValueError(f"{name} {value!r} is not a whole number from 0 to 2**40")


#: What is declared of each cost, in the order of `Costs`.
DECLARED_COSTS: dict[str, Declaration] = declarations_of(Costs)
COST_FIELDS: tuple[str, ...] = tuple(DECLARED_COSTS)

#: Costs of 4 KiB pages, of the same sources as the defaults; only `gcma_v2_board` is fitted to a
#: measurement.
COST_PRESETS: dict[str, Costs] = {
    # UFS 3.1: about 9,000 random reads/s at depth 1, 1.5 GB/s streaming; 25,000 writes/s, into the
    # device's own cache.
    "ufs_phone": Costs(),
    # eMMC 5.1: about 4,000 random reads/s at depth 1, 250 MB/s streaming, 4,000 writes/s; in-order
    # cores.
    "emmc_phone": Costs(
        reserve_base_ns=4_000,
        cache_line_ns=10,
        slot_drop_ns=700,
        read_random_ns=250_000,
        read_sequential_ns=16_400,
        copy_in_ns=1_200,
        copy_out_ns=1_200,
        lookup_ns=250,
        migrate_base_ns=300_000,
        migrate_page_ns=20_000,
        compress_ns=16_000,
        decompress_ns=7_000,
        swap_write_ns=250_000,
        tmem_copy_in_ns=2_600,
        tmem_copy_out_ns=2_600,
    ),
    # NVMe: about 13,000 random reads/s at depth 1, 3 GB/s streaming; 50,000 writes/s, into the
    # drive's memory.
    "nvme_server": Costs(
        reserve_base_ns=1_000,
        cache_line_ns=4,
        slot_drop_ns=250,
        read_random_ns=78_000,
        read_sequential_ns=1_400,
        copy_in_ns=320,
        copy_out_ns=320,
        lookup_ns=90,
        migrate_base_ns=100_000,
        migrate_page_ns=5_000,
        compress_ns=3_600,
        decompress_ns=1_500,
        swap_write_ns=20_000,
        tmem_copy_in_ns=800,
        tmem_copy_out_ns=800,
    ),
    # "gcma" v2 (1424721263-25314-1), 4 x 1 GHz ARMv7, latency table: 13 us the fastest 1-page
    # allocation, (44,675 - 26) us / 31,999 pages on average from 1 page to 32,000. SD card reads,
    # and 500 random writes/s (class A1).
    # Migration is fitted to the ratios of that table, by studies/gcma-latency.yaml.
    "gcma_v2_board": Costs(
        reserve_base_ns=25_000,
        cache_line_ns=0,
        slot_drop_ns=1_395,
        read_random_ns=800_000,
        read_sequential_ns=205_000,
        copy_in_ns=3_000,
        copy_out_ns=3_000,
        lookup_ns=800,
        migrate_base_ns=850_000,
        migrate_page_ns=25_000,
        compress_ns=60_000,
        decompress_ns=25_000,
        swap_write_ns=2_000_000,
        tmem_copy_in_ns=6_000,
        tmem_copy_out_ns=6_000,
    ),
}
DEFAULT_PRESET = "ufs_phone"


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
    return {
        name: np.array([getattr(table, name) for table in tables], dtype=np.int64)
        for name in COST_FIELDS
    }
