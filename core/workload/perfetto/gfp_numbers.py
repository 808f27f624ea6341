"""What the numbers of GFP flags mean: Perfetto has them as the kernel's own bits."""

from __future__ import annotations

import re
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from core.workload.ftrace.words import (
    GFP_ATOMIC,
    GFP_MOVABLE,
    GFP_NORETRY,
    GFP_TAGGED,
    GFP_WRITE,
)

# The bits since Linux 5.1, of which none below ZEROTAGS has moved since.
_HIGHMEM, _MOVABLE, _HIGH, _ZERO, _DIRECT, _KSWAPD = 0x2, 0x8, 0x20, 0x100, 0x400, 0x800
_WRITE, _NORETRY, _ZEROTAGS = 0x1000, 0x10000, 0x800000
_FIRST_OF_TABLE, _FIRST_WITH_ZEROTAGS = (5, 1), (5, 14)


class GfpBits(NamedTuple):
    """The flags of some allocations as bits of words.py, and how sure they are."""

    bits: NDArray[np.int64]
    guessed: int  # how many are read without a known version of the kernel
    unknown: int  # how many have numbers that are not known, and are taken to have no flags


def gfp_bits(numbers: NDArray[np.int64], kernel: str) -> GfpBits:
    """Return the flags that numbers stand for.

    Parameters
    ----------
    numbers
        The kernel's own bits.
    kernel
        The version of the kernel, such as ``6.12.5-android16``; empty where it is not known.
    """
    version = re.match(r"(?:Linux version )?(\d+)\.(\d+)", kernel)
    known = (int(version[1]), int(version[2])) if version else None
    # Nearly every number has one of the two bits of reclaim, where the table is that of 5.1 on.
    is_recent = known >= _FIRST_OF_TABLE if known else _looks_recent(numbers)
    if not is_recent:
        return GfpBits(np.zeros_like(numbers), 0, numbers.size)
    tagged = numbers & _ZEROTAGS != 0
    if known is None or known < _FIRST_WITH_ZEROTAGS:
        # The bit means other things too. Pages that are tagged are a program's, and are zeroed.
        user = _ZERO | _MOVABLE | _HIGHMEM
        tagged &= numbers & user == user
    atomic = (numbers & _DIRECT == 0) & (numbers & (_HIGH | _KSWAPD) != 0)
    bits = np.where(tagged, np.int64(GFP_TAGGED), 0) | np.where(atomic, np.int64(GFP_ATOMIC), 0)
    for bit, flag in ((_MOVABLE, GFP_MOVABLE), (_WRITE, GFP_WRITE), (_NORETRY, GFP_NORETRY)):
        bits |= np.where(numbers & bit, np.int64(flag), 0)
    return GfpBits(bits.astype(np.int64), 0 if known else numbers.size, 0)


def _looks_recent(numbers: NDArray[np.int64]) -> bool:
    return 2 * int((numbers & (_DIRECT | _KSWAPD) != 0).sum()) >= numbers.size
