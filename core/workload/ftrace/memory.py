"""The memory of a traced machine, as its own files describe it or as its trace shows it."""

from __future__ import annotations

import os
import re
from math import isqrt
from pathlib import Path
from typing import NamedTuple

from core.machine import MAX_PAGES
from core.workload.ftrace.archive import opened_archive
from core.workload.ftrace.checks import CACHE_FILES, VMSTAT_FILES, counters_of, kernel_counts
from core.workload.ftrace.page_flags import PageFlags, page_flags_of
from core.workload.text import TraceError

#: The counters of a kernel that has a cleancache, as they stood when the recording ended.
_CACHE_COUNTERS = "cc.after"
#: Files of an archive that are read, zoneinfo also as ``zoneinfo.before``: there are two names of
#: the page's size, and two of the kernel's version.
_FILES = (
    *(
        "zoneinfo",
        "swaps",
        "page_size",
        "pagesize",
        "page_flags",
        "version",
        "uname",
        "events",
        "samples",
    ),
    *(*VMSTAT_FILES, *CACHE_FILES),
)
#: A number of a machine: 1024 times it, or the sum of some, fits an int64. It is no number of one
#: that has more digits, of which `int` takes no more than 4,300.
_DIGITS = r"\d{1,15}"
_SUFFIXES = (".meta.tar.gz", ".meta.tar")
#: Frames that a trace may name where nothing says how many there are: 256 GiB of 4 KiB pages.
UNKNOWN_FRAMES = 1 << 26
#: Where memory begins, in `Memory.typed_bytes`, if the trace is to tell it.
UNKNOWN_START = -1
#: Where only the trace tells, memory begins and ends at a multiple of so many frames: 128 MiB.
ROUND_FRAMES = 1 << 15


class Memory(NamedTuple):
    """The memory of a machine, as a range of frames, and what its kernel says of pages."""

    first_frame: int
    frames: int  # 0: not known
    page_size: int  # bytes; 0: not known
    free_pages: int = 0  # when the recording began; 0: not known
    low_pages: int = 0  # watermarks; 0: not known
    high_pages: int = 0
    page_flags: PageFlags | None = None  # None: not known
    # What a cleancache that is built into the kernel counted, by name; empty where there is none.
    cache_counters: tuple[tuple[str, int], ...] = ()
    # What the kernel counted while it was recorded, by the name of a check (checks.py).
    kernel_counts: tuple[tuple[str, int], ...] = ()
    kernel: str = ""  # its version; empty: not known
    # Where its memory begins and how much it has, in bytes, as somebody typed it: instead of the
    # frames, which are known with the size of a page. (0, 0): nobody did. It begins at
    # `UNKNOWN_START` where only its size was typed.
    typed_bytes: tuple[int, int] = (0, 0)
    # Tracepoints that were recorded, whether or not there is an event of them; empty: not known.
    recorded: tuple[str, ...] = ()
    # What samples of /proc say, by name; empty where there are none.
    sampled: tuple[tuple[str, int], ...] = ()
    # Of `frames`, those that are no memory.
    holes: int = 0
    managed_pages: int = 0  # of the page allocator; 0: not known
    zram_size: int = 0  # bytes of pages that zram takes; 0: there is none, or it is not known

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
    stem = re.sub(
        r"(\.ftrace)?(\.(txt|dat|trace|report))?(\.(gz|zst|xz|bz2|lz4|zip))?$", "", path.name
    )
    return [path.with_name(stem + suffix) for suffix in _SUFFIXES]


def read_memory(meta: str | os.PathLike[str], needs_zones: bool = True) -> Memory:
    """Return the memory that a recording's archive describes by /proc/zoneinfo and its page size.

    Parameters
    ----------
    meta
        The archive.
    needs_zones
        Whether an archive without /proc/zoneinfo is refused; if not, its frames are not known.

    Raises
    ------
    TraceError
        When the file is no archive of a recording, or lacks a populated zone.
    """
    name = os.fspath(meta)
    texts: dict[str, str] = {}
    with opened_archive(name) as archive:
        for member in archive:
            base = os.path.basename(member.name)
            if base not in _FILES:
                base = base.removesuffix(".before")
            if base in _FILES and member.isfile():
                file = archive.extractfile(member)
                if file is not None:
                    texts.setdefault(base, file.read().decode(errors="replace"))
    zones = _zones(texts.get("zoneinfo", ""))
    if not zones and needs_zones:
        raise TraceError("has no /proc/zoneinfo with a populated zone", file=name)
    first = min((zone.first for zone in zones), default=0)
    end = max((zone.end for zone in zones), default=0)
    if end - first > MAX_PAGES:
        what = f"tells of {end - first:,} frames of memory: no more than {MAX_PAGES:,}"
        raise TraceError(what, file=name)
    kernel = texts.get("version", texts.get("uname", ""))
    return Memory(
        *(first, end - first, _page_size(texts, name)),
        *(sum(zone.free for zone in zones), sum(zone.low for zone in zones)),
        sum(zone.high for zone in zones),
        page_flags=page_flags_of(texts.get("page_flags", ""), kernel),
        cache_counters=tuple(counters_of(texts.get(_CACHE_COUNTERS, "")).items()),
        kernel_counts=kernel_counts(texts),
        kernel=kernel.strip(),
        recorded=tuple(texts.get("events", "").split()),
        sampled=samples_of(texts.get("samples", "")),
        holes=end - first - sum(zone.present for zone in zones),
        managed_pages=sum(zone.managed for zone in zones),
        zram_size=_zram_size(texts.get("swaps", "")),
    )


class _Zone(NamedTuple):
    first: int
    end: int
    present: int
    free: int
    low: int
    high: int
    managed: int


def _zram_size(swaps: str) -> int:
    """Return the bytes of pages that the zram devices of a /proc/swaps take."""
    sizes = re.findall(rf"^\S*/zram\d+\s+\w+\s+({_DIGITS})\s", swaps, re.MULTILINE)
    return 1024 * sum(map(int, sizes))


def _zones(zoneinfo: str) -> list[_Zone]:
    """Return the populated zones that a /proc/zoneinfo tells."""
    words = ("free", "low", "high", "managed", "spanned", "present", "start_pfn:")
    zones = []
    for zone in re.split(r"\bzone\s", zoneinfo)[1:]:
        matches = [re.search(rf"\b{word}\s+({_DIGITS})\b", zone) for word in words]
        free, low, high, managed, spanned, present, start = (
            int(match.group(1)) if match else 0 for match in matches
        )
        if present:
            zones.append(_Zone(start, start + spanned, present, free, low, high, managed))
    return zones


def _page_size(texts: dict[str, str], name: str) -> int:
    """Return the bytes of a page, or 0 where the archive does not tell."""
    text = texts.get("page_size", texts.get("pagesize", "")).strip()
    if not text:
        return 0
    match = re.fullmatch(rf"\D*({_DIGITS})\D*", text)
    size = int(match[1]) * (1024 if "kB" in text else 1) if match else 0
    if not 4096 <= size <= 2**30 or size & (size - 1):
        raise TraceError(f"{text[:40]!r} is no page size", file=name)
    return size


def samples_of(text: str) -> tuple[tuple[str, int], ...]:
    """Return what the samples of a recording say, by name; nothing where there are none.

    Parameters
    ----------
    text
        A line for each sample and thing that was counted: seconds, a name, a number.

    Returns
    -------
    sampled
        ``samples``, how many there are; ``sampled_pages``, the pages of which tagged ones were
        counted; and ``NAME_mean`` and ``NAME_peak`` of anything else.
    """
    by_name: dict[str, list[int]] = {}
    for name, number in re.findall(rf"^\d+(?:\.\d+)? (\w+) ({_DIGITS})$", text, re.MULTILINE):
        by_name.setdefault(name, []).append(int(number))
    if not by_name:
        return ()
    found = [("samples", max(len(numbers) for numbers in by_name.values()))]
    for name, numbers in by_name.items():
        if name == "sampled_pages":
            found.append((name, max(numbers)))
            continue
        mean = round(sum(numbers) / len(numbers))
        found += [(f"{name}_mean", mean), (f"{name}_peak", max(numbers))]
    return tuple(found)


def memory_seen(low: int, high: int, page_size: int) -> Memory:
    """Return the memory that holds the frames from `low` up to but not with `high`.

    It begins and ends at multiples of `ROUND_FRAMES`.
    """
    first = low // ROUND_FRAMES * ROUND_FRAMES
    return Memory(first, -(-high // ROUND_FRAMES) * ROUND_FRAMES - first, page_size)
