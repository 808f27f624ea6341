"""The memory of a traced machine: what its own files say, or what its trace shows of it."""

from __future__ import annotations

import os
import re
import tarfile
from math import isqrt
from pathlib import Path
from typing import NamedTuple

from core.workload.text import TraceError

_SUFFIXES = (".meta.tar.gz", ".meta.tar")
#: Frames that are looked at where nothing says how many there are: 256 GiB of 4 KiB pages.
UNKNOWN_FRAMES = 1 << 26
#: Memory begins and ends at a multiple of so many frames where only the trace tells: 128 MiB.
ROUND_FRAMES = 1 << 15


class Memory(NamedTuple):
    """The tagged region: its first frame, its frames, the size of a page; and, in pages, what was
    free when the recording began and the watermarks (0: not known).
    """

    first_frame: int
    frames: int
    page_size: int
    free_pages: int = 0
    low_pages: int = 0
    high_pages: int = 0

    def watermarks(self) -> tuple[int, int]:
        """Return (low, high): as told, or those that Linux sets for so much memory."""
        if self.high_pages:
            return self.low_pages, self.high_pages
        # init_per_zone_wmark_min: the root of 16 times the memory in KiB, and a quarter above.
        kib = self.frames * self.page_size // 1024
        least = min(max(isqrt(16 * kib), 128), 262_144) * 1024 // self.page_size
        return least * 5 // 4, least * 3 // 2


def meta_beside(trace: str | os.PathLike[str]) -> Path | None:
    """Return the archive that a recording left beside its trace, if it is there."""
    path = Path(trace)
    stem = re.sub(r"(\.ftrace)?(\.(txt|dat|trace|report))?(\.(gz|zst))?$", "", path.name)
    for suffix in _SUFFIXES:
        found = path.with_name(stem + suffix)
        if found.is_file():
            return found
    return None


def read_memory(meta: str | os.PathLike[str]) -> Memory:
    """Return the memory that a recording's archive tells of: /proc/zoneinfo and the page size.

    Raises
    ------
    TraceError
        When it is no such archive.
    """
    name = os.fspath(meta)
    texts: dict[str, str] = {}
    try:
        with tarfile.open(name) as archive:
            for member in archive:
                base = os.path.basename(member.name).removesuffix(".before")
                if base in ("zoneinfo", "page_size", "pagesize") and member.isfile():
                    file = archive.extractfile(member)
                    if file is not None:
                        texts.setdefault(base, file.read().decode(errors="replace"))
    except (OSError, EOFError, tarfile.TarError) as error:
        raise TraceError(f"no archive of a recording: {error}", file=name) from None
    words = ("free", "low", "high", "spanned", "present", "start_pfn:")
    zones = []
    for zone in re.split(r"\bzone\s", texts.get("zoneinfo", ""))[1:]:
        found = [re.search(rf"\b{word}\s+(\d+)", zone) for word in words]
        zones.append([int(one.group(1)) if one else 0 for one in found])
    populated = [zone for zone in zones if zone[4]]
    ranges = [(zone[5], zone[5] + zone[3]) for zone in populated]
    if not ranges:
        raise TraceError("has no /proc/zoneinfo with a populated zone", file=name)
    first = min(start for start, _ in ranges)
    told = texts.get("page_size", texts.get("pagesize", "4096"))
    size = int("".join(re.findall(r"\d", told)) or 0) * (1024 if "kB" in told else 1)
    if size < 4096 or size & (size - 1):
        raise TraceError(f"{told.strip()!r} is no page size", file=name)
    free, low, high = (sum(zone[place] for zone in populated) for place in range(3))
    return Memory(first, max(end for _, end in ranges) - first, size, free, low, high)


def memory_seen(low: int, high: int, page_size: int) -> Memory:
    """Return the memory that the frames of a trace lie in, from the lowest to the highest."""
    first = low // ROUND_FRAMES * ROUND_FRAMES
    return Memory(first, -(-high // ROUND_FRAMES) * ROUND_FRAMES - first, page_size)
