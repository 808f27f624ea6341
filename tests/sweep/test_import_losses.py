"""Every loss that an import can name is reached by an input, and is on each face of its table."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path

import numpy as np
import perfetto_traces as made
import pytest
import request_files
from commands import CommandInThisProcess
from ftrace_lines import (
    ADD,
    BEGIN,
    DELETE,
    END,
    add,
    alloc,
    delete,
    evicting,
    fault,
    folio,
    get_pages,
    page,
    refault,
    text,
)
from perfetto_traces import packet, protos

from core.accesses import read_accesses, write_accesses
from core.event_files import read_events, write_events
from core.import_losses import SENTENCES, Loss
from core.workload.recipe import Recipe
from core.workload.requests import oracle_general
from sweep.cli.info_command import is_accesses
from sweep.engine.inputs import load_inputs
from sweep.study.read import load_study

#: A capture that begins and ends as one should, so that a line among its lines is all it lacks.
PLAIN = text([add(0), get_pages(0, 0), alloc(3), delete(0), "mm_page_free: pfn=0x40003 order=0"])
MEMORY = ("--memory", "4MiB", "--memory-start", str(0x40000 * 4096))


def line(fields: str, event: str = ADD, head: str = "app-7 [000] ..... 15.000009:") -> str:
    return f"{head} {event}: {fields}\n"


def numbers(*gfp: int) -> str:
    return text([f"mm_page_alloc: pfn=0x40003 order=0 gfp_flags={flags:#x}" for flags in gfp])


def blkparse(*actions: str) -> str:
    return "".join(
        f"  8,0    1   {number:>6}     0.0000{number:05}  4711  {action}\n"
        for number, action in enumerate(actions)
    )


PERFETTO = made.trace(made.spread(made.ALL_KINDS))


def bundle(**fields: object) -> bytes:
    return packet(protos.FtraceEventBundle(cpu=0, **fields).SerializeToString())


def _perfetto_losses() -> dict[str, bytes]:
    buffers = protos.TraceStats()
    buffers.buffer_stats.add(chunks_overwritten=3, trace_writer_packet_loss=4, chunks_discarded=5)
    stats = packet(trace_stats=buffers)
    unreadable = protos.FtraceEventBundle(cpu=0)
    unreadable.error.add(status=4)
    other_clock = protos.FtraceEventBundle(ftrace_clock=4).SerializeToString()
    one = [made.Event(100, *made.file_event(made.ADD, 2))]
    early = [made.Event(10**9, *made.file_event(made.ADD, number)) for number in range(3)]
    begins = protos.FtraceEventBundle(cpu=1, previous_bundle_end_timestamp=10**9 + 20)
    late = made.bundle_of([made.Event(10**9 + 50, *made.file_event(made.ADD, 9), cpu=1)], 1)
    probe = protos.FtraceEventBundle(cpu=0)
    probe.event.add(timestamp=10**9, pid=7).kprobe_event.name = "mte_sync_tags"
    undescribed = protos.FtraceEvent(timestamp=10**9).SerializeToString()
    undescribed = made.counted(2, undescribed + made.counted(70_000, b"\x08\x01"))
    garbled = bytearray(made.bundle_of(made.spread([made.alloc(1), made.alloc(2)]), 0))
    garbled[5] = 0x0F  # a wire type that there is none of
    broken = made.bundle_of(made.spread([made.alloc(1)]), 0) + b"\x0f"
    mark = [made.Event(10**9, "print", {"buf": "PHASE one\n"})]
    twice = [packet(made.bundle_of(mark, 0), sequence) for sequence in (1, 2)]
    return {
        "unknown_orders": PERFETTO,
        "lost_packets": PERFETTO + stats,
        "overwritten_chunks": PERFETTO + stats,
        "discarded_chunks": PERFETTO + stats,
        "unreadable_ftrace": PERFETTO + packet(unreadable.SerializeToString()),
        "unreadable_bundles": PERFETTO + packet(broken),
        "unreadable_packets": PERFETTO + made.counted(1, b"\x0f\x0f\x0f"),
        "cut_off_packets": PERFETTO[:-20],
        "unread_bytes": PERFETTO + b"\x07" * 9,
        "other_machines": PERFETTO + packet(made.bundle_of(one, 0), machine_id=7),
        "unknown_clocks": PERFETTO + packet(made.bundle_of(one, 0) + other_clock),
        "garbled_events": PERFETTO + packet(bytes(garbled)),
        "undescribed_events": PERFETTO + packet(undescribed),
        "empty_probes": PERFETTO + packet(probe.SerializeToString()),
        "partial_events": packet(made.bundle_of(early, 0))
        + packet(begins.SerializeToString() + late),
        "repeated_events": PERFETTO + b"".join(twice),
    }


KSWAPD = "kswapd0-42 | "
#: What each loss comes from: the content of a file, and options of its import.
INPUTS: dict[str, tuple[str | bytes, ...]] = {
    "lost_events": ("CPU:1 [4711 EVENTS DROPPED]\n" + PLAIN,),
    "uncounted_losses": ("CPU 0 [LOST EVENTS]\n" + PLAIN,),
    "overwritten_events": ("# entries-in-buffer/entries-written: 2/99328   #P:1\n" + PLAIN,),
    "missing_events": ("# entries-in-buffer/entries-written: 9/9   #P:1\n" + PLAIN,),
    "cut_off_flags": (
        PLAIN + line("pfn=0x40004 order=0 gfp_flags=GFP_USER|__GF", "mm_page_alloc").rstrip(),
    ),
    "guessed_memory_start": (PLAIN, "--memory", "4MiB"),
    "missing_buffers": (
        "# entries-in-buffer/entries-written: 1/1   #P:8\n# buffer: cpu3\n" + PLAIN,
    ),
    "garbage_lines": (PLAIN + "what is this\n",),
    "raw_lines": (PLAIN + "101 1 10000001000 type: 500\n",),
    "counted_times": (PLAIN + line(folio(1), head="app-7 [000] ..... 10000001:"),),
    "late_times": (PLAIN + line(folio(1), head="app-7 [000] ..... 99999999999.000001:"),),
    "events_without_time": (PLAIN + f"{ADD}: {folio(1)}\n",),
    "events_without_name": (PLAIN + f"app 7 [000] 10.000001: {folio(1)}\n",),
    "function_graph_events": (PLAIN + f" 1)               |  /* {ADD}: {folio(1)} */\n",),
    "unknown_tasks": (PLAIN + line(folio(1), head="[000] 15.000009:"),),
    "missing_orders": (PLAIN + line(folio(1).partition(" order")[0]),),
    "allocations_without_flags": (PLAIN + line("pfn=0x40004 order=0", "mm_page_alloc"),),
    "guessed_gfp_numbers": (numbers(0x940DCA, 0x140CCA),),
    "undecoded_gfp_numbers": (numbers(0xFFFF_FFFF) + line(folio(1)),),
    "unclear_gfp_numbers": (numbers(0x940DCA, 0x800C40),),
    "no_tagged_allocations": (text([alloc(3, gfp="gfp_flags=GFP_KERNEL"), add(0)]),),
    "incomplete_events": (PLAIN + line("dev 254:0 ino a4cf"),),
    "clock_steps": (PLAIN + line(folio(1), head="app-7 [000] ..... 14.000000:"),),
    "events_before_first": (PLAIN + PLAIN,),
    "misaligned_folios": (PLAIN + line(folio(1, 2)),),
    "frames_outside": (PLAIN + text([alloc(0x100000)]),),
    "missed_frees": (text([alloc(3), alloc(3), add(0)]),),
    "reclaim_or_truncation": (text([add(0), f"{DELETE}: {folio(0)}"]),),
    "lost_reclaim_begins": (
        text([f"{BEGIN}: order=0", f"{END}: x=1", f"{DELETE}: {folio(0)}", fault(0),
              f"{DELETE}: {folio(1)}", f"{END}: x=1"]),
    ),
    "lost_reclaim_ends": (text([f"{BEGIN}: order=0", f"{DELETE}: {folio(0)}", fault(0)]),),
    "unnumbered_tasks": (
        "".join(text([f"a-{2**22 + task} | {fault(0)}"]) for task in range(66_000)) + PLAIN,
    ),
    "guessed_page_size": (text([f"{ADD}: dev 8:1 ino a pfn=0x40001 ofs=0 order=0"]),),
    "guessed_memory": (PLAIN,),
    "no_page_alloc": (text([add(0)]),),
    "no_page_free": (text([alloc(3), add(0)]),),
    "no_tag_probes": (PLAIN,),
    "no_file_events": (text([alloc(3)]),),
    "no_insertions": (text([delete(0)]),),
    "no_deletions": (text([add(0)]),),
    "unflagged_stores": (text([add(0), add(1), evicting(0, 1 << 9), delete(0), delete(1)]),),
    "guessed_flag_bits": (text([add(0), evicting(0, 1 << 9), delete(0)]),),
    "contradicted_flags": (
        text([add(0), evicting(0, 0), delete(0), add(0), refault(0, 2)]),
    ),
    "requests_by_readahead": (
        text(["page_cache_sync_ra: dev=254:0 ino=a4cf index=0 req_count=1 size=1", add(0)]),
    ),
    "requests_by_device": (
        text([add(0), "block_rq_issue: 254,0 RA 131072 () 40208 + 8 none,0,0 [app]"]),
    ),
    "guessed_requests": (text([add(0)]),),
    "copies_before_base": (
        text(["mte_sync_tags: pte=0xe8000040003c47 nr=1",
              f"copy_highpage: to={page(5)} from={page(3)}",
              f"tag_clear_highpage: page={page(4)}", alloc(4)]),
    ),
    "guessed_time_unit": ("time,file\n1577808144360767,a\n1577808144360769,a\n",),
    "doubtful_time_unit": ("time,file\n0,a\n124000000,b\n",),
    "doubtful_offset_unit": (
        "time,lba,size\n1,16,8\n2,32,8\n", "--columns", "offset=lba"
    ),
    "doubtful_size_unit": ("time,offset,size\n1,16,8\n2,32,8\n",),
    "guessed_format": ("7\n8\n",),
    "skipped_operations": ("time,file,op\n1,a,R\n2,a,TRIM\n",),
    "columns_left_out": ("time,file,length,opcode\n1,a,8192,W\n",),
    "requests_are_issues": (blkparse("D  WS 2048 + 8 [a]", "C  WS 2048 + 8 [0]"),),
    "requests_are_completions": (blkparse("C  WS 2048 + 8 [0]"),),
    "stacked_devices": (
        blkparse("Q  R 80 + 8 [a]").replace("8,0 ", "253,0")
        + blkparse("A  R 80 + 8 <- (253,0) 8", "Q  R 80 + 8 [a]"),
    ),
    "requests_without_time": ("fio version 3 iolog\n0 /a read 0 4096\n0 /a read 4096 4096\n",),
    **{
        name: (content, "--format", "perfetto") for name, content in _perfetto_losses().items()
    },
}  # fmt: skip


def _operations(last: int) -> bytes:
    requests = [request_files.Request(at, 0, at * 4096, 4096, False) for at in range(20)]
    if not last:
        content = bytearray(request_files.WRITERS["lcs_3"].content(requests))
        content[24:32] = (25).to_bytes(8, "little")
        return bytes(content)
    content = bytearray(request_files.WRITERS["oracle_general_op_ns"].content(requests))
    rows = np.frombuffer(content, dtype=oracle_general.RECORD_OP_NS)
    rows["op"][:] = 1
    rows["op"][-1] = 0
    return bytes(content)


#: Of a machine with memory at 1 GiB and, as much, at 3 GiB.
ZONES = "".join(
    f"Node 0, zone {name}\n  pages free     1\n        low      2\n        high     3\n"
    f"        spanned  1024\n        present  1024\n  start_pfn:           {first}\n"
    for name, first in (("DMA", 0x40000), ("Normal", 0xC0000))
)


def write_archive(folder: Path) -> Path:
    path = folder / "x.meta.tar"
    with tarfile.open(path, "w") as archive:
        member = tarfile.TarInfo("meta/zoneinfo")
        member.size = len(ZONES)
        archive.addfile(member, io.BytesIO(ZONES.encode()))
    return path


INPUTS["memory_holes"] = (PLAIN,)
INPUTS["shared_pids"] = (
    "".join(
        f"  {name} 7 [001] 10.00000{n}: filemap:{add(n)}\n"
        for n, name in enumerate(("reader", "writer", "reader"))
    ),
)
INPUTS["requests_without_file"] = ("time,file,size\n1,a,4096\n2,,4096\n",)
INPUTS["missing_requests"] = (_operations(0),)
INPUTS["operations_not_named"] = (_operations(1), "--format", "oracle_general_op_ns")
#: Losses of `sweep trace cut`, and the words that ask for it.
CUTS = {"cut": ("--from", "2us"), "carried_frames": ("--from", "3us")}


@pytest.fixture
def sweep(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> CommandInThisProcess:
    return CommandInThisProcess(monkeypatch, capsys)


def losses_of_table(path: Path) -> list[Loss]:
    return list((read_accesses(path) if is_accesses(path) else read_events(path)).losses)


def import_input(sweep: CommandInThisProcess, folder: Path, name: str) -> tuple[Path, str]:
    """Import what a loss comes from; return the table, and what the import said."""
    content, *options = INPUTS[name]
    path, table = folder / "x", folder / "x.parquet"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    is_capture = "perfetto" in options or (isinstance(content, str) and "mm_" in content)
    if name == "memory_holes":
        options += ["--meta", str(write_archive(folder))]
    elif is_capture and name not in ("guessed_memory", "guessed_memory_start"):
        options += MEMORY
    code, _, err = sweep("trace", "import", path, "-o", table, *options)
    assert code == 0, err
    return table, err


def test_every_loss_has_an_input() -> None:
    assert {*INPUTS, *CUTS, "dropped_rows", "modelled_accessed_bits"} == set(SENTENCES)


@pytest.mark.parametrize("name", INPUTS)
def test_a_loss_is_said_by_the_import_and_stays_with_the_table(
    name: str, tmp_path: Path, sweep: CommandInThisProcess
) -> None:
    table, said = import_input(sweep, tmp_path, name)
    found = {loss.name: loss for loss in losses_of_table(table)}
    assert name in found, found
    sentence = found[name].warning
    assert sentence in said.replace("\n", " ")
    assert f"warning: {sentence}" in sweep("trace", "info", table)[1]
    assert sentence in json.loads(sweep("trace", "info", table, "--json")[1])["import_warnings"]


@pytest.mark.parametrize("name", CUTS)
def test_a_cut_says_what_it_left_out(
    name: str, tmp_path: Path, sweep: CommandInThisProcess
) -> None:
    table, _ = import_input(sweep, tmp_path, "no_tag_probes")
    cut = tmp_path / "cut.parquet"
    assert sweep("trace", "cut", table, *CUTS[name], "-o", cut)[0] == 0
    assert {name, "no_tag_probes"} <= {loss.name for loss in losses_of_table(cut)}


def test_a_repair_says_how_many_rows_it_dropped(
    tmp_path: Path, sweep: CommandInThisProcess
) -> None:
    path, _ = import_input(sweep, tmp_path, "lost_events")
    events = read_events(path)
    order = events.order.copy()
    order[0] = 99
    write_events(path, events._replace(order=order))
    repaired = tmp_path / "repaired.parquet"
    assert sweep("trace", "repair", path, "-o", repaired)[0] == 0
    found = {loss.name: loss.count for loss in losses_of_table(repaired)}
    assert found["dropped_rows"] == events.op.size - read_events(repaired).op.size >= 1
    assert found["lost_events"] == 4711


STUDY = """\
study: losses
workload: [{trace: x.parquet}, {accesses: a.parquet}, {trace: x.parquet, tagged_ratio: 0.02}]
parameters: {eviction: {type: categorical, choices: [lru, none]}}
baselines: [{preset: gcma}]
objectives: [{metric: restored, direction: maximize}]
sampler: {name: grid}
"""


def test_what_a_trace_lacks_is_on_every_face_of_a_study(
    tmp_path: Path, sweep: CommandInThisProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "x").write_text(
        str(INPUTS["lost_events"][0]) + text([add(1), get_pages(1, 1), delete(1)], start=16_000_000)
    )
    made_of = ("trace", "import", tmp_path / "x", "-o", tmp_path / "x.parquet")
    assert sweep(*made_of, "--accesses", tmp_path / "a.parquet", *MEMORY)[0] == 0
    study, database = tmp_path / "study.yaml", tmp_path / "losses.duckdb"
    study.write_text(STUDY)
    lost = "4,711 events were lost while recording"
    told = [f"{name}: {lost}" for name in ("x.parquet", "a.parquet")]
    run = ("--db", database, "--executor", "in-process")
    for words in (("validate", study), ("run", study, *run)):
        code, out, err = sweep(*words)
        assert code == 0, err
        assert [line.partition(": ")[2].partition(": every")[0] for line in err.splitlines()
                if lost in line] == told  # fmt: skip
    assert all(f"Mind: {said}" in out for said in told)
    of_database = ("losses", "--db", database)
    assert all(f"Mind: {said}" in sweep("compare", "0", "gcma", *of_database[1:])[1]
               for said in told)  # fmt: skip
    assert sweep("report", *of_database, "-o", tmp_path / "r.html")[0] == 0
    assert all(said in (tmp_path / "r.html").read_text() for said in told)
    code, out, err = sweep("bundle", study, *of_database[1:], "-o", tmp_path / "b.tar")
    assert code == 0, err
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    code, out, err = sweep("run", tmp_path / "b.tar", "--db", elsewhere / "c.duckdb", *run[2:])
    assert code == 0, err
    assert all(said in out and said in err for said in told)


def test_the_table_of_a_front_end_lacks_what_its_accesses_lack(
    tmp_path: Path, sweep: CommandInThisProcess
) -> None:
    path, _ = import_input(sweep, tmp_path, "skipped_operations")
    reclaimed = tmp_path / "reclaimed.parquet"
    code, _, err = sweep("trace", "reclaim", path, "-o", reclaimed, "--memory", "4MiB")
    assert code == 0, err
    assert losses_of_table(reclaimed) == losses_of_table(path) != []


def test_what_is_told_of_accesses_changes_no_key_and_is_that_of_the_file(
    tmp_path: Path, sweep: CommandInThisProcess
) -> None:
    import_input(sweep, tmp_path, "skipped_operations")
    study = tmp_path / "study.yaml"
    study.write_text(STUDY.replace("{trace: x.parquet}, {accesses: a.parquet}, ", "")
                     .replace("trace: x.parquet", "accesses: x.parquet")
                     .replace("sampler:", "machine: {data_memory: 16MiB}\nsampler:"))  # fmt: skip
    accesses = read_accesses(tmp_path / "x.parquet")
    digests, told = [], []
    for losses in (accesses.losses, (), (Loss("lost_events", 3),)):
        write_accesses(tmp_path / "x.parquet", accesses._replace(losses=losses))
        inputs = load_inputs(*load_study(study))
        (recipe,) = inputs.workloads.sources
        assert isinstance(recipe, Recipe)
        assert recipe.events().losses == losses
        digests.append(inputs.digests)
        told.append(len([line for line in inputs.warnings if "lost" in line or "neither" in line]))
    assert digests[0] == digests[1] == digests[2]
    assert told == [1, 0, 1]
