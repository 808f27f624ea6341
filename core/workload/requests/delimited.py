"""Imports traces of requests that are text in columns, as a row of `DELIMITED` describes them."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from core.import_losses import losses_of
from core.workload.requests.collector import Collector, ImportedRequests, TextKeys
from core.workload.requests.column_names import bytes_in, other_time_unit_in
from core.workload.requests.columns import STEP_NS, TIME_DIGITS, DelimitedFormat
from core.workload.requests.csv_text import (
    Chunk,
    parse,
    without_more_columns,
    without_other_lines,
)
from core.workload.requests.delimited_formats import CSV
from core.workload.requests.layout import Layout, layout_of, words_of
from core.workload.requests.requests import MOST_ROWS
from core.workload.requests.table_options import Options
from core.workload.requests.time_units import (
    LAST_DATE_S,
    LONGEST_DATES_NS,
    LONGEST_SPAN_NS,
    is_date,
    parse_dates,
    since_when,
    unit_of_date,
)
from core.workload.text import Progress, TraceError, read_chunks

#: A row is repeated no more often than this.
_MOST_REPEATS = 1_000_000
#: So many words that neither read nor write are counted one by one.
_MOST_WORDS = 12
#: Sizes that are all smaller are hardly bytes.
_SECTOR_BYTES = 512
#: Whole numbers without a unit are hardly seconds where so many requests come less than one a
#: second, or span more than a day.
_MANY_REQUESTS, _DAY_NS = 100, 86_400 * 10**9


def import_delimited(
    paths: Sequence[str | os.PathLike[str]],
    form: DelimitedFormat = CSV,
    options: Options = Options(),  # noqa: B008
    page_size: int = 4096,
    ignore_size: bool = False,
    source: str = "",
    progress: Progress | None = None,
) -> ImportedRequests:
    """Return the requests in text in columns.

    A request without an offset begins at 0, one without a size is one page, one without an op is
    a read. A file is named by text or by a number; without one, all requests are for one file.

    Parameters
    ----------
    paths
        The parts in the order of time, each plain or compressed.
    form
        What the columns hold.
    options
        What the user says of the columns.
    page_size
        Bytes of a page.
    ignore_size
        Whether each request is taken as the one page that it begins in.
    source
        What the trace says of itself.
    progress
        Called with the bytes read of all files, and their size.

    Raises
    ------
    TraceError
        When a file cannot be read, a column is missing, or a value does not fit its column.
    """
    reading = _Reading(form, options, Collector(page_size, ignore_size))
    current, line, lines = "", 1, 0
    layout: Layout | None = None
    for name, text in read_chunks(paths, progress):
        count = text.count(b"\n")
        lines += count
        if name != current:
            current, line = name, 1
            layout, begin = layout_of(name, text, form, options, layout)
            above = text.count(b"\n", 0, begin)
            text, line, count = text[begin:], line + above, count - above
        if layout is not None:
            reading.add(name, text, line, layout)
        line += count
    if layout is None:
        raise TraceError("is empty", file=os.fspath(paths[0]))
    return reading.finish(current, layout, lines, source)


class _Reading:
    """What is known while the chunks of a trace are read."""

    def __init__(self, form: DelimitedFormat, options: Options, collector: Collector) -> None:
        self._form, self._options = form, options
        self._collector = collector
        self._keys = TextKeys()
        self._words = words_of(form, options)
        self._skipped: Counter[str] = Counter()
        self._first_skipped: tuple[str, int] | None = None
        self._begin: int | None = None
        self._unit = ""
        self._dates = self._since_1970 = False
        self._whole = True
        self._seen = self._unnamed = 0
        self._largest_size = 0

    def add(self, name: str, text: bytes, line: int, layout: Layout) -> None:
        """Add the requests of some lines of a file."""
        mark = b"*" if self._form.name == "lirs" else b"#"
        text, others = without_other_lines(text, layout, mark)
        self._collector.unused.update(others)
        if self._form.more_columns and not layout.header_line:
            text = without_more_columns(text, layout)
        if not text or text.isspace():
            return
        chunk = parse(Chunk(name, text, line, layout, {}))
        writes = np.zeros(chunk.size, dtype=np.bool_)
        if "op" in layout.places:
            chunk, writes = self._used(chunk)
        repeats = self._repeats(chunk) if "count" in layout.places and chunk.size else None
        if repeats is not None and not repeats.all():
            self._collector.unused["requests that are repeated 0 times"] += int(
                (repeats == 0).sum()
            )
            chunk, writes = chunk.keep(repeats > 0), writes[repeats > 0]
            repeats = repeats[repeats > 0]
        if not chunk.size:
            return
        time_ns = self._times(chunk)
        sizes = {
            "offset": np.zeros(time_ns.size, dtype=np.int64),
            "size": np.ones(time_ns.size, dtype=np.int64),
        }
        for plain, unit in (("offset", layout.offset_unit), ("size", layout.size_unit)):
            if plain in layout.places:
                sizes[plain] = chunk.whole_numbers(plain, unit)
        self._largest_size = max(self._largest_size, int(sizes["size"].max()))
        files = np.zeros(time_ns.size, dtype=np.int64)
        if "file" in layout.places:
            if len(self._form.columns) == 1:
                chunk.check_numbers("file")
            names = chunk.column("file")
            files = self._keys.keys(names)
            self._unnamed += pc.sum(pc.equal(pc.binary_length(names), 0)).as_py()
        columns = (time_ns, files, sizes["offset"], sizes["size"], writes)
        error_at = chunk.error_at
        if repeats is not None:
            columns = tuple(np.repeat(column, repeats) for column in columns)  # type: ignore[assignment]
            rows = np.repeat(np.arange(repeats.size), repeats)
            error_at = lambda row, what: chunk.error_at(int(rows[row]), what)  # noqa: E731
        self._collector.add(*columns, error_at)

    def finish(self, name: str, layout: Layout, lines: int, source: str) -> ImportedRequests:
        """Return the requests."""
        skipped = ", ".join(
            f"{word!r} {count:,}" if word.isdigit() else f"{word} {count:,}"
            for word, count in self._skipped.most_common()
        )
        if not self._collector.has_requests:
            if self._first_skipped is None:
                raise TraceError("holds no request", file=name)
            file, line = self._first_skipped
            skipped = ", ".join(f"{word!r} {n:,}" for word, n in self._skipped.most_common())
            raise TraceError(
                f"no op is a word for a read or a write: {skipped}; say which are: "
                "--reads WORD,.. --writes WORD,..",
                file=file,
                line=line,
            )
        self._collector.unused.update({f"op {word}": n for word, n in self._skipped.items()})
        losses = self._collector.losses
        losses["skipped_operations"] = (self._skipped.total(), skipped)
        losses["requests_without_file"] = (self._unnamed, "")
        losses["columns_left_out"] = (int(bool(layout.left_out)), layout.left_out)
        imported = self._collector.finish(source)
        span_ns = int(imported.requests.time_ns[-1])
        self._doubt(layout, span_ns, imported)
        counts = {"lines": lines} | imported.counts
        unit = f"time in {self._unit}" if self._unit != "-" else "no times"
        return imported._replace(
            counts=counts,
            losses=losses_of(self._collector.losses),
            read_as=f"{layout.said}; {'dates' if self._dates else unit}",
        )

    def _doubt(self, layout: Layout, span_ns: int, imported: ImportedRequests) -> None:
        """Note what is hardly as it was taken to be."""
        losses, places = self._collector.losses, layout.places
        if self._unit == "-":
            where = f"put {STEP_NS // 10**6} ms apart"
            losses["requests_without_time"] = (imported.counts["requests"], where)
        unsaid = not layout.time_unit and not self._dates
        longest_ns = LONGEST_DATES_NS if self._since_1970 else LONGEST_SPAN_NS
        if unsaid and self._unit == "s" and span_ns > longest_ns:
            losses["doubtful_time_unit"] = (
                1, f"they span {span_ns / 1e9 / 86400:,.0f} days; --time-unit says otherwise",
            )  # fmt: skip
        elif unsaid and self._unit == "s" and self._whole and not self._since_1970:
            gaps = max(1, imported.counts["requests"] - 1)
            if span_ns > _DAY_NS or (gaps >= _MANY_REQUESTS and span_ns > gaps * 10**9):
                where = (
                    f"whole numbers, on average {round(span_ns / gaps / 1e9, 1):,} s from one "
                    "request to the next; --time-unit says otherwise"
                )
                losses["doubtful_time_unit"] = (1, where)
        if self._form is not CSV:
            return
        column = layout.header[places["time"][0]]
        if unsaid and other_time_unit_in(column):
            losses["doubtful_time_unit"] = (1, f"the column is called {column}")
        small = 0 < self._largest_size < _SECTOR_BYTES
        for plain, unit, said in (
            ("offset", layout.offset_unit, self._options.offset_unit),
            ("size", layout.size_unit, self._options.size_unit),
        ):
            if plain not in places or said or unit > 1:
                continue
            column = layout.header[places[plain][0]]
            told = bytes_in(column)
            if told:
                what = {512: "sectors", 4096: "pages"}.get(told, f"{told:,} bytes")
                where = f"the column is called {column}; --{plain}-unit {told} if it counts {what}"
            elif plain == "size" and small:
                where = f"none is above {self._largest_size}; --size-unit 512 if these are sectors"
            else:
                continue
            losses[f"doubtful_{plain}_unit"] = (1, where)

    def _used(self, chunk: Chunk) -> tuple[Chunk, NDArray[np.bool_]]:
        """Return the requests that read or write, and which write; count the others."""
        encoded = chunk.column("op").cast(pa.binary()).dictionary_encode()
        words = [word.decode(errors="replace").strip() for word in encoded.dictionary.to_pylist()]
        meanings = [self._words.get(word.lower()) for word in words]
        indices = encoded.indices.to_numpy()
        writes: NDArray[np.bool_] = np.array([meaning is True for meaning in meanings])[indices]
        if None not in meanings:
            return chunk, writes
        other = np.array([meaning is None for meaning in meanings])
        kept: NDArray[np.bool_] = ~other[indices]
        counts = np.bincount(indices, minlength=len(words))
        for word, count in zip(np.array(words, dtype=object)[other], counts[other], strict=True):
            known = word in self._skipped or len(self._skipped) < _MOST_WORDS
            self._skipped[(word[:20] or "(blank)") if known else "(others)"] += int(count)
        if self._first_skipped is None:
            error = chunk.error_at(int(np.argmin(kept)), "")
            self._first_skipped = (chunk.name, error.line or 0)
        return chunk.keep(kept), writes[kept]

    def _repeats(self, chunk: Chunk) -> NDArray[np.int64]:
        repeats = chunk.whole_numbers("count", 1)
        if (repeats > _MOST_REPEATS).any():
            row = int(np.argmax(repeats > _MOST_REPEATS))
            chunk.refuse("count", row, f"is more than {_MOST_REPEATS:,} times")
        if repeats.sum() > MOST_ROWS:
            what = f"{repeats.sum():,} repeats from here on are more than {MOST_ROWS:,}"
            raise chunk.error_at(0, what)
        return repeats

    def _times(self, chunk: Chunk) -> NDArray[np.int64]:
        """Return the times of a chunk in ns, from the trace's first one on."""
        if "time" not in chunk.layout.places:
            self._unit = "-"
            begin, self._seen = self._seen, self._seen + chunk.size
            return np.arange(begin, self._seen, dtype=np.int64) * STEP_NS
        if not self._unit:
            first = chunk.column("time")[:1].cast(pa.binary())[0].as_py()
            self._dates = is_date(first.decode(errors="replace").strip())
            self._unit = "s" if self._dates else self._unit_of(chunk)
        digits = TIME_DIGITS[self._unit]
        if self._dates:
            whole, part, bad = parse_dates(chunk.column("time"))
            if bad >= 0:
                chunk.refuse("time", bad, "is no date such as 2026-01-02 03:04:05.678")
        else:
            whole, part = chunk.numbers("time", digits)
            if self._whole:
                first = chunk.column("time")[:1].cast(pa.binary())[0].as_py()
                self._whole = b"." not in first and not part.any()
        if self._begin is None:
            self._begin = int(whole[0])
        # Counted from the first one: a Windows file time in nanoseconds is beyond 64 bits.
        far = np.abs(whole - self._begin) >= (2**63 - 1) // 10**digits
        if far.any():
            finer = ", taken as seconds; --time-unit ns if these are ns"
            unsaid = not chunk.layout.time_unit and not self._dates
            what = f"is more than 292 years from the first time{finer if unsaid else ''}"
            chunk.refuse("time", int(np.argmax(far)), what)
        time_ns: NDArray[np.int64] = (whole - self._begin) * 10**digits + part
        return time_ns

    def _unit_of(self, chunk: Chunk) -> str:
        """Return the unit of times: as it is said, or as the first one tells."""
        said = chunk.layout.time_unit
        if said in TIME_DIGITS:
            return said
        first = int(chunk.first().numbers("time", 9)[0][0])
        told = unit_of_date(first)
        self._since_1970 = told == "s"
        if told and told != "s":
            where = f"the first, {first}, is a date in {since_when(told)}; --time-unit overrules"
            self._collector.losses["guessed_time_unit"] = (1, where)
        finer = self._form.finer_unit
        if finer and not told and first >= LAST_DATE_S:
            where = f"the first, {first}, is no date in s: {finer}; --time-unit overrules"
            self._collector.losses["guessed_time_unit"] = (1, where)
            return finer
        if not told and first >= LAST_DATE_S:
            where = f"the first, {first}, is no date in s; --time-unit says otherwise"
            self._collector.losses["doubtful_time_unit"] = (1, where)
        return told or "s"
