"""A capture of a real kernel as an mm event table.

Chunks of it become records (reader.py), and records become rows (state.py), which are put together
at the end (tables.py). A row takes 31 bytes of memory until then, and the text is not kept: 2 GB of
text need less than 1 GB of memory.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from core.accesses import Accesses, check_accesses, modelled_bits
from core.events import ALLOC, FREE, PHASE, Events, make_events
from core.import_losses import Loss, losses_of
from core.workload.ftrace import frames
from core.workload.ftrace.accesses import AccessState
from core.workload.ftrace.checks import check_import
from core.workload.ftrace.guesses import guesses, inferred
from core.workload.ftrace.lacks import lacks
from core.workload.ftrace.lines import Records, joined
from core.workload.ftrace.memory import Memory
from core.workload.ftrace.order import Repeats, refuse_newest_first
from core.workload.ftrace.page_flags import PageFlags
from core.workload.ftrace.reader import RecordReader, TextReader
from core.workload.ftrace.requests import RequestState
from core.workload.ftrace.shown_machine import machine_of, memory_shown, tells_frames
from core.workload.ftrace.state import MOST_MOVED_NS, KernelState
from core.workload.ftrace.tables import EventRows, access_table
from core.workload.ftrace.tasks import PRELUDE_RECORDS, TaskState
from core.workload.ftrace.words import ADD, DELETE, REFAULT
from core.workload.text import Progress, TraceError

#: The counts of an import by name: their places in the numbers of `KernelState`.
_COUNTED = {
    "insertions": frames.INSERTIONS,
    "inserted_pages": frames.INSERTED_PAGES,
    "reclaimed_folios": frames.RECLAIMED_FOLIOS,
    "reclaimed_pages": frames.RECLAIMED_PAGES,
    "truncated_folios": frames.TRUNCATED_FOLIOS,
    "refault_events": frames.REFAULT_EVENTS,
    "refaulted_pages": frames.RETURNED_PAGES,
    "metadata_insertions": frames.METADATA_INSERTIONS,
    "write_insertions": frames.WRITE_INSERTIONS,
    "inodes_gone": frames.INODES_GONE,
    "tagged_allocations": frames.TAGGED_ALLOCATIONS,
    "moved_tagged_pages": frames.MOVED_TAGGED,
    "freed_tagged_pages": frames.FREED_TAGGED,
    "tagged_samples": frames.SAMPLES,
    "equal_tagged_samples": frames.EQUAL_SAMPLES,
}


#: Of so many folios most should lie where folios of their size can.
_TELLING_FOLIOS = 16


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
        Its parts, each plain or compressed: one after the other, or one of each CPU.
    progress
        Called with the bytes read so far of all files together, and with their size.
    memory, source, with_accesses
        As of `import_records`.

    Raises
    ------
    TraceError
        When a file cannot be read, or holds no event of page cache or page allocator.
    """
    kernel, page_size = (memory.kernel, memory.page_size) if memory else ("", 0)
    reader = TextReader(paths, progress, kernel, page_size)
    return import_records(reader, memory, source, with_accesses)


def import_records(
    reader: RecordReader,
    memory: Memory | None = None,
    source: str = "",
    with_accesses: bool = False,
) -> Imported:
    """Return the mm events in a capture.

    Parameters
    ----------
    reader
        What reads it.
    memory
        The traced machine's memory. What is not known of it is taken from the trace: the range of
        its frames is that of the frames it names, and the size of its pages what places in files
        are multiples of.
    source
        Where the table comes from, in words.
    with_accesses
        Whether to make an access trace too, for the front end.

    Raises
    ------
    TraceError
        When a file cannot be read, or holds no event of page cache or page allocator.
    """
    read = _read(reader, memory, with_accesses)
    given, requests, numbers = read.machine, read.requests, read.kernel.numbers
    why = _why_nothing(reader, requests.seen, numbers, given.page_size)
    if why is not None:
        raise TraceError(why, file=reader.names)
    finished = read.event_rows.finish(requests)
    columns, shown = finished.columns, given
    losses = (*reader.losses(), *_losses(reader, numbers), *_lacks(read))
    if memory is None or not tells_frames(memory):
        shown, loss = memory_shown(given, numbers)
        losses += (loss,)
        moved = (columns["op"] == ALLOC) | (columns["op"] == FREE)
        columns["pfn"][moved] -= shown.first_frame - given.first_frame
    losses += (*_holes(shown), *guesses(requests, numbers, finished, given.page_flags))
    stores = int(numbers[frames.STORES])
    events = make_events(
        columns,
        page_size=shown.page_size,
        data_pages=shown.frames,
        source=source,
        requests=requests.tells_requests,
        phases=tuple(reader.phases.names),
        mapped=bool(0 < stores == numbers[frames.FLAGGED_STORES]),
        workingset_inferred_ratio=finished.inferred_stores / stores if stores else 0.0,
        left_out=_left_out(requests, numbers),
        cache_counters=given.cache_counters,
        checks=check_import(numbers, given.kernel_counts, requests.seen[REFAULT] > 0),
        losses=losses,
        sampled=given.sampled,
        name=reader.names,
    )
    warnings = [*reader.warnings(), *_warnings(numbers), *inferred(requests, numbers, finished)]
    warnings = [f"{reader.names}: {told}" for told in (*warnings, *events.import_warnings())]
    counts = reader.counts() | {"rows": events.op.size}
    counts |= {name: int(numbers[place]) for name, place in _COUNTED.items()}
    counts |= {
        "requests": requests.requests,
        "phases": int((events.op == PHASE).sum()),
        "inferred_workingset_stores": finished.inferred_stores,
        **dict(events.left_out),
    }
    accesses = _accesses(read, shown, events, reader.names)
    if accesses is not None:
        warnings += [f"{reader.names}: {loss.warning}" for loss in modelled_bits(accesses)]
    return Imported(events, accesses, counts, reader.unused(), warnings)


class _Read(NamedTuple):
    """What all records of a capture have told."""

    machine: Memory  # the frames that were looked at
    guessed: tuple[Loss, ...]  # what of it is a guess
    tasks: TaskState
    repeats: Repeats
    requests: RequestState
    kernel: KernelState
    event_rows: EventRows
    access_state: AccessState | None
    access_rows: list[tuple[NDArray[np.int64], NDArray[np.int64]]]


def _read(reader: RecordReader, memory: Memory | None, with_accesses: bool) -> _Read:
    """Read the records of a capture to their end."""
    chunks = reader.records()
    prelude = _prelude(reader, chunks)
    given, guessed = machine_of(memory or Memory(0, 0, 0), prelude)
    machine = (given.first_frame, given.frames, given.page_size)
    read = _Read(
        given,
        guessed,
        TaskState(),
        Repeats(),
        RequestState(*machine),
        KernelState(*machine, given.page_flags or PageFlags()),
        EventRows(),
        AccessState(*machine) if with_accesses else None,
        [],
    )
    for chunk in chain([prelude], chunks):
        records = read.tasks.number(read.repeats.left_out(chunk))
        by = read.tasks.advance(records)
        insertions = read.requests.advance(records)
        read.event_rows.add(*read.kernel.advance(records, insertions, by))
        if read.access_state is not None:
            read.access_rows.append(read.access_state.advance(records, insertions, by))
    return read


def _lacks(read: _Read) -> Iterator[Loss]:
    """Yield what the events of a trace do not tell, or tell twice."""
    has_reclaim = "mm_vmscan_direct_reclaim_begin" in read.machine.recorded
    yield from read.tasks.losses(has_reclaim)
    yield from read.repeats.losses()
    yield from lacks(read.requests.seen, read.kernel.numbers, read.machine.recorded)
    yield from read.guessed


def _accesses(read: _Read, shown: Memory, events: Events, names: str) -> Accesses | None:
    """Return the access trace, if it is asked for, of what became mm events."""
    if read.access_state is None:
        return None
    shift = shown.first_frame - read.machine.first_frame
    told = (events.source, events.phases)
    accesses = access_table(read.access_state, read.access_rows, read.requests, shown, shift, *told)
    accesses = accesses._replace(losses=(*events.losses, *modelled_bits(accesses)))
    check_accesses(accesses, names)
    return accesses


def _prelude(reader: RecordReader, chunks: Iterator[Records]) -> Records:
    """Return the first records as one chunk; what they show is known before any becomes a row.

    A trace without any is refused: it takes no room for what is known of frames.
    """
    parts: list[Records] = []
    while sum(part.kind.size for part in parts) < PRELUDE_RECORDS:
        part = next(chunks, None)
        if part is None:
            break
        parts.append(part)
    if not any(part.kind.size for part in parts):
        raise TraceError(reader.why_nothing(), file=reader.names)
    records = joined(parts)
    refuse_newest_first(records, reader.names)
    return records


def _why_nothing(
    reader: RecordReader, seen: NDArray[np.int64], numbers: NDArray[np.int64], page_size: int
) -> str | None:
    """Return why a trace has no rows, or none that can be used; None where it has.

    `seen` is the number of its events of each kind.
    """
    if numbers[frames.MOVED_NS] >= MOST_MOVED_NS:
        return (
            f"the clock stepped back {numbers[frames.CLOCK_STEPS]:,} times, by more than 73 years "
            "in all, the first in "
            f"{reader.place(int(numbers[frames.FIRST_STEP_LINE]))}: are there lines of several "
            "clocks in it?"
        )
    folios = int(seen[[ADD, DELETE]].sum())
    has_rows = numbers[frames.ROWS] + numbers[frames.CHUNK_ROWS] > 0
    if has_rows and 2 * numbers[frames.MISALIGNED] > folios >= _TELLING_FOLIOS:
        return (
            f"{numbers[frames.MISALIGNED]:,} of {folios:,} folios that enter or leave the page "
            f"cache lie at no multiple of their size in pages of {page_size} bytes: give the size "
            "of its pages (--page-size), or whole lines if these are cut or wrapped"
        )
    if has_rows:
        return None
    if numbers[frames.MISALIGNED]:
        return (
            f"all {numbers[frames.MISALIGNED]:,} folios lie at no multiple of their size in pages "
            f"of {page_size} bytes: give the size of its pages (--page-size)"
        )
    if numbers[frames.OUTSIDE]:
        return (
            f"all {numbers[frames.OUTSIDE]:,} frames lie outside the memory: give the right one "
            "(--memory, --memory-start)"
        )
    if seen.any():
        why = "".join(f"; {loss.warning}" for loss in reader.losses())
        return f"{int(seen.sum()):,} events, and none is of a file's page or of a tagged one{why}"
    return reader.why_nothing()


def _holes(memory: Memory) -> tuple[Loss, ...]:
    """Return the loss that says how much of the memory is none: a little is firmware's."""
    is_much = memory.holes > memory.frames >> 4
    where = f"of {memory.frames:,} frames"
    return losses_of({"memory_holes": (memory.holes if is_much else 0, where)})


def _left_out(requests: RequestState, numbers: NDArray[np.int64]) -> tuple[tuple[str, int], ...]:
    """Return the pages that are in no row of the events, and those the kernel counts as refaults.

    In a trace without ``workingset_refault``, a page of metadata that was evicted before counts;
    of a page that a write makes, the kernel counts none.
    """
    has_refaults = requests.seen[REFAULT] > 0
    metadata = frames.METADATA_REFAULTS if has_refaults else frames.METADATA_RETURNED
    places = {
        "metadata_pages": frames.METADATA_PAGES,
        "metadata_refaults": metadata,
        "write_pages": frames.WRITE_PAGES,
        "write_refaults": frames.WRITE_REFAULTS,
    }
    if has_refaults:
        # Those of pages that are in rows: fewer than the rows tell, where shadows were dropped.
        places["row_refaults"] = frames.ROW_REFAULTS
    return tuple((name, int(numbers[place])) for name, place in places.items())


def _losses(reader: RecordReader, numbers: NDArray[np.int64]) -> tuple[Loss, ...]:
    """Return what the events of a trace lack to be those of one kernel."""
    largest_s = numbers[frames.LARGEST_STEP_NS] / 1e9
    return losses_of(
        {
            "clock_steps": (
                numbers[frames.CLOCK_STEPS],
                f"by {largest_s:.3g} s at most, the first in "
                f"{reader.place(int(numbers[frames.FIRST_STEP_LINE]))}",
            ),
            "events_before_first": (numbers[frames.BEFORE_FIRST], ""),
            "misaligned_folios": (numbers[frames.MISALIGNED], ""),
            "frames_outside": (numbers[frames.OUTSIDE], ""),
            "missed_frees": (numbers[frames.MISSED_FREES], ""),
            "copies_before_base": (numbers[frames.NO_BASE], ""),
        }
    )


def _warnings(numbers: NDArray[np.int64]) -> list[str]:
    """Return what else a user should know of a trace: how often."""
    warnings = [
        (
            numbers[frames.JITTERS],
            "events are up to 1 ms older than the one before: put at its time",
        ),
        (numbers[frames.UNMATCHED_REFAULTS], "refaults are of no insertion (anonymous pages)"),
        (numbers[frames.UNKNOWN_FREED], "frames were freed that were allocated before the trace"),
        (numbers[frames.FAILED], "allocations failed"),
        (
            numbers[frames.SAMPLES] - numbers[frames.EQUAL_SAMPLES],
            "samples of /proc/kpageflags count other tagged pages than the events",
        ),
    ]
    return [f"{count:,} {what}" for count, what in warnings if count]
