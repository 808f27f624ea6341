"""Kept tables: what is damaged, or is none, is made again, which is said in a line."""

from __future__ import annotations

import errno
import logging
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from operations import Failing
from watched_disk import watched

from core.events import SCHEMA, digest_events, make_events
from core.files import unfinished
from core.frontend.run import Fronted
from core.workload import kept_tables
from core.workload.kept_tables import kept_table


def made() -> Fronted:
    size = 5000
    columns = {name: np.zeros(size) for name in SCHEMA.names} | {"time_ns": np.arange(size)}
    events = make_events(columns, page_size=4096, data_pages=64, source="a test")
    return Fronted(events, {"evictions": 3}, samples=np.arange(10).reshape(2, 5))


def flip(at: int) -> Callable[[Path], None]:
    def flipped(path: Path) -> None:
        content = bytearray(path.read_bytes())
        content[at] ^= 4
        path.write_bytes(content)

    return flipped


def in_place(make: Callable[[Path], object]) -> Callable[[Path], None]:
    def placed(path: Path) -> None:
        path.unlink()
        make(path)

    return placed


#: What becomes of a kept table, by what it is called.
DAMAGES: dict[str, Callable[[Path], None]] = {
    "the first byte": flip(0),
    "a byte of a column": flip(20_000),
    "a byte of the metadata": flip(-600),
    "the last byte": flip(-1),
    "cut off": lambda path: os.truncate(path, path.stat().st_size // 2),
    "cut off by a byte": lambda path: os.truncate(path, path.stat().st_size - 1),
    "empty": lambda path: os.truncate(path, 0),
    "another file": lambda path: path.write_bytes(b"PAR1" * 4000) and None,
    "an earlier version's": lambda path: os.truncate(path, path.stat().st_size - 32),
    "unreadable": lambda path: path.chmod(0),
    "a loop of links": in_place(lambda path: path.symlink_to(path)),
    "a pipe": in_place(os.mkfifo),
    "a folder": in_place(Path.mkdir),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_kept_table_that_is_damaged_is_made_again(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    damage: str,
) -> None:
    monkeypatch.setattr(kept_tables, "KEPT_FOLDER", tmp_path)
    times = []

    def make() -> Fronted:
        times.append(1)
        return made()

    whole = digest_events(made().events)
    for _ in "ab":
        assert digest_events(kept_table("0", "a\nworkload", make).events) == whole
    assert (len(times), caplog.messages) == (1, [])
    (path,) = tmp_path.glob("*.arrow")
    DAMAGES[damage](path)
    readable = damage == "unreadable" and os.geteuid() == 0
    again = kept_table("0", "a\nworkload", make)
    assert digest_events(again.events) == whole
    assert again.counts == {"evictions": 3}
    assert again.samples.tolist() == [[0, 1, 2, 3, 4], [5, 6, 7, 8, 9]]
    told = "the kept table of a\\nworkload was damaged, or cannot be read: made again"
    assert (len(times), caplog.messages) == ((1, []) if readable else (2, [told]))
    if path.is_file():  # what is none is left as it is
        kept_table("0", "a\nworkload", make)
        assert len(times) == (1 if readable else 2)


def test_what_a_killed_process_was_writing_is_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept_tables, "KEPT_FOLDER", tmp_path)
    killed = subprocess.Popen(["true"])
    killed.wait()
    left, going_on = (
        tmp_path / unfinished(tmp_path / "x.arrow").name.replace(str(os.getpid()), str(process))
        for process in (killed.pid, os.getppid())
    )
    left.touch()
    going_on.touch()
    kept_table("0", "x", made)
    assert not left.exists()
    assert going_on.exists()


@pytest.mark.parametrize("lock", [os.mkfifo, Path.mkdir, lambda path: path.symlink_to(path)])
def test_a_lock_that_is_no_file_hangs_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lock: Callable[[Path], object]
) -> None:
    monkeypatch.setattr(kept_tables, "KEPT_FOLDER", tmp_path)
    lock(tmp_path / f"{kept_tables.CORE_DIGEST}-0.arrow.lock")
    assert kept_table("0", "x", made).events.op.size == 5000


def test_where_nothing_can_be_kept_a_table_is_made_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    (tmp_path / "file").touch()
    for folder in (tmp_path / "file" / "events", Path(os.devnull) / "events"):
        monkeypatch.setattr(kept_tables, "KEPT_FOLDER", folder)
        assert kept_table("0", "x", made).events.op.size == 5000
    assert caplog.messages == []


@pytest.mark.parametrize("stays", [False, True], ids=["once", "from then on"])
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO], ids=errno.errorcode.get)
def test_whichever_operation_fails_a_table_is_made_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, stays: bool
) -> None:
    whole = digest_events(made().events)
    for at in range(1, 100):
        monkeypatch.setattr(kept_tables, "KEPT_FOLDER", tmp_path / f"{at}")
        failing = Failing(at, code, stays)
        with watched(failing):
            assert digest_events(kept_table("0", "x", made).events) == whole
        if not failing.failed:
            break
        kept = {path.suffix for path in (tmp_path / f"{at}").iterdir()}
        assert kept <= {".lock", ".partial"} if stays else {".lock"}, failing.failed
        assert digest_events(kept_table("0", "x", made).events) == whole
    assert at > 4
