"""Presets of costs: classes of machines, each value with its plausible range and its source."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from core.costs import DECLARED_COSTS, GCMA, LZ4, MEMCPY, ZRAM, Costs

_EMMC = "Samsung, 64 GB eMMC 5.1 (February 2015): "
_SD = "SD Association, Application Performance Class A1 (SD 5.1): "
_EVO = "Samsung, 970 EVO Plus (2019): "
_P3700 = (
    "Intel SSD DC P3700 800 GB, measured in AnandTech's review of the Optane SSD DC P4800X (2017): "
)
_RATIO = "assumed: that of the big core times 2.25, as copies are"


class SourcedCost(NamedTuple):
    """A cost of a preset: its value, the range in which it is plausible, and the source of both."""

    value_ns: int
    plausible_ns: tuple[int, int]
    source: str


@dataclass(frozen=True)
class CostPreset:
    """The costs of a class of machines, for pages of 4 KiB.

    Parameters
    ----------
    machine
        What machines they are of.
    date
        The year and month in which the sources were looked up.
    own
        The costs that differ from the defaults of `Costs`, by name.
    """

    machine: str
    date: str
    own: Mapping[str, SourcedCost] = field(default_factory=dict)

    @property
    def costs(self) -> Costs:
        """The table of the preset."""
        return Costs(**{name: cost.value_ns for name, cost in self.own.items()})

    def cost(self, name: str) -> SourcedCost:
        """Return a cost of the preset with its source; one that is not its own is the default."""
        declared = DECLARED_COSTS[name]
        assert declared.plausible is not None
        least, most = declared.plausible
        default = SourcedCost(getattr(Costs, name), (int(least), int(most)), declared.source)
        return self.own.get(name, default)


def _preset(machine: str, **own: tuple[int, tuple[int, int], str]) -> CostPreset:
    return CostPreset(machine, "2026-11", {name: SourcedCost(*cost) for name, cost in own.items()})


_IN_ORDER_COPY = (
    (1_100, 3_200),
    f"{MEMCPY}3.67 GB/s on the Cortex-A55 of a Khadas VIM3L, 2.98 GB/s on that of a Quartz64, "
    "1.3 GB/s on the Cortex-A53 of a Rock64",
)
_SERVER_COPY = (
    (147, 500),
    f"assumed: 12.8 GB/s; {MEMCPY}27.96 GB/s on an Apple M1, 10.1 GB/s on an Ampere Altra",
)
_ARMV7_COPY = (
    (1_860, 6_660),
    f"assumed: 1.4 GB/s; {MEMCPY}2.2 GB/s on an ODROID-XU4, 0.6 GB/s on a Raspberry Pi 2",
)

#: What is known of each preset.
SOURCED_PRESETS: dict[str, CostPreset] = {
    "ufs_phone": _preset("a phone with UFS 3.1, whose kernel runs on a big core"),
    "ufs_phone_little": _preset(
        "a phone with UFS 3.1, whose kernel runs on a little core",
        reserve_base_ns=(4_500, (700, 30_000), _RATIO),
        cache_line_ns=(10, (1, 200), "assumed: the wait is more for memory than for the core"),
        slot_drop_ns=(800, (200, 6_300), _RATIO),
        copy_in_ns=(1_240, *_IN_ORDER_COPY),
        copy_out_ns=(1_240, *_IN_ORDER_COPY),
        lookup_ns=(270, (100, 2_300), _RATIO),
        migrate_page_ns=(18_000, (2_000, 57_000), _RATIO),
        compress_ns=(12_400, (6_000, 24_000), _RATIO),
        decompress_ns=(5_900, (2_400, 21_000), _RATIO),
        tmem_copy_in_ns=(2_900, (1_240, 20_000), _RATIO),
        tmem_copy_out_ns=(2_900, (1_240, 20_000), _RATIO),
    ),
    "emmc_phone": _preset(
        "a phone with eMMC 5.1 and in-order cores alone",
        reserve_base_ns=(4_000, (700, 30_000), _RATIO),
        cache_line_ns=(10, (1, 200), "assumed: the wait is more for memory than for the core"),
        slot_drop_ns=(700, (200, 6_300), _RATIO),
        read_random_ns=(
            250_000,
            (142_858, 600_000),
            "assumed: 4,000 reads/s at depth 1; 7,000 at full depth of Samsung's eMMC 5.0",
        ),
        read_parallel_ns=(
            90_909,
            (45_000, 142_857),
            f"{_EMMC}11,000 random reads/s at full depth; 7,000 of eMMC 5.0; twice as many are "
            "assumed of the newest",
        ),
        read_sequential_ns=(
            16_400,
            (11_700, 29_257),
            f"{_EMMC}250 MB/s; 140 MB/s of eMMC 4.5; 350 MB/s is near what the bus carries",
        ),
        copy_in_ns=(1_200, *_IN_ORDER_COPY),
        copy_out_ns=(1_200, *_IN_ORDER_COPY),
        lookup_ns=(250, (100, 2_300), _RATIO),
        migrate_base_ns=(300_000, (0, 1_000_000), "assumed: twice that of `ufs_phone`"),
        migrate_page_ns=(20_000, (2_000, 57_000), _RATIO),
        compress_ns=(16_000, (6_000, 24_000), "assumed: LZ4 at 0.26 GB/s"),
        decompress_ns=(
            7_000,
            (2_400, 21_000),
            f"assumed; {ZRAM} to read a page, of which decompression is a part",
        ),
        swap_write_ns=(
            250_000,
            (76_923, 1_000_000),
            f"assumed: 4,000 writes/s; {_EMMC}13,000 random writes/s at full depth",
        ),
        tmem_copy_in_ns=(2_600, (1_200, 20_000), _RATIO),
        tmem_copy_out_ns=(2_600, (1_200, 20_000), _RATIO),
    ),
    "nvme_server": _preset(
        "a server with an NVMe drive",
        reserve_base_ns=(1_000, (200, 13_000), "assumed: half of `ufs_phone`"),
        cache_line_ns=(4, (1, 100), "assumed"),
        slot_drop_ns=(250, (70, 2_800), "assumed: a few cache misses and atomic operations"),
        read_random_ns=(
            78_000,
            (52_632, 107_700),
            f"{_P3700}77.9 us at depth 1, 107.7 us of a Micron 9100 MAX; {_EVO}19,000 reads/s",
        ),
        read_parallel_ns=(
            2_128,
            (1_333, 2_222),
            "470,000 random reads/s at full depth, between those of an Intel SSD DC P3700 "
            "(450,000), a Samsung 970 EVO Plus of 500 GB (480,000) and a Micron P420m (750,000), "
            "by their makers",
        ),
        read_sequential_ns=(
            1_400,
            (1_170, 2_000),
            f"assumed: 2.9 GB/s; {_EVO}3,500 MB/s in long streams",
        ),
        copy_in_ns=(320, *_SERVER_COPY),
        copy_out_ns=(320, *_SERVER_COPY),
        lookup_ns=(90, (40, 1_000), "assumed: from a lookup in warm caches to misses to DRAM"),
        migrate_base_ns=(
            100_000,
            (0, 1_000_000),
            "assumed; 0 if nothing has to be drained, more where many CPUs have to",
        ),
        migrate_page_ns=(5_000, (1_000, 57_000), "assumed: less than on a phone"),
        compress_ns=(3_600, (2_500, 10_640), f"assumed: LZ4 at 1.1 GB/s; {LZ4}"),
        decompress_ns=(1_500, (1_060, 3_000), f"assumed; {LZ4}"),
        swap_write_ns=(
            20_000,
            (1_786, 100_000),
            f"assumed: 50,000 writes/s into the drive's memory; {_EVO}60,000 at depth 1, "
            "560,000 at depth 32",
        ),
        tmem_copy_in_ns=(800, (320, 10_000), "assumed: a hypercall and a copy; at least a copy"),
        tmem_copy_out_ns=(800, (320, 10_000), "as `tmem_copy_in_ns`"),
    ),
    "gcma_v2_board": _preset(
        "the board of GCMA v2 (2015), 4 x 1 GHz ARMv7 with an SD card; reservations, drops and "
        "migration are fitted to its latency table by studies/gcma-latency.yaml",
        reserve_base_ns=(
            25_000,
            (13_000, 26_000),
            f"{GCMA}GCMA takes 13 us at least and 26 us on average for a page",
        ),
        cache_line_ns=(0, (0, 0), "that board has no tags"),
        slot_drop_ns=(
            1_395,
            (1_000, 3_900),
            f"{GCMA}(44,675 - 26) us / 31,999 pages on average; 1.0 us at least, and 3.9 us on "
            "average over 512 pages",
        ),
        read_random_ns=(
            800_000,
            (666_667, 10_000_000),
            "assumed: 1,250 reads/s at depth 1; Samsung (February 2019) counts 100/s of a "
            "common microSD card",
        ),
        read_parallel_ns=(
            666_667,
            (250_000, 666_667),
            f"{_SD}at least 1,500 random reads/s; 4,000 of class A2",
        ),
        read_sequential_ns=(
            205_000,
            (45_500, 409_600),
            f"assumed: 20 MB/s; {_SD}at least 10 MB/s; Samsung (March 2020) counts 90 MB/s of a "
            "UHS-I microSD card",
        ),
        copy_in_ns=(3_000, *_ARMV7_COPY),
        copy_out_ns=(3_000, *_ARMV7_COPY),
        lookup_ns=(800, (200, 5_000), "assumed"),
        migrate_base_ns=(
            850_000,
            (381_000, 2_853_000),
            f"{GCMA}fitted to the ratio of CMA to GCMA; CMA takes 381 us at least and 2,853 us "
            "at most for a page",
        ),
        migrate_page_ns=(
            25_000,
            (270, 122_000),
            f"{GCMA}fitted; 0.27 us a page at least and 122 us at most over 32,000 pages",
        ),
        compress_ns=(60_000, (10_640, 120_000), "assumed: LZ4 at 68 MB/s"),
        decompress_ns=(25_000, (5_000, 60_000), "assumed: LZ4 at 160 MB/s"),
        swap_write_ns=(
            2_000_000,
            (500_000, 10_000_000),
            f"{_SD}at least 500 random writes/s; 2,000 of class A2",
        ),
        tmem_copy_in_ns=(6_000, (3_000, 50_000), "assumed: twice a copy"),
        tmem_copy_out_ns=(6_000, (3_000, 50_000), "assumed: twice a copy"),
    ),
}
#: The table of each preset.
COST_PRESETS: dict[str, Costs] = {name: preset.costs for name, preset in SOURCED_PRESETS.items()}
DEFAULT_PRESET = "ufs_phone"
