"""The memory of a traced machine, as its own files describe it or as its trace shows it."""

from __future__ import annotations

import os
import re
import tarfile
from math import isqrt
from pathlib import Path
from typing import NamedTuple

from core.workload.ftrace.checks import CACHE_FILES, VMSTAT_FILES, kernel_counts
from core.workload.ftrace.page_flags import PageFlags, page_flags_of
from core.workload.text import TraceError

#: The counters of a kernel that has a cleancache, as they stood when the recording ended.
_CACHE_COUNTERS = "cc.after"
#: Files of an archive that are read, zoneinfo also as ``zoneinfo.before``: there are two names of
#: the page's size, and two of the kernel's version.
_FILES = (
    *("zoneinfo", "page_size", "pagesize", "page_flags", "version", "uname"),
    *(*VMSTAT_FILES, *CACHE_FILES),
)
_SUFFIXES = (".meta.tar.gz", ".meta.tar")
#: Frames that a trace may name where nothing says how many there are: 256 GiB of 4 KiB pages.
UNKNOWN_FRAMES = 1 << 26
#: Where only the trace tells, memory begins and ends at a multiple of so many frames: 128 MiB.
ROUND_FRAMES = 1 << 15


class Memory(NamedTuple):
    """The memory of a machine, as a range of frames, and what its kernel says of pages."""

    first_frame: int
    frames: int
    page_size: int  # bytes
    free_pages: int = 0  # when the recording began; 0: not known
    low_pages: int = 0  # watermarks; 0: not known
    high_pages: int = 0
    page_flags: PageFlags | None = None  # None: not known
    # What a cleancache that is built into the kernel counted, by name; empty where there is none.
    cache_counters: tuple[tuple[str, int], ...] = ()
    # What the kernel counted while it was recorded, by the name of a check (checks.py).
    kernel_counts: tuple[tuple[str, int], ...] = ()
    # What says the kernel's version; empty: not known.
    kernel: str = ""

    def watermarks(self) -> tuple[int, int]:
        """Return the (low, high) watermarks in pages: known ones, or those that Linux would set."""
        if self.high_pages:
            return self.low_pages, self.high_pages
        # init_per_zone_wmark_min: the root of 16 times the memory in KiB, and a quarter above.
        kib = self.frames * self.page_size // 1024
        least = min(max(isqrt(16 * kib), 128), 262_144) * 1024 // self.page_size
        return least * 5 // 4, least * 3 // 2


def meta_beside(trace: str | os.PathLike[str]) -> Path | None:
    """Return the archive that a recording left beside its trace, if it is there."""
    return next((archive for archive in beside(trace) if archive.is_file()), None)


def beside(trace: str | os.PathLike[str]) -> list[Path]:
    """Return where the archive of a trace is looked for."""
    path = Path(trace)
    stem = re.sub(r"(\.ftrace)?(\.(txt|dat|trace|report))?(\.(gz|zst))?$", "", path.name)
    return [path.with_name(stem + suffix) for suffix in _SUFFIXES]


def read_memory(meta: str | os.PathLike[str]) -> Memory:
    """Return the memory that a recording's archive describes by /proc/zoneinfo and its page size.

    Raises
    ------
    TraceError
        When the file is no archive of a recording, or lacks a populated zone.
    """
    name = os.fspath(meta)
    texts: dict[str, str] = {}
    try:
        with tarfile.open(name) as archive:
            for member in archive:
                base = os.path.basename(member.name)
                if base not in _FILES:
                    base = base.removesuffix(".before")
                if base in _FILES and member.isfile():
                    file = archive.extractfile(member)
                    if file is not None:
                        texts.setdefault(base, file.read().decode(errors="replace"))
    except (OSError, EOFError, tarfile.TarError) as error:
        raise TraceError(f"no archive of a recording: {error}", file=name) from None
    words = ("free", "low", "high", "spanned", "present", "start_pfn:")
    zones = []
    for zone in re.split(r"\bzone\s", texts.get("zoneinfo", ""))[1:]:
        matches = [re.search(rf"\b{word}\s+(\d+)", zone) for word in words]
        zones.append([int(match.group(1)) if match else 0 for match in matches])
    populated = [zone for zone in zones if zone[4]]
    ranges = [(zone[5], zone[5] + zone[3]) for zone in populated]
    if not ranges:
        raise TraceError("has no /proc/zoneinfo with a populated zone", file=name)
    first = min(start for start, _ in ranges)
    page_size_text = texts.get("page_size", texts.get("pagesize", "4096"))
    size = int("".join(re.findall(r"\d", page_size_text)) or 0) * (
        1024 if "kB" in page_size_text else 1
    )
    if size < 4096 or size & (size - 1):
        raise TraceError(f"{page_size_text.strip()!r} is no page size", file=name)
    free, low, high = (sum(zone[place] for zone in populated) for place in range(3))
    counters = re.findall(r"\b([a-z_]+) (\d+)\b", texts.get(_CACHE_COUNTERS, ""))
    kernel = texts.get("version", texts.get("uname", ""))
    return Memory(
        *(first, max(end for _, end in ranges) - first, size, free, low, high),
        page_flags=page_flags_of(texts.get("page_flags", ""), kernel),
        cache_counters=tuple((name, int(count)) for name, count in counters),
        kernel_counts=kernel_counts(texts),
        kernel=kernel,
    )


def memory_seen(low: int, high: int, page_size: int) -> Memory:
    """Return the memory that holds the frames from `low` up to but not with `high`.

    It begins and ends at multiples of `ROUND_FRAMES`.
    """
    first = low // ROUND_FRAMES * ROUND_FRAMES
    return Memory(first, -(-high // ROUND_FRAMES) * ROUND_FRAMES - first, page_size)
