"""The recorder in the shells of devices: what it leaves behind, and what it says if it fails."""

from __future__ import annotations

import gzip
import os
import shutil
import signal
import subprocess
import tarfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, sleep
from typing import NamedTuple

import pytest
from recorded_machine import make_machine

ROOT = Path(__file__).parents[2]
SHELLS = [
    words
    for words in (["dash"], ["bash", "--posix"], ["busybox", "sh"])
    if shutil.which(words[0]) is not None
]
TOOLS = (
    *("awk", "cat", "dd", "dirname", "getconf", "grep", "gzip", "head", "mkdir", "od", "rm"),
    *("rmdir", "sed", "sh", "sleep", "tail", "tar", "tr", "uname"),
)
SET_BY_OTHERS = {
    "tracing_on": "1\n",
    "trace_clock": "local [global] counter mono\n",
    "options/event-fork": "0\n",
    "set_event_notrace_pid": "7\n11\n",
    "buffer_size_kb": "X\n",
    "per_cpu/cpu0/buffer_size_kb": "1408\n",
    "per_cpu/cpu1/buffer_size_kb": "7 (expanded: 2816)\n",
    "events/vmscan/mm_vmscan_kswapd_wake/enable": "1\n",
}
RESTORED = SET_BY_OTHERS | {
    "trace_clock": "global\n",
    "per_cpu/cpu1/buffer_size_kb": "2816\n",
    # As a kernel never would, a file keeps what was written to it last.
    "buffer_size_kb": "8192\n",
}


class Device(NamedTuple):
    """A folder with a machine, the recorder, and the tools of the machine."""

    folder: Path
    shell: list[str]
    environment: dict[str, str]

    @property
    def tracefs(self) -> Path:
        return self.folder / "tracefs"

    def lacks(self, tool: str) -> None:
        (self.folder / "bin" / tool).unlink()

    def start(self, *options: str) -> subprocess.Popen[str]:
        """Start the recorder as the first process of a session of its own, for signals to it."""
        return subprocess.Popen(
            [*self.shell, "./record.sh", *options], cwd=self.folder, env=self.environment,
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, start_new_session=True,
        )  # fmt: skip

    def record(self, *options: str) -> tuple[int, str]:
        """Record for a second; return the status, and what is said, by the recorder alone."""
        process = self.start("-t", "1", "-s", "0", *options)
        _, err = process.communicate(timeout=60)
        assert all(line.startswith("record: ") for line in err.splitlines()), err
        return process.returncode, err


@pytest.fixture(params=SHELLS, ids=lambda words: words[0])
def device(tmp_path: Path, request: pytest.FixtureRequest) -> Device:
    for name in ("record.sh", "record_machine.sh"):
        shutil.copy(ROOT / "sweep" / "cli" / name, tmp_path)
    (tmp_path / "bin").mkdir()
    for tool in TOOLS:
        found = shutil.which(tool)
        assert found is not None
        (tmp_path / "bin" / tool).symlink_to(found)
    name, *options = request.param
    found = shutil.which(name)
    assert found is not None
    environment = make_machine(tmp_path) | {"PATH": str(tmp_path / "bin")}
    return Device(tmp_path, [found, *options], environment)


@contextmanager
def a_pipe_that_stays_open(pipe: Path) -> Iterator[None]:
    """Make a trace_pipe as a kernel's: some lines, and then its reader waits for more."""
    lines = pipe.read_bytes()
    pipe.unlink()
    os.mkfifo(pipe)
    is_over = threading.Event()

    def write() -> None:
        with pipe.open("wb", buffering=0) as file:
            file.write(lines)
            is_over.wait(60)

    writer = threading.Thread(target=write, daemon=True)
    writer.start()
    try:
        yield
    finally:
        is_over.set()


@pytest.mark.parametrize("ends", ["in time", "by Ctrl-C", "by SIGTERM", "by SIGTERM to all"])
def test_the_main_buffer_is_as_it_was_and_the_reader_ends(device: Device, ends: str) -> None:
    folder, tracefs = device.folder, device.tracefs
    for name, content in SET_BY_OTHERS.items():
        (tracefs / name).parent.mkdir(parents=True, exist_ok=True)
        (tracefs / name).write_text(content)
    with a_pipe_that_stays_open(tracefs / "trace_pipe"):
        began = monotonic()
        process = device.start("-t", "2" if ends == "in time" else "50", "-s", "0")
        while monotonic() < began + 20 and (tracefs / "trace_clock").read_text() != "mono\n":
            sleep(0.05)
        sleep(1)
        assert (tracefs / "tracing_on").read_text() == "1\n"
        assert (tracefs / "options" / "event-fork").read_text() == "1\n"
        if ends == "by Ctrl-C":
            os.killpg(process.pid, signal.SIGINT)
        elif ends == "by SIGTERM":
            process.send_signal(signal.SIGTERM)
        elif ends == "by SIGTERM to all":
            os.killpg(process.pid, signal.SIGTERM)
        _, err = process.communicate(timeout=30)
        assert process.returncode == 0, err
        assert monotonic() - began < 15
    assert all(line.startswith("record: ") for line in err.splitlines()), err
    assert "what is in it is lost" in err
    assert {name: (tracefs / name).read_text() for name in RESTORED} == RESTORED
    assert (tracefs / "saved_cmdlines_size").read_text() == "128\n"
    lines = gzip.decompress((folder / "capture.ftrace.txt.gz").read_bytes()).splitlines()
    assert len(lines) == 3
    with tarfile.open(folder / "capture.meta.tar.gz") as archive:
        names = {Path(name).name for name in archive.getnames()}
    assert {"zoneinfo.before", "events"} <= names
    assert "reader" not in names


@pytest.mark.parametrize("tool", ["head", "cat", "sleep", "awk", "od"])
def test_a_tool_that_is_missing_is_told_before_anything_is_changed(
    device: Device, tool: str
) -> None:
    device.lacks(tool)
    files = [path for path in device.tracefs.rglob("*") if path.is_file()]
    before = {path: path.read_bytes() for path in files}
    told = f"record: no {tool}: record needs it (busybox and toybox have such tools)\n"
    assert device.record() == (2, told)
    assert {path: path.read_bytes() for path in files} == before
    assert not list(device.folder.glob("capture*"))


def test_a_full_disk_is_told_with_a_status(device: Device) -> None:
    (device.folder / "capture.ftrace.txt.gz").symlink_to("/dev/full")
    process = device.start("-t", "1", "-s", "0")
    _, err = process.communicate(timeout=60)
    assert process.returncode == 2
    assert "capture.ftrace.txt.gz is damaged: it could not be written to its end" in err
    assert "written: " not in err


def test_nothing_recorded_is_no_success(device: Device) -> None:
    (device.tracefs / "trace_pipe").write_text("")
    code, err = device.record()
    assert code == 2
    assert "nothing was recorded" in err
    assert "capture.ftrace.txt.gz is empty" in err
    assert "the limit" not in err


def test_without_an_archive_what_it_would_hold_stays(device: Device) -> None:
    device.lacks("tar")
    code, err = device.record("-o", "my phone")
    assert code == 0, err
    assert "no tar: what the archive would hold stays in the folder my phone.meta" in err
    assert "tar cf 'my phone.meta.tar' 'my phone.meta'" in err
    assert (device.folder / "my phone.meta" / "zoneinfo.before").exists()
    # One that cannot write, as on a full disk.
    (device.folder / "bin" / "tar").write_text("#!/bin/sh\nexit 1\n")
    (device.folder / "bin" / "tar").chmod(0o755)
    code, err = device.record()
    assert (code, "written: " in err) == (2, False), err
    assert "the archive of capture.meta could not be written" in err
    assert (device.folder / "capture.meta" / "zoneinfo.before").exists()
    assert not list(device.folder.glob("*.meta.tar*"))


def test_what_to_type_next_is_quoted(device: Device) -> None:
    code, err = device.record("-o", "-it's mine")
    assert code == 0, err
    quoted = "'./-it'\\''s mine.{}'"
    hint = f"sweep trace import {quoted.format('ftrace.txt.gz')} -o {quoted.format('parquet')}"
    assert err.endswith(f"then: {hint}\n")
    for name in ("", "a\nb", "folder/"):
        code, err = device.record("-o", name)
        assert (code, "-o: give a name, in one line" in err) == (2, True), err
