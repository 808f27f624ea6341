"""Machine code that is kept on disk is loaded where it is as it was saved, and else made again."""

from __future__ import annotations

import errno
import importlib.util
import os
import random
import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from operations import Failing
from streams import compiled
from watched_disk import watched

from core import cache_folder, jit, kept_code
from core.kept_code import kept

SOURCE = """
from core.jit import entry

@entry
def added(one, other):
    return one + other + BESIDE
"""
OUTER = """
from core.jit import entry, kernel

@kernel
def inner(one):
    return one + 1

@entry
def outer(one):
    return inner(one) + 1
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return an empty folder of machine code."""
    folder = tmp_path / "code"
    folder.mkdir()
    monkeypatch.setattr(jit, "code_folder", lambda: folder)
    kept_code._say_once.cache_clear()
    return folder


@pytest.fixture
def load(tmp_path: Path) -> Callable[..., Any]:
    """Return what makes the function of `SOURCE` anew, as another process would."""

    def load(beside: int = 0) -> Any:
        path = tmp_path / "mine.py"
        path.write_text(f"{SOURCE}\nBESIDE = {beside}\n")
        spec = importlib.util.spec_from_file_location("mine", path)
        assert spec
        assert spec.loader
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module.added

    return load


def compilations(added: Any, *arguments: Any) -> tuple[Any, int]:
    """Return what a function returns, and how often it was compiled for that."""
    result = added(*arguments)
    return result, sum(added.compiled.stats.cache_misses.values())


@compiled
def test_code_is_loaded_once_it_is_kept_for_its_types_and_its_source(
    folder: Path, load: Callable[..., Any]
) -> None:
    assert compilations(load(), 1, 2) == (3, 1)
    assert compilations(load(), 3, 4) == (7, 0)
    assert compilations(load(), 1.5, 2) == (3.5, 1)
    assert compilations(load(), 2.5, 2) == (4.5, 0)
    assert compilations(load(beside=10), 1, 2) == (13, 1)
    assert kept(["added", "other"], "mine", folder) == {"added"}


@compiled
def test_what_compiles_others_is_told_of_once(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "outer.py").write_text(OUTER)
    told: list[str] = []
    with jit.at_compiling(lambda: told.append("begins"), lambda: told.append("ends")):
        module = runpy.run_path(str(tmp_path / "outer.py"))
        assert module["outer"](1) == 3
    assert told == ["begins", "ends"]


def damages(content: bytes) -> dict[str, bytes]:
    chance = random.Random(1)
    flipped = {f"bit {at}": at for at in [0, 31, 32, *chance.sample(range(33, len(content)), 20)]}
    return {
        "empty": b"",
        "cut": content[: len(content) // 2],
        "begun": content[:7],
        "longer": content + b"\0",
        "a pickle": b"cos\nsystem\n(S'touch planted'\ntR.",
        "junk": chance.randbytes(len(content)),
        **{
            name: content[:at] + bytes([content[at] ^ 1 << at % 8]) + content[at + 1 :]
            for name, at in flipped.items()
        },
    }


@compiled
def test_code_that_is_damaged_is_no_code_and_is_told_of_once(
    folder: Path,
    load: Callable[..., Any],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(folder)
    load()(1, 2)
    (file,) = folder.iterdir()
    content = file.read_bytes()
    for damage, damaged in damages(content).items():
        file.write_bytes(damaged)
        assert kept(["added"], "mine", folder) == set(), damage
        assert kept_code._read(file) is None
    assert caplog.messages == [f"compiled code in {folder} was damaged: compiled again"]
    assert compilations(load(), 1, 2) == (3, 1)
    assert compilations(load(), 1, 2) == (3, 0)
    assert [path.name for path in folder.iterdir()] == [file.name]


def test_a_pipe_is_no_code(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "mine.added-0.code")
    assert kept(["added"], "mine", tmp_path) == set()


@compiled
@pytest.mark.parametrize("stays", [False, True], ids=["once", "from then on"])
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO], ids=errno.errorcode.get)
def test_whichever_operation_fails_as_code_is_kept_the_work_goes_on(
    code: int,
    stays: bool,
    folder: Path,
    load: Callable[..., Any],
    caplog: pytest.LogCaptureFixture,
) -> None:
    for at in range(1, 100):
        failing = Failing(at, code, stays)
        with watched(failing):
            assert compilations(load(), 1, 2) == (3, 1)
        if not failing.failed:
            break
        is_kept = all(name.startswith("read ") for name in failing.failed)
        may_be = {".code"} if is_kept else {".partial"} if stays else set()
        assert {path.suffix for path in folder.iterdir()} <= may_be, failing.failed
        for path in folder.iterdir():
            path.unlink()
    assert at > 2
    told = f"compiled code cannot be kept in {folder}: {os.strerror(code)}"
    assert caplog.messages == [told]


@pytest.fixture
def homes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder with a cache folder of the user's, where nothing was looked at before."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()
    cache_folder._of_this_process.cache_clear()
    return tmp_path


@pytest.fixture(autouse=True)
def forget() -> Any:
    """Let no other test know of the folders that one has."""
    yield
    cache_folder._of_this_process.cache_clear()
    cache_folder._is_ready.cache_clear()


def test_a_new_folder_is_this_users_alone_whatever_the_umask(homes: Path) -> None:
    before = os.umask(0o777)
    try:
        folder = cache_folder.cache_folder("code")
    finally:
        os.umask(before)
    assert folder == homes / "home" / "tag-storage-sweep" / "code"
    assert folder.stat().st_mode & 0o777 == folder.parent.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("level", ["tag-storage-sweep", "tag-storage-sweep/code"])
def test_a_folder_that_others_can_write_is_not_used_and_told_of(
    homes: Path, level: str, caplog: pytest.LogCaptureFixture
) -> None:
    planted = homes / "home" / level
    planted.mkdir(parents=True)
    planted.chmod(0o777)
    folder = cache_folder.cache_folder("code")
    assert folder == homes / "tmp" / f"tag-storage-sweep-{os.getuid()}" / "code"
    cache_folder.cache_folder("code")
    why = "is not used, as others can write it: nothing is kept there"
    assert caplog.messages == [f"{planted} {why}"]


@pytest.mark.skipif(os.getuid() != 0, reason="root alone can give a folder away")
@pytest.mark.parametrize(("group", "is_used"), [(os.getuid(), True), (1234, False)])
def test_a_folder_that_a_group_can_write_is_used_if_the_group_is_the_users_own(
    homes: Path, group: int, is_used: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.getegid", lambda: group)
    planted = homes / "home" / "tag-storage-sweep"
    planted.mkdir(parents=True)
    os.chown(planted, os.getuid(), group)
    planted.chmod(0o775)
    assert (cache_folder.cache_folder("code").parent == planted) == is_used


@pytest.mark.skipif(os.getuid() != 0, reason="root alone can give a folder away")
@pytest.mark.parametrize("links", [False, True])
def test_a_folder_of_another_user_is_not_used_and_told_of(
    homes: Path, links: bool, caplog: pytest.LogCaptureFixture
) -> None:
    for planted in (homes / "home", homes / "tmp"):
        planted.mkdir(exist_ok=True)
    names = (homes / "home" / "tag-storage-sweep", homes / "tmp" / "tag-storage-sweep-0")
    for name in names:
        if links:
            name.symlink_to(homes)
            os.lchown(name, 1234, 1234)
        else:
            name.mkdir()
            os.chown(name, 1234, 1234)
    folder = cache_folder.cache_folder("code")
    assert folder.is_dir()
    assert folder.parents[2] == homes / "tmp"
    assert not any(name.resolve() in folder.resolve().parents for name in names if not links)
    assert caplog.messages == [
        f"{name} is not used, as it belongs to another user: nothing is kept there"
        for name in names
    ]


def test_where_nothing_can_be_written_nothing_is_kept(
    homes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.access", lambda path, mode: False)
    folder = cache_folder.cache_folder("code")
    assert not folder.exists()
    with pytest.raises(NotADirectoryError):
        (folder / "x").write_bytes(b"")
    assert kept(["x"], "mine", folder) == set()


def test_a_home_that_is_not_absolute_is_none(homes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(homes)
    for home in ("here", "~"):
        monkeypatch.setenv("XDG_CACHE_HOME", home)
        cache_folder._of_this_process.cache_clear()
        assert cache_folder.cache_folder("code").parent.parent == homes / "tmp"
    assert sorted(path.name for path in homes.iterdir()) == ["tmp"]
