"""Cuts tables of mm events and access traces, by time or phase, with what is in use at the cut.

A table says what happens in the frames and address spaces that it names. So what is in use where a
cut begins becomes rows at its begin: frames that are allocated, memory that is taken, pages of
address spaces, the size of a region, and the phase. A cache begins empty, as in every table: what a
store put there before the cut is not known to be cached.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from core.accesses import ANONYMOUS, BOOT_HANDLE, EXIT, GIVE, MAP, READ, TAKE, UNMAP, USE, Accesses
from core.accesses import PHASE as ACCESS_PHASE
from core.events import (
    ALLOC,
    FREE,
    INVALIDATE_INODE,
    JOIN,
    MOVABLE,
    NO_PHASE,
    PHASE,
    PINNED,
    RESIZE,
    RESTORE,
    TAGGED,
    Events,
)
from core.import_losses import Loss
from core.workload.cut.asked import Asked, NoSuchPhase
from core.workload.text import TraceError

Columns = dict[str, NDArray[Any]]
#: Rows of an access trace whose pages are looked at together.
_BLOCK_ROWS = 1 << 20


class CutTable(NamedTuple):
    """What a cut of a table kept; the table itself is `table`."""

    table: Events | Accesses
    rows: int  # of the whole table
    kept_rows: int
    carried_rows: int  # of what was in use where it begins
    phases: list[str]  # of the whole table
    occurrences: int  # of the phase that was asked for


def cut_table(table: Events | Accesses, asked: Asked, name: str) -> CutTable:
    """Cut a table of mm events or an access trace.

    Parameters
    ----------
    table
        The table, which has been checked.
    asked
        What is kept; tasks cannot be told in a table.
    name
        Its file, for messages.

    Raises
    ------
    NoSuchPhase
        When it has no such phase.
    TraceError
        When tasks are asked for, or nothing is left.
    """
    if asked.by_tasks:
        option = "--task" if asked.cgroup is None else "--cgroup"
        what = f"{option}: a table does not say which task did what: cut the text of its capture"
        raise TraceError(what, file=name)
    if isinstance(table, Events):
        return _cut(table, asked, name, PHASE, _carried_events)
    return _cut(table, asked, name, ACCESS_PHASE, _carried_accesses)


def _cut(table: Any, asked: Asked, name: str, phase_op: int, carried_rows: Any) -> CutTable:
    rows, columns = table.op.size, dict(table.columns)
    first, end, occurrences = _range(table, asked, name, phase_op)
    cut = table
    carried: Columns = {key: column[:0] for key, column in columns.items()}
    if first > 0 or end < rows:
        begin_ns = int(table.time_ns[first])
        if asked.begin is not None:
            asked_ns = asked.begin.after(int(table.time_ns[0]))
            begin_ns = max(min(begin_ns, asked_ns), int(table.time_ns[0]))
        carried = carried_rows(columns, first, begin_ns, phase_op)
        kept: Columns = {
            key: np.concatenate([carried[key], column[first:end]])
            for key, column in columns.items()
        }
        _begin_request(kept, isinstance(table, Events), table.requests)
        kept["index"], phases = _named(kept, table.phases, phase_op)
        for column in kept.values():
            column.flags.writeable = False
        losses = (*table.losses, Loss("cut", rows - (end - first), asked.words))
        if frames := _pages_of(carried):
            losses = (*losses, Loss("carried_frames", frames))
        cut = table._replace(**kept, phases=phases, losses=losses)
        if isinstance(cut, Events):
            # What was counted of the whole trace says nothing of a part.
            cut = cut._replace(checks=(), cache_counters=(), left_out=())
    if asked.anonymise:
        cut = anonymous(cut)
    sizes = (rows, end - first, carried["op"].size)
    return CutTable(cut, *sizes, list(table.phases), occurrences)


def _range(table: Any, asked: Asked, name: str, phase_op: int) -> tuple[int, int, int]:
    """Return the first row that is kept, that behind the last, and a phase's occurrences."""
    rows = table.op.size
    if not rows:
        raise TraceError("has no rows: there is nothing to cut", file=name)
    begin_ns, last_ns = int(table.time_ns[0]), int(table.time_ns[-1])
    first, end = 0, rows
    if asked.begin is not None:
        first = int(np.searchsorted(table.time_ns, asked.begin.after(begin_ns)))
    if asked.end is not None:
        end = int(np.searchsorted(table.time_ns, asked.end.after(begin_ns)))
    occurrences = 0
    if asked.phase is not None:
        marks = np.flatnonzero(table.op == phase_op)
        names = [*table.phases, ""]
        named = [names[min(number, len(table.phases))] for number in table.index[marks].tolist()]
        places = [place for place, each in enumerate(named) if each == asked.phase]
        occurrences = len(places)
        if not places:
            raise NoSuchPhase(f"no phase {asked.phase}", name, list(table.phases))
        if occurrences < asked.occurrence:
            what = f"the phase {asked.phase} occurs {occurrences} times"
            raise TraceError(f"{what}: --occurrence is at most that", file=name)
        place = places[asked.occurrence - 1]
        first = max(first, int(marks[place]))
        end = min(end, int(marks[place + 1]) if place + 1 < marks.size else rows)
    if first >= end:
        raise TraceError(
            f"nothing is left {asked.words}: it lasts {(last_ns - begin_ns) / 1e9:.9g}s, "
            f"from @{begin_ns / 1e9:.9f}s to @{last_ns / 1e9:.9f}s",
            file=name,
        )
    return first, end, occurrences


def _begin_request(kept: Columns, is_events: bool, tells_requests: bool) -> None:
    """Let what is left of a request that the cut goes through begin with its first row."""
    op = RESTORE if is_events else READ
    reads = np.flatnonzero(kept["op"] == op)
    if tells_requests and reads.size:
        kept["flags"][reads[0]] &= np.uint8(~JOIN & 0xFF)


def _named(
    kept: Columns, phases: tuple[str, ...], phase_op: int
) -> tuple[NDArray[Any], tuple[str, ...]]:
    """Return the column of indexes, and the phases that it numbers: those that are left."""
    marks = np.flatnonzero((kept["op"] == phase_op) & (kept["index"] != NO_PHASE))
    left = list(dict.fromkeys(kept["index"][marks].tolist()))
    index = kept["index"].copy()
    places = {number: place for place, number in enumerate(left)}
    index[marks] = [places[number] for number in kept["index"][marks].tolist()]
    return index, tuple(phases[number] for number in left)


def _pages_of(rows: Columns) -> int:
    """Return the pages of what was in use at a cut."""
    in_use = np.isin(rows["op"], (ALLOC, TAKE)) if rows["op"].size else np.zeros(0, dtype=bool)
    return int((1 << rows["order"][in_use].astype(np.int64)).sum())


def _rows(columns: Columns, time_ns: int, **given: Any) -> Columns:
    """Return rows of one time; the columns that are not given are 0."""
    shape = np.broadcast_shapes(*(np.atleast_1d(values).shape for values in given.values()))
    made = {"time_ns": time_ns, **given}
    return {
        name: np.broadcast_to(made.get(name, 0), shape).astype(column.dtype)
        for name, column in columns.items()
    }


def _together(columns: Columns, parts: list[Columns]) -> Columns:
    return {
        name: np.concatenate([column[:0], *(part[name] for part in parts)])
        for name, column in columns.items()
    }


def _phase_at(columns: Columns, first: int, time_ns: int, phase_op: int) -> list[Columns]:
    """Return the phase in which row `first` is, unless a phase begins with it, as rows."""
    marks = np.flatnonzero(columns["op"][:first] == phase_op)
    is_new = columns["op"][first] == phase_op
    if is_new or not marks.size or columns["index"][marks[-1]] == NO_PHASE:
        return []
    return [_rows(columns, time_ns, op=phase_op, index=columns["index"][marks[-1]])]


def _carried_events(columns: Columns, first: int, time_ns: int, phase_op: int) -> Columns:
    """Return the frames that are allocated before row `first`, a row each, and the phase."""
    op, order = columns["op"][:first], columns["order"][:first].astype(np.int64)
    changes = np.flatnonzero((op == ALLOC) | (op == FREE))
    pages = 1 << order[changes]
    row = np.repeat(changes, pages)
    within = np.arange(row.size) - np.repeat(np.cumsum(pages) - pages, pages)
    frame = columns["pfn"][row] + within
    # Of what happens in a frame, the last counts: of equal values, unique finds the first.
    frames, last = np.unique(frame[::-1], return_index=True)
    row = row[::-1][last]
    live = op[row] == ALLOC
    frames, flags = frames[live], columns["flags"][row[live]] & (TAGGED | PINNED | MOVABLE)
    parts = [_rows(columns, time_ns, op=ALLOC, pfn=frames, flags=flags)]
    sizes = np.flatnonzero(op == RESIZE)
    if sizes.size:
        parts.append(_rows(columns, time_ns, op=RESIZE, pfn=columns["pfn"][sizes[-1]]))
    return _together(columns, [*parts, *_phase_at(columns, first, time_ns, phase_op)])


def _carried_accesses(columns: Columns, first: int, time_ns: int, phase_op: int) -> Columns:
    """Return what is taken before row `first`, pages of address spaces, and the phase, as rows."""
    parts = []
    taken = _still_taken(columns, first)
    if taken.size:
        of_rows = {name: column[taken] for name, column in columns.items()}
        parts.append(of_rows | {"time_ns": np.full(taken.size, time_ns, dtype=np.int64)})
    pages, flags = _mapped_pages(columns, first)
    if pages.size:
        space, index = pages >> 32, pages & 0xFFFF_FFFF
        parts.append(_rows(columns, time_ns, op=ANONYMOUS, inode=space, index=index, flags=flags))
    return _together(columns, [*parts, *_phase_at(columns, first, time_ns, phase_op)])


def _still_taken(columns: Columns, first: int) -> NDArray[np.int64]:
    """Return the rows before `first` of memory of another kind that still matter there.

    These are takes of memory that is not given back whole, what was given back of it, and what was
    given back of the memory of before the trace.
    """
    op, handle = columns["op"][:first], columns["handle"][:first]
    rows = np.flatnonzero((op == TAKE) | (op == GIVE))
    of_boot = handle[rows] >= BOOT_HANDLE
    boot, rows = rows[of_boot], rows[~of_boot]
    _, number = np.unique(handle[rows], return_inverse=True)
    pages = 1 << columns["order"][rows].astype(np.int64)
    signed = np.where(op[rows] == TAKE, pages, -pages)
    left = np.bincount(number, weights=signed, minlength=1)
    # A handle that is used again has the rows of its last use.
    last_take = np.full(left.size, -1, dtype=np.int64)
    takes = op[rows] == TAKE
    np.maximum.at(last_take, number[takes], rows[takes])
    live = (left[number] > 0) & (rows >= last_take[number])
    kept: NDArray[np.int64] = np.sort(np.concatenate([boot, rows[live]]))
    return kept


def _mapped_pages(columns: Columns, first: int) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
    """Return the pages, space << 32 | index, of address spaces before row `first`."""
    pages, flags = np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.uint8)
    for begin in range(0, first, _BLOCK_ROWS):
        end = min(first, begin + _BLOCK_ROWS)
        op = columns["op"][begin:end]
        rows = np.flatnonzero((op == ANONYMOUS) | (op == UNMAP)) + begin
        sizes = 1 << columns["order"][rows].astype(np.int64)
        row = np.repeat(rows, sizes)
        within = np.arange(row.size) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        page = (columns["inode"][row].astype(np.int64) << 32 | columns["index"][row]) + within
        is_there = columns["op"][row] == ANONYMOUS
        every = np.concatenate([pages, page])[::-1]
        every_flag = np.concatenate([flags, columns["flags"][row]])[::-1]
        every_there = np.concatenate([np.ones(pages.size, dtype=np.bool_), is_there])[::-1]
        pages, last = np.unique(every, return_index=True)
        live = every_there[last]
        pages, flags = pages[live], every_flag[last][live]
    return pages, flags


def anonymous(table: Any) -> Any:
    """Return a table that names nobody: no source and no phase; files are numbered by first use."""
    columns: Columns = dict(table.columns)
    phases = tuple(f"phase-{number + 1}" for number in range(len(table.phases)))
    if isinstance(table, Events):
        names_file = columns["op"] <= INVALIDATE_INODE
        changed: Columns = {}
    else:
        names_file = (columns["op"] <= UNMAP) | (columns["op"] == USE)
        of_task = (columns["op"] == MAP) | (columns["op"] == EXIT)
        changed = {"handle": _by_first_use(columns["handle"], of_task)}
    changed["inode"] = _by_first_use(columns["inode"], names_file)
    for column in changed.values():
        column.flags.writeable = False
    # What is said of where a loss is may name a file.
    losses = tuple(loss if loss.name == "cut" else Loss(*loss[:2]) for loss in table.losses)
    return table._replace(source="anonymised", phases=phases, losses=losses, **changed)


def _by_first_use(column: NDArray[Any], used: NDArray[np.bool_]) -> NDArray[Any]:
    """Return a column whose numbers, in the rows that are used, say when each first came."""
    values, place, number = np.unique(column[used], return_index=True, return_inverse=True)
    rank = np.empty(values.size, dtype=column.dtype)
    rank[np.argsort(place)] = np.arange(values.size)
    numbered = column.copy()
    numbered[used] = rank[number]
    return numbered
