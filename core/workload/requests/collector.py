"""What the importers of requests share.

A `Collector` gathers requests piece by piece and turns their bytes into pages; `FileNumbers` and
`TextKeys` number the files that they are for.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from core.import_losses import Loss, losses_of
from core.jit import entry, wide
from core.workload.requests.requests import MOST_PAGES, Requests
from core.workload.text import TraceError

#: Files are numbered in 32 bits, and a slot of the hash table holds the file's number plus 1.
MOST_FILES = 2**32 - 1
#: A number in its usual form (7, not 07 or +7) that fits 64 bits with a sign.
_PLAIN_NUMBER = r"^(0|[1-9][0-9]{0,17})$"
_PLAIN_NUMBER_BYTES = re.compile(_PLAIN_NUMBER.encode())
# Fibonacci hashing: the odd number nearest to 2**64 over the golden ratio.
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)

#: Returns the error for a row of a piece, by what is wrong with it; it names the row's place.
ErrorAt = Callable[[int, str], TraceError]


class ImportedRequests(NamedTuple):
    """An imported trace of requests, and what its import counted and warns of."""

    requests: Requests
    counts: dict[str, int]  # what was imported, by name
    unused: dict[str, int]  # lines that ask for no page, by kind
    warnings: list[str]  # what the user should know
    losses: tuple[Loss, ...] = ()  # what is lost or guessed, which the tables keep
    read_as: str = ""  # how the content was understood, in words


class Collector:
    """Gathers requests in bytes, a piece of a file at a time, and returns `Requests` in pages.

    Parameters
    ----------
    page_size
        Bytes of a page.
    ignore_size
        Whether each request is taken as the one page that it begins in.
    """

    def __init__(self, page_size: int, ignore_size: bool) -> None:
        self.unused: Counter[str] = Counter()
        self.warnings: list[str] = []
        #: What is lost or guessed: (how often, what helps to find it) by name.
        self.losses: dict[str, tuple[int, str]] = {}
        self._page_size, self._ignore_size = page_size, ignore_size
        self._files = FileNumbers()
        self._empty = 0
        self._parts: list[tuple[NDArray[Any], ...]] = []

    @property
    def has_requests(self) -> bool:
        """Whether a request has been added."""
        return bool(self._parts)

    def add(
        self,
        time_ns: NDArray[np.int64],
        file: NDArray[np.int64],
        offset_bytes: NDArray[np.int64],
        size_bytes: NDArray[np.int64],
        writes: NDArray[np.bool_],
        error_at: ErrorAt,
    ) -> None:
        """Add a piece of requests.

        Parameters
        ----------
        time_ns, file, offset_bytes, size_bytes, writes
            Of each request [request]; `file` is any number that no other file has.
        error_at
            Makes the error for a request of this piece.

        Raises
        ------
        TraceError
            When a request reaches beyond the pages that a file can have, or there are more files
            than can be numbered.
        """
        if not time_ns.size:
            return
        self._empty += int((size_bytes == 0).sum())
        # A request of no bytes asks for the page that it begins in.
        size = np.ones_like(size_bytes) if self._ignore_size else np.maximum(size_bytes, 1)
        limit = MOST_PAGES * self._page_size
        far = (offset_bytes >= limit) | (size > limit - np.minimum(offset_bytes, limit))
        if far.any():
            row = int(np.argmax(far))
            raise error_at(
                row,
                f"{size_bytes[row]} bytes at {offset_bytes[row]} reach beyond "
                f"{MOST_PAGES} pages of {self._page_size} bytes",
            )
        first = offset_bytes // self._page_size
        pages = (offset_bytes + size - 1) // self._page_size - first + 1
        inode = self._files.number(file)
        if self._files.count > MOST_FILES:
            raise error_at(0, f"more than {MOST_FILES} files")
        self._parts.append(
            (time_ns, inode, first.astype(np.uint32), pages.astype(np.uint32), writes)
        )

    def finish(self, source: str) -> ImportedRequests:
        """Return the requests in the order of time, which begins at 0."""
        time_ns, inode, first, pages, writes = (
            np.concatenate([part[place] for part in self._parts]) for place in range(5)
        )
        self._parts = []
        late = int((time_ns < np.maximum.accumulate(time_ns)).sum())
        if late:
            self.warnings.append(f"{late:,} requests came after later ones; sorted by time")
            order = np.argsort(time_ns, kind="stable")
            time_ns, inode, first, pages, writes = (
                column[order] for column in (time_ns, inode, first, pages, writes)
            )
        if self._empty and not self._ignore_size:
            self.warnings.append(f"{self._empty:,} requests of no bytes are one page each")
        requests = Requests(time_ns - time_ns[0], inode, first, pages, writes, source)
        counts = {
            "requests": int(requests.time_ns.size),
            "files": self._files.count,
            "requested_pages": int(requests.pages.sum(dtype=np.int64)),
            "writes": int(requests.writes.sum()),
        }
        unused = {kind: count for kind, count in self.unused.items() if count}
        return ImportedRequests(requests, counts, unused, self.warnings, losses_of(self.losses))


class FileNumbers:
    """Numbers of files, 0, 1, … in the order in which their keys first appear."""

    def __init__(self) -> None:
        self.count = 0
        self._known = np.empty(1 << 9, dtype=np.int64)
        self._table = np.zeros(1 << 10, dtype=np.uint32)

    def number(self, keys: NDArray[np.int64]) -> NDArray[np.uint32]:
        """Return the number of each key."""
        # Half of the slots stay free, which keeps a search short, so the table grows before it.
        if self.count + keys.size > self._known.size:
            room = 1 << (self.count + keys.size - 1).bit_length()
            known = self._known[: self.count]
            self._table = np.zeros(2 * room, dtype=np.uint32)
            self._known = np.empty(room, dtype=np.int64)
            self._look_up(known, 0)
        numbers, self.count = self._look_up(keys, self.count)
        return numbers

    def _look_up(self, keys: NDArray[np.int64], count: int) -> tuple[NDArray[np.uint32], int]:
        numbers = np.empty(keys.size, dtype=np.uint32)
        # Hashed here and not in `_number`: a product of whole arrays wraps around without a warning
        # in plain Python too.
        mixed = keys.view(np.uint64) ^ (keys.view(np.uint64) >> np.uint64(32))
        bits = self._table.size.bit_length() - 1
        slots = ((mixed * _GOLDEN) >> np.uint64(64 - bits)).astype(np.int64)
        count = _number(np.ascontiguousarray(keys), slots, self._table, self._known, count, numbers)
        return numbers, count


@entry
def _number(
    keys: NDArray[np.int64],
    slots: NDArray[np.int64],
    table: NDArray[np.uint32],
    known: NDArray[np.int64],
    count: int,
    numbers: NDArray[np.uint32],
) -> int:
    """Fill `numbers` with the number of each key, by open addressing; return how many are known.

    A slot of `table` holds a key's number plus 1, or 0 while it is free.
    """
    last = table.size - 1
    for row in range(keys.size):
        key = wide(keys[row])
        slot = wide(slots[row])
        while table[slot] != 0 and wide(known[wide(table[slot]) - 1]) != key:
            slot = (slot + 1) & last
        if table[slot] == 0:
            known[count] = key
            count += 1
            table[slot] = count
        numbers[row] = wide(table[slot]) - 1
    return count


class TextKeys:
    """Keys of files that are named by text: equal text, but for spaces around it, has one key."""

    def __init__(self) -> None:
        self._words: dict[bytes, int] = {}

    def keys(self, names: pa.StringArray) -> NDArray[np.int64]:
        """Return the key of each name; a number is its own key, other words count down from -1."""
        encoded = names.cast(pa.binary()).dictionary_encode()
        distinct = encoded.dictionary
        plain = pc.match_substring_regex(distinct, _PLAIN_NUMBER)
        keys = np.empty(len(distinct), dtype=np.int64)
        numeric = plain.to_numpy(zero_copy_only=False)
        keys[numeric] = distinct.filter(plain).cast(pa.string()).cast(pa.int64()).to_numpy()
        words = distinct.filter(pc.invert(plain)).to_pylist()
        known = self._words
        keys[~numeric] = [
            -1 - known[word] if word in known else self._key(word.strip(), known) for word in words
        ]
        key_of_name: NDArray[np.int64] = keys[encoded.indices.to_numpy()]
        return key_of_name

    @staticmethod
    def _key(word: bytes, known: dict[bytes, int]) -> int:
        if _PLAIN_NUMBER_BYTES.match(word):
            return int(word)  # a number between spaces
        return -1 - known.setdefault(word, len(known))
