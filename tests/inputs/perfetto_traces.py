"""Traces of Perfetto made through its own protos, and the same events as text of ftrace."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from google.protobuf import descriptor_pb2, text_format
from perfetto.protos.perfetto.trace import perfetto_trace_pb2 as protos

from core.events import Events
from core.workload.ftrace.capture import Imported, import_ftrace
from core.workload.ftrace.memory import Memory
from core.workload.perfetto.reader import import_perfetto

MEMORY = Memory(0x40000, 1024, 4096)
ADD, DELETE = "mm_filemap_add_to_page_cache", "mm_filemap_delete_from_page_cache"
ALLOC, FREE = "mm_page_alloc", "mm_page_free"
BEGIN, END = "mm_vmscan_direct_reclaim_begin", "mm_vmscan_direct_reclaim_end"
TAGGED, MOVABLE, READAHEAD, WRITE = 0x940DCA, 0x140CCA, 0x152C4A, 0x141CCA
DEVICE = 254 << 20
_WORDS = {
    TAGGED: "GFP_HIGHUSER_MOVABLE|__GFP_COMP|__GFP_ZERO|__GFP_ZEROTAGS",
    MOVABLE: "GFP_HIGHUSER_MOVABLE|__GFP_COMP",
    READAHEAD: "GFP_NOFS|__GFP_NOWARN|__GFP_NORETRY|__GFP_COMP|__GFP_HARDWALL|__GFP_MOVABLE",
    WRITE: "GFP_HIGHUSER_MOVABLE|__GFP_COMP|__GFP_WRITE",
    0x820: "GFP_ATOMIC",
    0xCC0: "GFP_KERNEL",
}
KNOWN = set(protos.FtraceEvent.DESCRIPTOR.fields_by_name)


class Event(NamedTuple):
    """An event of the traced kernel, with its fields by the kernel's own names."""

    time_ns: int
    name: str
    fields: dict[str, int | str]
    pid: int = 7
    comm: str = "app one"
    cpu: int = 0


def userspace(device: int) -> int:
    """Return a device as Perfetto writes it: as programs know it."""
    major, minor = device >> 20, device & 0xFFFFF
    return (major & 0xFFF) << 8 | (major & ~0xFFF) << 32 | minor & 0xFF | (minor & ~0xFF) << 12


def file_event(name: str, index: int, frame: int = 1, order: int = 0, inode: int = 0xA4CF) -> Any:
    fields = {"pfn": 0x40000 + frame, "i_ino": inode, "index": index, "s_dev": DEVICE}
    return name, fields | {"order": order}


def alloc(frame: int, order: int = 0, gfp: int = TAGGED) -> Any:
    pfn = (0x40000 + frame) % 2**64
    return ALLOC, {"pfn": pfn, "order": order, "migratetype": 1, "gfp_flags": gfp}


def free(frame: int, order: int = 0) -> Any:
    return FREE, {"pfn": 0x40000 + frame, "order": order}


def _text_of(event: Event) -> str:
    """Return what tracefs prints after an event's name."""
    fields = dict(event.fields)
    device = f"{int(fields.get('s_dev', 0)) >> 20}:{int(fields.get('s_dev', 0)) & 0xFFFFF}"
    offset = int(fields.get("index", 0)) * 4096
    if event.name in (ADD, DELETE):
        return (
            f"dev {device} ino {fields['i_ino']:x} pfn={fields['pfn']:#x} ofs={offset} "
            f"order={fields['order']}"
        )
    if event.name in ("mm_filemap_get_pages", "mm_filemap_map_pages"):
        last = int(fields["last_index"]) * 4096 + 4095
        return f"dev={device} ino={fields['i_ino']:x} ofs={offset}-{last}"
    if event.name == "mm_filemap_fault":
        return f"dev={device} ino={fields['i_ino']:x} ofs={offset}"
    if event.name == "print":
        return str(fields["buf"]).strip()
    if event.name == "block_rq_issue":
        return f"254,0 {fields['rwbs']} 4096 () 8 + 8 none,0,0 [app]"
    if event.name == ALLOC:
        words = _WORDS[int(fields["gfp_flags"])]
        return f"pfn={fields['pfn']:#x} order={fields['order']} migratetype=1 gfp_flags={words}"
    if event.name.startswith("page_cache_"):
        rest = {key: value for key, value in fields.items() if key not in ("i_ino", "s_dev")}
        told = " ".join(f"{key}={value}" for key, value in rest.items())
        return f"dev={device} ino={fields['i_ino']:x} {told}"
    is_pointer = {key: isinstance(value, int) and value >= 2**32 for key, value in fields.items()}
    return " ".join(
        f"{key}={value:#x}" if is_pointer[key] else f"{key}={value}"
        for key, value in fields.items()
    )


def as_text(events: Iterable[Event]) -> str:
    """Return events as tracefs writes them."""
    return "".join(
        f"{event.comm:>16}-{event.pid}   [{event.cpu:03}] ..... {event.time_ns // 10**9}."
        f"{event.time_ns % 10**9:09}: {event.name}: {_text_of(event)}\n"
        for event in events
    )


def _generic(event: Event, made: Any) -> None:
    made.generic.event_name = event.name
    for name, value in event.fields.items():
        value = userspace(int(value)) if name == "s_dev" else value
        if isinstance(value, str):
            made.generic.field.add(name=name, str_value=value)
        elif value < 0:
            made.generic.field.add(name=name, int_value=value)
        else:
            made.generic.field.add(name=name, uint_value=value)


def varint(value: int) -> bytes:
    value %= 1 << 64
    signs = []
    while value > 127:
        signs.append(value & 127 | 128)
        value >>= 7
    return bytes([*signs, value])


def counted(number: int, content: bytes) -> bytes:
    """Return a field of bytes on the wire."""
    return varint(number << 3 | 2) + varint(len(content)) + content


class Described:
    """Generic events that are described once, and then told by a number."""

    def __init__(self) -> None:
        self.numbers: dict[str, int] = {}
        self.descriptors: list[Any] = []
        self._fields: dict[str, list[str]] = {}

    def encode(self, event: Event, made: Any) -> bytes:
        """Return the bytes of an event, of which `made` has the header."""
        if event.name not in self.numbers:
            self.numbers[event.name] = 65536 + len(self.numbers)
            self._fields[event.name] = list(event.fields)
            described = descriptor_pb2.DescriptorProto(name=event.name)
            for number, (name, value) in enumerate(event.fields.items(), start=1):
                kind = described_type(value)
                described.field.add(name=name, number=number, type=kind)
            bundle = protos.FtraceEventBundle()
            bundle.generic_event_descriptors.add(
                field_id=self.numbers[event.name],
                group_name="kprobes",
                event_descriptor=described.SerializeToString(),
            )
            self.descriptors.append(bundle)
        body = b""
        for number, name in enumerate(self._fields[event.name], start=1):
            value = event.fields[name]
            value = userspace(int(value)) if name == "s_dev" else value
            if isinstance(value, str):
                body += counted(number, value.encode())
            else:
                body += varint(number << 3) + varint(value)
        header: bytes = made.SerializeToString()
        return header + counted(self.numbers[event.name], body)


def described_type(value: int | str) -> Any:
    field = descriptor_pb2.FieldDescriptorProto
    return field.TYPE_STRING if isinstance(value, str) else field.TYPE_UINT64


def bundle_of(
    events: Sequence[Event], cpu: int, described: Described | None = None, generic: bool = False
) -> bytes:
    """Return the bundle of some events of a CPU.

    Parameters
    ----------
    events, cpu
        The events, and their CPU.
    described
        Where generic events are described, if they are told by numbers.
    generic
        Whether even events that have a message of their own come as generic ones.
    """
    content = b""
    for event in events:
        made = protos.FtraceEvent(timestamp=event.time_ns, pid=event.pid)
        if event.name in KNOWN and not generic:
            inner = getattr(made, event.name)
            inner.SetInParent()
            for name, value in event.fields.items():
                if name in inner.DESCRIPTOR.fields_by_name:
                    setattr(inner, name, userspace(int(value)) if name == "s_dev" else value)
            content += counted(2, made.SerializeToString())
        elif described is not None:
            content += counted(2, described.encode(event, made))
        else:
            _generic(event, made)
            content += counted(2, made.SerializeToString())
    head: bytes = protos.FtraceEventBundle(cpu=cpu).SerializeToString()
    return head + content


def packet(content: bytes = b"", sequence: int = 1, **fields: Any) -> bytes:
    """Return a packet: a bundle of events, or other messages by name."""
    head = protos.TracePacket(trusted_packet_sequence_id=sequence, **fields)
    return counted(1, head.SerializeToString() + (counted(1, content) if content else b""))


def system(release: str = "6.12.5-android16-5", page_size: int = 4096) -> bytes:
    about = protos.SystemInfo(page_size=page_size)
    about.utsname.release = release
    about.utsname.sysname = "Linux"
    return packet(system_info=about)


def trace(
    events: Sequence[Event],
    by: int = 50,
    encoding: str = "inline",
    generic: bool = False,
    about: bytes | None = None,
) -> bytes:
    """Return a trace of some events.

    Parameters
    ----------
    events
        The events, in the order of time.
    by
        So many are drained from the buffers of all CPUs at once, one CPU after the other.
    encoding
        How generic events come: ``inline``, or ``described`` by number.
    generic
        Whether all events are generic.
    about
        What the trace says of its kernel; by default, `system`.
    """
    described = Described() if encoding == "described" else None
    packets = [system() if about is None else about]
    for first in range(0, len(events), by):
        by_cpu: dict[int, list[Event]] = defaultdict(list)
        for event in events[first : first + by]:
            by_cpu[event.cpu].append(event)
        for cpu in sorted(by_cpu, reverse=True):
            content = bundle_of(by_cpu[cpu], cpu, described, generic)
            if described is not None:
                content += b"".join(made.SerializeToString() for made in described.descriptors)
                described.descriptors.clear()
            packets.append(packet(content))
    return b"".join(packets)


def as_text_form(content: bytes) -> str:
    """Return a trace as ``traceconv text`` writes it."""
    whole = protos.Trace.FromString(content)
    return "".join(
        f"packet {{\n{text_format.MessageToString(made, indent=2)}}}\n" for made in whole.packet
    )


def spread(
    what: Iterable[Any], step_ns: int = 1000, cpus: int = 2, start_ns: int = 15 * 10**9
) -> list[Event]:
    """Return events a little apart on several CPUs; a third item is (task, its number)."""
    events = []
    for number, (name, fields, *who) in enumerate(what):
        comm, pid = who[0] if who else ("app one", 7)
        time_ns = start_ns + number * step_ns
        events.append(Event(time_ns, name, fields, pid, comm, number * 7 // 3 % cpus))
    return events


def read(
    folder: Path, content: bytes, memory: Memory | None = MEMORY, with_accesses: bool = False
) -> Imported:
    path = folder / "x.pftrace"
    path.write_bytes(content)
    return import_perfetto([path], memory, with_accesses=with_accesses)


_FILE: dict[str, int | str] = {"i_ino": 0xA4CF, "s_dev": DEVICE}
_KSWAPD = ("kswapd0", 42)
BASE = 0xFFFFC1FFC0000000 - 0x40000 * 64


def page(frame: int) -> int:
    return BASE + (0x40000 + frame) * 64


#: One event of each kind, more or less, that an import uses, in an order that makes sense.
ALL_KINDS: tuple[Any, ...] = (
    ("print", {"buf": "PHASE start\n"}),
    ("tag_clear_highpage", {"page": page(3)}),
    alloc(3),
    alloc(16, 2),
    alloc(32, 0, 0x820),
    ("mte_sync_tags", {"pte": 0xE8000000000C47 | (0x40000 + 64) << 12, "nr": 2}),
    ("copy_highpage", {"to": page(40), "from": page(3)}),
    alloc(50, 0, READAHEAD),
    file_event(ADD, 0, 50),
    ("mm_filemap_get_pages", _FILE | {"index": 0, "last_index": 0}),
    ("mm_filemap_fault", _FILE | {"index": 1}),
    ("page_cache_sync_ra", _FILE | {"index": 1, "req_count": 2}),
    alloc(51, 0, WRITE),
    file_event(ADD, 1, 51),
    file_event(ADD, 2, 52),
    ("folio_mark_accessed", {"folio": page(52), "index": 2, "ino": 0xA4CF}),
    ("mm_filemap_map_pages", _FILE | {"index": 1, "last_index": 3}),
    ("block_rq_issue", {"rwbs": "R", "sector": 8}),
    ("block_rq_issue", {"rwbs": "WS", "sector": 8}),
    ("print", {"buf": "S|99|launching: com.app|5\n"}),
    (BEGIN, {"order": 0, "gfp_flags": 3264}),
    file_event(DELETE, 2, 52),
    (END, {"nr_reclaimed": 1}),
    ("workingset_eviction", {"folio": 1, "flags": 1, "index": 0, "ino": 0xA4CF}, _KSWAPD),
    (*file_event(DELETE, 0, 50), _KSWAPD),
    file_event(ADD, 0, 50),
    ("workingset_refault", {"folio": 1, "shadow": 0x1400043, "index": 0, "ino": 0xA4CF}),
    ("print", {"buf": "F|99|launching: com.app|5\n"}),
    ("print", {"buf": "TAG tagged=2 nonlru=0 g32=1\n"}),
    file_event(DELETE, 1, 51),
    ("evict", {"ino": 0xA4CF, "dev": DEVICE}),
    free(3),
    free(16, 2),
    ("sched_process_exit", {"comm": "app one", "pid": 7, "prio": 120}),
    ("mm_vmscan_kswapd_wake", {"nid": 0, "order": 0}, _KSWAPD),
)


def names(**tasks: int) -> bytes:
    """Return a packet that tells the names of tasks."""
    threads = [{"tid": task, "name": name} for name, task in tasks.items()]
    return packet(process_tree=protos.ProcessTree(threads=threads))


NAMES = names(kswapd0=42, app=7)


def rows(events: Events) -> list[tuple[Any, ...]]:
    return list(zip(*(column.tolist() for column in events.columns.values()), strict=True))


def losses(imported: Imported) -> dict[str, int]:
    return {loss.name: loss.count for loss in imported.events.losses}


def text_of(folder: Path, events: list[Event], with_accesses: bool = False) -> Imported:
    """Return what is imported of the same events as text."""
    path = folder / "x.ftrace.txt"
    path.write_text(as_text(events))
    return import_ftrace([path], MEMORY, with_accesses=with_accesses)


def example(encoding: str = "described") -> bytes:
    """Return a small trace with every sort of packet."""
    sched = protos.FtraceEventBundle(cpu=1)
    sched.compact_sched.intern_table.extend(["swapper", "kswapd0"])
    sched.compact_sched.switch_timestamp.extend([15 * 10**9, 5])
    sched.compact_sched.switch_next_pid.extend([0, 42])
    sched.compact_sched.switch_next_comm_index.extend([0, 1])
    stats = protos.SysStats()
    stats.vmstat.add(key=protos.VMSTAT_NR_FREE_PAGES, value=1000)
    events = spread([*ALL_KINDS, *ALL_KINDS])
    about = packet(sched.SerializeToString()) + packet(sys_stats=stats) + NAMES
    return trace(events, 9, encoding) + about
