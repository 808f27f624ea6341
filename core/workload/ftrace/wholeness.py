"""Whether the lines of a text are whole: not wrapped by a terminal, the last one not cut off."""

from __future__ import annotations

import re
from itertools import pairwise

from core.workload.text import TraceError

#: So much of a text tells whether its lines are wrapped.
_LOOKED_AT_BYTES = 1 << 18
#: So many lines that are full and go on in the next one tell that they are wrapped.
_TELLING_LINES = 8
#: What the first part of a wrapped event has, and no rest: a time in seconds, or a name behind one.
_HEAD = re.compile(rb"\d\.\d{6}|:\s+(?:[\w-]+:)?\w+:(?:\s|$)")
#: What the names of flags of an allocation are, without GFP_ before them.
_PLAIN = (
    "ATOMIC KERNEL KERNEL_ACCOUNT NOWAIT NOIO NOFS USER DMA DMA32 HIGHUSER HIGHUSER_MOVABLE "
    "TRANSHUGE TRANSHUGE_LIGHT TEMPORARY"
)
_UNDERSCORED = (
    "DMA HIGHMEM DMA32 MOVABLE RECLAIMABLE HIGH ATOMIC IO FS ZERO NOWARN RETRY_MAYFAIL NOFAIL "
    "NORETRY COMP MEMALLOC NOMEMALLOC HARDWALL THISNODE ACCOUNT ZEROTAGS SKIP_ZERO SKIP_KASAN "
    "DIRECT_RECLAIM KSWAPD_RECLAIM RECLAIM WRITE NOTRACK COLD REPEAT NOLOCKDEP NO_OBJ_EXT CMA WAIT"
)
_FLAGS = frozenset(
    [f"GFP_{name}" for name in _PLAIN.split()] + [f"__GFP_{name}" for name in _UNDERSCORED.split()]
)
_LAST_FLAG = re.compile(rb"gfp_flags=(?:[^ ]*\|)?([A-Za-z0-9_]*)\s*$")


def is_cut_off(line: bytes) -> bool:
    """Return whether a line ends within the name of a flag of an allocation."""
    found = _LAST_FLAG.search(line)
    if not found:
        return False
    last = found[1].decode()
    return last not in _FLAGS and any(flag.startswith(last) for flag in _FLAGS)


def refuse_wrapped(name: str, text: bytes) -> None:
    """Refuse text whose lines go on in the next one at a fixed column, within words.

    Copied from a terminal, its lines are as wide as that was. (A mail program wraps lines between
    words: those can be put together.)

    Parameters
    ----------
    name
        The file.
    text
        The beginning of it, in whole lines.

    Raises
    ------
    TraceError
        When most events are wrapped.
    """
    lines = text[:_LOOKED_AT_BYTES].split(b"\n")[:-1]
    width = max((len(line) for line in lines), default=0)
    events = sum(bool(_HEAD.search(line)) for line in lines)
    wrapped = sum(
        len(line) == width and bool(after) and not _HEAD.search(after)
        for line, after in pairwise(lines)
    )
    if wrapped >= _TELLING_LINES and 2 * wrapped > events > 0:
        what = f"lines are wrapped at {width} columns, as a terminal does: copy the file instead"
        raise TraceError(what, file=name)
