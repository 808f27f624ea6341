"""Which event each number in a trace stands for, and which of its fields go into which column.

A *slot* is a row of these tables. Events that Perfetto knows have a message each, whose fields have
numbers that the protos tell. Any other event is generic, and says its name and those of its fields
itself: in each event, or once for many events, which then have a number of their own.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from core.workload.ftrace.words import (
    ABSENT,
    ADD,
    AGED,
    ASYNC_READAHEAD,
    BLOCK_ISSUE,
    COPY_PAGE,
    DELETE,
    DEV,
    EVENT_TABLE,
    EVICTION,
    FAULT,
    FLAGS,
    FOLIO_FLAGS,
    FOUND_YOUNG,
    FRAME,
    GET_PAGES,
    INDEX,
    INO,
    INODE_GONE,
    KINDS,
    LAST_BYTES,
    MAP_PAGES,
    MARK,
    OFFSET_BYTES,
    ORDER,
    PAGE_ALLOC,
    PAGE_FREE,
    PAGES,
    POINTER,
    PTE,
    PTES,
    READAHEAD,
    REFAULT,
    REFERENCED,
    RETURNED,
    SHADOW,
    SOURCE_POINTER,
    SYNC_READAHEAD,
    SYNC_TAGS,
    TAG_CLEAR,
    TEXT_FIRST,
    TOUCHED,
    word_hash,
)

# How a field's value becomes what its column holds: as it is; a number of pages as bytes; the last
# byte of a page; a device as programs know it, as the kernel has it; text, as where it lies; and a
# command to a device, as whether it reads data of files.
PLAIN, PAGE_INDEX, LAST_PAGE, DEVICE, TEXT, COMMAND = range(6)
#: Kinds of slots beside those of words.py.
OTHER, GENERIC, KPROBE = -1, -2, -3
#: Generic events that are told by a number have one from here on, at most so many.
FIRST_DESCRIBED, MOST_DESCRIBED = 1 << 16, 1 << 12
#: Numbers of events that have a message are below this.
MOST_EVENT = 1 << 11
#: Fields of one event that are used have numbers below this.
MOST_FIELD = 32

_FILE = {"i_ino": (INO, PLAIN), "ino": (INO, PLAIN), "s_dev": (DEV, DEVICE), "dev": (DEV, PLAIN)}
_FIRST = {"index": (OFFSET_BYTES, PAGE_INDEX)}
_RANGE = _FIRST | {"last_index": (LAST_BYTES, LAST_PAGE)}
_FRAMES = {"pfn": (FRAME, PLAIN), "order": (ORDER, PLAIN)}
_INDEX = {"index": (INDEX, PLAIN)}
_REQUEST = _FILE | _INDEX | {"req_count": (PAGES, PLAIN)}
_POINTED = _FILE | _INDEX | {"folio": (POINTER, PLAIN), "page": (POINTER, PLAIN)}
#: Fields by the kernel's own names, or those that probes have. A device that the kernel names
#: `s_dev` comes as programs know it; `dev` of a probe is a number as any other.
_FIELDS: dict[int, dict[str, tuple[int, int]]] = {
    ADD: _FILE | _FIRST | _FRAMES,
    DELETE: _FILE | _FIRST | _FRAMES,
    PAGE_ALLOC: _FRAMES | {"gfp_flags": (FLAGS, PLAIN)},
    PAGE_FREE: _FRAMES,
    TAG_CLEAR: {"page": (POINTER, PLAIN), "folio": (POINTER, PLAIN)},
    SYNC_TAGS: {"pte": (PTE, PLAIN), "nr": (PTES, PLAIN)},
    COPY_PAGE: {"to": (POINTER, PLAIN), "from": (SOURCE_POINTER, PLAIN)},
    REFAULT: _POINTED | {"shadow": (SHADOW, PLAIN)},
    EVICTION: _POINTED | {"flags": (FOLIO_FLAGS, PLAIN)},
    TOUCHED: _POINTED,
    FAULT: _FILE | _FIRST,
    GET_PAGES: _FILE | _RANGE,
    MAP_PAGES: _FILE | _FIRST,
    SYNC_READAHEAD: _REQUEST,
    ASYNC_READAHEAD: _REQUEST,
    READAHEAD: _REQUEST,
    INODE_GONE: _FILE,
    REFERENCED: {"folio": (POINTER, PLAIN), "ret": (RETURNED, PLAIN)},
    FOUND_YOUNG: {"folio": (POINTER, PLAIN)},
    AGED: {"ret": (RETURNED, PLAIN)},
    MARK: {"buf": (TEXT_FIRST, TEXT)},
    BLOCK_ISSUE: {"rwbs": (DEV, COMMAND)},
}
_KIND_OF = dict(EVENT_TABLE.tolist())


def kind_of(event: str) -> int:
    """Return the kind of an event, or OTHER."""
    return int(_KIND_OF.get(word_hash(event), OTHER))


class Tables(NamedTuple):
    """The slots as arrays."""

    of_number: NDArray[np.int32]  # [number of an event] its slot, or ABSENT
    kind: NDArray[np.int16]  # [slot]
    column: NDArray[np.int8]  # [slot, number of a field] or ABSENT
    how: NDArray[np.int8]  # [slot, number of a field]
    words: NDArray[np.int64]  # [kind, word] (hash of a field's name, column, how); a hash of 0 ends


class Slots:
    """The slots of a trace.

    Parameters
    ----------
    events
        Those that have a message, by number: their name, and the numbers of its fields.
    """

    def __init__(self, events: dict[int, tuple[str, dict[str, int]]]) -> None:
        self.names: list[str] = []
        self.kinds: list[int] = []
        self._columns: list[NDArray[np.int8]] = []
        self._hows: list[NDArray[np.int8]] = []
        self._messages = np.full(MOST_EVENT, ABSENT, dtype=np.int32)
        self._described: dict[tuple[int, int], dict[int, int]] = {}
        for number, (name, fields) in events.items():
            if number < MOST_EVENT:
                self._messages[number] = self._add(name, fields)
        self._words = _words()

    def _add(self, name: str, fields: dict[str, int]) -> int:
        kind = {"generic": GENERIC, "kprobe_event": KPROBE}.get(name, kind_of(name))
        known = _FIELDS.get(kind, {})
        places = {number: known.get(field) for field, number in fields.items()}
        if kind == MARK and (TEXT_FIRST, TEXT) not in places.values():
            kind = OTHER
        columns = np.full(MOST_FIELD, ABSENT, dtype=np.int8)
        hows = np.zeros(MOST_FIELD, dtype=np.int8)
        for number, place in places.items():
            if place is not None and kind >= 0 and 0 < number < MOST_FIELD:
                columns[number], hows[number] = place
        self.names.append(name)
        self.kinds.append(kind)
        self._columns.append(columns)
        self._hows.append(hows)
        return len(self.names) - 1

    def describe(
        self, source: tuple[int, int], number: int, name: str, fields: dict[str, int]
    ) -> None:
        """Take in a generic event that is told by a number.

        Parameters
        ----------
        source
            The file, and the sequence of packets in it, in which the number has this meaning.
        number
            The number.
        name, fields
            The event's name, and the numbers of its fields by name.
        """
        if FIRST_DESCRIBED <= number < FIRST_DESCRIBED + MOST_DESCRIBED:
            self._described.setdefault(source, {})[number] = self._add(name, fields)

    def leave_out(self, kinds: set[int]) -> None:
        """Use no messages of some kinds of events, which are there as generic ones as well."""
        for slot in self._messages[self._messages != ABSENT].tolist():
            if self.kinds[slot] in kinds and self.kinds[slot] >= 0:
                self.kinds[slot] = OTHER

    def tables(self) -> dict[tuple[int, int], Tables]:
        """Return the tables of each source that describes events; (-1, 0) is any other."""
        kinds = np.array(self.kinds, dtype=np.int16)
        columns, hows = np.array(self._columns), np.array(self._hows)
        tables = {}
        for source, described in {(-1, 0): {}, **self._described}.items():
            of_number = np.full(MOST_EVENT + MOST_DESCRIBED, ABSENT, dtype=np.int32)
            of_number[:MOST_EVENT] = self._messages
            for number, slot in described.items():
                of_number[MOST_EVENT + number - FIRST_DESCRIBED] = slot
            tables[source] = Tables(of_number, kinds, columns, hows, self._words)
        return tables


def _words() -> NDArray[np.int64]:
    """Return the fields of each kind of event by the hash of their name."""
    most = max(map(len, _FIELDS.values()))
    words = np.zeros((KINDS, most + 1, 3), dtype=np.int64)
    for kind, places in _FIELDS.items():
        for number, (name, (column, how)) in enumerate(places.items()):
            words[kind, number] = word_hash(name), column, how
    return words
