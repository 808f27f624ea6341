"""Access traces on a machine of another size: what Linux sets aside, and its watermarks, there."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.accesses import BOOT_HANDLE, GIVE, Accesses
from core.workload.ftrace.memory import Memory
from core.workload.synthetic.run_accesses import BOOT_RATIO
from core.workload.text import TraceError

#: arm64's SECTION_SIZE_BITS: the map of pages (vmemmap) has whole sections.
_SECTION_BYTES, _SECTION_BYTES_64K = 128 << 20, 512 << 20
_STRUCT_PAGE_BYTES = 64
#: A page's entry in the table of the linear map, which is by pages (can_set_direct_map), and a
#: bucket of a hash table.
_POINTER_BYTES = 8
#: Bytes of memory for a bucket of dentries and of inodes (dcache_init_early, inode_init_early).
_DENTRY_SCALE, _INODE_SCALE = 13, 14
#: The buffer for DMA (swiotlb_adjust_size): 1 MiB for each GiB, at least a segment.
_BOUNCE_SCALE, _BOUNCE_BYTES = 10, (256 << 10, 64 << 20)
#: The distance of the watermarks, as a share of memory, where it is not a quarter of the lowest:
#: watermark_scale_factor as Linux begins with it.
_WATERMARK_SCALE = 0.001


def on_machine(accesses: Accesses, data_pages: int) -> Accesses:
    """Return the same accesses on a machine of `data_pages`.

    As many pages are in use when the trace begins as on its own machine, and what Linux sets aside
    for more memory, or no longer does. A trace that was recorded on no machine begins on a machine
    that has just been started.

    Raises
    ------
    TraceError
        When `data_pages` are not more than the pages in use when the trace begins.
    """
    if data_pages == accesses.data_pages:
        return accesses
    more = managed_there = 0
    if accesses.data_pages:
        managed = accesses.managed_pages or _managed(accesses)
        kept = accesses.data_pages - managed
        more = set_aside(data_pages, accesses.page_size, data_pages - kept)
        more -= set_aside(accesses.data_pages, accesses.page_size, managed)
        in_use = accesses.data_pages - accesses.free_pages + more
        managed_there = managed + data_pages - accesses.data_pages - more
        low, high = _watermarks(accesses, managed, managed_there)
    else:
        in_use = round(data_pages * BOOT_RATIO)
        low, high = Memory(0, data_pages, accesses.page_size).watermarks()
    if data_pages <= in_use:
        raise TraceError(
            f"{data_pages * accesses.page_size} bytes of memory are not more than the "
            f"{in_use * accesses.page_size} that were in use when it began",
            file=accesses.source,
        )
    resized = accesses._replace(
        data_pages=data_pages,
        free_pages=data_pages - in_use,
        low_pages=low,
        high_pages=high,
        managed_pages=managed_there,
        free_ranges=(),
    )
    return _with_frames(resized, accesses, more) if accesses.free_ranges else resized


def set_aside(data_pages: int, page_size: int, managed_pages: int) -> int:
    """Return the pages that Linux on arm64 takes when it boots, of what grows with memory.

    Parameters
    ----------
    data_pages, page_size
        The memory: its pages, and the bytes of one.
    managed_pages
        Those that are left to the page allocator, about.
    """
    memory_bytes, managed_bytes = data_pages * page_size, managed_pages * page_size
    section = _SECTION_BYTES_64K if page_size == 65536 else _SECTION_BYTES
    mapped = -(-memory_bytes // section) * section // page_size
    buckets = sum(_up(managed_bytes >> scale) for scale in (_DENTRY_SCALE, _INODE_SCALE))
    least, most = _BOUNCE_BYTES
    bounce = min(max(_up(memory_bytes >> _BOUNCE_SCALE), least), most)
    table = (data_pages + buckets) * _POINTER_BYTES
    return (mapped * _STRUCT_PAGE_BYTES + table + bounce) // page_size


def _up(number: int) -> int:
    """Return the power of two that is not below a number."""
    return 1 << max(0, number - 1).bit_length()


def _managed(accesses: Accesses) -> int:
    """Return the pages that are left to the page allocator, as the watermarks tell.

    The lowest is the root of 16 times their KiB (calculate_min_free_kbytes, of what is above the
    high watermark). Where somebody set another one, all pages.
    """
    least_kib = (2 * accesses.low_pages - accesses.high_pages + 0.5) * accesses.page_size / 1024
    managed = round(least_kib**2 / 16 * 1024 / accesses.page_size) + accesses.high_pages
    pages = accesses.data_pages
    return managed if pages < 2 * managed <= 2 * pages else pages


def _watermarks(accesses: Accesses, managed: int, managed_there: int) -> tuple[int, int]:
    """Return the (low, high) watermarks where other pages are left to the page allocator."""
    distance = accesses.high_pages - accesses.low_pages
    least = accesses.low_pages - distance
    above, above_there = (max(1, pages - accesses.high_pages) for pages in (managed, managed_there))
    scale = distance / managed if distance > least // 4 + 1 else _WATERMARK_SCALE
    least = int((least + 0.5) * (above_there / above) ** 0.5)
    distance = max(least // 4, int(scale * managed_there))
    return least + distance, least + 2 * distance


def _with_frames(resized: Accesses, accesses: Accesses, more: int) -> Accesses:
    """Return a resized trace with the frames that were free, and the names of those that were not.

    A larger memory has its new frames at its end. Of a smaller one, what was in use beyond its end
    lies in the last frames that were free. `more` pages more than in the recording are set aside.
    """
    free = np.zeros(max(resized.data_pages, accesses.data_pages), dtype=np.bool_)
    free[accesses.data_pages :] = True
    for first, end in accesses.free_ranges:
        free[first:end] = True
    before = (accesses.op == GIVE) & (accesses.handle >= BOOT_HANDLE)
    given = accesses.handle[before] - BOOT_HANDLE
    # Blocks are moved whole, so that one of several frames stays one.
    order = int(accesses.order[before].max(initial=0))
    place = _moved(free, resized.data_pages, order)
    if place is None:  # too scattered: then only the number of free pages is known
        return resized
    given = (place[given >> order] << order) + (given & ((1 << order) - 1))
    free = free[: resized.data_pages]
    named = np.zeros_like(free)
    for frame, size in zip(given.tolist(), (1 << accesses.order[before].astype(int)), strict=True):
        named[frame : frame + size] = True
    changed = np.flatnonzero(free if more > 0 else ~free & ~named)[::-1][: abs(more)]
    free[changed] = more < 0
    edges = np.flatnonzero(np.diff(np.concatenate([[False], free, [False]]).astype(np.int8)))
    handle = accesses.handle.copy()
    handle[before] = given + BOOT_HANDLE
    ranges = tuple(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))
    return resized._replace(handle=handle, free_ranges=ranges)


def _moved(free: NDArray[np.bool_], data_pages: int, order: int) -> NDArray[Any] | None:
    """Return where each block of 2**order frames goes, of which the first `data_pages` remain.

    `free` is changed to what is free then. None: not so many blocks are free.
    """
    size = 1 << order
    blocks = -(-free.size // size)
    by_block = np.pad(free, (0, blocks * size - free.size)).reshape(blocks, size)
    place = np.arange(blocks)
    end = data_pages >> order
    moving = end + np.flatnonzero(~by_block[end:].all(axis=1))
    targets = np.flatnonzero(by_block[:end].all(axis=1))
    if free.size == data_pages or not moving.size:
        return place
    if targets.size < moving.size:
        return None
    place[moving] = targets[-moving.size :]
    by_block[place[moving]] = by_block[moving]
    free[:] = by_block.reshape(-1)[: free.size]
    free[end << order :] = True
    return place
