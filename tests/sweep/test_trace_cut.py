"""`sweep trace cut` as a user types it: files, the archive beside them, and refusals."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import tarfile
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa
import pytest
import small_study
from captures import CAPTURE_PART
from commands import CommandInThisProcess
from perfetto_traces import example as perfetto_example

from core.event_files import read_events
from core.files import DISK
from core.workload.cut.archive import copy_archive
from core.workload.ftrace.memory import read_memory
from core.workload.text import TraceError

ZONEINFO = """Node 0, zone Normal
  pages free 40000
        low 100
        high 200
        spanned 65536
        present 65536
  start_pfn: 262144
"""
FILES = {
    "zoneinfo.before": ZONEINFO,
    "page_size": "4096\n",
    "uname": "Linux secret-host 6.12.107-secret #1 SMP aarch64\n",
    "vmstat.before": "pgsteal_file 0\n",
    "vmstat.after": "pgsteal_file 1289\n",
    "cmdline": "root=/dev/secret\n",
    "cgroups": "1 /apps/shell\n42 /\n",
}


@pytest.fixture
def say(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> CommandInThisProcess:
    return CommandInThisProcess(monkeypatch, capsys)


def record(folder: Path) -> Path:
    """Write the capture and an archive of its recording; return the capture."""
    with tarfile.open(folder / "phone.meta.tar.gz", "w:gz") as archive:
        for name, content in FILES.items():
            entry = tarfile.TarInfo(f"phone.meta/{name}")
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content.encode()))
    trace = folder / "phone.ftrace.txt.gz"
    trace.write_bytes(CAPTURE_PART.read_bytes())
    return trace


def archived(path: Path) -> dict[str, str]:
    with tarfile.open(path) as archive:
        files = {member.name: archive.extractfile(member) for member in archive}
        return {name: file.read().decode() for name, file in files.items() if file is not None}


def test_a_cut_is_text_as_it_was_with_its_archive_beside_it(
    tmp_path: Path, say: CommandInThisProcess
) -> None:
    trace = record(tmp_path)
    for name in ("whole.ftrace.txt.zst", "whole.ftrace.txt", "whole.ftrace.txt.gz"):
        code, out, err = say("trace", "cut", trace, "-o", tmp_path / name, "--from", "0s", "--json")
        assert code == 0, err
        assert json.loads(out)["kept_lines"] == 18_001
    text = gzip.decompress(trace.read_bytes())
    assert (tmp_path / "whole.ftrace.txt").read_bytes() == text
    assert gzip.decompress((tmp_path / "whole.ftrace.txt.gz").read_bytes()) == text
    with pa.CompressedInputStream(str(tmp_path / "whole.ftrace.txt.zst"), "zstd") as stream:
        assert stream.read() == text
    # Of everything, all counters fit.
    assert set(archived(tmp_path / "whole.meta.tar.gz")) == {f"phone.meta/{name}" for name in FILES}
    part = tmp_path / "part.ftrace.txt.gz"
    code, out, err = say("trace", "cut", trace, "-o", part, "--from", "1s", "--to", "2500ms")
    assert (code, "vmstat.before, vmstat.after" in err) == (0, True), err
    assert "18,001  lines of phone.ftrace.txt.gz" in out
    left = {f"phone.meta/{name}" for name in FILES if not name.startswith("vmstat")}
    assert set(archived(tmp_path / "part.meta.tar.gz")) == left
    code, out, err = say("trace", "import", part, "-o", tmp_path / "part.parquet", "--json")
    assert code == 0, err
    assert "it is a part of a longer trace" in err
    assert "from 1s, to 2.5s" in err
    assert "nothing beside it tells the memory" not in err
    code, out, err = say("trace", "info", tmp_path / "part.parquet")
    assert "warning: it is a part of a longer trace" in out


def test_text_is_compressed_as_its_name_says(tmp_path: Path, say: CommandInThisProcess) -> None:
    lines = gzip.decompress(CAPTURE_PART.read_bytes()).splitlines(keepends=True)[:300]
    trace = tmp_path / "x.txt"
    trace.write_bytes(b"".join(lines))
    written = {}
    for suffix in ("xz", "bz2", "lz4"):
        out = tmp_path / f"y.txt.{suffix}"
        code, _, err = say("trace", "cut", trace, "-o", out, "--from", "0s")
        assert code == 0, err
        written[suffix] = out.read_bytes()
    assert lzma.decompress(written["xz"]) == bz2.decompress(written["bz2"]) == trace.read_bytes()
    with pa.CompressedInputStream(pa.BufferReader(written["lz4"]), "lz4") as stream:
        assert stream.read() == trace.read_bytes()


def test_the_lines_kept_of_an_anonymised_trace_are_those_written(
    tmp_path: Path, say: CommandInThisProcess
) -> None:
    lines = gzip.decompress(CAPTURE_PART.read_bytes()).splitlines(keepends=True)[:300]
    unread = b"  app-7  [000] ..... 140.000001: sched_switch: prev_comm=a ==> next_comm=b\n"
    trace, out = tmp_path / "x.txt", tmp_path / "y.txt"
    trace.write_bytes(b"".join(lines) + 5 * unread)
    code, said, err = say("trace", "cut", trace, "-o", out, "--anonymise", "--json")
    assert code == 0, err
    written = [line for line in out.read_text().splitlines() if not line.startswith("#")]
    assert json.loads(said)["kept_lines"] == len(written) <= 300
    assert "# cut: " not in out.read_text()


def test_a_trace_of_perfetto_is_imported_before_it_is_cut(
    tmp_path: Path, say: CommandInThisProcess
) -> None:
    path, out = tmp_path / "my trace.pftrace", tmp_path / "x.txt"
    path.write_bytes(perfetto_example())
    for options, told in (
        (
            ("cut", "--anonymise"),
            "import it (`sweep trace import '{}' -o 'my trace.parquet'`)",
        ),
        (("cut", "--task", "a"), "make text of it (`traceconv systrace '{}' > trace.txt`)"),
        (("costs",), "make text of it (`traceconv systrace '{}' > trace.txt`), and give that"),
    ):
        code, _, err = say("trace", options[0], path, "-o", out, *options[1:])
        assert (code, told.format(path) in err, "--format" in err) == (2, True, False), err


def test_a_cgroup_of_the_archive_and_its_tasks_are_found(
    tmp_path: Path, say: CommandInThisProcess
) -> None:
    trace, kept = record(tmp_path), []
    options = (
        ("--cgroup", "/apps"),
        ("--task", "run.sh"),
        ("--task", "358"),
        ("--task", "sqlite3"),
    )
    for option in options:
        code, out, err = say("trace", "cut", trace, "-o", tmp_path / "a.txt", *option, "--json")
        assert code == 0, err
        kept.append(json.loads(out)["kept_lines"])
    # The shell starts all the others; sqlite3 is one of its children, named so when it has begun.
    assert kept[0] == kept[1] > kept[2] >= kept[3] > 5000


def test_a_full_disk_is_told_of_the_copy_of_an_archive_and_not_of_the_archive(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: Path) -> BinaryIO:
        return open("/dev/full", "wb")

    record(tmp_path)
    copy = tmp_path / "copy.meta.tar"
    monkeypatch.setattr(DISK, "new", full)
    with pytest.raises(TraceError) as caught:
        copy_archive(tmp_path / "phone.meta.tar.gz", copy, is_whole=True, anonymise=False)
    assert str(caught.value) == f"{copy}: cannot be written: No space left on device"


def test_an_anonymised_archive_names_neither_host_nor_kernel_build(
    tmp_path: Path, say: CommandInThisProcess
) -> None:
    trace, out = record(tmp_path), tmp_path / "shared.ftrace.txt.gz"
    code, _, err = say("trace", "cut", trace, "-o", out, "--anonymise")
    assert code == 0, err
    files = archived(tmp_path / "shared.meta.tar.gz")
    kept = ("zoneinfo.before", "page_size", "version", "vmstat.before", "vmstat.after")
    assert set(files) == {f"capture.meta/{name}" for name in kept}
    assert files["capture.meta/version"] == "6.12.107\n"
    ours, theirs = (read_memory(tmp_path / f"{name}.meta.tar.gz") for name in ("shared", "phone"))
    assert ours._replace(kernel="") == theirs._replace(kernel="")
    assert "names nobody, and still tells times, phases, frames, and sizes and offsets" in err
    assert "the kernel's version (docs/traces.md, Cut and share)" in err
    everything = gzip.decompress(out.read_bytes()) + str(files).encode()
    for word in (b"secret", b"sqlite", b"grep", b"phone", b"187a55"):
        assert word not in everything


def test_a_table_is_cut_into_a_table(tmp_path: Path, say: CommandInThisProcess) -> None:
    small_study.write_trace(tmp_path)
    table, out = tmp_path / "small.parquet", tmp_path / "cut.parquet"
    code, said, err = say(
        "trace", "cut", table, "-o", out, "--phase", "sqlB1", "--anonymise", "--json"
    )
    assert code == 0, err
    figures, events = json.loads(said), read_events(out)
    assert events.op.size == figures["kept_rows"] + figures["carried_rows"]
    assert (events.source, events.phases) == ("anonymised", ("phase-1",))
    assert [loss.where for loss in events.losses if loss.name == "cut"] == ["by phase"]


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ((), "say what to keep (--from, --to, --phase, --task, --cgroup), or --anonymise"),
        (("--from", "ten"), "--from ten: is no time; give one as in 10s, 250ms, or a stamp"),
        (("--from", "2s", "--to", "1s"), "--to 1s: is not after --from 2s"),
        (("--occurrence", "2", "--from", "1s"), "--occurrence: of which phase? needs --phase"),
        (("--task", "1", "--cgroup", "/a"), "--task, --cgroup: give one of them"),
        (("--from", "1h"), "is no time"),
        (("--from", "1000s"), "nothing is left from 1000s: it lasts"),
        (("--phase", "sqlB"), "no phase sqlB, did you mean sqlB1? it has sqlB1"),
        (("--task", "sqlite"), "nothing of task sqlite, did you mean sqlite3? it has sqlite3,"),
        (("--cgroup", "/nowhere"), "nothing of cgroup /nowhere: it tells of none"),
    ],
)
def test_what_cannot_be_cut_is_told_and_leaves_nothing(
    tmp_path: Path, say: CommandInThisProcess, options: tuple[str, ...], told: str
) -> None:
    code, out, err = say("trace", "cut", CAPTURE_PART, "-o", tmp_path / "x.txt", *options)
    assert (code, out) == (2, "")
    assert told in err
    assert err.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_files_of_another_form_are_told(tmp_path: Path, say: CommandInThisProcess) -> None:
    small_study.write_trace(tmp_path, 1000)
    table, text = tmp_path / "small.parquet", tmp_path / "x.txt"
    (tmp_path / "damaged.parquet").write_bytes(table.read_bytes()[:300])
    (tmp_path / "other.csv").write_text("time,offset\n1,2\n")
    for given, output, told in (
        (table, text, "is of a table: give it a name such as cut.parquet"),
        (table, tmp_path / "x.xz", "is of a table: give it a name such as cut.parquet"),
        (CAPTURE_PART, tmp_path / "x.zip", "is not compressed so: give a name that ends in .gz, "),
        (CAPTURE_PART, tmp_path / "x.parquet", "is of text: give it a name such as cut.ftrace"),
        (tmp_path / "none", text, "No such file"),
        (tmp_path, text, "Is a directory"),
        (tmp_path / "damaged.parquet", tmp_path / "y.parquet", "damaged.parquet"),
        (tmp_path / "other.csv", text, "no line of it is an event"),
        (CAPTURE_PART, tmp_path / "no" / "x.txt", "there is no folder"),
        (table, table, "which would overwrite it"),
    ):
        code, out, err = say("trace", "cut", given, "-o", output, "--from", "0s")
        assert (code, out, told in err) == (2, "", True), err
        assert "Traceback" not in err
    assert not text.exists()
