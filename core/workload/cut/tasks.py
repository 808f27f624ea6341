"""The lines of some tasks, and of what became of the folios and frames that they brought in.

Kept are, in the order of the trace:

* every line that a chosen task prints. A task is chosen by its number (or its process'), by its
  name from the moment it has it, or by its cgroup; those that it starts (``sched_process_fork``)
  are chosen with it. A task that another one starts under a number that was chosen is not, unless
  that is the number that was asked for.
* of all other tasks, what they do to what the chosen ones brought in: deletions and evictions of
  folios that a chosen task inserted, the end of their files' inodes, frees of frames that a chosen
  task allocated or inserted, and copies from such frames, whose targets are frames of theirs then.
* who reclaims and when: begins and ends of reclaim, and kswapd's wakes and sleeps, of all tasks.
* marks that begin and end phases, and what the recorder says of itself: comments, lost events.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from core.workload.cut.heads import UNKNOWN_COMMS, Head
from core.workload.ftrace.frames import NO_FRAME, STRUCT_PAGE_BYTES
from core.workload.ftrace.words import (
    ABSENT,
    ADD,
    COPY_PAGE,
    DELETE,
    DEV,
    EVICTION,
    FLAGS,
    FRAME,
    GFP_TAGGED,
    INDEX,
    INO,
    INODE_GONE,
    KSWAPD_SLEEP,
    KSWAPD_WAKE,
    MARK,
    NEW_PHASE,
    OFFSET_BYTES,
    ORDER,
    PAGE_ALLOC,
    PAGE_FREE,
    POINTER,
    RECLAIM_BEGIN,
    RECLAIM_END,
    RECLAIM_PAGES,
    SOURCE_POINTER,
    TAG_CLEAR,
)
from core.workload.whole_numbers import whole_number

#: Events that say who reclaims.
_RECLAIM = {RECLAIM_BEGIN, RECLAIM_END, RECLAIM_PAGES, KSWAPD_WAKE, KSWAPD_SLEEP}
_FORK, _ATTACH = b"sched_process_fork", b"cgroup_attach_task"
_CHILD = re.compile(rb"child_pid=(\d+)")
_PATH = re.compile(rb"dst_path=(\S*)")
_PID = re.compile(rb"(?:^|[ \t])pid=(\d+)")
#: The kernel keeps so many signs of a task's name.
_COMM_BYTES = 15
#: The names of so many tasks are remembered, for a message.
_NAMES = 10_000


class TaskFilter:
    """Which lines of a trace are of the chosen tasks.

    Parameters
    ----------
    task
        The number or the name of a task; None for a cgroup.
    cgroup
        The path of a cgroup; None for a task.
    cgroups
        (pid, path) of the tasks as the recording's archive has them.
    page_size
        That of the traced machine, in bytes.
    """

    def __init__(
        self,
        task: str | None,
        cgroup: str | None,
        cgroups: Sequence[tuple[int, str]],
        page_size: int,
    ) -> None:
        #: Tasks or cgroups of the trace, with how often each is named.
        self.seen: Counter[str] = Counter()
        #: Lines that the chosen tasks printed.
        self.own_lines = 0
        pid = None if task is None else whole_number(task)
        self._comm = None if task is None or pid is not None else task.encode()[:_COMM_BYTES]
        self._pid = -1 if pid is None else pid
        self._path = None if cgroup is None else ("/" + cgroup.strip("/")).rstrip("/").encode()
        if cgroup is not None:
            self.seen.update(path for _, path in cgroups)
        self._chosen = {pid for pid, path in cgroups if self._is_below(path.encode())}
        if self._pid >= 0:
            self._chosen.add(self._pid)
        self._page_shift = page_size.bit_length() - 1
        self._files: dict[tuple[int, int], int] = {}
        self._files_of_inode: dict[int, list[int]] = {}
        self._folios: set[int] = set()
        self._frames: set[int] = set()
        # Where the array of ``struct page`` begins, and the structure that a task cleared last.
        self._base = 0
        self._cleared: dict[int, int] = {}
        self._launchers: set[int] = set()

    def keeps(self, head: Head | None, pid: int, kind: int, field: list[int], line: bytes) -> bool:
        """Return whether a line is kept; the lines of a trace have to be asked for in order.

        Parameters
        ----------
        head
            Its head, if it could be read.
        pid
            The task that printed it.
        kind, field
            What its record says, of an event that an import uses; else `ABSENT`, and nothing.
        line
            Its text.
        """
        is_own = self._is_own(head, pid)
        self.own_lines += is_own
        if kind == ABSENT:
            return is_own
        is_of_theirs = self._follow(is_own, pid, kind, field)
        if kind in (MARK, NEW_PHASE):
            is_launch = b"launching: " in line
            if is_launch:
                self._launchers.add(pid)
            # The spans of a thread end in the order in which they began: all are needed.
            return is_own or kind == NEW_PHASE or pid in self._launchers
        return is_own or is_of_theirs or kind in _RECLAIM

    def known(self) -> list[str]:
        """Return the tasks or cgroups that the trace has, those of the most lines first."""
        return [name for name, _ in self.seen.most_common()]

    def _is_below(self, path: bytes) -> bool:
        return self._path is not None and (path + b"/").startswith(self._path + b"/")

    def _is_own(self, head: Head | None, pid: int) -> bool:
        if head is None:
            return pid in self._chosen
        if self._path is None and (len(self.seen) < _NAMES or head.comm.decode() in self.seen):
            self.seen[head.comm.decode(errors="replace")] += 1
        if head.comm not in UNKNOWN_COMMS and head.comm == self._comm:
            self._chosen.add(pid)
        if self._pid >= 0 and head.tgid == self._pid:
            self._chosen.add(pid)
        is_own = pid in self._chosen
        if head.event == _FORK and (child := _CHILD.search(head.fields)):
            if is_own or int(child[1]) != self._pid:
                (self._chosen.add if is_own else self._chosen.discard)(int(child[1]))
        elif head.event == _ATTACH and self._path is not None:
            path, moved = _PATH.search(head.fields), _PID.search(head.fields)
            if path and moved:
                self.seen[path[1].decode(errors="replace")] += 1
                is_below = self._is_below(path[1])
                is_own = is_own or is_below
                (self._chosen.add if is_below else self._chosen.discard)(int(moved[1]))
        return is_own

    def _follow(self, is_own: bool, pid: int, kind: int, field: list[int]) -> bool:
        """Note what becomes of folios and frames; return whether they are of the chosen tasks."""
        if kind in (ADD, DELETE):
            return self._change_cache(is_own, kind, field)
        if kind == PAGE_ALLOC and field[FRAME] < NO_FRAME:
            frames = range(field[FRAME], field[FRAME] + (1 << field[ORDER]))
            pointer = self._cleared.pop(pid, 0)
            tells_base = field[ORDER] == 0 and field[FLAGS] > 0 and field[FLAGS] & GFP_TAGGED
            if self._base == 0 and pointer and tells_base:
                self._base = pointer - field[FRAME] * STRUCT_PAGE_BYTES
            (self._frames.update if is_own else self._frames.difference_update)(frames)
        elif kind == PAGE_FREE and field[FRAME] < NO_FRAME:
            frames = range(field[FRAME], field[FRAME] + (1 << field[ORDER]))
            if not self._frames.isdisjoint(frames):
                self._frames.difference_update(frames)
                return True
        elif kind == TAG_CLEAR:
            self._cleared[pid] = field[POINTER]
        elif kind == COPY_PAGE and self._base:
            source, target = (
                (field[column] - self._base) // STRUCT_PAGE_BYTES
                for column in (SOURCE_POINTER, POINTER)
            )
            if source in self._frames:
                self._frames.add(target)
                return True
        elif kind == EVICTION:
            files = self._files_of_inode.get(field[INO], ())
            return any(file << 40 | field[INDEX] in self._folios for file in files)
        elif kind == INODE_GONE:
            if field[DEV] != ABSENT:
                return (field[DEV], field[INO]) in self._files
            return field[INO] in self._files_of_inode
        return False

    def _change_cache(self, is_own: bool, kind: int, field: list[int]) -> bool:
        file = (field[DEV], field[INO])
        pages = 1 << max(0, field[ORDER])
        if kind == ADD:
            if not is_own:
                return False
            if file not in self._files:
                self._files[file] = len(self._files)
                self._files_of_inode.setdefault(field[INO], []).append(self._files[file])
            if 0 <= field[FRAME] < NO_FRAME:
                self._frames.update(range(field[FRAME], field[FRAME] + pages))
        elif file not in self._files:
            return False
        first = self._files[file] << 40 | field[OFFSET_BYTES] >> self._page_shift
        folio = range(first, first + pages)
        if kind == ADD:
            self._folios.update(folio)
            return True
        if self._folios.isdisjoint(folio):
            return False
        self._folios.difference_update(folio)
        return True
