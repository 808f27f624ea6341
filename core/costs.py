"""Costs: what each operation takes, in whole nanoseconds, and where each number comes from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

Int64 = NDArray[np.int64]


@dataclass(frozen=True)
class Costs:
    """A table of nanoseconds; those of a page are for a page of the machine.

    Parameters
    ----------
    reserve_base_ns
        An allocation that reserves, before anything is dropped.
    cache_line_ns
        One cache line invalidated: data lines of a reserved block, tag lines of a freed page.
    slot_drop_ns
        One cached page dropped (reclaimed, recalled or collateral).
    read_random_ns, read_sequential_ns
        One page read from storage: out of order, and after the page before it in its file.
    copy_in_ns, copy_out_ns
        One page copied into, and out of, tag storage.
    lookup_ns
        One page looked up at a restore.
    migrate_base_ns
        Before the first page is migrated: per-CPU lists drained, page blocks isolated.
    migrate_page_ns
        One page migrated out of tag storage: copied, with its mappings changed.
    compress_ns, decompress_ns
        One page compressed into tag storage, and decompressed out of it.
    swap_write_ns
        One page written to the swap device.
    tmem_copy_in_ns, tmem_copy_out_ns
        One page copied into, and out of, the memory behind a hypervisor's region.

    Raises
    ------
    ValueError
        When a cost is negative or not whole.
    """

    reserve_base_ns: int = 2_000
    cache_line_ns: int = 6
    slot_drop_ns: int = 350
    read_random_ns: int = 110_000
    read_sequential_ns: int = 2_800
    copy_in_ns: int = 550
    copy_out_ns: int = 550
    lookup_ns: int = 120
    migrate_base_ns: int = 150_000
    migrate_page_ns: int = 8_000
    compress_ns: int = 5_500
    decompress_ns: int = 2_600
    swap_write_ns: int = 40_000
    tmem_copy_in_ns: int = 1_300
    tmem_copy_out_ns: int = 1_300

    def __post_init__(self) -> None:
        for name in COST_FIELDS:
            value = getattr(self, name)
            if type(value) is not int or not 0 <= value < 2**40:
                raise ValueError(f"{name} {value!r} is not a whole number from 0 to 2**40")


COST_FIELDS: tuple[str, ...] = tuple(field.name for field in fields(Costs))

#: Costs of 4 KiB pages. Storage figures are the order of magnitude of public data sheets of the
#: class (one outstanding 4 KiB read; streaming bandwidth), CPU figures of a 4 KiB copy at 7 to
#: 13 GB/s, of LZ4 at about 0.75 GB/s in and 1.6 GB/s out on a phone's core, of a migration of a
#: base page at several times a copy (Yan et al., "Nimble Page Management for Tiered Memory
#: Systems", ASPLOS 2019: unmapping, TLB shootdown and remapping cost more than the copy), and of
#: memory behind a hypervisor at a hypercall and a copy from a slower tier. Only `gcma_v2_board` is
#: fitted to a measurement.
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
DEFAULT_COSTS = "ufs_phone"


def pack_costs(costs: Sequence[Costs]) -> dict[str, Int64]:
    """Return costs as arrays by name.  # each [lane]"""
    return {
        name: np.array([getattr(table, name) for table in costs], dtype=np.int64)
        for name in COST_FIELDS
    }
