"""A zone: how many of its pages are free, its watermarks, and the pages that its CPU keeps.

It follows mm/page_alloc.c of Linux 6.12 for one CPU. The pages that a CPU keeps to allocate them
next (``struct per_cpu_pages``) are free, but not for the watermarks. How many it keeps adapts:
between the low watermark and an eighth of memory it grows with each refill from the zone while
free pages are above the high watermark, falls by an eighth each second, and falls to the low
watermark while free pages are below the high one. While reclaim runs it keeps four batches.
For example, what a program frees when it exits stays with the CPU in part: the kernel may reclaim
then although enough is free.
"""

from __future__ import annotations

from core.frontend.allocator import (
    BLOCK_ORDER,
    KINDS,
    NONE,
    Frames,
    end_of_list,
    enter_list,
    head_of_cached,
    leave_list,
    release,
    stolen,
    take_block,
)
from core.frontend.lists import REGISTERS, Register
from core.jit import apart, kernel, loop, wide

# Elements of `register` after those of the lists.
(
    # Pages that are free or that the CPU keeps, and the watermarks in pages.
    FREE_PAGES,
    LOW,
    HIGH,
    NOW_NS,
    # The pages that the CPU keeps, of all of them and of each kind; the most that it keeps now; the
    # bounds of that; and the pages of a batch.
    CACHED,
    CACHED_MOVABLE,
    CACHED_UNMOVABLE,
    _MOST_CACHED,
    _LEAST_MOST,
    _LARGEST_MOST,
    _BATCH,
    # How often a refill was doubled; pages freed in a row; whether free pages were below the high
    # watermark, and whether reclaim runs; and when the next second is over.
    _DOUBLED,
    _FREED,
    _IS_LOW,
    RECLAIMS,
    _NEXT_NS,
    # By how much the watermarks are raised now; and the pages of the allocator.
    BOOST,
    _MANAGED,
) = range(REGISTERS, REGISTERS + 18)
ZONE_REGISTERS = REGISTERS + 18
#: CONFIG_PCP_BATCH_SCALE_MAX.
_MOST_DOUBLED = 5
#: MIN_PERCPU_PAGELIST_HIGH_FRACTION.
_LARGEST_SHARE = 8
#: vm.stat_interval.
_INTERVAL_NS = 10**9
_BLOCK_PAGES = 1 << BLOCK_ORDER


def begin_zone(register: Register, managed_pages: int) -> None:
    """Set the bounds of what the CPU of a zone keeps; the watermarks are known by then."""
    # zone_batchsize: about a 4096th of memory, at most 256 KiB, and a power of two minus 1.
    batch = min(managed_pages >> 12, 64)
    batch = 1 if batch <= 1 else (1 << ((batch + batch // 2).bit_length() - 1)) - 1
    register[_BATCH] = batch
    register[_LEAST_MOST] = max(int(register[LOW]), 4 * batch)
    register[_LARGEST_MOST] = max(managed_pages // _LARGEST_SHARE, int(register[_LEAST_MOST]))
    register[_MOST_CACHED] = register[_LEAST_MOST]
    register[_MANAGED] = managed_pages


@kernel
def zone_free(register: Register) -> int:
    """Return how many pages are free for the watermarks: not those that the CPU keeps."""
    return wide(register[FREE_PAGES] - register[CACHED])


@kernel
def _push(frames: Frames, register: Register, kind: int, frame: int, first: bool) -> None:
    """Put a frame on the list of those that the CPU keeps: to be taken next, or last."""
    enter_list(frames, frame, head_of_cached(frames, kind), first)
    register[CACHED] += 1
    register[CACHED_MOVABLE + kind] += 1


@kernel
def _pop(frames: Frames, register: Register, kind: int, first: bool) -> int:
    """Take a frame off the list of those that the CPU keeps, which is not empty."""
    frame = end_of_list(frames, head_of_cached(frames, kind), first)
    leave_list(frames, frame)
    register[CACHED] -= 1
    register[CACHED_MOVABLE + kind] -= 1
    return frame


@loop
def _drain(frames: Frames, register: Register, kind: int, pages: int) -> None:
    """Free frames that the CPU keeps, those of `kind` first: free_pcppages_bulk."""
    apart()
    for turn in range(KINDS):
        of = (kind + turn) % KINDS
        while pages > 0 and register[CACHED_MOVABLE + of] > 0:
            release(frames, _pop(frames, register, of, False), wide(0))
            pages -= 1


@kernel
def drain_all(frames: Frames, register: Register) -> None:
    """Free all that the CPU keeps, as where reclaim found too little: drain_all_pages."""
    _drain(frames, register, wide(0), wide(register[CACHED]))


@kernel
def pass_second(frames: Frames, register: Register) -> None:
    """Let the CPU keep an eighth less for each second that has passed: decay_pcp_high."""
    if register[NOW_NS] < register[_NEXT_NS]:
        return
    late = (register[NOW_NS] - register[_NEXT_NS]) // _INTERVAL_NS
    # After a minute there is nothing left to decay.
    for _ in range(min(60, 1 + late)):
        most = wide(register[_MOST_CACHED])
        if most > register[_LEAST_MOST]:
            steps = wide(register[CACHED]) - (wide(register[_BATCH]) << _MOST_DOUBLED)
            most = max(steps, most - (most >> 3), wide(register[_LEAST_MOST]))
            register[_MOST_CACHED] = most
        if register[CACHED] > most:
            _drain(frames, register, wide(0), wide(register[CACHED]) - most)
    register[_NEXT_NS] = register[NOW_NS] + _INTERVAL_NS


@kernel
def _refill_size(register: Register) -> int:
    """Return how many frames a refill takes, and let the CPU keep more: nr_pcp_alloc."""
    base = wide(register[_BATCH])
    batch = base << wide(register[_DOUBLED])
    if not register[_IS_LOW]:
        most = min(wide(register[_MOST_CACHED]) + batch, wide(register[_LARGEST_MOST]))
        register[_MOST_CACHED] = most
    most = wide(register[_MOST_CACHED])
    limit = max(most - wide(register[CACHED]) - base, base)
    if batch <= limit and register[_DOUBLED] < _MOST_DOUBLED:
        register[_DOUBLED] += 1
    return min(batch, limit)


@loop
def _refill(frames: Frames, register: Register, kind: int) -> None:
    """Take frames of the zone for the CPU, which keeps none of this kind."""
    apart()
    for _ in range(_refill_size(register)):
        frame = take_block(frames, kind, wide(0))
        if frame == NONE and register[CACHED_MOVABLE + kind] == 0:
            _drain(frames, register, 1 - kind, wide(register[CACHED]))
            frame = take_block(frames, kind, wide(0))
        if frame == NONE:
            break
        _push(frames, register, kind, frame, False)


@kernel
def boost(frames: Frames, register: Register) -> None:
    """Raise the watermarks until the next run of reclaim if a block was stolen: boost_watermark.

    Stolen blocks fragment memory, so the kernel reclaims more at once. Each raises them by a page
    block; they are raised as far as they can be, since more is stolen while kswapd is at work. (It
    also evicts a batch at once where much is free, which is left out.) Recorded kswapds of launches
    end 71 to 94 % of their runs so, those of databases 14 to 40 % (benchmarks/kswapd_ends.py).
    """
    if not stolen(frames) or register[_MANAGED] < 4 * _BLOCK_PAGES:
        return
    # watermark_boost_factor: at most 150 % of the high watermark.
    register[BOOST] = max(wide(_BLOCK_PAGES), wide(register[HIGH]) * 3 // 2)


@kernel
def take_frame(frames: Frames, register: Register, kind: int) -> int:
    """Return a frame that the CPU keeps, which takes more of the zone if it has none, or NONE."""
    if zone_free(register) < register[HIGH]:
        register[_IS_LOW] = 1
    register[_FREED] >>= 1
    if register[CACHED_MOVABLE + kind] == 0:
        _refill(frames, register, kind)
        if register[CACHED_MOVABLE + kind] == 0:
            return wide(NONE)
    return _pop(frames, register, kind, True)


@kernel
def _most_now(register: Register) -> int:
    """Return how many pages the CPU may keep after a free: nr_pcp_high."""
    least, most = wide(register[_LEAST_MOST]), wide(register[_MOST_CACHED])
    batch, freed = wide(register[_BATCH]), wide(register[_FREED])
    if register[RECLAIMS]:
        register[_MOST_CACHED] = max(most - max(freed, batch), least)
        return min(4 * batch, wide(register[_MOST_CACHED]))
    if register[_IS_LOW]:
        register[_MOST_CACHED] = max(most - max(freed, batch), least)
        return max(wide(register[CACHED]), least)
    if register[CACHED] >= most and most < freed + batch:
        register[_MOST_CACHED] = min(max(freed + batch, least), wide(register[_LARGEST_MOST]))
    return most


@kernel
def give_frame(frames: Frames, register: Register, kind: int, frame: int) -> None:
    """Give a frame to the CPU, which takes it next, and frees some where it has too many."""
    register[_DOUBLED] >>= 1
    _push(frames, register, kind, frame, True)
    batch = wide(register[_BATCH])
    if register[_FREED] < batch << _MOST_DOUBLED:
        register[_FREED] += 1
    most = _most_now(register)
    if register[CACHED] < most:
        return
    # nr_pcp_free.
    pages = wide(1) if most < batch else min(max(wide(register[_FREED]), batch), most - batch)
    _drain(frames, register, kind, pages)
    if register[_IS_LOW] and zone_free(register) >= register[HIGH]:
        register[_IS_LOW] = 0
