"""What the recorder records, and its archive: names of tasks, events, probes, tagged pages."""

from __future__ import annotations

import json
import os
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import pytest
from captures import CAPTURE_PART
from commands import say
from kernel_types import types_of_a_kernel
from recorded_machine import EVENTS, make_machine

from core.workload.ftrace.memory import read_memory
from core.workload.ftrace.page_flags import PageFlags
from sweep.cli.trace_commands import record_command

WITH_MTE = ("tag_clear_highpage", "copy_highpage", "mte_sync_tags")
OF_FILES = ("workingset_refault", "workingset_eviction", "folio_mark_accessed", "evict")
OF_LOOKS = ("folio_referenced", "folio_update_gen", "try_to_inc_max_seq")
PROBES = (*WITH_MTE, *OF_FILES, *OF_LOOKS)


def run(folder: Path, environment: dict[str, str], *options: str) -> str:
    """Run the recorder, and return what it says."""
    record_command(folder / "record.sh")
    done = subprocess.run(
        ["sh", "record.sh", "-o", "phone", *options], cwd=folder, env=environment,
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stderr


def archive_of(folder: Path) -> dict[str, str]:
    texts = {}
    with tarfile.open(folder / "phone.meta.tar.gz") as archive:
        for member in archive:
            file = archive.extractfile(member)
            if file is not None:
                texts[Path(member.name).name] = file.read().decode(errors="replace")
    return texts


def record(folder: Path, *options: str) -> dict[str, str]:
    """Run the recorder for a second or two, and return the files of its archive."""
    run(folder, make_machine(folder), *options)
    return archive_of(folder)


def probed(folder: Path, btf: bytes | None, *events: str) -> tuple[dict[str, str], str]:
    """Return the definition of each probe on a kernel of these types, and what is said."""
    environment = make_machine(folder, *events, probes=PROBES)
    if btf is not None:
        (folder / "btf").write_bytes(btf)
    said = run(folder, environment | {"BTF": "btf"}, "-s", "0")
    lines = (folder / "tracefs" / "kprobe_events").read_text().splitlines()
    mine = [line.split(" ", 2) for line in lines if line[0] != "-" and "tag_storage_" in line]
    return {name: f"{head[0]} {arguments}" for head, name, arguments in mine}, said


def test_the_recorder_samples_tagged_pages_and_import_keeps_what_they_say(tmp_path: Path) -> None:
    texts = record(tmp_path, "-t", "2", "-s", "1")
    lines = [line.split() for line in texts["samples"].splitlines()]
    names = {name for _, name, _ in lines}
    assert {"MemFree_kib", "nr_free_pages", "nr_inactive_file"} <= names
    tagged = [int(count) for _, name, count in lines if name == "tagged_pages"]
    looked_at = [int(count) for _, name, count in lines if name == "sampled_pages"]
    assert tagged
    assert set(tagged) == {100}
    assert set(looked_at) == {3048}
    trace = tmp_path / "phone.ftrace.txt.gz"
    code, out, err = say("trace", "import", trace, "-o", tmp_path / "x.parquet", "--json")
    assert code == 0, err
    # The kswapd has no name in the trace; it goes to sleep.
    assert json.loads(out)["counts"]["reclaimed_folios"] == 1
    losses = {loss["name"]: loss["count"] for loss in json.loads(out)["losses"]}
    assert losses["no_page_alloc"] == 2
    assert "reclaim_or_truncation" not in losses
    code, out, err = say("trace", "info", tmp_path / "x.parquet", "--json")
    assert code == 0, err
    sampled = json.loads(out)["sampled"]
    assert (sampled["tagged_pages_mean"], sampled["tagged_pages_peak"]) == (100, 100)
    assert sampled["sampled_pages"] == 3048
    code, out, err = say("trace", "info", tmp_path / "x.parquet")
    assert "tagged by these samples: 3.28% of the pages, 3.28% at most" in out


def test_the_recorder_keeps_names_and_tells_events_and_control_groups(tmp_path: Path) -> None:
    texts = record(tmp_path, "-t", "1", "-s", "0")
    assert "samples" not in texts
    assert texts["events"].split() == [name.partition("/")[2] for name in EVENTS]
    for line in texts["cgroups"].splitlines():
        task, path = line.split(" ", 1)
        assert task.isdigit()
        assert path.startswith("/")
    own = [line for line in texts["comms"].splitlines() if line == f"{os.getpid()} {comm()}"]
    assert len(own) == 1


def comm() -> str:
    return Path("/proc/self/comm").read_text().rstrip("\n")


def test_the_recorder_packs_what_import_reads(tmp_path: Path) -> None:
    events = (
        *("vmscan/mm_vmscan_direct_reclaim_end", "kmem/mm_page_alloc", "kmem/mm_page_free"),
        "block/block_rq_complete",
    )
    environment = make_machine(tmp_path, *events)
    lines = subprocess.run(["gzip", "-dc", CAPTURE_PART], capture_output=True, check=True).stdout
    (tmp_path / "tracefs" / "trace_pipe").write_bytes(lines)
    said = run(tmp_path, environment)
    assert "no tracepoint filemap/mm_filemap_get_pages" in said
    assert "no tracepoint readahead/page_cache_sync_ra" in said
    assert "no BTF in nowhere that can be read" in said
    assert "no tracepoint block/block_rq_issue" in said
    assert "no costs of reading the disk, and read requests are guessed" in said
    assert "block/block_rq_complete" not in said
    assert "7 events were lost" in said
    assert not (tmp_path / "phone.meta").exists()
    names = set(archive_of(tmp_path))
    assert {"vmstat.before", "vmstat.after", "zoneinfo.before", "page_size", "version"} <= names
    # The archive is of this machine, whose memory is not the capture's.
    (tmp_path / "phone.meta.tar.gz").unlink()
    trace = tmp_path / "phone.ftrace.txt.gz"
    code, out, err = say("trace", "import", trace, "-o", tmp_path / "x.parquet", "--json")
    assert code == 0, err
    assert json.loads(out)["counts"]["rows"] == 3736


def test_the_command_prints_one_script_that_needs_no_other_file(tmp_path: Path) -> None:
    code, script, _ = say("trace", "record")
    record_command(tmp_path / "record.sh")
    assert (code, (tmp_path / "record.sh").read_text()) == (0, script)
    assert 'dirname "$0"' not in script


def test_probes_read_members_where_the_types_of_the_kernel_have_them(tmp_path: Path) -> None:
    reads = ("filemap/mm_filemap_get_pages", "block/block_rq_issue")
    probes, said = probed(tmp_path, types_of_a_kernel().file(), *reads)
    assert "BTF" not in said
    assert "no probe" not in said
    assert "readahead" not in said
    place = "index=+40($arg1):u64 ino=+64(+16(+32($arg1))):u64"
    assert {name: probe.partition(" ")[2] for name, probe in probes.items()} == {
        "tag_clear_highpage": "page=$arg1:x64",
        "copy_highpage": "to=$arg1:x64 from=$arg2:x64",
        "mte_sync_tags": "pte=$arg1:x64 nr=$arg2:u32",
        "workingset_refault": f"folio=$arg1:x64 shadow=$arg2:x64 {place}",
        "evict": "ino=+64($arg1):u64 dev=+20(+48($arg1)):u32",
        "workingset_eviction": f"folio=$arg1:x64 flags=+4($arg1):x64 {place}",
        "folio_mark_accessed": f"folio=$arg1:x64 {place}",
        "folio_referenced": "folio=$arg1:x64 ret=$retval:s32",
        "folio_update_gen": "folio=$arg1:x64",
        "try_to_inc_max_seq": "ret=$retval:u8",
    }
    kinds = {name: probe[0] for name, probe in probes.items()}
    assert {name for name, kind in kinds.items() if kind == "r"} == {OF_LOOKS[0], OF_LOOKS[2]}
    archive = archive_of(tmp_path)
    assert archive["probes"].split() == list(probes)
    bits = {"workingset 8", "mappedtodisk 15", "swapbacked 18"}
    assert set(archive["page_flags"].splitlines()) == bits
    memory = read_memory(tmp_path / "phone.meta.tar.gz")
    assert memory.page_flags == PageFlags(8, 15, 18)


@pytest.mark.parametrize("names", [{"index_size": 4}, {"host": "super_block"}])
def test_where_types_do_not_tell_a_member_it_is_left_out_and_said(
    tmp_path: Path, names: dict[str, Any]
) -> None:
    probes, said = probed(tmp_path, types_of_a_kernel(with_device=False, **names).file())
    assert "no probe on workingset_refault: BTF does not tell where a folio has its file" in said
    assert "BTF does not tell the bits of folio->flags" in said
    assert "where an inode has its device: evict is probed without it" in said
    assert "evicted folios that never refault are taken as not workingset" not in said
    assert probes["folio_mark_accessed"].endswith(" folio=$arg1:x64")
    assert probes["evict"].endswith(" ino=+64($arg1):u64 ")
    assert not {"workingset_refault", "workingset_eviction"} & set(probes)
    assert "page_flags" not in archive_of(tmp_path)


def test_a_function_that_takes_another_thing_is_not_probed(tmp_path: Path) -> None:
    probes, said = probed(tmp_path, types_of_a_kernel(evict_takes="super_block").file())
    assert "no probe on evict, whose arguments are not those in BTF: copies of a file" in said
    assert set(probes) == {*PROBES} - {"evict"}


def test_without_types_no_member_is_read_and_all_else_is(tmp_path: Path) -> None:
    probes, said = probed(tmp_path, None)
    assert "no BTF in btf that can be read: members of structures are left out" in said
    assert not [probe for probe in probes.values() if "+" in probe]
    left_out = {"mte_sync_tags", "workingset_refault", "workingset_eviction", "evict"}
    assert set(probes) == {*PROBES} - left_out
    assert [name for name in left_out if f"no probe on {name}" not in said] == []


def test_a_kernel_without_some_functions_is_recorded_without_them(tmp_path: Path) -> None:
    environment = make_machine(tmp_path, probes=("folio_referenced", "try_to_inc_max_seq"))
    said = run(tmp_path, environment, "-s", "0")
    assert "no probe on folio_update_gen: of MGLRU's walks" in said
    assert "no probe on folio_referenced" not in said
    assert archive_of(tmp_path)["probes"].split() == ["folio_referenced", "try_to_inc_max_seq"]


@pytest.mark.parametrize("tells", ["filemap/mm_filemap_get_pages", "readahead/page_cache_sync_ra"])
def test_the_recorder_says_that_requests_are_guessed_only_where_no_event_tells_them(
    tmp_path: Path, tells: str
) -> None:
    said = run(tmp_path, make_machine(tmp_path, tells), "-s", "0")
    assert "no costs of reading the disk" in said
    assert "guessed" not in said


def test_the_recorder_refuses_what_it_cannot_do(tmp_path: Path) -> None:
    record_command(tmp_path / "record.sh")
    for words, told in ((["-t", "x"], "not a whole number"), (["-z"], "usage")):
        done = subprocess.run(
            ["sh", tmp_path / "record.sh", *words], capture_output=True, text=True, timeout=20
        )
        assert done.returncode == 2
        assert told in done.stderr


@pytest.mark.parametrize("every", ["x", "-1", ""])
def test_an_interval_that_is_no_number_is_refused(tmp_path: Path, every: str) -> None:
    record_command(tmp_path / "record.sh")
    done = subprocess.run(
        ["sh", tmp_path / "record.sh", "-s", every], capture_output=True, text=True, timeout=20
    )
    assert done.returncode == 2
    assert "is not a whole number" in done.stderr


CAPTURE = "".join(
    f"            app-101   [001] .....    10.00000{number}: mm_filemap_add_to_page_cache: "
    f"dev 8:1 ino a pfn={0x10002 + number:#x} ofs={offset} order={order}\n"
    for number, (offset, order) in enumerate([(0, 0), (16384, 0), (65536, 2)], 1)
)


def test_a_page_size_is_an_option_of_captures_too(tmp_path: Path) -> None:
    trace, output = tmp_path / "x.txt", tmp_path / "x.parquet"
    trace.write_text(CAPTURE)
    options = ("--memory", "8GiB", "--page-size", "16KiB", "--json")
    code, out, err = say("trace", "import", trace, "-o", output, *options)
    assert code == 0, err
    losses = {loss["name"] for loss in json.loads(out)["losses"]}
    assert not losses & {"guessed_page_size", "guessed_memory", "misaligned_folios"}
    code, out, _ = say("trace", "info", output, "--json")
    figures = json.loads(out)
    assert (figures["page_size"], figures["data_pages"]) == (16384, 524288)
    assert figures["folio_orders"] == {"0": 2, "2": 1}
    code, out, err = say("trace", "import", trace, "-o", output, "--json")
    assert code == 0
    losses = {loss["name"] for loss in json.loads(out)["losses"]}
    assert {"guessed_page_size", "guessed_memory"} <= losses
    assert "the size of a page is a guess" in err
    code, _, err = say("trace", "info", output)
    for size, why in (("3KiB", "none of 4KiB"), ("16", "none of 4KiB"), ("x", "--page-size")):
        code, _, err = say("trace", "import", trace, "-o", output, "--page-size", size)
        assert (code, why in err) == (2, True), err
    code, _, err = say("trace", "import", trace, "-o", output, "--page-size", "64KiB")
    assert code == 0
    assert "2 folios lie at no multiple" in err
