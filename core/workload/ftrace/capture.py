"""A capture of a real kernel, ftrace text, as an mm event table.

Chunks of text become records (lines.py), and records become rows (state.py, frames.py). A row takes
27 bytes of memory, and the text is not kept: 2 GB of text need less than 1 GB of memory.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from core.accesses import BOOT_HANDLE, GIVE, Accesses, check_accesses
from core.accesses import SCHEMA as ACCESS_SCHEMA
from core.events import ALLOC, FREE, SCHEMA, Events, make_events
from core.workload.ftrace import frames, lines
from core.workload.ftrace.accesses import FREE_AT_START, FREE_THEN, AccessState
from core.workload.ftrace.memory import UNKNOWN_FRAMES, Memory, memory_seen
from core.workload.ftrace.state import KernelState
from core.workload.text import Progress, TraceError, read_chunks

#: The counts of an import by name: their places in the numbers of `KernelState`.
_COUNTED = {
    "insertions": frames.INSERTIONS,
    "inserted_pages": frames.INSERTED_PAGES,
    "reclaimed_folios": frames.RECLAIMED_FOLIOS,
    "reclaimed_pages": frames.RECLAIMED_PAGES,
    "truncated_folios": frames.TRUNCATED_FOLIOS,
    "refault_events": frames.REFAULT_EVENTS,
    "tagged_allocations": frames.TAGGED_ALLOCATIONS,
    "moved_tagged_pages": frames.MOVED_TAGGED,
    "freed_tagged_pages": frames.FREED_TAGGED,
    "tagged_samples": frames.SAMPLES,
    "equal_tagged_samples": frames.EQUAL_SAMPLES,
}


class Imported(NamedTuple):
    """An imported capture, and what its import counted and warns of."""

    events: Events
    accesses: Accesses | None  # if they are asked for
    counts: dict[str, int]  # what was imported, by name
    unused: dict[str, int]  # events that an import does not use, by name
    warnings: list[str]  # what the user should know


def import_ftrace(
    paths: Sequence[str | os.PathLike[str]],
    memory: Memory | None = None,
    source: str = "",
    progress: Progress | None = None,
    with_accesses: bool = False,
) -> Imported:
    """Return the mm events in the text of a trace, in one file or in several parts.

    Parameters
    ----------
    paths
        The parts in the order of time, each plain, gzip or zstd.
    memory
        The traced machine's memory; by default 4 KiB pages around the frames that the trace names.
    source
        Where the table comes from, in words.
    progress
        Called with the bytes read so far of all files together, and with their size.
    with_accesses
        Whether to make an access trace too, for the front end.

    Raises
    ------
    TraceError
        When a file cannot be read, or holds no event of page cache or page allocator.
    """
    given = memory or Memory(0, UNKNOWN_FRAMES, 4096)
    parser = lines.LineParser()
    kernel = KernelState(given.first_frame, given.frames, given.page_size)
    columns: dict[str, list[NDArray[Any]]] = {name: [] for name in SCHEMA.names}
    known = []
    access_state = (
        AccessState(given.first_frame, given.frames, given.page_size) if with_accesses else None
    )
    parts = []
    for _, text in read_chunks(paths, progress):
        records = parser.parse(text)
        rows, learnt = kernel.advance(records)
        if access_state is not None:
            parts.append(access_state.advance(records))
        known.append(learnt)
        for number, field in enumerate(SCHEMA):
            columns[field.name].append(rows[:, number].astype(field.type.to_pandas_dtype()))
    names = ", ".join(os.fspath(path) for path in paths)
    numbers = kernel.numbers
    if numbers[frames.ROWS] + numbers[frames.CHUNK_ROWS] == 0:
        raise TraceError(_nothing(parser), file=names)
    together = {name: np.concatenate(columns.pop(name)) for name in SCHEMA.names}
    learnt = np.concatenate(known)
    together["flags"][learnt[:, 0]] = learnt[:, 1]
    warnings = _warnings(names, parser, numbers)
    if memory is None:
        has_frames = numbers[frames.HIGH_FRAME] > 0
        low, high = int(numbers[frames.LOW_FRAME]), int(numbers[frames.HIGH_FRAME])
        memory = memory_seen(low, high, 4096)
        memory = memory if has_frames else Memory(0, 32, 4096)
        warnings.append(
            f"{names}: nothing beside it tells the memory: taken as {memory.frames} frames from "
            f"{memory.first_frame:#x} on, of 4096 bytes, which is where its frames lie"
        )
        moved = (together["op"] == ALLOC) | (together["op"] == FREE)
        together["pfn"][moved] -= memory.first_frame
    events = make_events(
        together, page_size=memory.page_size, data_pages=memory.frames, source=source, name=names
    )
    shift = memory.first_frame - given.first_frame
    accesses = (
        None if access_state is None else _accesses(access_state, parts, memory, shift, source)
    )
    if accesses is not None:
        check_accesses(accesses, names)
    counts = {name: int(numbers[place]) for name, place in _COUNTED.items()}
    counts = {"lines": int(parser.counts[lines.LINES]), "rows": events.op.size, **counts}
    return Imported(events, accesses, counts, parser.others, warnings)


def _accesses(
    access_state: AccessState,
    parts: list[tuple[NDArray[np.int64], NDArray[np.int64]]],
    memory: Memory,
    shift: int,
    source: str,
) -> Accesses:
    """Return the access trace: the rows of all chunks but those of allocations of page cache.

    `parts` has the rows and the dropped rows of each chunk, as `AccessState.advance` returns them.
    `shift` is the number of the memory's first frame, counted from the first frame of
    `access_state`.
    """
    rows = np.concatenate([rows for rows, _ in parts])
    keep = np.ones(rows.shape[0], dtype=np.bool_)
    keep[np.concatenate([dropped for _, dropped in parts])] = False
    rows = rows[keep]
    columns: dict[str, Any] = {
        field.name: rows[:, number].astype(field.type.to_pandas_dtype())
        for number, field in enumerate(ACCESS_SCHEMA)
    }
    low, high = memory.watermarks()
    free_pages = int(access_state.numbers[FREE_AT_START]) or memory.free_pages or memory.frames
    free_pages = min(free_pages, memory.frames)
    given = (columns["op"] == GIVE) & (columns["handle"] >= BOOT_HANDLE)
    columns["handle"][given] -= shift
    return Accesses(
        **columns,
        page_size=memory.page_size,
        data_pages=memory.frames,
        free_pages=free_pages,
        low_pages=low,
        high_pages=high,
        source=source,
        free_ranges=_free_ranges(access_state.began[shift : shift + memory.frames], free_pages),
    )


def _free_ranges(began: NDArray[np.uint8], free_pages: int) -> tuple[tuple[int, int], ...]:
    """Return the ranges (first, end) of the frames that were free when a trace began.

    `began` says it for the frames that the trace names. Of the other frames, as many of the last
    ones are taken as free as `free_pages` needs.
    """
    free = np.zeros(began.size + 2, dtype=np.int8)
    free[1:-1] = began == FREE_THEN
    lacking = free_pages - int(free.sum())
    if lacking > 0:
        unnamed = np.flatnonzero(began == 0)
        free[1 + unnamed[-lacking:]] = 1
    edges = np.flatnonzero(np.diff(free))
    return tuple(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))


def _nothing(parser: lines.LineParser) -> str:
    """Return why a trace without a row cannot be imported."""
    if parser.others:
        names = ", ".join(list(parser.others)[:5])
        return (
            f"no event of the page cache or of tagged pages in it, only {names}: "
            "sweep trace record sets up those that are needed"
        )
    return "no line of it is an event: is it ftrace, trace-cmd report or perf script text?"


def _warnings(names: str, parser: lines.LineParser, numbers: NDArray[np.int64]) -> list[str]:
    """Return what is wrong with a trace: how often, and where first."""
    counts = parser.counts
    warnings = [
        (
            counts[lines.GARBAGE],
            f"lines are no events, the first is line {counts[lines.FIRST_GARBAGE]}",
        ),
        (
            counts[lines.INCOMPLETE],
            f"events lack a field, the first in line {counts[lines.FIRST_INCOMPLETE]}",
        ),
        (counts[lines.LOST_EVENTS], "events were lost while recording: counts are too low by them"),
        (
            numbers[frames.CLOCK_STEPS],
            f"times the clock stepped back, by {numbers[frames.LARGEST_STEP_NS] / 1e9:.3g} s at "
            f"most, first in line {numbers[frames.FIRST_STEP_LINE]}: time goes on from there",
        ),
        (
            numbers[frames.JITTERS],
            "events are up to 1 ms older than the one before: put at its time",
        ),
        (numbers[frames.MISALIGNED], "folios lie at no multiple of their size: left out"),
        (numbers[frames.UNMATCHED_REFAULTS], "refaults are of no insertion (anonymous pages)"),
        (numbers[frames.UNKNOWN_FREED], "frames were freed that were allocated before the trace"),
        (numbers[frames.MISSED_FREES], "tagged frames were allocated anew and their free not seen"),
        (numbers[frames.OUTSIDE], "events are of frames outside the memory: left out"),
        (numbers[frames.FAILED], "allocations failed"),
        (
            numbers[frames.NO_BASE],
            "page copies came before the first tagged allocation: taken as untagged",
        ),
        (
            numbers[frames.SAMPLES] - numbers[frames.EQUAL_SAMPLES],
            "samples of /proc/kpageflags count other tagged pages than the events",
        ),
    ]
    return [f"{names}: {count:,} {what}" for count, what in warnings if count]
