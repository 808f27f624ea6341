"""Tasks of a traced kernel: their numbers, and which deletions from the page cache are reclaim.

A task is told by its pid and by what it does; its name is a hint, for many traces lack it:

* A kswapd is a task of that name (or of DAMON's, kdamond), or one that wakes or sleeps as such
  (``mm_vmscan_kswapd_wake``, ``_sleep``), whatever its name is. It is one in the whole chunk of the
  trace that says so; the first chunk is long (`PRELUDE_RECORDS`): a kswapd that runs when the trace
  begins is known.
* Any other task reclaims from the begin of a reclaim to its end. These nest. An end without a begin
  ends a reclaim that began before the trace: what the task deleted before is reclaim too, as far
  back as it did nothing else. A begin without an end ends where the task does something that no
  task does within reclaim: it looks a page up, faults, inserts a page of a file, or exits.
* ``mm_vmscan_reclaim_pages`` comes after what a program (MADV_PAGEOUT) or DAMON has reclaimed.
* All other deletions are taken for truncation. Those of which the trace does not tell that they are
  none of reclaim's are counted.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from core.import_losses import Loss, losses_of
from core.jit import entry, kernel, wide
from core.workload.ftrace.lines import Records
from core.workload.ftrace.requests import TASK_ROWS, TASKS, UNKNOWN_TASK, is_metadata
from core.workload.ftrace.words import (
    ADD,
    ASYNC_READAHEAD,
    DELETE,
    DEV,
    FAULT,
    GET_PAGES,
    INO,
    KINDS,
    KSWAPD_SLEEP,
    KSWAPD_WAKE,
    MAP_PAGES,
    READAHEAD,
    RECLAIM_BEGIN,
    RECLAIM_END,
    RECLAIM_PAGES,
    SYNC_READAHEAD,
    TASK_EXEC,
    TASK_EXIT,
)

#: So many records are read before the first becomes a row.
PRELUDE_RECORDS = 1 << 17
#: Who deletes a folio: nobody of reclaim; a kswapd; a task that waits for it.
NOBODY, KSWAPD, WAITING_TASK = range(3)
# Columns of `tasks`: the reclaims that are open; whether one inside another has ended, after which
# nothing but the end of the other one tells that it went on; whether something else ended a
# reclaim; whether the task was ever in reclaim; its last deletion that is truncation until
# something tells otherwise, in the chunk of that number; how many of these there are; whether it is
# a kswapd, is none, and has a name; and whether it is in the list of those that delete or reclaim.
_OPEN, _INNER_ENDED, _CUT_SHORT, _RECLAIMED, _LAST, _CHUNK = range(6)
_TRUNCATIONS, _IS_KSWAPD, _IS_OTHER, _NAMED, _LISTED, _COLUMNS = range(6, 12)
# Elements of `numbers`. _LATE counts deletions by a kswapd before anything told that it is one, and
# _LIST the tasks in the list.
_LOST_BEGINS, _LOST_ENDS, _RECLAIM_EVENTS, _LATE, _LIST, _NUMBERS = range(6)
_USED = np.zeros(KINDS, dtype=np.bool_)
_USED[[ADD, DELETE, RECLAIM_BEGIN, RECLAIM_END, GET_PAGES, FAULT, MAP_PAGES]] = True
_USED[[SYNC_READAHEAD, ASYNC_READAHEAD, READAHEAD, TASK_EXEC, TASK_EXIT, RECLAIM_PAGES]] = True


class TaskState:
    """What is known of the tasks of the traced kernel between two chunks of its trace."""

    def __init__(self) -> None:
        self._numbers = np.zeros(_NUMBERS, dtype=np.int64)
        # Pages of zeros cost nothing until they are written to.
        self._tasks = np.zeros((TASK_ROWS, _COLUMNS), dtype=np.int64)
        self._list = np.zeros(TASK_ROWS, dtype=np.int64)
        self._more: dict[int, int] = {}
        self._chunks = 0
        self._unnumbered = 0

    def number(self, records: Records) -> Records:
        """Return the records with the number of each task, below `TASK_ROWS`, for its pid.

        A task's number is its pid, or one above all pids where no kernel has such a pid.
        """
        odd = np.flatnonzero((records.pid < 0) | (records.pid >= TASKS))
        for record in odd.tolist():
            pid = int(records.pid[record])
            number = UNKNOWN_TASK
            if pid >= 0:
                number = self._more.get(pid, UNKNOWN_TASK + 1 + len(self._more))
                if number < TASK_ROWS:
                    self._more[pid] = number
                else:
                    number = UNKNOWN_TASK
                    self._unnumbered += 1
            records.pid[record] = number
        return records

    def advance(self, records: Records) -> NDArray[np.uint8]:
        """Return who deletes, for each record of a deletion: `NOBODY`, `KSWAPD`, `WAITING_TASK`.

        Parameters
        ----------
        records
            As `number` returns them.
        """
        by = np.zeros(records.kind.size, dtype=np.uint8)
        previous = np.empty(records.kind.size, dtype=np.int64)
        self._chunks += 1
        of_tasks = self._tasks, self._list, self._numbers
        _advance(records, self._chunks, *of_tasks, previous, by)
        return by

    def losses(self, records_reclaim: bool) -> tuple[Loss, ...]:
        """Return what could not be told of reclaim, when all records are read.

        Parameters
        ----------
        records_reclaim
            Whether it is known that events of reclaim were recorded, even if there is none.
        """
        numbers = self._list[: int(self._numbers[_LIST])]
        tasks = self._tasks[numbers]
        is_unknown = numbers == UNKNOWN_TASK
        nameless = (tasks[:, _NAMED] == 0) & (tasks[:, _IS_OTHER] == 0)
        doubtful = int(tasks[nameless, _TRUNCATIONS].sum())
        where = "of tasks without a name, of which no event tells what they are"
        if self._numbers[_RECLAIM_EVENTS] == 0 and not records_reclaim:
            doubtful = int(tasks[:, _TRUNCATIONS].sum())
            where = "no mm_vmscan_direct_reclaim_begin or memcg_reclaim_begin is in the trace"
        elif tasks[is_unknown, _TRUNCATIONS].any():
            doubtful = int(tasks[nameless | is_unknown, _TRUNCATIONS].sum())
            where = "of tasks without a number or a name"
        ends = int(self._numbers[_LOST_ENDS]) + int(tasks[:, _INNER_ENDED].sum())
        return losses_of(
            {
                "reclaim_or_truncation": (doubtful + int(self._numbers[_LATE]), where),
                "lost_reclaim_begins": (int(self._numbers[_LOST_BEGINS]), ""),
                "lost_reclaim_ends": (ends, ""),
                "unnumbered_tasks": (self._unnumbered, f"more than {TASKS:,} tasks"),
            }
        )


@kernel
def _mark_reclaim(
    task: NDArray[np.int64], chunk: int, previous: NDArray[np.int64], by: NDArray[np.uint8]
) -> None:
    """Take a task's last deletions of this chunk, since it did something else, for reclaim."""
    record = wide(task[_LAST]) if task[_CHUNK] == chunk else wide(-1)
    while record >= 0:
        by[record] = WAITING_TASK
        task[_TRUNCATIONS] -= 1
        record = wide(previous[record])
    task[_LAST] = -1


@kernel
def _end(
    task: NDArray[np.int64],
    chunk: int,
    numbers: NDArray[np.int64],
    previous: NDArray[np.int64],
    by: NDArray[np.uint8],
) -> None:
    """Take in the end of a task's reclaim."""
    if task[_OPEN] == 0 and task[_CUT_SHORT]:
        numbers[_LOST_ENDS] -= 1
    elif task[_OPEN] == 0 and task[_RECLAIMED]:
        numbers[_LOST_BEGINS] += 1
    task[_OPEN] = max(0, wide(task[_OPEN]) - 1)
    task[_INNER_ENDED] = wide(task[_OPEN] > 0)
    task[_CUT_SHORT] = 0
    if task[_OPEN] == 0:
        _mark_reclaim(task, chunk, previous, by)


@kernel
def _learn_kswapds(records: Records, tasks: NDArray[np.int64], numbers: NDArray[np.int64]) -> None:
    """Note which tasks are told to be a kswapd."""
    kinds, pids, kswapd = records.kind, records.pid, records.kswapd
    for record in range(kinds.size):
        if not kswapd[record] and kinds[record] not in (KSWAPD_WAKE, KSWAPD_SLEEP):
            continue
        number = wide(pids[record])
        if number != UNKNOWN_TASK:
            task = tasks[number]
            task[_IS_KSWAPD] = 1
            numbers[_LATE] += task[_TRUNCATIONS]
            task[_TRUNCATIONS] = 0


@entry
def _advance(
    records: Records,
    chunk: int,
    tasks: NDArray[np.int64],
    listed: NDArray[np.int64],
    numbers: NDArray[np.int64],
    previous: NDArray[np.int64],
    by: NDArray[np.uint8],
) -> None:
    kinds, pids, fields = records.kind, records.pid, records.fields
    kswapd, named = records.kswapd, records.named
    is_used = _USED
    _learn_kswapds(records, tasks, numbers)
    for record in range(kinds.size):
        kind = wide(kinds[record])
        if not is_used[kind]:
            continue
        if kind in (RECLAIM_BEGIN, RECLAIM_END):
            numbers[_RECLAIM_EVENTS] += 1
        number = wide(pids[record])
        task = tasks[number]
        if named[record]:
            task[_NAMED] = 1
        if task[_IS_KSWAPD] or kswapd[record]:
            if kind == DELETE:
                by[record] = KSWAPD
            continue
        is_known = number != UNKNOWN_TASK
        if task[_LISTED] == 0 and kind in (DELETE, RECLAIM_BEGIN, RECLAIM_END):
            task[_LISTED] = 1
            listed[numbers[_LIST]] = number
            numbers[_LIST] += 1
        if kind == DELETE:
            if task[_OPEN] > 0 and task[_INNER_ENDED] == 0:
                by[record] = WAITING_TASK
                continue
            previous[record] = task[_LAST] if task[_CHUNK] == chunk else -1
            task[_LAST], task[_CHUNK] = record, chunk
            task[_TRUNCATIONS] += 1
        elif kind == ADD and is_metadata(wide(fields[record, DEV]), wide(fields[record, INO])):
            continue  # reclaim of an inode can read metadata
        elif kind == RECLAIM_END:
            if is_known:
                _end(task, chunk, numbers, previous, by)
                task[_RECLAIMED] = 1
            task[_IS_OTHER] = 1
        elif kind == RECLAIM_PAGES:
            if is_known:
                _mark_reclaim(task, chunk, previous, by)
        elif kind == RECLAIM_BEGIN:
            if is_known and task[_OPEN] == 0:
                task[_LAST] = -1
            if is_known:
                task[_OPEN] += 1
                task[_INNER_ENDED], task[_CUT_SHORT], task[_RECLAIMED] = 0, 0, 1
            task[_IS_OTHER] = 1
        else:
            # Something that no task does within reclaim.
            if task[_OPEN] > 0:
                numbers[_LOST_ENDS] += 1
                task[_OPEN], task[_INNER_ENDED], task[_CUT_SHORT] = 0, 0, 1
            task[_LAST] = -1
            task[_IS_OTHER] = 1
