"""GFP flags that a trace prints as numbers: which bits they are, by the version of the kernel.

``trace-cmd report`` and ``perf script`` print numbers where they cannot read the names in the
kernel's format of the event, as with Linux 6.10 to 6.12.10. The bits moved several times; those
below bit 23 are the same from Linux 5.1 on, and __GFP_ZEROTAGS has been bit 23 since it came.
"""

from __future__ import annotations

import re
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from core.import_losses import Loss, losses_of
from core.workload.ftrace.frames import NO_FRAME
from core.workload.ftrace.words import (
    ABSENT,
    FLAGS,
    FRAME,
    GFP_ATOMIC,
    GFP_BITS,
    GFP_MOVABLE,
    GFP_NORETRY,
    GFP_NUMBER,
    GFP_TAGGED,
    GFP_WRITE,
    GFP_ZERO,
    PAGE_ALLOC,
)


class GfpLayout(NamedTuple):
    """The bits of GFP flags in some versions of Linux; 0 is a bit that they lack."""

    since: tuple[int, int]  # major and minor version
    of: str  # the versions, in words
    tagged: int  # __GFP_ZEROTAGS
    zero: int
    movable: int
    write: int
    noretry: int
    high: int
    wakes: int  # ___GFP_KSWAPD_RECLAIM
    waits: int  # ___GFP_DIRECT_RECLAIM
    bits: int  # all that there are


#: From the oldest to the newest. Sources: include/linux/gfp.h and gfp_types.h of these versions.
LAYOUTS = (
    GfpLayout(
        *((0, 0), "Linux before 4.4", 0, 0x8000, 0x8, 0x1000000, 0x1000, 0x20),
        *(0, 0x10, 0x1FFFFFF),
    ),
    GfpLayout(
        *((4, 4), "Linux 4.4 to 4.13", 0, 0x8000, 0x8, 0x1000000, 0x1000, 0x20),
        *(0x2000000, 0x400000, 0x3FFFFFF),
    ),
    GfpLayout(
        *((4, 14), "Linux 4.14 to 4.17", 0, 0x8000, 0x8, 0x800000, 0x1000, 0x20),
        *(0x1000000, 0x400000, 0x3FFFFFF),
    ),
    GfpLayout(
        *((4, 18), "Linux 4.18 to 5.0", 0, 0x8000, 0x8, 0x100, 0x1000, 0x20),
        *(0x400000, 0x200000, 0xFFFFFF),
    ),
    GfpLayout(
        *((5, 1), "Linux 5.1 to 5.13", 0, 0x100, 0x8, 0x1000, 0x10000, 0x20),
        *(0x800, 0x400, 0x3FFFFFFF),
    ),
    GfpLayout(
        *((5, 14), "Linux 5.14 or later", 0x800000, 0x100, 0x8, 0x1000, 0x10000, 0x20),
        *(0x800, 0x400, 0x3FFFFFFF),
    ),
)
_NEWEST = LAYOUTS[-1]
#: Layouts of which only the bit for tags is another: numbers do not tell them apart.
_GUESSED = (*LAYOUTS[:-2], _NEWEST)
_VERSIONS = (r"Linux version (\d+)\.(\d+)", r"^Linux \S+ (\d+)\.(\d+)", r"^\s*(\d+)\.(\d+)")


def version_of(kernel: str) -> tuple[int, int] | None:
    """Return a kernel's version, such as (6, 12), or None where it is not told.

    Parameters
    ----------
    kernel
        What ``/proc/version``, ``uname -a`` or ``uname -r`` says of it.
    """
    for pattern in _VERSIONS:
        found = re.search(pattern, kernel, re.MULTILINE)
        if found:
            return int(found[1]), int(found[2])
    return None


def layout_of(kernel: str) -> GfpLayout | None:
    """Return the bits of a kernel, or None where its version is not told.

    Parameters
    ----------
    kernel
        What ``/proc/version``, ``uname -a`` or ``uname -r`` says of it.
    """
    version = version_of(kernel)
    if version is None:
        return None
    if "android" in kernel and version >= (5, 10):
        return _NEWEST  # Android brought __GFP_ZEROTAGS to its 5.10
    return [layout for layout in LAYOUTS if layout.since <= version][-1]


def guess_layout(numbers: NDArray[np.int64]) -> GfpLayout | None:
    """Return the bits that fit some flags best; None where they fit none, or several.

    Nearly all allocations may wait for reclaim or wake it, and do not have bits that the kernel
    lacks. Where only bits above all others are left, beside names, they are of a new kernel.
    """
    numbers = np.unique(numbers[numbers > 0])
    scores = []
    for layout in _GUESSED:
        fits = (numbers & ~layout.bits) == 0
        wakes, waits = numbers & layout.wakes != 0, numbers & layout.waits != 0
        score = np.where(wakes & waits, 2, np.where(wakes, 1, 0))
        if layout is _NEWEST:
            score = np.maximum(score, numbers & 0x7FFFFF == 0)
        scores.append(int((score * fits).sum()))
    best = max(scores, default=0)
    if best == 0 or scores.count(best) > 1:
        return None
    return _GUESSED[scores.index(best)]


def gfp_bits(numbers: NDArray[np.int64], layout: GfpLayout) -> NDArray[np.int64]:
    """Return the GFP flags that an import uses, as bits of `core.workload.ftrace.words`.

    Parameters
    ----------
    numbers
        The flags as the kernel has them.
    layout
        Which bit is what.
    """
    bits = np.zeros(numbers.size, dtype=np.int64)
    for mask, bit in (
        (layout.tagged, GFP_TAGGED),
        (layout.zero, GFP_ZERO),
        (layout.movable, GFP_MOVABLE),
        (layout.write, GFP_WRITE),
        (layout.noretry, GFP_NORETRY),
    ):
        bits |= np.where(numbers & mask != 0, bit, 0)
    urgent = (numbers & layout.waits == 0) & (numbers & (layout.high | layout.wakes) != 0)
    return bits | np.where(urgent, GFP_ATOMIC, 0)


class GfpFlags:
    """The GFP flags of a trace's allocations, which become bits of `core.workload.ftrace.words`.

    Parameters
    ----------
    kernel
        What says the kernel's version; empty where nothing does.
    """

    def __init__(self, kernel: str = "") -> None:
        self.kernel = kernel
        self._layout: GfpLayout | None = None
        self._allocations = 0
        self._tagged = 0
        self._guessed = 0
        self._undecoded = 0
        self._unclear = 0
        self._without = 0

    def decode(self, kind: NDArray[np.uint8], fields: NDArray[np.int64]) -> None:
        """Turn the flags of the allocations among some records into bits, in place.

        Parameters
        ----------
        kind, fields
            Columns of the records. Flags that are a number are GFP_NUMBER | number << GFP_BITS.
        """
        rows = np.flatnonzero(kind == PAGE_ALLOC)
        rows = rows[fields[rows, FRAME] < NO_FRAME]
        flags = fields[rows, FLAGS]
        self._allocations += rows.size
        self._without += int((flags == ABSENT).sum())
        numbered = np.flatnonzero(flags >= GFP_NUMBER)
        if numbered.size:
            flags[numbered] = self._decoded(flags[numbered])
        seen = flags[flags != ABSENT] & ((1 << GFP_BITS) - 1)
        self._tagged += int((seen & GFP_TAGGED != 0).sum())
        fields[rows, FLAGS] = flags

    def _decoded(self, flags: NDArray[np.int64]) -> NDArray[np.int64]:
        numbers = (flags & ~GFP_NUMBER) >> GFP_BITS
        named = flags & ((1 << GFP_BITS) - 1)
        known = layout_of(self.kernel)
        layout = known or self._layout or guess_layout(numbers)
        if layout is None:
            # Zero and a few others say nothing in any version.
            self._undecoded += int((numbers != 0).sum())
            return named
        if known is None:
            self._layout = layout
            self._guessed += numbers.size
        bits = named | gfp_bits(numbers, layout)
        if known is None and layout is _NEWEST:
            # Before Linux 5.14 this bit could be __GFP_NOLOCKDEP; a tagged page is always zeroed.
            unclear = (gfp_bits(numbers, layout) & GFP_TAGGED != 0) & (bits & GFP_ZERO == 0)
            self._unclear += int(unclear.sum())
            bits[unclear] &= ~GFP_TAGGED
        return bits

    def losses(self, tells_tags: bool) -> tuple[Loss, ...]:
        """Return what could not be told of the flags, when all records are read.

        Parameters
        ----------
        tells_tags
            Whether other events of the trace tell of tagged pages.
        """
        untold = self._undecoded + self._unclear + self._without
        of = self._layout.of if self._layout else ""
        is_old = self._layout is not None and not self._layout.tagged
        if is_old:
            of += ", older than tags"
        no_tags = not (tells_tags or untold or self._tagged or is_old)
        return losses_of(
            {
                "guessed_gfp_numbers": (self._guessed, f"as those of {of}"),
                "undecoded_gfp_numbers": (self._undecoded, ""),
                "unclear_gfp_numbers": (self._unclear, ""),
                "allocations_without_flags": (self._without, ""),
                "no_tagged_allocations": (self._allocations if no_tags else 0, ""),
            }
        )
