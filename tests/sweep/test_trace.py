"""The trace commands as a user types them, and the recorder on a made-up tracefs."""

from __future__ import annotations

import json
import os
import struct
import subprocess
import tarfile
from pathlib import Path

import pytest
import small_study
from captures import CAPTURE_PART
from commands import say

from core.workload.ftrace.memory import read_memory
from core.workload.ftrace.page_flags import PageFlags


def test_an_imported_trace_can_be_looked_at_and_studied(tmp_path: Path) -> None:
    code, out, err = say(
        "trace", "import", CAPTURE_PART, "-o", tmp_path / "small.parquet", "--json"
    )
    assert code == 0, err
    assert json.loads(out)["counts"]["inserted_pages"] == 2628
    assert "warning" in err
    code, out, err = say("trace", "info", tmp_path / "small.parquet")
    assert code == 0, err
    assert "store 959" in out
    assert "read requests (recorded): 1,294" in out
    assert "rows of phases: sqlB1 2,874" in out
    assert "inferred for 95.4% of the stores; mapped to disk: unknown" in out
    path = small_study.write_study(tmp_path, n_trials=4)
    code, out, err = say("run", path, "--executor", "in-process", cwd=tmp_path)
    assert code == 0, err


def test_accesses_run_through_another_kernel(tmp_path: Path) -> None:
    events, accesses = tmp_path / "x.parquet", tmp_path / "a.parquet"
    code, _, err = say("trace", "import", CAPTURE_PART, "-o", events, "--accesses", accesses)
    assert code == 0, err
    out = tmp_path / "small.parquet"
    code, said, err = say("trace", "reclaim", accesses, "-o", out, "--memory", "1GiB", "--json")
    assert code == 0, err
    assert json.loads(said)["counts"]["evictions"] == 0
    code, said, err = say("trace", "reclaim", accesses, "-o", out, "--by", "active_inactive")
    assert code == 0, err
    assert "inserted_pages" in said
    for changed, told in (
        ("swap_sise=1MiB", "a kernel has no setting swap_sise, did you mean swap_size?"),
        ("swappiness=201", "swappiness is from 0 to 200, not 201"),
        ("zram_size=many", "zram_size: 'many' is no number of its kind"),
    ):
        code, _, err = say("trace", "reclaim", accesses, "-o", out, "--set", changed)
        assert (code, told in err) == (2, True), err
    both = ("--set", "zram_size=1MiB", "--set", "swap_size=1MiB")
    code, _, err = say("trace", "reclaim", accesses, "-o", out, *both)
    assert (code, "zram_size or swap_size" in err) == (2, True), err
    code, _, err = say("trace", "reclaim", accesses, "-o", out, "--memory", "1MiB")
    assert code == 2
    assert "not more than the" in err
    code, _, err = say("trace", "reclaim", events, "-o", out)
    assert code == 2
    assert "not an access trace" in err


def test_a_bad_trace_is_one_line_and_leaves_nothing(tmp_path: Path) -> None:
    cut = tmp_path / "cut.gz"
    cut.write_bytes(CAPTURE_PART.read_bytes()[:100_000])
    empty = tmp_path / "empty.txt"
    empty.touch()
    for trace, word in ((cut, "cut off"), (empty, "is empty"), (tmp_path / "none", "No such file")):
        code, out, err = say("trace", "import", trace, "-o", tmp_path / "out.parquet")
        assert (code, out) == (2, "")
        assert word in err
        assert "Traceback" not in err
    assert not list(tmp_path.glob("out*"))
    code, _, err = say("trace", "import", CAPTURE_PART, "-o", tmp_path / "no" / "out.parquet")
    assert code == 2
    assert "there is no folder" in err
    code, _, err = say("trace", "import", CAPTURE_PART, "-o", tmp_path / "o", "--memory", "1GB")
    assert code == 2
    assert "did you mean 1GiB" in err


def test_repair_writes_a_table_that_is_good(tmp_path: Path) -> None:
    small_study.write_trace(tmp_path, 1000)
    trace, out = tmp_path / "small.parquet", tmp_path / "good.parquet"
    code, said, err = say("trace", "repair", trace, "-o", out, "--json")
    assert code == 0, err
    assert json.loads(said) == {"output": str(out), "kept": 1000, "dropped": {}}


def make_tracefs(folder: Path, *more: str) -> Path:
    """Return a folder with the files of tracefs that a kernel of our own would have."""
    tracefs = folder / "tracefs"
    for name in (
        *more,
        "filemap/mm_filemap_add_to_page_cache",
        "filemap/mm_filemap_delete_from_page_cache",
        "vmscan/mm_vmscan_direct_reclaim_begin",
        "vmscan/mm_vmscan_direct_reclaim_end",
        "kmem/mm_page_alloc",
        "kmem/mm_page_free",
        "block/block_rq_complete",
    ):
        event = tracefs / "events" / name
        event.mkdir(parents=True)
        (event / "enable").write_text("0\n")
    for name in ("tracing_on", "buffer_size_kb", "trace_clock", "trace", "set_event_notrace_pid"):
        (tracefs / name).touch()
    (tracefs / "kprobe_events").touch()
    cpu = tracefs / "per_cpu" / "cpu0"
    cpu.mkdir(parents=True)
    (cpu / "stats").write_text("overrun: 3\ndropped events: 4\n")
    return tracefs


def test_the_recorder_packs_what_import_reads(tmp_path: Path) -> None:
    code, script, _ = say("trace", "record")
    assert code == 0
    code, _, err = say("trace", "record", "-o", tmp_path / "record.sh")
    assert (code, (tmp_path / "record.sh").read_text()) == (0, script)
    tracefs = make_tracefs(tmp_path)
    lines = subprocess.run(["gzip", "-dc", CAPTURE_PART], capture_output=True, check=True).stdout
    (tracefs / "trace_pipe").write_bytes(lines)
    done = subprocess.run(
        ["sh", "record.sh", "-t", "2", "-o", "phone"],
        cwd=tmp_path, env=os.environ | {"TRACEFS": str(tracefs), "BTF": "nowhere"},
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "no tracepoint filemap/mm_filemap_get_pages" in done.stderr
    assert "no tracepoint readahead/page_cache_sync_ra" in done.stderr
    assert "no BTF in nowhere that tells the bits of folio->flags" in done.stderr
    assert "folio->flags" not in (tracefs / "kprobe_events").read_text()
    assert "no tracepoint block/block_rq_issue" in done.stderr
    assert "no costs of reading the disk, and read requests are guessed" in done.stderr
    assert "block/block_rq_complete" not in done.stderr
    assert "7 events were lost" in done.stderr
    assert (tracefs / "tracing_on").read_text() == "0\n"
    for enable in tracefs.glob("events/*/*/enable"):
        assert enable.read_text() == "0\n"
    assert not (tmp_path / "phone.meta").exists()
    with tarfile.open(tmp_path / "phone.meta.tar.gz") as archive:
        names = {Path(name).name for name in archive.getnames()}
    assert {"vmstat.before", "vmstat.after", "zoneinfo.before", "page_size", "version"} <= names
    # The archive is of this machine, whose memory is not the capture's.
    (tmp_path / "phone.meta.tar.gz").unlink()
    trace = tmp_path / "phone.ftrace.txt.gz"
    code, out, err = say("trace", "import", trace, "-o", tmp_path / "x.parquet", "--json")
    assert code == 0, err
    assert json.loads(out)["counts"]["rows"] == 3736


def types_of_a_kernel() -> bytes:
    """Return BTF of an integer, a structure of two members, and an enumeration of page flags."""
    names, places = b"\0", {}
    for name in ("int", "PG_locked", "PG_workingset", "PG_mappedtodisk", "PG_swapbacked"):
        places[name] = len(names)
        names += name.encode() + b"\0"
    flags = [(places["PG_locked"], 0), (places["PG_workingset"], 8)]
    flags += [(places["PG_mappedtodisk"], 15), (places["PG_swapbacked"], 18)]
    words = [places["int"], 1 << 24, 4, 32]
    words += [0, 4 << 24 | 2, 8, *(places["PG_workingset"], 1, 0) * 2]
    words += [0, 6 << 24 | len(flags), 4, *(number for flag in flags for number in flag)]
    types = struct.pack(f"<{len(words)}I", *words)
    return struct.pack("<HBBIIIII", 0xEB9F, 1, 0, 24, 0, len(types), len(types), len(names)) + (
        types + names
    )


def test_the_recorder_probes_the_flags_of_evicted_folios_where_btf_tells_them(
    tmp_path: Path,
) -> None:
    say("trace", "record", "-o", tmp_path / "record.sh")
    (tmp_path / "btf").write_bytes(types_of_a_kernel())
    probed = ("workingset_eviction", "workingset_refault", "evict")
    reads = ("filemap/mm_filemap_get_pages", "block/block_rq_issue")
    probes = [f"tag_storage/{name}" for name in probed]
    tracefs = make_tracefs(tmp_path, *probes, *reads)
    (tracefs / "trace_pipe").write_text("a line\n")
    done = subprocess.run(
        ["sh", "record.sh", "-t", "1", "-o", "x"],
        cwd=tmp_path, env=os.environ | {"TRACEFS": str(tracefs), "BTF": "btf"}, capture_output=True,
        text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "folio->flags" not in done.stderr
    assert "readahead" not in done.stderr
    events = (tracefs / "kprobe_events").read_text()
    assert "flags=folio->flags:x64 index=folio->index:u64" in events
    assert "p:tag_storage/evict evict ino=inode->i_ino:u64" in events
    # Beside them what an access trace is made of.
    assert "folio_mark_accessed folio=" in events
    with tarfile.open(tmp_path / "x.meta.tar.gz") as archive:
        file = archive.extractfile("x.meta/page_flags")
        assert file is not None
        assert file.read() == b"workingset 8\nmappedtodisk 15\nswapbacked 18\n"
    assert read_memory(tmp_path / "x.meta.tar.gz").page_flags == PageFlags(8, 15, 18)


def test_the_recorder_probes_what_reclaim_sees_of_accessed_bits_where_it_can(
    tmp_path: Path,
) -> None:
    say("trace", "record", "-o", tmp_path / "record.sh")
    got = ["folio_referenced", "try_to_inc_max_seq"]
    tracefs = make_tracefs(tmp_path, *(f"tag_storage/{name}" for name in got))
    (tracefs / "trace_pipe").write_text("a line\n")
    done = subprocess.run(
        ["sh", "record.sh", "-t", "1", "-o", "x"],
        cwd=tmp_path, env=os.environ | {"TRACEFS": str(tracefs), "BTF": "nowhere"},
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    events = (tracefs / "kprobe_events").read_text()
    assert "r:tag_storage/folio_referenced folio_referenced folio=$arg1:x64 ret=$retval" in events
    assert "r:tag_storage/try_to_inc_max_seq try_to_inc_max_seq ret=$retval:u8" in events
    # It goes on without what this kernel does not have, and says so.
    assert "no probe on folio_update_gen: of MGLRU's walks" in done.stderr
    assert "no probe on folio_referenced" not in done.stderr
    with tarfile.open(tmp_path / "x.meta.tar.gz") as archive:
        file = archive.extractfile("x.meta/probes")
        assert file is not None
        assert file.read().decode().split() == got


@pytest.mark.parametrize("tells", ["filemap/mm_filemap_get_pages", "readahead/page_cache_sync_ra"])
def test_the_recorder_says_that_requests_are_guessed_only_where_no_event_tells_them(
    tmp_path: Path, tells: str
) -> None:
    say("trace", "record", "-o", tmp_path / "record.sh")
    tracefs = make_tracefs(tmp_path, tells)
    (tracefs / "trace_pipe").write_text("a line\n")
    done = subprocess.run(
        ["sh", "record.sh", "-t", "1", "-o", "x"],
        cwd=tmp_path, env=os.environ | {"TRACEFS": str(tracefs), "BTF": "btf"}, capture_output=True,
        text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "no costs of reading the disk" in done.stderr
    assert "guessed" not in done.stderr


def test_the_recorder_refuses_what_it_cannot_do(tmp_path: Path) -> None:
    say("trace", "record", "-o", tmp_path / "record.sh")
    for words, said in ((["-t", "x"], "not a whole number"), (["-z"], "usage")):
        done = subprocess.run(
            ["sh", tmp_path / "record.sh", *words], capture_output=True, text=True, timeout=20
        )
        assert done.returncode == 2
        assert said in done.stderr
