"""Reads a capture in Perfetto's own form as records, in the order of time.

A file is read twice. The first time tells what the trace says of itself (survey.py), and when each
bundle of events begins. The second time, events are read, and those of several CPUs merged: an
event is passed on as soon as no bundle is left that has an earlier one.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from core.import_losses import Loss, losses_of
from core.workload.ftrace.capture import Imported, import_records
from core.workload.ftrace.gfp import GfpFlags
from core.workload.ftrace.lines import Records, joined, some_of
from core.workload.ftrace.memory import Memory
from core.workload.ftrace.page_flags import page_flags_of
from core.workload.ftrace.phases import Phases
from core.workload.ftrace.reader import RecordReader
from core.workload.ftrace.words import (
    ABSENT,
    ADD,
    DELETE,
    FIELDS,
    FLAGS,
    GFP_BITS,
    GFP_NUMBER,
    MARK,
    NEW_PHASE,
    PAGE_ALLOC,
    PHASE_NUMBER,
    SAMPLED_GROUPS,
    SAMPLED_PAGES,
    SYNC_TAGS,
    TAG_CLEAR,
    TEXT_END,
    TEXT_FIRST,
)
from core.workload.perfetto.bundles import read_bundles
from core.workload.perfetto.event_fields import (
    COUNTS,
    GARBLED,
    INCOMPLETE,
    MOST_OTHERS,
    OTHER_NAMES,
    SEEN,
    UNDESCRIBED,
    UNKNOWN_ORDERS,
    Counted,
    Room,
)
from core.workload.perfetto.packets import Packets
from core.workload.perfetto.protos import Protos
from core.workload.perfetto.slots import OTHER, Tables, kind_of
from core.workload.perfetto.survey import Survey, rows_of_bundles
from core.workload.perfetto.survey_bundles import EVENTS
from core.workload.text import Progress

_GFP_NUMBERS = (1 << 32) - 1
#: Records are passed on so many at once, at most.
_MOST_AT_ONCE = 1 << 18
_SAMPLES = {
    SAMPLED_PAGES: re.compile(r"\b(?:tagged|nr_free_pages)[= ](\d{1,18})"),
    SAMPLED_GROUPS: re.compile(r"\bg32[= ](\d{1,18})"),
}


class PerfettoReader(RecordReader):
    """A capture in Perfetto's own form, as records.

    Parameters
    ----------
    paths
        The files, plain or compressed.
    progress
        Called with the bytes read so far of all files together, and with their size.
    page_size, kernel
        Bytes of a page, and what says the version of the kernel, if anything beside the trace does.

    Raises
    ------
    TraceError
        When a file cannot be read, or is no trace of Perfetto, or its package is not installed.
    """

    def __init__(
        self,
        paths: Sequence[str | os.PathLike[str]],
        progress: Progress | None = None,
        page_size: int = 0,
        kernel: str = "",
    ) -> None:
        self.names = ", ".join(os.fspath(path) for path in paths)
        self.phases = Phases()
        self._progress = progress
        protos = Protos(self.names)
        self._packets = Packets(paths, protos)
        self.survey = Survey(self._packets, protos, self._half(0))
        told = self.survey.page_size
        is_size = told >= 4096 and told & (told - 1) == 0
        self._is_size_known = bool(page_size) or is_size
        #: Bytes of a page, and what says the version of the kernel.
        self.page_size = page_size or (told if is_size else 4096)
        self.kernel = kernel or self.survey.release
        self._folios = 0
        self._counted = Counted(
            np.zeros(COUNTS, dtype=np.int64),
            np.zeros(len(self.survey.slots.names), dtype=np.int64),
            np.zeros(MOST_OTHERS, dtype=np.int64),
            np.zeros(MOST_OTHERS, dtype=np.int64),
            np.zeros((MOST_OTHERS, 2), dtype=np.int64),
        )
        self._other_names: list[str] = []
        self._marks: dict[int, str] = {}  # texts of marks that are not passed on yet
        self._mark_number = 0
        self._passed_on = 0
        self._partial, self._twice = 0, 0
        self._gfp, self._tells_tags = GfpFlags(self.kernel), False

    def _half(self, half: int) -> Progress | None:
        """Return the progress of one of the two readings."""
        whole = self._progress
        if whole is None:
            return None
        return lambda done, size: whole((half * size + done) // 2, size)

    def records(self) -> Iterator[Records]:
        """Yield the records of some bundles after the other, in the order of time."""
        limits_ns, whole_from_ns = self.survey.limits_ns(), self.survey.whole_from_ns()
        tables = self.survey.slots.tables()
        pending: list[Records] = []
        done = 0
        for block in self._packets.blocks(self._half(1)):
            rows = rows_of_bundles(block)
            if not rows.size:
                continue
            bundles = np.arange(done, done + rows.size)
            done += rows.size
            for source in np.unique(self.survey.sequence[bundles]):
                own = self.survey.is_placed[bundles]
                own &= self.survey.sequence[bundles] == source
                table = tables.get((block.file, int(source)), tables[-1, 0])
                read = self._read(block.signs, block.spans[rows[own]], bundles[own], table)
                if read.kind.size:
                    pending.append(read)
            if limits_ns[done] > limits_ns[done - rows.size] or limits_ns[done] > 2**62:
                ready, pending = _split(pending, int(limits_ns[done]))
                yield from self._pass_on(ready, whole_from_ns)
        ready, _ = _split(pending, 2**63 - 1)
        yield from self._pass_on(ready, whole_from_ns)

    def _read(
        self,
        signs: NDArray[np.uint8],
        spans: NDArray[np.int64],
        bundles: NDArray[np.int64],
        tables: Tables,
    ) -> Records:
        """Return the records of some bundles, by time."""
        most = int(self.survey.about[bundles, EVENTS].sum())
        room = Room(
            np.empty(most, dtype=np.uint8),
            np.empty(most, dtype=np.int64),
            np.empty(most, dtype=np.int64),
            np.empty((most, FIELDS), dtype=np.int64),
        )
        offsets_ns = self.survey.offset_ns[bundles]
        page_shift = self.page_size.bit_length() - 1
        about = (page_shift, self.survey.has_launches)
        count = read_bundles(signs, spans, offsets_ns, *about, tables, room, self._counted)
        for place in range(len(self._other_names), int(self._counted.counts[OTHER_NAMES])):
            first, end = self._counted.places[place].tolist()
            self._other_names.append(signs[first:end].tobytes().decode(errors="replace"))
        kind, pid, fields = room.kind[:count], room.pid[:count], room.fields[:count]
        self._decode_flags(kind, fields)
        for row in np.flatnonzero(kind == MARK).tolist():
            first, end = fields[row, [TEXT_FIRST, TEXT_END]].tolist()
            self._marks[self._mark_number] = signs[first:end].tobytes().decode(errors="replace")
            fields[row, TEXT_FIRST] = self._mark_number
            self._mark_number += 1
        order = np.argsort(room.time_ns[:count], kind="stable")
        kswapd, named = (np.isin(pid, list(self.survey.tasks[name])) for name in (True, False))
        return Records(
            kind[order],
            room.time_ns[:count][order],
            pid[order],
            kswapd[order],
            np.zeros(count, dtype=np.int64),
            fields[order],
            (kswapd | named)[order],
        )

    def _decode_flags(self, kind: NDArray[np.uint8], fields: NDArray[np.int64]) -> None:
        rows = np.flatnonzero((kind == PAGE_ALLOC) & (fields[:, FLAGS] != ABSENT))
        fields[rows, FLAGS] = GFP_NUMBER | (fields[rows, FLAGS] & _GFP_NUMBERS) << GFP_BITS
        self._gfp.decode(kind, fields)
        self._tells_tags |= bool(np.isin(kind, (TAG_CLEAR, SYNC_TAGS)).any())

    def _pass_on(self, records: Records | None, whole_from_ns: int) -> Iterator[Records]:
        """Yield records in parts that are not too large, with their marks read."""
        if records is None:
            return
        if self.survey.sources > 1:
            records = self._once(records)
        self._partial += int(np.searchsorted(records.time_ns, whole_from_ns))
        self._folios += int(np.isin(records.kind, (ADD, DELETE)).sum())
        for row in np.flatnonzero(records.kind == MARK).tolist():
            self._read_mark(records, row)
        count = records.kind.size
        records.line[:] = np.arange(self._passed_on + 1, self._passed_on + count + 1)
        self._passed_on += count
        for first in range(0, count, _MOST_AT_ONCE):
            yield some_of(records, slice(first, first + _MOST_AT_ONCE))

    def _read_mark(self, records: Records, row: int) -> None:
        """Make a phase or a sample of a mark."""
        fields = records.fields[row]
        text = self._marks.pop(int(fields[TEXT_FIRST])).strip()
        fields[:] = ABSENT
        number = self.phases.after(text, int(records.pid[row]))
        if number is not None:
            records.kind[row] = NEW_PHASE
            fields[PHASE_NUMBER] = number
        elif "=" in text:
            for column, pattern in _SAMPLES.items():
                if match := pattern.search(text):
                    fields[column] = int(match[1])

    def _once(self, records: Records) -> Records:
        """Return the records without those that two data sources recorded."""
        same = np.ones(max(0, records.kind.size - 1), dtype=np.bool_)
        for column in (records.kind, records.time_ns, records.pid):
            same &= column[1:] == column[:-1]
        is_mark = records.kind[1:] == MARK
        same &= is_mark | (records.fields[1:] == records.fields[:-1]).all(axis=1)
        for row in np.flatnonzero(same & is_mark).tolist():
            pair = records.fields[row : row + 2, TEXT_FIRST].tolist()
            same[row] = self._marks[pair[0]] == self._marks[pair[1]]
        if not same.any():
            return records
        self._twice += int(same.sum())
        keep = np.append(True, ~same)
        return some_of(records, keep)

    def counts(self) -> dict[str, int]:
        """Return the number of ftrace events, without those of a compact form."""
        return {"trace_events": int(self._counted.counts[SEEN])}

    def unused(self) -> dict[str, int]:
        """Return how many events an import does not use, by name."""
        slots, counted = self.survey.slots, self._counted
        unused = {
            name: int(count)
            for name, kind, count in zip(slots.names, slots.kinds, counted.of_slot, strict=True)
            if kind == OTHER and count
        }
        if self.survey.sched_events:
            unused["compact_sched"] = self.survey.sched_events
        for name, count in zip(self._other_names, counted.others.tolist(), strict=False):
            if kind_of(name) == OTHER:
                unused[name] = unused.get(name, 0) + count
        return unused

    def losses(self) -> tuple[Loss, ...]:
        """Return what was lost, or had to be guessed, in what was read."""
        counts = self._counted.counts
        probes = {
            name: count
            for name, count in zip(self._other_names, self._counted.others.tolist(), strict=False)
            if kind_of(name) != OTHER
        }
        return (
            *self.survey.losses(),
            *losses_of(
                {
                    "unknown_orders": (counts[UNKNOWN_ORDERS], ""),
                    "incomplete_events": (counts[INCOMPLETE], ""),
                    "garbled_events": (counts[GARBLED], ""),
                    "undescribed_events": (counts[UNDESCRIBED], ""),
                    "empty_probes": (sum(probes.values()), ", ".join(probes)),
                    "partial_events": (self._partial, ""),
                    "repeated_events": (self._twice, ""),
                    "guessed_page_size": (
                        0 if self._is_size_known else self._folios,
                        "taken as 4096 bytes; their places are told in pages",
                    ),
                }
            ),
            *self._gfp.losses(self._tells_tags),
        )

    def place(self, line: int) -> str:
        """Return where a record is, in words."""
        return f"event {line:,} of those that are used"

    def why_nothing(self) -> str:
        """Return why the trace has no event that an import uses."""
        how = "sweep trace record --perfetto prints a configuration that records those needed"
        if not self._counted.counts[SEEN] and not self.survey.sched_events:
            return f"no ftrace event in its {self._packets.packets:,} packets: {how}"
        names = ", ".join(list(self.unused())[:5])
        return f"no event of the page cache or of tagged pages in it, only {names}: {how}"


def _split(pending: list[Records], limit_ns: int) -> tuple[Records | None, list[Records]]:
    """Return the records before a time, in order, and what is left of each part."""
    ready, later = [], []
    for part in pending:
        cut = int(np.searchsorted(part.time_ns, limit_ns))
        if cut:
            ready.append(some_of(part, slice(cut)))
        if cut < part.kind.size:
            later.append(some_of(part, slice(cut, None)))
    if not ready:
        return None, later
    whole = joined(ready)
    if len(ready) > 1:
        whole = some_of(whole, np.argsort(whole.time_ns, kind="stable"))
    return whole, later


def import_perfetto(
    paths: Sequence[str | os.PathLike[str]],
    memory: Memory | None = None,
    source: str = "",
    progress: Progress | None = None,
    with_accesses: bool = False,
) -> Imported:
    """Return the mm events in a trace of Perfetto, in one file or in several parts.

    Parameters
    ----------
    paths
        The parts, each plain or compressed.
    progress
        Called with the bytes read so far of all files together, and with their size.
    memory, source, with_accesses
        As of `core.workload.ftrace.capture.import_records`.

    Raises
    ------
    TraceError
        When a file cannot be read, or holds no event of page cache or page allocator.
    """
    given = memory or Memory(0, 0, 0)
    reader = PerfettoReader(paths, progress, given.page_size, given.kernel)
    machine = given._replace(
        page_size=reader.page_size,
        kernel=reader.kernel,
        page_flags=given.page_flags or page_flags_of("", reader.kernel),
        sampled=(*given.sampled, *reader.survey.sampled),
    )
    return import_records(reader, machine, source, with_accesses)
