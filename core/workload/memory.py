"""The memory of a traced machine: what its own files say, or what its trace shows of it."""

from __future__ import annotations

import os
import re
import tarfile
from pathlib import Path
from typing import NamedTuple

from core.workload.text import TraceError

_SUFFIXES = (".meta.tar.gz", ".meta.tar")
#: Frames that are looked at where nothing says how many there are: 256 GiB of 4 KiB pages.
UNKNOWN_FRAMES = 1 << 26
#: Memory begins and ends at a multiple of so many frames where only the trace tells: 128 MiB.
ROUND_FRAMES = 1 << 15


class Memory(NamedTuple):
    """The tagged region: its first frame, its frames and the size of a page."""

    first_frame: int
    frames: int
    page_size: int


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
                base = os.path.basename(member.name).partition(".")[0]
                if base in ("zoneinfo", "page_size", "pagesize") and member.isfile():
                    file = archive.extractfile(member)
                    if file is not None:
                        texts.setdefault(base, file.read().decode(errors="replace"))
    except (OSError, EOFError, tarfile.TarError) as error:
        raise TraceError(f"{name}: no archive of a recording: {error}") from None
    zones = re.findall(
        r"spanned\s+(\d+)\s+present\s+(\d+).*?start_pfn:\s+(\d+)", texts.get("zoneinfo", ""), re.S
    )
    ranges = [
        (int(start), int(start) + int(spanned)) for spanned, present, start in zones if int(present)
    ]
    if not ranges:
        raise TraceError(f"{name}: has no /proc/zoneinfo with a populated zone")
    first = min(start for start, _ in ranges)
    size = texts.get("page_size", texts.get("pagesize", "4096")).strip()
    return Memory(first, max(end for _, end in ranges) - first, int(size))


def memory_seen(low: int, high: int, page_size: int) -> Memory:
    """Return the memory that the frames of a trace lie in, from the lowest to the highest."""
    first = low // ROUND_FRAMES * ROUND_FRAMES
    return Memory(first, -(-high // ROUND_FRAMES) * ROUND_FRAMES - first, page_size)
