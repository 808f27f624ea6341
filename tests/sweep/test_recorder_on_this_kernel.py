"""The recorder on the kernel that runs; elsewhere a tracefs made of files stands for one."""

from __future__ import annotations

import gzip
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from time import monotonic, sleep

import pytest

from sweep.cli.trace_commands import record_command

SETTINGS = ("tracing_on", "trace_clock", "buffer_size_kb", "set_event", "saved_cmdlines_size")


@pytest.fixture
def tracefs(tmp_path: Path) -> Iterator[Path]:
    """Mount a tracefs of the test, which is the kernel's one, for as long as it lasts."""
    place = tmp_path / "tracefs"
    place.mkdir()
    command = ["mount", "-t", "tracefs", "nodev", place]
    if os.geteuid() != 0 or subprocess.run(command, capture_output=True).returncode != 0:
        pytest.skip("no tracefs can be mounted here")
    try:
        if not (place / "events" / "filemap").is_dir():
            pytest.skip("this kernel has no events of the page cache")
        yield place
    finally:
        subprocess.run(["umount", place], check=True)


def test_a_kernel_is_as_it_was_after_a_recording_and_after_one_that_was_killed(
    tmp_path: Path, tracefs: Path
) -> None:
    record_command(tmp_path / "record.sh")
    other = tracefs / "instances" / f"test_{os.getpid()}"
    other.mkdir()
    try:
        (other / "events" / "sched" / "sched_process_exit" / "enable").write_text("1")

        def rooms() -> set[Path]:
            return set((tracefs / "instances").glob("tag_storage_[0-9]*_[0-9]*"))

        def settings() -> list[str]:
            files = [folder / name for folder in (tracefs, other) for name in SETTINGS]
            return [file.read_text() for file in files if file.exists()]

        def start(*options: str) -> subprocess.Popen[str]:
            return subprocess.Popen(
                ["sh", "record.sh", "-s", "0", *options], cwd=tmp_path, start_new_session=True,
                env=os.environ | {"TRACEFS": str(tracefs)}, stderr=subprocess.PIPE, text=True,
            )  # fmt: skip

        before, rooms_before = settings(), rooms()
        killed = start("-t", "50")
        began = monotonic()
        while not (tmp_path / "capture.meta" / "vmstat.before").exists():
            assert monotonic() < began + 30
            sleep(0.02)
        os.killpg(killed.pid, signal.SIGKILL)
        killed.communicate(timeout=30)
        assert len(rooms() - rooms_before) == 1
        done = start("-t", "1")
        _, err = done.communicate(timeout=60)
        assert done.returncode == 0, err
        assert "what an earlier recording left in tracefs is taken away" in err
        assert rooms() == rooms_before
        assert settings() == before
    finally:
        other.rmdir()
    lines = gzip.decompress((tmp_path / "capture.ftrace.txt.gz").read_bytes())
    assert b" mm_page_" in lines
