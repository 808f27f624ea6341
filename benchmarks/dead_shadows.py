"""Which shadows a recorded kernel lost, and whether the shrinker of dentries and inodes took them.

``python benchmarks/dead_shadows.py NAME.ftrace.txt.gz…`` prints the table of docs/fidelity.md. A
page that comes back without ``workingset_refault`` after reclaim evicted it has lost its shadow.
"""

from __future__ import annotations

import re
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import NamedTuple

from core.workload.text import read_chunks

_LINE = re.compile(
    rb"^ *(.+-\d+) +\[\d+\] \S+ +([\d.]+): (mm_filemap_add_to_page_cache"
    rb"|mm_filemap_delete_from_page_cache|workingset_refault|mm_page_alloc|mm_vmscan_kswapd_wake"
    rb"|mm_vmscan_kswapd_sleep|mm_vmscan_direct_reclaim_begin|mm_vmscan_direct_reclaim_end"
    rb"|mm_vmscan_lru_shrink_inactive): (.*)$",
    re.MULTILINE,
)
_FOLIO = re.compile(rb"dev (\S+) ino (\S+) .*pfn=(\S+) ofs=(\d+)(?: order=(\d+))?")
_PAGE_BYTES = 4096
#: Objects that a superblock's shrinker scans at once, and how much they count: super_cache_scan.
_BATCH, _DELTA_SHIFT = 1024, 1
#: The largest number of a device that has no name: there are no files with data on it.
_NAMELESS = b"0"

File = tuple[bytes, bytes]


class Shrinker:
    """The dentries and inodes of one file system, as super_cache_scan shrinks them.

    A file has a dentry from its first lookup on. An inode is shrinkable when it has no dentry and
    its mapping is empty or holds a lone shadow at offset 0 (mapping_shrinkable). What shows no
    pages, such as directories, is not known.
    """

    def __init__(self) -> None:
        # Oldest first; a dentry is True if it was looked up again since the shrinker came by.
        self.dentries: dict[File, bool] = {}
        self.inodes: dict[File, None] = {}
        self.deferred = 0
        self.resident: Counter[File] = Counter()
        self.large: set[File] = set()
        self.dead: set[File] = set()

    def look_up(self, file: File, again: bool) -> None:
        """Take in that a file is opened: by one lookup, or by a second one after it."""
        self.inodes.pop(file, None)
        self.dentries[file] = again or file in self.dentries

    def insert(self, file: File, index: int, pages: int) -> None:
        """Take in that pages of a file are read."""
        self.resident[file] += pages
        if index + pages > 1:
            self.large.add(file)
        self.dead.discard(file)

    def evict(self, file: File, pages: int) -> None:
        """Take in that reclaim evicts pages of a file."""
        self.resident[file] -= pages
        if file not in self.dentries:
            self._offer(file)

    def shrink(self, priority: int) -> None:
        """Shrink as much as a pass of reclaim at this priority does: do_shrink_slab."""
        free = len(self.dentries) + len(self.inodes)
        delta = (free >> priority) << _DELTA_SHIFT
        total = min((self.deferred >> priority) + delta, 2 * free)
        scanned = 0
        while total > 0 and (total >= _BATCH or total >= free):
            batch = min(_BATCH, total)
            self._scan(batch)
            scanned += batch
            total -= batch
            free = len(self.dentries) + len(self.inodes)
        self.deferred = min(max(self.deferred + delta - scanned, 0), 2 * free)

    def _scan(self, batch: int) -> None:
        total = len(self.dentries) + len(self.inodes) + 1
        dentries, inodes = batch * len(self.dentries) // total, batch * len(self.inodes) // total
        for _ in range(min(dentries, len(self.dentries))):
            file = next(iter(self.dentries))
            if self.dentries.pop(file):
                self.dentries[file] = False
            else:
                self._offer(file)
        for _ in range(min(inodes, len(self.inodes))):
            file = next(iter(self.inodes))
            del self.inodes[file]
            if self._is_shrinkable(file):
                self.dead.add(file)

    def _offer(self, file: File) -> None:
        if self._is_shrinkable(file):
            self.inodes[file] = None

    def _is_shrinkable(self, file: File) -> bool:
        return self.resident[file] == 0 and file not in self.large


class Return(NamedTuple):
    """A page that is read again after reclaim evicted it."""

    file: File
    index: int  # type: ignore[assignment]  # hides tuple.index
    said_dead: tuple[bool, bool]  # by the shrinker's rule, with one lookup when opened, and two


class Capture:
    """What a capture says of shadows and of kswapd."""

    def __init__(self) -> None:
        self.shrinkers: tuple[dict[bytes, Shrinker], dict[bytes, Shrinker]]
        self.shrinkers = (defaultdict(Shrinker), defaultdict(Shrinker))
        self.returns: list[Return] = []
        self.refaults: set[int] = set()  # places in `returns`
        self.evicted: set[tuple[File, int]] = set()
        self.large: set[File] = set()
        # Of each run of kswapd: the time it began to evict, the last, pages, and its priorities.
        self.runs: list[tuple[float, float, int, int]] = []
        self._written: set[bytes] = set()
        self._reclaiming: set[bytes] = set()
        self._returned: dict[bytes, int] = {}  # [task] the place of its last insertion
        self._pass: dict[bytes, int] = {}  # [task] priority

    def take(self, task: bytes, seconds: float, event: bytes, rest: bytes) -> None:
        """Take in an event."""
        if event == b"mm_page_alloc":
            if b"__GFP_WRITE" in rest:
                self._written.add(rest.partition(b"pfn=")[2].split()[0])
        elif event == b"workingset_refault":
            self._refault(task, rest)
        elif event.startswith(b"mm_filemap"):
            self._move(task, event, rest)
        elif event == b"mm_vmscan_lru_shrink_inactive":
            self._evict(task, seconds, rest)
        else:
            self._end_pass(task)
            if event == b"mm_vmscan_kswapd_wake":
                self.runs.append((0.0, 0.0, 0, 12))
            elif event == b"mm_vmscan_direct_reclaim_begin":
                self._reclaiming.add(task)
            elif event == b"mm_vmscan_direct_reclaim_end":
                self._reclaiming.discard(task)

    def _end_pass(self, task: bytes) -> None:
        priority = self._pass.pop(task, None)
        if priority is not None:
            for of_devices in self.shrinkers:
                for shrinker in of_devices.values():
                    shrinker.shrink(priority)

    def _evict(self, task: bytes, seconds: float, rest: bytes) -> None:
        priority = _number(rest, b"priority=")
        if self._pass.get(task) != priority:
            self._end_pass(task)
        self._pass[task] = priority
        if task.startswith(b"kswapd") and self.runs:
            first, _, pages, lowest = self.runs[-1]
            pages += _number(rest, b"nr_reclaimed=")
            self.runs[-1] = (first or seconds, seconds, pages, min(lowest, priority))

    def _refault(self, task: bytes, rest: bytes) -> None:
        place = self._returned.get(task)
        if place is not None and _number(rest, b"index=") == self.returns[place].index:
            self.refaults.add(place)

    def _move(self, task: bytes, event: bytes, rest: bytes) -> None:
        found = _FOLIO.match(rest)
        if found is None or found[1].partition(b":")[0] == _NAMELESS:
            return
        file, index = (found[1], found[2]), int(found[4]) // _PAGE_BYTES
        pages = 1 << int(found[5] or 0)
        folio = {(file, page) for page in range(index, index + pages)}
        shrinkers = [of_devices[found[1]] for of_devices in self.shrinkers]
        if event.startswith(b"mm_filemap_delete"):
            for shrinker in shrinkers:
                shrinker.evict(file, pages)
            if task.startswith(b"kswapd") or task in self._reclaiming:
                self.evicted |= folio
            return
        self._returned.pop(task, None)
        is_written = found[3] in self._written
        self._written.discard(found[3])
        if folio & self.evicted and not is_written:
            self._returned[task] = len(self.returns)
            once, twice = (file in shrinker.dead for shrinker in shrinkers)
            self.returns.append(Return(file, index, (once, twice)))
        self.evicted -= folio
        if index + pages > 1:
            self.large.add(file)
        for shrinker, again in zip(shrinkers, (False, True), strict=True):
            shrinker.look_up(file, again)
            shrinker.insert(file, index, pages)

    def row(self) -> Iterator[str]:
        """Yield the cells of the capture's row."""
        lost = [page for at, page in enumerate(self.returns) if at not in self.refaults]
        small = [page for page in self.returns if page.file not in self.large]
        yield f"{len(self.returns):,}"
        yield f"{len(small):,}"
        yield f"{len(lost):,}"
        yield f"{sum(page.file in self.large for page in lost):,}"
        for lookups in range(2):
            said = [page for page in self.returns if page.said_dead[lookups]]
            right = sum(page.said_dead[lookups] for page in lost)
            yield f"{right:,} of {len(said):,}"
        yield f"{len(self.runs):,}"
        yield f"{max((pages for _, _, pages, _ in self.runs), default=0):,}"
        speeds = [
            pages / (end - begin)
            for begin, end, pages, _ in self.runs
            if pages >= _LEAST_PAGES and end > begin
        ]
        yield f"{median(speeds):,.0f}" if speeds else ""
        yield str(min((lowest for *_, lowest in self.runs), default=""))


#: Shorter runs of kswapd say little of its speed.
_LEAST_PAGES = 128
_COLUMNS = (
    "folios read again",
    "of one-page files",
    "lost their shadow",
    "of larger files",
    "dead by the rule, files looked up once",
    "looked up twice",
    "runs of kswapd",
    "longest, pages",
    "its speed, pages/s",
    "lowest priority",
)


def _number(text: bytes, name: bytes) -> int:
    return int(text.partition(name)[2].split()[0])


def main() -> None:
    print(f"| capture | {' | '.join(_COLUMNS)} |\n|{'---|' * (len(_COLUMNS) + 1)}")
    for path in sys.argv[1:]:
        capture = Capture()
        for _, lines in read_chunks([path]):
            for line in _LINE.finditer(lines):
                task, seconds, event, rest = line.groups()
                capture.take(task, float(seconds), event, rest)
        title = re.sub(r"\.ftrace.*", "", Path(path).name)
        print(f"| `{title}` | {' | '.join(capture.row())} |", flush=True)


if __name__ == "__main__":
    main()
