"""The text of a capture written anew, so that it names nobody.

Only the events that an import reads are written, and of these only the fields that it reads: names
of tasks, files and paths, and texts of programs are nowhere copied. Numbers of tasks, inodes and
devices are replaced by the order in which they first come. So an import of the new text makes the
rows of an import of the old one, but for those numbers.
"""

from __future__ import annotations

import re
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from core.events import NO_PHASE
from core.workload.cut.heads import UNKNOWN_COMMS, Head
from core.workload.ftrace.lines import Records
from core.workload.ftrace.words import (
    ABSENT,
    ADD,
    AGED,
    ASYNC_READAHEAD,
    BLOCK_ISSUE,
    COPY_PAGE,
    DELETE,
    DEV,
    EVICTION,
    FAULT,
    FLAGS,
    FOLIO_FLAGS,
    FOUND_YOUNG,
    FRAME,
    GET_PAGES,
    GFP_ATOMIC,
    GFP_MOVABLE,
    GFP_NORETRY,
    GFP_TAGGED,
    GFP_WRITE,
    INDEX,
    INO,
    INODE_GONE,
    KSWAPD_SLEEP,
    KSWAPD_WAKE,
    LAST_BYTES,
    MAP_PAGES,
    MARK,
    NEW_PHASE,
    OFFSET_BYTES,
    ORDER,
    PAGE_ALLOC,
    PAGE_FREE,
    PAGES,
    PHASE_NUMBER,
    POINTER,
    PTE,
    PTES,
    READAHEAD,
    RECLAIM_BEGIN,
    RECLAIM_END,
    RECLAIM_PAGES,
    REFAULT,
    REFERENCED,
    RETURNED,
    SAMPLED_GROUPS,
    SAMPLED_PAGES,
    SHADOW,
    SOURCE_POINTER,
    SYNC_READAHEAD,
    SYNC_TAGS,
    TAG_CLEAR,
    TASK_EXEC,
    TASK_EXIT,
    TOUCHED,
)

#: Numbers from here on are of devices with a disk, and inodes that large: they stay so, for an
#: inode of that size on a device without a disk is a block device's own mapping.
_LARGE = 1 << 20
#: The first of the numbers that replace them: those of a device 254:0.
_FIRST_LARGE = 254 << 20
#: Smaller numbers are the same on every machine: root inodes, and file systems made at boot.
_SAME_EVERYWHERE = 16
#: Pointers begin here.
_FIRST_POINTER = 1 << 40
_FLAG_WORDS = (
    (GFP_TAGGED, "__GFP_ZEROTAGS"),
    (GFP_ATOMIC, "GFP_ATOMIC"),
    (GFP_MOVABLE, "__GFP_MOVABLE"),
    (GFP_WRITE, "__GFP_WRITE"),
    (GFP_NORETRY, "__GFP_NORETRY"),
)


class _Key(NamedTuple):
    """A field of an event: its name, and what its number is."""

    name: str
    column: int
    what: str  # of `AnonymousText._shown`


_DEV = _Key("dev", DEV, "device")
_INO, _DECIMAL_INO = _Key("ino", INO, "hex inode"), _Key("ino", INO, "inode")
_PFN, _ORDER = _Key("pfn", FRAME, "hex"), _Key("order", ORDER, "number")
_OFS, _INDEX = _Key("ofs", OFFSET_BYTES, "number"), _Key("index", INDEX, "number")
_OF_FILE = (_DEV, _INO, _OFS)
_ASKED = (_DEV, _INO, _INDEX, _Key("req_count", PAGES, "number"))
_FOLIO, _RET = _Key("folio", POINTER, "pointer"), _Key("ret", RETURNED, "number")
_POINTED = (_FOLIO, _INDEX, _DECIMAL_INO)
#: The name of each kind of event, and its fields.
_EVENTS: dict[int, tuple[str, tuple[_Key, ...]]] = {
    ADD: ("mm_filemap_add_to_page_cache", (_DEV, _INO, _PFN, _OFS, _ORDER)),
    DELETE: ("mm_filemap_delete_from_page_cache", (_DEV, _INO, _PFN, _OFS, _ORDER)),
    PAGE_ALLOC: ("mm_page_alloc", (_PFN, _ORDER, _Key("gfp_flags", FLAGS, "gfp"))),
    PAGE_FREE: ("mm_page_free", (_PFN, _ORDER)),
    TAG_CLEAR: ("tag_clear_highpage", (_Key("page", POINTER, "pointer"),)),
    SYNC_TAGS: ("mte_sync_tags", (_Key("pte", PTE, "pte"), _Key("nr", PTES, "number"))),
    COPY_PAGE: (
        "copy_highpage",
        (_Key("to", POINTER, "pointer"), _Key("from", SOURCE_POINTER, "pointer")),
    ),
    REFAULT: ("workingset_refault", (_Key("shadow", SHADOW, "shadow"), _INDEX, _DECIMAL_INO)),
    RECLAIM_BEGIN: ("mm_vmscan_direct_reclaim_begin", ()),
    RECLAIM_END: ("mm_vmscan_direct_reclaim_end", ()),
    RECLAIM_PAGES: ("mm_vmscan_reclaim_pages", ()),
    KSWAPD_WAKE: ("mm_vmscan_kswapd_wake", ()),
    KSWAPD_SLEEP: ("mm_vmscan_kswapd_sleep", ()),
    MARK: (
        "tracing_mark_write",
        (_Key("nr_free_pages", SAMPLED_PAGES, "number"), _Key("g32", SAMPLED_GROUPS, "number")),
    ),
    TOUCHED: ("folio_mark_accessed", _POINTED),
    FAULT: ("mm_filemap_fault", _OF_FILE),
    GET_PAGES: ("mm_filemap_get_pages", (_DEV, _INO, _Key("ofs", OFFSET_BYTES, "range"))),
    MAP_PAGES: ("mm_filemap_map_pages", _OF_FILE),
    EVICTION: (
        "workingset_eviction",
        (_Key("flags", FOLIO_FLAGS, "hex"), _INDEX, _DECIMAL_INO),
    ),
    TASK_EXIT: ("sched_process_exit", ()),
    TASK_EXEC: ("sched_process_exec", ()),
    SYNC_READAHEAD: ("page_cache_sync_ra", _ASKED),
    ASYNC_READAHEAD: ("page_cache_async_ra", _ASKED),
    READAHEAD: ("page_cache_ra_order", _ASKED),
    INODE_GONE: ("evict", (_DECIMAL_INO, _DEV)),
    REFERENCED: ("folio_referenced", (_FOLIO, _RET)),
    FOUND_YOUNG: ("folio_update_gen", (_FOLIO,)),
    AGED: ("try_to_inc_max_seq", (_RET,)),
}
#: Events that `sweep trace costs` reads.
_BLOCK_EVENTS = (b"block_rq_issue", b"block_rq_complete")
_BLOCK = re.compile(rb"(\d{1,9}),(\d{1,9}) ([A-Z]+) (\d+ )?\([^)]*\) (\d{1,20}) \+ (\d{1,9})\b")


class _Numbers:
    """New numbers for those of inodes, devices or tasks, in the order in which they first come."""

    def __init__(self, first: int) -> None:
        self._first = first
        self._new: dict[int, int] = {}

    def of(self, number: int) -> int:
        """Return the new number."""
        return self._new.setdefault(number, self._first + len(self._new))


class AnonymousText:
    """Writes records as the text of an ftrace."""

    def __init__(self) -> None:
        self._small, self._large = _Numbers(_SAME_EVERYWHERE), _Numbers(_FIRST_LARGE)
        self._tasks = _Numbers(1)
        self._first_pointer = -1

    def text_of(
        self,
        heads: list[Head | None],
        record: NDArray[np.int64],
        records: Records,
        keeps: NDArray[np.bool_],
    ) -> bytes:
        """Return the new text of some lines.

        Parameters
        ----------
        heads
            The head of each line of a chunk of the trace that has one.
        record, records
            The number of each line's record, or -1, and the records.
        keeps
            Which of the lines are written.
        """
        kinds, times, pids = records.kind.tolist(), records.time_ns.tolist(), records.pid.tolist()
        kswapd, fields = records.kswapd.tolist(), records.fields.tolist()
        written = []
        for place in np.flatnonzero(keeps).tolist():
            head, number = heads[place], int(record[place])
            if number >= 0:
                event = self._event(kinds[number], fields[number], head)
                time_ns, pid, is_kswapd = times[number], pids[number], kswapd[number]
            elif head is not None:
                event = self._block(head)
                time_ns, pid, is_kswapd = head.time_ns, head.pid, head.comm.startswith(b"kswapd")
            else:
                continue
            if event:
                comm = self._comm(head, is_kswapd)
                cpu = head.cpu.decode() if head is not None else ""
                task = f"{comm:>16}-{self._tasks.of(pid) if pid > 0 else 0:<7}"
                stamp = f"{time_ns // 10**9}.{time_ns % 10**9:09}"
                written.append(f"{task} [{cpu or '000'}] ..... {stamp}: {event}\n".encode())
        return b"".join(written)

    def _comm(self, head: Head | None, is_kswapd: bool) -> str:
        """Return the name of a task: who reclaims has to be known, and who has no known name."""
        if is_kswapd:
            return head.comm.decode(errors="replace") if head is not None else "kswapd0"
        return "<...>" if head is None or head.comm in UNKNOWN_COMMS else "task"

    def _event(self, kind: int, field: list[int], head: Head | None) -> str:
        """Return a record as its event and fields; "" of one that an import does not use."""
        if kind == NEW_PHASE:
            number = field[PHASE_NUMBER]
            return "tracing_mark_write: PHASE" + (
                "" if number == NO_PHASE else f" phase-{number + 1}"
            )
        if kind == BLOCK_ISSUE:
            # A record of it says that files' data is read, which ends a request.
            read = "block_rq_issue: 254,0 R 0 () 0 + 0 [task]"
            return read if head is None else self._block(head) or read
        if kind == MARK and field[SAMPLED_PAGES] == ABSENT:
            return ""
        if kind not in _EVENTS:
            return ""
        name, keys = _EVENTS[kind]
        if kind == MARK and field[SAMPLED_GROUPS] != ABSENT:
            keys = (keys[0]._replace(name="tagged"), keys[1])
        shown = [
            f"{key.name}={self._shown(key.what, field[key.column], field)}"
            for key in keys
            if field[key.column] != ABSENT
        ]
        return f"{name}: {' '.join(shown)}".rstrip()

    def _block(self, head: Head) -> str:
        """Return a command to a device, or its end; "" of any other event."""
        match = _BLOCK.match(head.fields) if head.event in _BLOCK_EVENTS else None
        if match is None:
            return ""
        major, minor, letters, size, sector, sectors = match.groups()
        device = self._number(int(major) << 20 | int(minor))
        by_whom = "[task]" if head.event == _BLOCK_EVENTS[0] else "[0]"
        return (
            f"{head.event.decode()}: {device >> 20},{device & _LARGE - 1} {letters.decode()} "
            f"{(size or b'').decode()}() {sector.decode()} + {sectors.decode()} {by_whom}"
        )

    def _number(self, number: int) -> int:
        """Return the new number of an inode or a device: an inode may have a device's number."""
        if number < _SAME_EVERYWHERE:
            return number
        return (self._small if number < _LARGE else self._large).of(number)

    def _shown(self, what: str, value: int, field: list[int]) -> str:
        if what == "device":
            device = self._number(value)
            return f"{device >> 20}:{device & _LARGE - 1}"
        if what in ("inode", "hex inode"):
            return f"{self._number(value):{'x' if what == 'hex inode' else ''}}"
        if what == "gfp":
            words = [word for bit, word in _FLAG_WORDS if value & bit]
            return "|".join(words) or "GFP_KERNEL"
        if what == "pointer":
            # Only how far they are from one another tells frames.
            if self._first_pointer < 0:
                self._first_pointer = value
            return f"{(value - self._first_pointer + _FIRST_POINTER) & (1 << 62) - 1:#x}"
        if what == "range":
            return f"{value}-{field[LAST_BYTES]}" if field[LAST_BYTES] >= 0 else str(value)
        if what == "pte":
            return f"{value & 0xFFFF_FFFF_F000:#x}"
        if what == "shadow":
            return f"{value & 2:#x}"  # the workingset bit
        return f"{value:#x}" if what == "hex" else str(value)
