"""GFP flags that are numbers mean what the kernel of their version means by them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from ftrace_lines import (
    ADD,
    MEMORY,
    TAGGED_GFP,
    alloc,
    folio,
    lost_in_lines,
    page,
    read,
    rows,
    text,
)

from core.workload.ftrace.capture import Imported
from core.workload.ftrace.gfp import LAYOUTS, gfp_bits, guess_layout, layout_of
from core.workload.ftrace.words import (
    GFP_ATOMIC,
    GFP_MOVABLE,
    GFP_NORETRY,
    GFP_TAGGED,
    GFP_WRITE,
    GFP_ZERO,
)

LINUX_6_12 = "Linux version 6.12.5-1-arm64 (a@b) (gcc 9.4.0) #1 SMP"


def losses(imported: Imported) -> dict[str, int]:
    return lost_in_lines(imported)


@pytest.mark.parametrize(
    "flags",
    [
        "0x940dca",
        "0X940DCA",
        "9702858",
        "940dca",
        "0x940dca (9702858)",
        "0x2940dca",  # KASAN_HW_TAGS, 6.4 and later
        "0x6940dca",  # before
        "0x5940dca",  # Android 5.10
        "GFP_HIGHUSER_MOVABLE|__GFP_COMP|__GFP_ZERO|0x800000",
        "GFP_HIGHUSER_MOVABLE|__GFP_COMP|__GFP_ZERO|__GFP_ZEROTAGS|0x8000000",
    ],
)
@pytest.mark.parametrize("kernel", ["", LINUX_6_12])
def test_numbers_give_the_same_rows_as_names(tmp_path: Path, flags: str, kernel: str) -> None:
    named = text([alloc(3), "mm_page_free: pfn=0x40003 order=0"])
    numbered = named.replace(TAGGED_GFP, f"gfp_flags={flags}")
    memory = MEMORY._replace(kernel=kernel)
    imported = read(tmp_path, numbered, memory)
    assert rows(imported.events) == rows(read(tmp_path, named).events) != []
    assert imported.counts["tagged_allocations"] == imported.counts["freed_tagged_pages"] == 1
    assert losses(imported) == ({} if kernel else {"guessed_gfp_numbers": 1})


def test_a_guess_and_what_it_rests_on_are_said(tmp_path: Path) -> None:
    imported = read(tmp_path, text([alloc(3, 0, "gfp_flags=0x940dca")]))
    assert any(
        "1 page allocation has gfp_flags as numbers, and nothing tells the kernel's version: "
        "a first line such as `# os release : 6.12.5` (uname -r) does "
        "(as those of Linux 5.14 or later)" in warning
        for warning in imported.warnings
    )


@pytest.mark.parametrize(
    ("header", "guessed"),
    [("# os release : 6.12.5\n", 0), ("# nop latency trace v1.1.5 on 6.12.5\n", 0), ("#\n", 1)],
)
def test_a_header_tells_the_version(tmp_path: Path, header: str, guessed: int) -> None:
    imported = read(tmp_path, header + text([alloc(3, 0, "gfp_flags=0x940dca")]))
    assert losses(imported).get("guessed_gfp_numbers", 0) == guessed


@pytest.mark.parametrize(
    ("numbers", "of"),
    [
        ([0x24200CA, 0x24000C0], "Linux 4.4 to 4.13"),
        ([0x1C200CA], "Linux 4.14 to 4.17"),
        ([29491274], "Linux 4.14 to 4.17"),
        ([0xE200CA], "Linux 4.18 to 5.0"),
        ([0x6000C0], "Linux 4.18 to 5.0"),
        ([0x940DCA, 0x140CCA, 0x820, 0x152C4A], "Linux 5.14 or later"),
        ([0x800CC0], "Linux 5.14 or later"),
        ([0, 0x40], ""),
        ([0x6200CA, 0xCC0], ""),  # one of each
    ],
)
def test_bits_that_occur_together_tell_the_layout(numbers: list[int], of: str) -> None:
    layout = guess_layout(np.array(numbers))
    assert (layout.of if layout else "") == of


@pytest.mark.parametrize(
    ("kernel", "of"),
    [
        (LINUX_6_12, "Linux 5.14 or later"),
        ("Linux node-4.2 6.1.0 #1 SMP", "Linux 5.14 or later"),
        ("5.10.43-android12-9-00031", "Linux 5.14 or later"),
        ("5.10.43-generic", "Linux 5.1 to 5.13"),
        ("Linux version 4.18.0-339.el8.aarch64", "Linux 4.18 to 5.0"),
        ("3.10.0", "Linux before 4.4"),
        ("something", ""),
    ],
)
def test_the_version_of_a_kernel_tells_its_bits(kernel: str, of: str) -> None:
    layout = layout_of(kernel)
    assert (layout.of if layout else "") == of


def test_bits_are_those_of_the_version() -> None:
    by_version = {layout.of: layout for layout in LAYOUTS}
    flags = {
        "Linux 5.14 or later": [0x940DCA, 0x820, 0xA20, 0x2800, 0x152C4A, 0x101CCA, 0xCC0],
        "Linux 4.18 to 5.0": [0xE288CA, 0x400020, 0x400000, 0, 0x6212CA, 0x6203CA, 0x6000C0],
    }
    movable = GFP_MOVABLE
    expected = [movable | GFP_ZERO | GFP_TAGGED, *[GFP_ATOMIC] * 3]
    expected += [movable | GFP_NORETRY, movable | GFP_WRITE, 0]
    bits = gfp_bits(np.array(flags["Linux 5.14 or later"]), by_version["Linux 5.14 or later"])
    assert bits.tolist() == expected
    old = gfp_bits(np.array(flags["Linux 4.18 to 5.0"]), by_version["Linux 4.18 to 5.0"])
    expected[0], expected[3] = movable | GFP_ZERO, 0
    assert old.tolist() == expected


@pytest.mark.parametrize(
    ("flags", "loss"),
    [
        ("0x800cc0", "unclear_gfp_numbers"),  # __GFP_NOLOCKDEP of 5.13
        ("0x40", "undecoded_gfp_numbers"),
        ("0xe200ca", "guessed_gfp_numbers"),
        ("0x140cca", "no_tagged_allocations"),
        ("none", "no_tagged_allocations"),
        ("GFP_KERNEL", "no_tagged_allocations"),
    ],
)
def test_no_tagged_page_is_never_without_a_word(tmp_path: Path, flags: str, loss: str) -> None:
    lines = [alloc(3, 0, f"gfp_flags={flags}"), f"{ADD}: {folio(0)}"]
    imported = read(tmp_path, text(lines))
    assert imported.counts["tagged_allocations"] == 0
    assert losses(imported)[loss] == 1
    with_probe = text([f"tag_clear_highpage: page={page(3)}", *lines])
    assert "no_tagged_allocations" not in losses(read(tmp_path, with_probe))


def test_a_known_kernel_with_the_bit_for_tags_is_taken_at_its_word(tmp_path: Path) -> None:
    memory = MEMORY._replace(kernel=LINUX_6_12)
    imported = read(tmp_path, text([alloc(3, 0, "gfp_flags=0x800cc0")]), memory)
    assert imported.counts["tagged_allocations"] == 1
    assert losses(imported) == {}


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ("GFP_TRANSHUGE_LIGHT|__GFP_ZERO|__GFP_ZEROTAGS", 2 | 16),
        ("GFP_TRANSHUGE|__GFP_ZERO|__GFP_ZEROTAGS", 2 | 16),
        ("__GFP_KSWAPD_RECLAIM|__GFP_ZERO|__GFP_ZEROTAGS", 2 | 4),
        ("__GFP_DIRECT_RECLAIM|__GFP_KSWAPD_RECLAIM|__GFP_ZEROTAGS", 2),
    ],
)
def test_composite_names_stand_for_their_bits(tmp_path: Path, flags: str, expected: int) -> None:
    imported = read(tmp_path, text([alloc(3, 0, f"gfp_flags={flags}")]))
    assert rows(imported.events) == [(4, 0, 0, 0, 3, expected)]
