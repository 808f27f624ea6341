"""What a trace says of itself before its events are read: its kernel, clocks, names and losses."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.import_losses import Loss, losses_of
from core.workload.ftrace.words import ADD, DELETE
from core.workload.perfetto.packets import Block, Packets
from core.workload.perfetto.protos import Protos, text_of
from core.workload.perfetto.sampled import Samples
from core.workload.perfetto.slots import OTHER, Slots
from core.workload.perfetto.survey_bundles import (
    ABOUT,
    BEFORE_NS,
    BOOT_NS,
    CLOCK,
    CLOCK_NS,
    CPU,
    DESCRIBES,
    ERRORS,
    EVENTS,
    FIRST_NS,
    IS_BROKEN,
    LOST,
    SCHED,
    survey_bundles,
)
from core.workload.perfetto.wire import (
    BODY,
    BODY_END,
    CLOCKS,
    DROPPED,
    FTRACE,
    FTRACE_STATS,
    HOLDS,
    MACHINE,
    PROCESS_TREE,
    SEQUENCE,
    SYS_STATS,
    SYSTEM,
    TRACE_STATS,
)
from core.workload.text import Progress

_RARE = PROCESS_TREE | CLOCKS | SYS_STATS | FTRACE_STATS | TRACE_STATS | SYSTEM
_KSWAPD = re.compile(rb"kswapd\d+(?::\d+)?")
_LAUNCH = re.compile(rb"B\|\d+\|launching: ")
#: So many bundles are searched at most for the number of a kswapd whose name is in them.
_MOST_SEARCHED = 64
#: Events whose message has no order. A user may record a probe on them that has it.
_TOLD_TWICE = {
    "mm_filemap_add_to_page_cache": ADD,
    "mm_filemap_delete_from_page_cache": DELETE,
}
_RAW_CLOCK, _MONOTONIC_RAW, _BOOT = 4, 5, 6
_END_OF_TRACE = 2
_NEVER = np.int64(2**63 - 1)


class Survey:
    """What a trace says of itself.

    Parameters
    ----------
    packets, protos
        The trace, and what reads its messages.
    progress
        Called with the bytes read so far of all files together, and with their size.
    """

    def __init__(self, packets: Packets, protos: Protos, progress: Progress | None) -> None:
        self.release, self.page_size = "", 0
        #: The numbers of tasks of which a name is known: those of a kswapd (True), and others.
        self.tasks: dict[bool, set[int]] = {True: set(), False: set()}
        #: Whether launches are spans that a thread ends: `B|` and `E|`.
        self.has_launches = False
        #: Kinds of events that are there as generic events, whatever message they have.
        self.generic: set[int] = set()
        self.slots = Slots(protos.events())
        self._protos = protos
        self._samples = Samples(protos)
        self._names: set[bytes] = set()  # of kswapd, whose numbers are known
        self._searched = 0
        self._boot_offsets: dict[int, int] = {}  # by file: boot time less monotonic raw time
        self._stats: dict[bool, dict[int, int]] = {False: {}, True: {}}  # losses by CPU
        self._buffers: dict[str, int] = {}
        self._dropped, self._of_others = 0, 0
        self._errors: Counter[str] = Counter()
        about, files, sequences = [np.empty((0, ABOUT), dtype=np.int64)], [], []
        for block in packets.blocks(progress):
            rows = rows_of_bundles(block)
            told = survey_bundles(block.signs, block.spans[rows])
            about.append(told)
            files.append(np.full(rows.size, block.file, dtype=np.int64))
            sequences.append(block.spans[rows, SEQUENCE])
            self._take_bundles(block, rows, told)
            self._take_rare(block)
        self.about: NDArray[np.int64] = np.concatenate(about)  # [bundle, ABOUT]
        self.file = np.concatenate([np.empty(0, dtype=np.int64), *files])  # [bundle]
        self.sequence = np.concatenate([np.empty(0, dtype=np.int64), *sequences])  # [bundle]
        #: What to add to the times of each bundle, and whether its clock is tied to the others.
        self.offset_ns, self.is_placed = self._offsets()
        self._losses = packets.losses()
        self.slots.leave_out(self.generic)

    @property
    def sampled(self) -> tuple[tuple[str, int], ...]:
        """What the kernel's counters said while it was traced."""
        return self._samples.result()

    @property
    def sched_events(self) -> int:
        """Switches and wakings of tasks in the compact form."""
        return int(self.about[:, SCHED].sum())

    @property
    def sources(self) -> int:
        """Sequences of packets that hold bundles."""
        return len(set(zip(self.file.tolist(), self.sequence.tolist(), strict=True)))

    def limits_ns(self) -> NDArray[np.int64]:
        """Return the earliest time in the bundles from each one on.  # [bundle + 1]"""
        begins = np.where(self._is_used(), self.about[:, FIRST_NS] + self.offset_ns, _NEVER)
        begins = np.append(begins, _NEVER)
        return np.minimum.accumulate(begins[::-1])[::-1]

    def whole_from_ns(self) -> int:
        """Return from when on no CPU's buffer lacks its beginning; 0: always."""
        whole_ns = 0
        for cpu in np.unique(self.about[:, CPU]):
            first = int(np.flatnonzero(self.about[:, CPU] == cpu)[0])
            if self.about[first, BEFORE_NS] > 0:
                begin_ns = self.about[first, BEFORE_NS] + self.offset_ns[first]
                whole_ns = max(whole_ns, int(begin_ns))
        return whole_ns

    def _is_used(self) -> NDArray[np.bool_]:
        used: NDArray[np.bool_] = self.is_placed & (self.about[:, EVENTS] > 0)
        return used

    def _take_bundles(self, block: Block, rows: NDArray[np.int64], told: NDArray[np.int64]) -> None:
        """Take in what a block's bundles say beside their events."""
        self._dropped += int((block.spans[:, DROPPED] != 0).sum())
        self._of_others += int((block.spans[:, HOLDS] & FTRACE != 0).sum()) - rows.size
        if not rows.size:
            return
        first, end = int(block.spans[rows[0], BODY]), int(block.spans[rows[-1], BODY_END])
        text = block.signs[first:end].tobytes()
        self.has_launches = self.has_launches or _LAUNCH.search(text) is not None
        if b"kswapd" in text:
            self._search_names(block, rows)
        self._search_generic(block, rows, text)
        speaks = (told[:, DESCRIBES] > 0) | (told[:, ERRORS] > 0)
        for row in rows[speaks].tolist():
            bundle = self._protos.parse("FtraceEventBundle", block.body(row))
            if bundle is None:
                continue
            source = (block.file, int(block.spans[row, SEQUENCE]))
            for event in bundle.generic_event_descriptors:
                described = self._protos.described(event.event_descriptor)
                if described is not None:
                    self.slots.describe(source, event.field_id, *described)
                    self.generic.add(_TOLD_TWICE.get(described[0], OTHER))
            for error in bundle.error:
                self._errors[self._protos.word("FtraceParseStatus", error.status)] += 1

    def _search_generic(self, block: Block, rows: NDArray[np.int64], text: bytes) -> None:
        """Search a block, with its bundles' text, for generic events that have a message too."""
        wanted = {name: kind for name, kind in _TOLD_TWICE.items() if kind not in self.generic}
        wanted = {name: kind for name, kind in wanted.items() if name.encode() in text}
        for row in rows.tolist() if wanted else ():
            if not any(name.encode() in block.body(row) for name in wanted):
                continue
            bundle = self._protos.parse("FtraceEventBundle", block.body(row))
            for event in () if bundle is None else bundle.event:
                self.generic.add(wanted.get(event.generic.event_name, OTHER))

    def _search_names(self, block: Block, rows: NDArray[np.int64]) -> None:
        """Search the sched events of a block for the numbers of kswapds, which a name tells."""
        for row in rows.tolist():
            names = set(_KSWAPD.findall(body := block.body(row))) - self._names
            if not names or self._searched == _MOST_SEARCHED:
                continue
            self._searched += 1
            bundle = self._protos.parse("FtraceEventBundle", body)
            for name, task in () if bundle is None else _tasks_in(bundle):
                self._name(name, task)

    def _take_rare(self, block: Block) -> None:
        for row in np.flatnonzero(block.spans[:, HOLDS] & _RARE).tolist():
            packet = self._protos.parse("TracePacket", block.packet(row))
            if packet is None or packet.machine_id:
                continue
            holds = int(block.spans[row, HOLDS])
            if holds & PROCESS_TREE:
                for process in packet.process_tree.processes:
                    self._name((*process.cmdline, "")[0], process.pid)
                for thread in packet.process_tree.threads:
                    self._name(thread.name, thread.tid)
            if holds & SYS_STATS:
                self._samples.take(packet.sys_stats)
            if holds & SYSTEM:
                self.release = text_of(packet.system_info.utsname.release) or self.release
                self.page_size = packet.system_info.page_size or self.page_size
            if holds & CLOCKS:
                times = {clock.clock_id: clock.timestamp for clock in packet.clock_snapshot.clocks}
                if _BOOT in times and _MONOTONIC_RAW in times:
                    offset_ns = times[_BOOT] - times[_MONOTONIC_RAW]
                    self._boot_offsets.setdefault(block.file, offset_ns)
            if holds & FTRACE_STATS:
                self._take_stats(packet.ftrace_stats)
            if holds & TRACE_STATS:
                self._take_buffers(packet.trace_stats.buffer_stats)

    def _take_stats(self, stats: Any) -> None:
        lost = self._stats[stats.phase == _END_OF_TRACE]
        for cpu in stats.cpu_stats:
            lost[cpu.cpu] = cpu.overrun + cpu.commit_overrun + cpu.dropped_events

    def _take_buffers(self, buffers: Any) -> None:
        """Take in what the buffers of the recorder lost; the last statement counts."""
        self._buffers = {
            "overwritten_chunks": sum(buffer.chunks_overwritten for buffer in buffers),
            "discarded_chunks": sum(buffer.chunks_discarded for buffer in buffers),
            "lost_packets": sum(buffer.trace_writer_packet_loss for buffer in buffers),
        }

    def _name(self, name: str | bytes, task: int) -> None:
        match = _KSWAPD.match(text_of(name).encode(errors="replace"))
        if match:
            self._names.add(match[0])
        if name and task > 0:
            self.tasks[match is not None].add(task)

    def _offsets(self) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Return what makes boot time of each bundle's times, and where that is known."""
        count = self.about.shape[0]
        offset_ns, is_placed = np.zeros(count, dtype=np.int64), np.ones(count, dtype=np.bool_)
        clocks = self.about[:, CLOCK]
        is_broken = self.about[:, IS_BROKEN] != 0
        if (clocks[~is_broken] == clocks[:1]).all():
            return offset_ns, is_placed
        for file in np.unique(self.file):
            for clock in np.unique(clocks[clocks != 0]):
                rows = np.flatnonzero((self.file == file) & (clocks == clock))
                tied = rows[(self.about[rows, CLOCK_NS] > 0) & (self.about[rows, BOOT_NS] > 0)]
                if tied.size:
                    first = tied[0]
                    offset_ns[rows] = self.about[first, BOOT_NS] - self.about[first, CLOCK_NS]
                elif clock == _RAW_CLOCK and int(file) in self._boot_offsets:
                    offset_ns[rows] = self._boot_offsets[int(file)]
                else:
                    is_placed[rows] = False
        return offset_ns, is_placed

    def losses(self) -> tuple[Loss, ...]:
        """Return what the trace says was lost."""
        start, end = self._stats[False], self._stats[True]
        counted = sum(max(0, lost - start.get(cpu, 0)) for cpu, lost in end.items())
        flagged = int((self.about[:, LOST] != 0).sum())
        where = f"{flagged:,} at least" if flagged and not counted else ""
        unplaced = int(self.about[~self.is_placed, EVENTS].sum())
        errors = ", ".join(f"{name} {count:,}" for name, count in self._errors.items())
        dropped = max(self._buffers.get("lost_packets", 0), self._dropped)
        return (
            *self._losses,
            *losses_of(
                {
                    "lost_events": (max(counted, flagged), where),
                    "lost_packets": (dropped, ""),
                    "overwritten_chunks": (self._buffers.get("overwritten_chunks", 0), ""),
                    "discarded_chunks": (self._buffers.get("discarded_chunks", 0), ""),
                    "unreadable_ftrace": (sum(self._errors.values()), errors),
                    "unreadable_bundles": (int((self.about[:, IS_BROKEN] != 0).sum()), ""),
                    "other_machines": (self._of_others, ""),
                    "unknown_clocks": (unplaced, ""),
                }
            ),
        )


def rows_of_bundles(block: Block) -> NDArray[np.int64]:
    """Return the packets of a block that hold ftrace of the machine that recorded the trace."""
    is_bundle = (block.spans[:, HOLDS] & FTRACE != 0) & (block.spans[:, MACHINE] == 0)
    rows: NDArray[np.int64] = np.flatnonzero(is_bundle)
    return rows


def _tasks_in(bundle: Any) -> list[tuple[str | bytes, int]]:
    """Return the names and numbers of tasks that a bundle's sched events tell."""
    compact = bundle.compact_sched
    names = list(compact.intern_table)
    found = [
        (names[comm], task)
        for comms, tasks in (
            (compact.switch_next_comm_index, compact.switch_next_pid),
            (compact.waking_comm_index, compact.waking_pid),
        )
        for comm, task in zip(comms, tasks, strict=False)
        if comm < len(names)
    ]
    for event in bundle.event:
        if event.HasField("sched_switch"):
            switch = event.sched_switch
            found += [(switch.prev_comm, switch.prev_pid), (switch.next_comm, switch.next_pid)]
        elif event.HasField("sched_waking"):
            found.append((event.sched_waking.comm, event.sched_waking.pid))
        elif event.HasField("sched_wakeup"):
            found.append((event.sched_wakeup.comm, event.sched_wakeup.pid))
    return found
