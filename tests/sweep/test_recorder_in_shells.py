"""The recorder in the shells of devices: it harms nobody, and leaves nothing behind."""

from __future__ import annotations

import gzip
import os
import shutil
import signal
import subprocess
import tarfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, sleep
from typing import NamedTuple

import pytest
from recorded_machine import all_but_ours, defined_probes, make_machine

from sweep.cli.trace_commands import record_command

PROBES = ("folio_mark_accessed", "folio_referenced")
SHELLS = [
    words
    for words in (["dash"], ["bash", "--posix"], ["busybox", "sh"], ["mksh"])
    if shutil.which(words[0]) is not None
]
TOOLS = (
    *("awk", "cat", "dd", "dirname", "getconf", "grep", "gzip", "head", "mkdir", "od"),
    *("printf", "rm", "rmdir", "sed", "sh", "sleep", "tail", "tar", "tr", "uname"),
)


class Device(NamedTuple):
    """A folder with a machine, the recorder, and the tools of the machine."""

    folder: Path
    shell: list[str]
    environment: dict[str, str]

    @property
    def tracefs(self) -> Path:
        return self.folder / "tracefs"

    @property
    def rooms(self) -> list[Path]:
        """The instances of the recorder, which alone have a number of a process and a time."""
        return list(self.tracefs.glob("instances/tag_storage_[0-9]*_[0-9]*"))

    def lacks(self, tool: str) -> None:
        (self.folder / "bin" / tool).unlink()

    def start(self, *options: str, script: str = "record.sh") -> subprocess.Popen[str]:
        """Start the recorder as the first process of a session of its own, for signals to it."""
        defined_probes(self.tracefs)
        return subprocess.Popen(
            [*self.shell, f"./{script}", *options], cwd=self.folder, env=self.environment,
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
    record_command(tmp_path / "record.sh")
    (tmp_path / "bin").mkdir()
    for tool in TOOLS:
        found = shutil.which(tool)
        assert found is not None
        (tmp_path / "bin" / tool).symlink_to(found)
    name, *options = request.param
    found = shutil.which(name)
    assert found is not None
    environment = make_machine(tmp_path, probes=PROBES) | {"PATH": str(tmp_path / "bin")}
    for tool in (tmp_path / "kernel").iterdir():
        (tmp_path / "bin" / tool.name).unlink(missing_ok=True)
        (tmp_path / "bin" / tool.name).symlink_to(tool)
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


def wait_until(is_so: Callable[[], object]) -> None:
    began = monotonic()
    while not is_so():
        assert monotonic() < began + 20
        sleep(0.02)


def is_recording(device: Device) -> bool:
    is_ready = (device.folder / "capture.meta" / "vmstat.before").exists()
    return is_ready and (device.rooms[0] / "tracing_on").read_text() == "1\n"


@pytest.mark.parametrize("ends", ["in time", "by Ctrl-C", "by SIGTERM", "by a closed terminal"])
def test_other_tracers_are_left_alone_and_the_reader_ends(device: Device, ends: str) -> None:
    folder, tracefs = device.folder, device.tracefs
    with a_pipe_that_stays_open(tracefs / "trace_pipe"):
        before = all_but_ours(tracefs)
        began = monotonic()
        process = device.start("-t", "1" if ends == "in time" else "50", "-s", "0")
        wait_until(lambda: is_recording(device) or process.poll() is not None)
        if ends == "by Ctrl-C":
            os.killpg(process.pid, signal.SIGINT)
        elif ends == "by SIGTERM":
            process.send_signal(signal.SIGTERM)
        elif ends == "by a closed terminal":
            os.killpg(process.pid, signal.SIGHUP)
        _, err = process.communicate(timeout=30)
        assert process.returncode == 0, err
        assert monotonic() - began < 15
    assert all(line.startswith("record: ") for line in err.splitlines()), err
    assert all_but_ours(tracefs) == before
    cleared = folder / "cleared"
    settings = ("tracing_on", "trace_clock", "options/event-fork", "events/enable")
    assert [(cleared / name).read_text() for name in settings] == ["0\n", "mono\n", "1\n", "0\n"]
    lines = gzip.decompress((folder / "capture.ftrace.txt.gz").read_bytes()).splitlines()
    assert len(lines) == 3
    with tarfile.open(folder / "capture.meta.tar.gz") as archive:
        names = {Path(name).name for name in archive.getnames()}
    assert {"zoneinfo.before", "events"} <= names
    assert "reader" not in names
    for name in ("capture.ftrace.txt.gz", "capture.meta.tar.gz"):
        assert (folder / name).stat().st_mode & 0o077 == 0


def test_what_it_tells_and_costs_is_said_before_anything_is_done(device: Device) -> None:
    before = all_but_ours(device.tracefs)
    shutil.rmtree(device.tracefs / "instances" / "tag_storage")
    (device.folder / "bin" / "mkdir").unlink()
    (device.folder / "bin" / "mkdir").write_text("#!/bin/sh\nexit 1\n")
    (device.folder / "bin" / "mkdir").chmod(0o755)
    code, err = device.record("-b", "512")
    assert code == 2
    told, costs, why = err.splitlines()
    assert "which programs and tasks ran" in told
    assert "addresses of the kernel" in told
    assert "512 KiB of the kernel's memory" in costs
    # Another tracer may be in the main buffer, which is never a way out.
    assert "no tracing instance can be made" in why
    after = all_but_ours(device.tracefs)
    assert after == {name: before[name] for name in after}
    assert not list(device.folder.glob("capture*"))


#: Lines of the script before which it is killed, with all its processes.
STEPS = (
    'put 1 "$tracefs/options/event-fork"',
    'put "$kib" "$tracefs/buffer_size_kb"',
    "types=$(kernel_types",
    'control_groups 2>/dev/null >"$meta/cgroups"',
    'put 1 "$tracefs/tracing_on"',
    "snapshot after",
    '    put 0 "$tracefs/events/enable"',
    '    sed -n "s|^[pr][0-9]*',
)


def test_what_a_killed_recording_left_is_taken_away_by_the_next_one(device: Device) -> None:
    before = all_but_ours(device.tracefs)
    script = (device.folder / "record.sh").read_text()
    left = []
    for step in STEPS:
        assert script.count(step) == 1
        killed = script.replace(step, f"kill -KILL -$$\n{step}")
        (device.folder / "killed.sh").write_text(killed)
        process = device.start("-t", "1", "-s", "0", script="killed.sh")
        process.communicate(timeout=30)
        assert process.returncode == -signal.SIGKILL
        # What the one before left is gone, and all that this one made is there.
        left.append((len(device.rooms), defined_probes(device.tracefs).count("tag_storage_")))
    assert left == [(1, 0)] * 3 + [(1, 6)] * 4 + [(0, 6)]
    code, err = device.record()
    assert code == 0, err
    assert "what an earlier recording left in tracefs is taken away: tag_storage_" in err
    assert all_but_ours(device.tracefs) == before
    assert not (device.folder / "capture.meta").exists()


def test_where_the_script_alone_is_killed_its_child_takes_all_away(device: Device) -> None:
    with a_pipe_that_stays_open(device.tracefs / "trace_pipe"):
        before = all_but_ours(device.tracefs)
        process = device.start("-t", "50", "-s", "0")
        wait_until(lambda: is_recording(device))
        process.kill()
        process.communicate(timeout=30)
        probes = device.tracefs / "kprobe_events"
        wait_until(lambda: not device.rooms and probes.read_text().count("\n-:") == 6)
        assert all_but_ours(device.tracefs) == before
    # What was recorded until then is there, whole.
    text = device.folder / "capture.ftrace.txt.gz"
    wait_until(lambda: subprocess.run(["gzip", "-t", text], capture_output=True).returncode == 0)
    assert (device.folder / "capture.meta" / "events").exists()


def test_two_that_record_at_a_time_do_not_meet(device: Device) -> None:
    with a_pipe_that_stays_open(device.tracefs / "trace_pipe"):
        before = all_but_ours(device.tracefs)
        process = device.start("-t", "50", "-s", "0")
        wait_until(lambda: is_recording(device))
        meanwhile = all_but_ours(device.tracefs)
        code, err = device.record()
        assert (code, "capture is being recorded: give another name by -o" in err) == (2, True)
        assert all_but_ours(device.tracefs) == meanwhile
        other = device.start("-t", "50", "-s", "0", "-o", "other")
        wait_until(lambda: len(device.rooms) == 2)
        other.send_signal(signal.SIGTERM)
        other.communicate(timeout=30)
        assert all_but_ours(device.tracefs) == meanwhile
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=30)
        assert all_but_ours(device.tracefs) == before


def test_no_link_is_followed_and_no_folder_of_others_taken_away(device: Device) -> None:
    folder = device.folder
    (folder / "precious").write_text("as it was")
    for suffix in ("ftrace.txt.gz", "meta.tar", "meta.tar.gz"):
        (folder / f"capture.{suffix}").symlink_to(folder / "precious")
    (folder / "mine.meta").mkdir()
    (folder / "mine.meta" / "events").write_text("as it was")
    (folder / "link.meta").symlink_to(folder / "mine.meta")
    code, err = device.record()
    assert code == 0, err
    assert not (folder / "capture.ftrace.txt.gz").is_symlink()
    for name in ("mine", "link"):
        code, err = device.record("-o", name)
        assert (code, f"{name}.meta is there, and no recording made it" in err) == (2, True)
    assert (folder / "precious").read_text() == "as it was"
    assert (folder / "mine.meta" / "events").read_text() == "as it was"


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
    packer = device.folder / "bin" / "gzip"
    found = packer.readlink()
    packer.unlink()
    packer.write_text(f'#!/bin/sh\nexec "{found}" "$@" >/dev/full\n')
    packer.chmod(0o755)
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
