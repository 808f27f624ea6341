"""Costs and their presets: each has a plausible range and a source, and reads in parallel gain."""

from __future__ import annotations

import re

import pytest

from core.cost_presets import COST_PRESETS, DEFAULT_PRESET, SOURCED_PRESETS
from core.costs import COST_FIELDS, Costs

#: Random reads of 4 KiB that a device does in a second with its queue full, by data sheets.
FULL_DEPTH = {
    "ufs_phone": 100_000,
    "ufs_phone_little": 100_000,
    "emmc_phone": 11_000,
    "nvme_server": 470_000,
    "gcma_v2_board": 1_500,
}
PRESETS = pytest.mark.parametrize("preset", sorted(SOURCED_PRESETS))


@PRESETS
def test_every_cost_of_a_preset_is_plausible_and_has_a_source(preset: str) -> None:
    for name in COST_FIELDS:
        value_ns, (least_ns, most_ns), source = SOURCED_PRESETS[preset].cost(name)
        assert value_ns == getattr(COST_PRESETS[preset], name)
        assert 0 <= least_ns <= value_ns <= most_ns, name
        assert source, name
        # A reference to another cost leads to one with a source of its own.
        other = re.fullmatch(r"as `(\w+)`", source)
        assert other is None or "as `" not in SOURCED_PRESETS[preset].cost(other[1]).source, name


@PRESETS
def test_a_preset_is_dated_and_says_what_machine_it_is_of(preset: str) -> None:
    assert re.fullmatch(r"20\d\d-[01]\d", SOURCED_PRESETS[preset].date)
    assert SOURCED_PRESETS[preset].machine
    assert set(SOURCED_PRESETS[preset].own) <= set(COST_FIELDS)


@PRESETS
def test_a_read_in_parallel_takes_what_a_full_queue_gives_it(preset: str) -> None:
    assert COST_PRESETS[preset].read_parallel_ns == round(1e9 / FULL_DEPTH[preset])


def test_the_migration_that_nobody_measured_may_cost_nothing_to_begin() -> None:
    _, plausible_ns, source = SOURCED_PRESETS[DEFAULT_PRESET].cost("migrate_base_ns")
    assert plausible_ns[0] == 0
    assert source.startswith("assumed")


def test_little_cores_differ_in_what_the_core_does_and_in_no_device() -> None:
    big, little = COST_PRESETS["ufs_phone"], COST_PRESETS["ufs_phone_little"]
    device = ("read_random_ns", "read_parallel_ns", "read_sequential_ns", "swap_write_ns")
    assert all(getattr(big, name) == getattr(little, name) for name in device)
    slower = ("copy_in_ns", "copy_out_ns", "lookup_ns", "slot_drop_ns", "compress_ns")
    assert all(getattr(big, name) < getattr(little, name) for name in slower)


def test_a_command_in_parallel_is_no_slower_than_the_first() -> None:
    Costs(read_random_ns=9_000, read_parallel_ns=9_000)
    with pytest.raises(ValueError, match=r"read_parallel_ns 9001 is above read_random_ns 9000"):
        Costs(read_random_ns=9_000, read_parallel_ns=9_001)


@pytest.mark.parametrize("value", [-1, 2**40, 1.5, True])
def test_a_cost_is_a_whole_number_of_nanoseconds(value: float) -> None:
    with pytest.raises(ValueError, match=r"lookup_ns .* is not a whole number"):
        Costs(lookup_ns=value)  # type: ignore[arg-type]
