"""Lines of an ftrace, made by hand, and the rows that an import makes of them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from core.events import Events
from core.workload.ftrace.capture import Imported, import_ftrace
from core.workload.ftrace.memory import Memory

MEMORY = Memory(0x40000, 1024, 4096)
BASE = 0xFFFFC1FFC0000000 - 0x40000 * 64

TAGGED_GFP = "gfp_flags=GFP_HIGHUSER_MOVABLE|__GFP_COMP|__GFP_ZERO|__GFP_ZEROTAGS"
READAHEAD_GFP = "gfp_flags=GFP_NOFS|__GFP_NOWARN|__GFP_NORETRY|__GFP_COMP|__GFP_MOVABLE"
WRITE_GFP = "gfp_flags=GFP_HIGHUSER_MOVABLE|__GFP_COMP|__GFP_NORETRY|__GFP_WRITE"
ADD, DELETE = "mm_filemap_add_to_page_cache", "mm_filemap_delete_from_page_cache"
BEGIN, END = "mm_vmscan_direct_reclaim_begin", "mm_vmscan_direct_reclaim_end"


def folio(
    index: int, order: int = 0, inode: str = "a4cf", frame: int = 1, dev: str = "254:0"
) -> str:
    return f"dev {dev} ino {inode} pfn={0x40000 + frame:#x} ofs={index * 4096} order={order}"


def add(index: int, order: int = 0, inode: str = "a4cf", frame: int = 1, dev: str = "254:0") -> str:
    return f"{ADD}: {folio(index, order, inode, frame, dev)}"


def delete(index: int, order: int = 0, inode: str = "a4cf", dev: str = "254:0") -> str:
    return f"kswapd0-42 | {DELETE}: {folio(index, order, inode, dev=dev)}"


def get_pages(first: int, last: int, inode: str = "a4cf") -> str:
    return f"mm_filemap_get_pages: dev=254:0 ino={inode} ofs={first * 4096}-{last * 4096 + 4095}"


def fault(index: int, inode: str = "a4cf") -> str:
    return f"mm_filemap_fault: dev=254:0 ino={inode} ofs={index * 4096}"


def evicting(index: int, flags: int, inode: int = 0xA4CF) -> str:
    return f"kswapd0-42 | workingset_eviction: folio=0x1 flags={flags:#x} index={index} ino={inode}"


def touched(index: int, inode: int = 0xA4CF) -> str:
    return f"folio_mark_accessed: folio=0x1 index={index} ino={inode}"


def refault(index: int, shadow: int) -> str:
    return f"workingset_refault: folio=0x1 shadow={shadow:#x} index={index} ino=42191"


def page(frame: int) -> str:
    return f"{BASE + (0x40000 + frame) * 64:#x}"


def alloc(frame: int, order: int = 0, gfp: str = TAGGED_GFP) -> str:
    return f"mm_page_alloc: pfn={(0x40000 + frame) % 2**64:#x} order={order} migratetype=1 {gfp}"


def text(events: Iterable[str], task: str = "app one-7", start: int = 15_000_000) -> str:
    """Return events as tracefs writes them, a microsecond apart; "task | event" names another."""
    lines = []
    for number, event in enumerate(events):
        who, bar, what = event.partition(" | ")
        who, what = (who, what) if bar else (task, event)
        stamp = start + number
        lines.append(f"{who:>16}   [000] ..... {stamp // 10**6}.{stamp % 10**6:06}: {what}\n")
    return "".join(lines)


def read(
    folder: Path, content: str, memory: Memory | None = MEMORY, with_accesses: bool = False
) -> Imported:
    path = folder / "x.ftrace.txt"
    path.write_text(content)
    return import_ftrace([path], memory, with_accesses=with_accesses)


#: Losses of a trace that has few kinds of events, whatever its lines are.
FEW_KINDS = {
    "no_page_alloc", "no_page_free", "no_tag_probes", "no_file_events", "no_insertions",
    "no_deletions", "guessed_requests", "requests_by_device", "requests_by_readahead",
    "reclaim_or_truncation",
}  # fmt: skip


def lost_in_lines(imported: Imported) -> dict[str, int]:
    """Return the losses of an import by name, but for those that follow from what was recorded."""
    return {loss.name: loss.count for loss in imported.events.losses if loss.name not in FEW_KINDS}


def rows(events: Events) -> list[tuple[int, ...]]:
    """Return (op, inode, index, order, pfn, flags) of each row."""
    columns = [events.columns[name].tolist() for name in list(events.columns)[1:]]
    return list(zip(*columns, strict=True))


def restores(events: Events) -> list[tuple[int, int, str]]:
    """Return (inode, index, letters) of each restore: j where it joins, w where it is wanted."""
    return [
        (row[1], row[2], "j" * (row[5] >> 6 & 1) + "w" * (row[5] >> 7 & 1))
        for row in rows(events)
        if row[0] == 1
    ]
