"""The file system of a database: what a run relies on is tried, and what fails is refused."""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path

import pytest
from commands import CommandInThisProcess

from sweep.results import Store, StoreError, file_system
from sweep.results.file_system import check_file_system, mount_of

MOUNTS = """\
22 1 254:0 / / rw,relatime - ext4 /dev/vda rw
30 22 0:40 / /net/my\\040project rw,relatime shared:5 - nfs4 server:/p rw,vers=4.2,local_lock=none
31 22 0:41 / /net/old rw,relatime - nfs server:/old rw,vers=3,nolock,local_lock=all
32 22 0:42 / /scratch rw - lustre mds@tcp:/scratch rw,localflock,lazystatfs
33 32 0:43 / /scratch/fast rw - lustre mds@tcp:/fast rw,flock,lazystatfs
34 22 0:44 / /net/old rw,relatime - nfs4 server:/new rw,local_lock=none
"""


@pytest.fixture
def mounts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a table of mounts that is read in place of this machine's."""
    table = tmp_path / "mountinfo"
    table.write_text(MOUNTS)
    monkeypatch.setattr(file_system, "_MOUNTS", table)
    return table


@pytest.fixture
def remote(mounts: Path) -> None:
    """Have every folder be on NFS."""
    mounts.write_text("22 1 0:40 / / rw,relatime - nfs4 server:/p rw,vers=4.2,local_lock=none\n")


def fails_with(number: int):  # type: ignore[no-untyped-def]
    def fail(*given: object, **named: object) -> None:
        raise OSError(number, os.strerror(number))

    return fail


def test_a_file_system_that_can_do_all_is_left_as_it_was(tmp_path: Path) -> None:
    database = tmp_path / "results.duckdb"
    assert check_file_system(database) is None
    assert not list(tmp_path.iterdir())
    Store(database)
    before = database.read_bytes()
    assert check_file_system(database) is None
    assert list(tmp_path.glob("[.s]*")) == []
    assert database.read_bytes() == before


@pytest.mark.parametrize(
    ("place", "function", "number", "told"),
    [
        (fcntl, "flock", errno.ENOSYS, "cannot lock a file (flock): Function not implemented"),
        (fcntl, "lockf", errno.ENOLCK, "cannot lock a file (fcntl): No locks available"),
        (os, "replace", errno.EOPNOTSUPP, "cannot give a file the name of another (rename)"),
        (os, "fsync", errno.EINVAL, "cannot flush a file (fsync): Invalid argument"),
    ],
)
def test_what_fails_is_refused_with_a_way_out(
    tmp_path: Path,
    remote: None,
    monkeypatch: pytest.MonkeyPatch,
    place: object,
    function: str,
    number: int,
    told: str,
) -> None:
    monkeypatch.setattr(place, function, fails_with(number))
    database = tmp_path / "results.duckdb"
    with pytest.raises(StoreError) as refused:
        check_file_system(database)
    assert f"{database}: / (nfs4) {told}" in str(refused.value)
    assert "let --db name a file on a local disk" in str(refused.value)
    assert [path.name for path in tmp_path.iterdir()] == ["mountinfo"]


def test_a_lock_that_is_granted_twice_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fcntl, "flock", lambda *given: None)
    with pytest.raises(StoreError, match="grants one twice"):
        check_file_system(tmp_path / "results.duckdb")


def test_a_file_that_is_not_replaced_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "replace", lambda *given: None)
    with pytest.raises(StoreError, match="cannot replace a file by another"):
        check_file_system(tmp_path / "results.duckdb")


def test_a_folder_whose_names_are_not_flushed_is_refused(
    tmp_path: Path, remote: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def flush(descriptor: int) -> None:
        if os.path.isdir(f"/proc/self/fd/{descriptor}"):
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))

    monkeypatch.setattr(os, "fsync", flush)
    with pytest.raises(StoreError, match="cannot flush the names in a folder"):
        check_file_system(tmp_path / "results.duckdb")


def test_a_full_disk_is_told_as_what_it_is(
    tmp_path: Path, remote: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "fsync", fails_with(errno.ENOSPC))
    with pytest.raises(StoreError) as refused:
        check_file_system(tmp_path / "results.duckdb")
    assert "No space left on device" in str(refused.value)
    assert "cannot" not in str(refused.value)


@pytest.mark.parametrize(
    ("folder", "place", "kind"),
    [
        ("/srv/data", "/", "ext4"),
        ("/net/my project/a", "/net/my project", "nfs4"),
        ("/scratch/me", "/scratch", "lustre"),
        ("/scratch/fast", "/scratch/fast", "lustre"),
        ("/scratch/faster", "/scratch", "lustre"),
        ("/net/old/a", "/net/old", "nfs4"),  # mounted over the other
    ],
)
def test_the_deepest_and_newest_mount_is_the_one_of_a_folder(
    mounts: Path, folder: str, place: str, kind: str
) -> None:
    mount = mount_of(Path(folder))
    assert mount
    assert (mount.place, mount.kind) == (place, kind)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ("lustre mds:/s rw,localflock", "localflock"),
        ("nfs server:/s rw,nolock,local_lock=none", "nolock"),
        ("nfs4 server:/s rw,local_lock=flock", "local_lock=flock"),
        ("nfs4 server:/s rw,local_lock=none", None),
        ("lustre mds:/s rw,flock", None),
    ],
)
def test_locks_of_one_machine_alone_are_told(
    tmp_path: Path, mounts: Path, options: str, told: str | None
) -> None:
    mounts.write_text(f"22 1 254:0 / / rw - {options}\n")
    warning = check_file_system(tmp_path / "results.duckdb")
    assert (warning is None) == (told is None)
    assert told is None or f"hold on this machine alone ({told})" in str(warning)


def test_where_mounts_are_not_told_the_trial_is_made_all_the_same(
    tmp_path: Path, mounts: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mounts.unlink()
    assert check_file_system(tmp_path / "results.duckdb") is None
    monkeypatch.setattr(fcntl, "flock", fails_with(errno.ENOSYS))
    with pytest.raises(StoreError, match="its file system cannot lock a file"):
        check_file_system(tmp_path / "results.duckdb")


def test_a_run_is_refused_before_it_makes_a_database(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(fcntl, "flock", fails_with(errno.ENOSYS))
    quickstart = Path(__file__).parents[2] / "studies" / "quickstart.yaml"
    database = tmp_path / "results.duckdb"
    sweep = CommandInThisProcess(monkeypatch, capsys)
    code, out, err = sweep("run", quickstart, "--db", database, "--executor", "in-process")
    assert (code, out) == (2, "")
    assert "cannot lock a file (flock): Function not implemented" in err
    assert not database.exists()
