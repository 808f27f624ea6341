"""What a trace shows of the machine it is of, where nothing beside it tells: pages and frames."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from core.import_losses import Loss
from core.workload.ftrace import frames
from core.workload.ftrace.frames import NO_FRAME
from core.workload.ftrace.lines import Records
from core.workload.ftrace.memory import (
    ROUND_FRAMES,
    UNKNOWN_FRAMES,
    UNKNOWN_START,
    Memory,
    memory_seen,
)
from core.workload.ftrace.words import (
    ADD,
    DELETE,
    FRAME,
    OFFSET_BYTES,
    ORDER,
    PAGE_ALLOC,
    PAGE_FREE,
)
from core.workload.text import TraceError

#: The sizes that pages have on arm64.
PAGE_SIZES = (4096, 16384, 65536)
#: So many places in files that all are multiples of a larger page tell that pages are so large: by
#: chance, less than one in 250 traces of the next smaller pages is taken for one.
_TELLING_PLACES = 4
#: At multiples of so many frames memory begins, if there is no room at rounder places.
_ROUNDER_FRAMES = (1 << 12, 1 << 9, 1)
#: A memory of which no frame is known.
_LEAST_FRAMES = 32


def machine_of(given: Memory, records: Records) -> tuple[Memory, tuple[Loss, ...]]:
    """Return the machine whose frames an import looks at, and what of it is a guess.

    Parameters
    ----------
    given
        What is known of it.
    records
        The first records of the trace.

    Raises
    ------
    TraceError
        When the memory that was typed is not of whole pages, or not where the frames of the trace
        lie.
    """
    losses: tuple[Loss, ...] = ()
    if not given.page_size:
        page_size, losses = _page_size_shown(records)
        given = given._replace(page_size=page_size)
    start, size = given.typed_bytes
    if size and start != UNKNOWN_START:
        if start % given.page_size or size % given.page_size:
            what = f"not whole pages of {given.page_size} bytes"
            raise TraceError(f"--memory / --memory-start: {what}")
        first, count = start // given.page_size, size // given.page_size
        _check_typed(first, count, records)
        return given._replace(first_frame=first, frames=count, holes=0), losses
    if size % given.page_size:
        raise TraceError(f"--memory: not whole pages of {given.page_size} bytes")
    if given.frames:
        return given, losses
    # Some part of all frames that there can be: it is large, and lies where the first frames lie.
    frame = _frames_named(records)
    first = 0
    if frame.size and frame.max() >= UNKNOWN_FRAMES // 2:
        middle = int(np.median(frame))
        first = max(0, middle - UNKNOWN_FRAMES // 2) // ROUND_FRAMES * ROUND_FRAMES
    return given._replace(first_frame=first, frames=UNKNOWN_FRAMES), losses


def tells_frames(given: Memory) -> bool:
    """Return whether it is known which frames are memory."""
    start, size = given.typed_bytes
    return bool(size and start != UNKNOWN_START) or given.frames > 0


def _frames_named(records: Records) -> NDArray[np.int64]:
    """Return the frames that records name."""
    named = np.isin(records.kind, (ADD, DELETE, PAGE_ALLOC, PAGE_FREE))
    frame: NDArray[np.int64] = records.fields[named, FRAME]
    return frame[(frame >= 0) & (frame < NO_FRAME)]


def _check_typed(first: int, count: int, records: Records) -> None:
    """Refuse a memory that somebody typed if most frames of the trace are none of it."""
    frame = _frames_named(records)
    outside = int(((frame < first) | (frame >= first + count)).sum())
    if 2 * outside > frame.size:
        what = (
            f"--memory, --memory-start: {outside:,} of {frame.size:,} frames lie outside "
            f"{first:#x} to {first + count:#x}: they lie from {frame.min():#x} to {frame.max():#x}"
        )
        raise TraceError(what)


def _page_size_shown(records: Records) -> tuple[int, tuple[Loss, ...]]:
    """Return the page size that the places of folios in their files show, and the loss if any.

    A folio of 2**order pages lies at a multiple of its size: what it lies at, shifted by the order,
    is a multiple of a page.
    """
    of_files = np.isin(records.kind, (ADD, DELETE))
    fields = records.fields[of_files]
    places = np.unique(fields[:, OFFSET_BYTES] >> fields[:, ORDER])
    places = places[places > 0]
    if not places.size:
        count = int(of_files.sum())
        what = "taken as 4096 bytes: they lie at the beginning of their files"
        return PAGE_SIZES[0], ((Loss("guessed_page_size", count, what),) if count else ())
    granule = int(np.bitwise_or.reduce(places))
    granule &= -granule
    if granule <= PAGE_SIZES[0]:
        return PAGE_SIZES[0], ()
    largest = max(size for size in PAGE_SIZES if size <= granule)
    if largest == PAGE_SIZES[0]:
        return PAGE_SIZES[0], ()
    is_told = places.size >= _TELLING_PLACES
    size = largest if is_told else PAGE_SIZES[0]
    what = f"taken as {size} bytes: they lie at multiples of {granule}" + (
        "" if is_told else ", but they are too few to tell it"
    )
    return size, (Loss("guessed_page_size", int(places.size), what),)


def memory_shown(window: Memory, numbers: NDArray[np.int64]) -> tuple[Memory, Loss]:
    """Return the memory around the frames that a trace names, and the loss that says so.

    Its size is what was typed, if anything.

    Parameters
    ----------
    window
        The frames that the import looked at.
    numbers
        The counts of `core.workload.ftrace.state.KernelState`.

    Raises
    ------
    TraceError
        When the frames lie further apart than the size that was typed.
    """
    low, high = int(numbers[frames.LOW_FRAME]), int(numbers[frames.HIGH_FRAME])
    seen = Memory(0, _LEAST_FRAMES, window.page_size)
    where = f"of {seen.page_size} bytes: it names no frame"
    if high:
        seen = memory_seen(low, high, window.page_size)
        where = (
            f"from {seen.first_frame:#x} on, of {seen.page_size} bytes, "
            "which is where its frames lie"
        )
    shown = window._replace(first_frame=seen.first_frame, frames=seen.frames)
    size = window.typed_bytes[1]
    if not size:
        return shown, Loss("guessed_memory", seen.frames, where)
    count = size // window.page_size
    low = low if high else 0
    # At as round a place as the frames allow.
    first = low
    for granule in (ROUND_FRAMES, *_ROUNDER_FRAMES):
        if high <= low // granule * granule + count:
            first = low // granule * granule
            break
    if high > first + count:
        what = (
            f"--memory: {count:,} frames are too few, for those of the trace lie from {low:#x} to "
            f"{high - 1:#x}"
        )
        raise TraceError(what)
    where = f"taken from {first:#x} on, of {window.page_size} bytes, where the trace's frames lie"
    shown = window._replace(first_frame=first, frames=count)
    return shown, Loss("guessed_memory_start", count, where)
