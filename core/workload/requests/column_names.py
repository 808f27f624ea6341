"""What the names of a table's columns say: which plain column each may be, and in which unit."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from difflib import get_close_matches

from core.workload.requests.columns import PLAIN_COLUMNS, USUAL_NAMES

#: A longer name of a column, or of one behind so many others, tells nothing.
_LONGEST_NAME, _MOST_NAMES = 100, 1000
_NUMBER_UNITS = {"k": 1 << 10, "kb": 1 << 10, "kib": 1 << 10, "mb": 1 << 20, "mib": 1 << 20}
_TIME_UNITS = {
    word: unit
    for unit, words in {
        "s": "s sec secs second seconds",
        "ms": "ms msec msecs milli millis millisecond milliseconds",
        "us": "us µs usec usecs micro micros microsecond microseconds",
        "ns": "ns nsec nsecs nano nanos nanosecond nanoseconds",
    }.items()
    for word in words.split()
}
#: Units that ``--time-unit`` does not know.
_OTHER_TIME_UNITS = (
    "m", "min", "mins", "minute", "minutes", "h", "hr", "hour", "hours", "d", "day", "days",
    "tick", "ticks", "jiffies", "cycles",
)  # fmt: skip
_LAST_WORD = re.compile(
    r"(?:[\s_.-]+(?:in[\s_]+)?[(\[]?|[(\[]|(?<=[a-z])(?=[A-Z])|(?<=^time)|(?<=^ts)|(?<=^timestamp))"
    r"([A-Za-zµ]+)[)\]]?$"
)
#: Sectors and blocks: numbers in a column of such a name are hardly bytes.
_SECTORS = re.compile(r"lba|lbn|sector|blk|block", re.IGNORECASE)
_BYTES = re.compile(r"byte|size|len", re.IGNORECASE)

#: What else the names of plain columns look like, without a unit.
_LIKELY = {
    "time": re.compile(r"(?!.*(resp|latency|disk|service|queue|wait)).*[_ ](time|timestamp|ts)"),
    "file": re.compile(r".*[_ ](id|key|file|path|inode|hash)|(file|object|block|key)[_ ]?\w+"),
    "offset": re.compile(r".*[_ ](offset|off|lba|lbn|sector|address|addr|pos)"),
    "size": re.compile(
        r"(?!.*(key|id|page|head|disk|resp)).*[_ ](size|length|len|bytes|sectors|blocks)"
    ),
    "op": re.compile(r"(op|operation|io|request|req|access|cmd)[_ ]?(name|type|code|kind)"),
}


def _last_word(name: str) -> str:
    """Return the last word of a name, in small letters, if something parts it from the others."""
    name = name.strip()
    match = _LAST_WORD.search(name) if len(name) <= _LONGEST_NAME else None
    return match[1].lower() if match else ""


def time_unit_in(name: str) -> str:
    """Return the unit of times that the name of a column says, as ``ms`` of ``time (ms)``."""
    return _TIME_UNITS.get(_last_word(name), "")


def other_time_unit_in(name: str) -> str:
    """Return the unit that a name says and that times cannot have, as ``min`` of ``time_min``."""
    word = _last_word(name)
    return word if word in _OTHER_TIME_UNITS else ""


def bytes_in(name: str) -> int:
    """Return of how many bytes the numbers in a column seem to be by its name; 0 for no telling."""
    told = _NUMBER_UNITS.get(_last_word(name), 0)
    sectors = _SECTORS.search(name) and not _BYTES.search(name)
    return told or (512 if sectors else 4096 if re.search("pages?$", name, re.I) else 0)


def _bare(name: str) -> str:
    """Return a column's name in small letters without a unit, such as ``time`` of ``Time (us)``."""
    name = name.strip()
    word, small = _last_word(name), name.lower()
    if not word:
        return small
    units = {*_TIME_UNITS, *_OTHER_TIME_UNITS, *_NUMBER_UNITS, "b", "byte", "bytes", "sectors"}
    match = _LAST_WORD.search(name)
    return (small[: match.start()] or small) if match and word in units else small


def usual_columns(header: Sequence[str]) -> dict[str, str]:
    """Return which name in a header may be that of each plain column."""
    found: dict[str, str] = {}
    named = [(word, (word.strip().lower(), _bare(word))) for word in header[:_MOST_NAMES]]
    for plain, usual in USUAL_NAMES.items():
        for name in usual:
            match = [word for word, names in named if name in names and word not in found.values()]
            if match:
                found[plain] = match[0]
                break
    return found


def likely_columns(header: Sequence[str]) -> dict[str, str]:
    """Return which name in a header looks as if it were that of each plain column."""
    found: dict[str, str] = {}
    for plain, pattern in _LIKELY.items():
        match = [
            word
            for word in header[:_MOST_NAMES]
            if len(word) <= _LONGEST_NAME
            and pattern.fullmatch(_bare(word))
            and word not in found.values()
        ]
        if match:
            found[plain] = match[0]
    return found


def suggested(
    others: Sequence[str], columns: Mapping[str, str], missing: Sequence[str]
) -> dict[str, str]:
    """Return which of the other names of a header the missing plain columns may be."""
    usual = usual_columns(others)
    likely = likely_columns([name for name in others if name not in usual.values()])
    found: dict[str, str] = {}
    for plain in missing:
        left = [word for word in others if word not in found.values()]
        close = closest(columns.get(plain, plain), left)
        if usual.get(plain) in left and (plain not in columns or close is None):
            found[plain] = usual[plain]
        elif close is not None and (plain in columns or plain == "file"):
            found[plain] = close
        elif likely.get(plain) in left:
            found[plain] = likely[plain]
        elif close is not None and plain == "time":
            found[plain] = close
    return found


def closest(word: str, known: Sequence[str]) -> str | None:
    """Return the word among those known that is spelled most alike, if one is."""
    short = [name for name in known[:_MOST_NAMES] if len(name) <= _LONGEST_NAME]
    lower = {name.lower(): name for name in reversed(short)}
    matches = get_close_matches(word.lower(), lower, n=1)
    return lower[matches[0]] if matches else None


def columns_option(header: Sequence[str], names: Mapping[str, str]) -> str:
    """Return the option that names columns so, as a shell takes it."""
    parts = []
    for plain in PLAIN_COLUMNS:
        name = names.get(plain, "")
        if re.search("[,=]", name) and name in header:
            name = str(header.index(name) + 1)
        if name:
            parts.append(f"{plain}={name}")
    return f"--columns {shlex.quote(','.join(parts))}"
