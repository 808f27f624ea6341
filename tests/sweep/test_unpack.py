"""Unpacking what a stranger calls a bundle: nothing is believed, and nothing is written outside."""

from __future__ import annotations

import io
import json
import os
import shutil
import tarfile
from collections.abc import Callable, Iterable
from pathlib import Path

import bundled_study
import pytest
from bundled_study import Members, edited, member
from commands import CommandInThisProcess

from sweep.engine.unpack import BundleError, unpack


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return bundled_study.make(tmp_path_factory.mktemp("bundled"))


@pytest.fixture(scope="module")
def bundle(database: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return bundled_study.bundle(database, tmp_path_factory.mktemp("handed-on") / "small.tar")


@pytest.fixture
def command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> CommandInThisProcess:
    monkeypatch.chdir(tmp_path)
    return CommandInThisProcess(monkeypatch, capsys)


def link(members: Members) -> Members:
    about = tarfile.TarInfo("study/link.parquet")
    about.type, about.linkname = tarfile.SYMTYPE, "/etc/passwd"
    return [*members, (about, b"")]


def hard_link(members: Members) -> Members:
    about = tarfile.TarInfo("study/link.parquet")
    about.type, about.linkname = tarfile.LNKTYPE, "manifest.json"
    return [*members, (about, b"")]


def folder(members: Members) -> Members:
    about = tarfile.TarInfo("study/folder")
    about.type = tarfile.DIRTYPE
    return [*members, (about, b"")]


def above(members: Members) -> Members:
    return [*members, member("study/../../outside.txt")]


def absolute(members: Members) -> Members:
    return [*members, member("/outside.txt")]


def unknown(members: Members) -> Members:
    return [*members, member("study/other.parquet")]


def twice(members: Members) -> Members:
    return [*members, members[-1]]


def listed_above(members: Members) -> Members:
    return edited(
        members, "files", {"study/../../outside.txt": {"sha256": "0" * 64, "size_bytes": 1}}
    )


def other_size(members: Members) -> Members:
    return [*members[:-1], member(members[-1][0].name, members[-1][1] + b"\n")]


def other_content(members: Members) -> Members:
    content = members[-1][1]
    return [*members[:-1], member(members[-1][0].name, b"#" + content[1:])]


def lacking(members: Members) -> Members:
    return members[:-1]


def no_manifest(members: Members) -> Members:
    return members[1:]


def no_json(members: Members) -> Members:
    return [member("manifest.json", b"[" * 100_000), *members[1:]]


def large_manifest(members: Members) -> Members:
    return [member("manifest.json", b" " * 5_000_000), *members[1:]]


def later_form(members: Members) -> Members:
    return edited(members, "format", 2)


def no_number(members: Members) -> Members:
    return edited(members, "model_version", "two")


def empty(members: Members) -> Iterable[object]:
    return []


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (link, "is no plain file"),
        (hard_link, "is no plain file"),
        (folder, "is no plain file"),
        (above, "'study/../../outside.txt' is no name of a member"),
        (absolute, "'/outside.txt' is no name of a member"),
        (unknown, "'study/other.parquet' is in it, and its manifest.json does not list it"),
        (twice, "is in it twice"),
        (listed_above, "manifest.json: 'study/../../outside.txt' is no member of a bundle"),
        (other_size, "another size than its manifest.json says"),
        (other_content, "is damaged: it has another digest"),
        (lacking, "is listed, and is not in it"),
        (no_manifest, "does not begin with a manifest.json"),
        (no_json, "manifest.json is no JSON"),
        (large_manifest, "manifest.json is larger than"),
        (later_form, "is of the form 2 of bundles, and this version reads form 1"),
        (no_number, "manifest.json: model_version: Input should be a valid integer"),
        (empty, "is empty"),
    ],
)
def test_a_hostile_tar_is_refused_and_writes_nothing_outside(
    change: Callable[[Members], Iterable[object]], told: str, bundle: Path, tmp_path: Path
) -> None:
    path = bundled_study.rewritten(bundle, tmp_path / "hostile.tar", change)
    inside = tmp_path / "inside"
    inside.mkdir()
    with pytest.raises(BundleError, match=r"hostile.tar: ") as refused:
        unpack(path, inside)
    assert told in str(refused.value)
    assert {found.name for found in tmp_path.iterdir()} == {"hostile.tar", "inside"}


def test_a_member_that_claims_to_be_huge_is_refused(bundle: Path, tmp_path: Path) -> None:
    about = tarfile.TarInfo("manifest.json")
    about.size = 2**40
    (tmp_path / "huge.tar").write_bytes(about.tobuf() + b"{}" + b"\0" * 1022)
    with pytest.raises(BundleError, match=r"manifest.json: the bundle ends before it does"):
        unpack(tmp_path / "huge.tar", tmp_path)


def test_a_bundle_for_which_the_disk_has_no_room_is_refused(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: shutil._ntuple_diskusage(9, 8, 1))
    with pytest.raises(BundleError, match=r"its files take [\d,]+ bytes, and .* has 1 free"):
        unpack(bundle, tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_pipe_is_no_bundle_and_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.tar")
    for path in (tmp_path, tmp_path / "pipe.tar"):
        with pytest.raises(BundleError, match=r"is no bundle: a folder, a pipe or a device"):
            unpack(path, tmp_path)


@pytest.mark.parametrize("share", [0.2, 0.5, 0.9])
def test_half_a_bundle_is_refused(share: float, bundle: Path, tmp_path: Path) -> None:
    content = bundle.read_bytes()
    (tmp_path / "half.tar").write_bytes(content[: int(share * len(content))])
    (tmp_path / "inside").mkdir()
    with pytest.raises(BundleError, match=r"half.tar: "):
        unpack(tmp_path / "half.tar", tmp_path / "inside")


@pytest.mark.parametrize("content", [b"", b"study: small\n", b"\0" * 20_000, b"\x1f\x8b" * 600])
def test_what_is_no_tar_is_told(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "x.tar").write_bytes(content)
    with pytest.raises(BundleError, match=r"x.tar: is no bundle: "):
        unpack(tmp_path / "x.tar", tmp_path)


def test_rows_of_another_study_than_the_file_are_refused(
    database: Path, bundle: Path, tmp_path: Path, command: CommandInThisProcess
) -> None:
    # What is checked is the study in the file; what is replayed is that of the rows.
    shutil.copyfile(database.parent / "small.parquet", tmp_path / "small.parquet")
    shutil.copyfile(database.parent / "small.yaml", tmp_path / "small.yaml")
    change = "UPDATE studies SET yaml = yaml || '# more'"
    other = bundled_study.bundle(
        bundled_study.tampered(database, tmp_path / "o.duckdb", change), tmp_path / "o.tar"
    )
    theirs = {about.name: (about, content) for about, content in bundled_study.members(other)}
    ours = {about.name: (about, content) for about, content in bundled_study.members(bundle)}
    mixed = ours | {"rows/studies.parquet": theirs["rows/studies.parquet"]}
    manifest = json.loads(ours["manifest.json"][1])
    told = json.loads(theirs["manifest.json"][1])["files"]["rows/studies.parquet"]
    manifest["files"]["rows/studies.parquet"] = told
    mixed["manifest.json"] = member("manifest.json", json.dumps(manifest).encode())
    with tarfile.open(tmp_path / "mixed.tar", "w") as tar:
        for about, content in mixed.values():
            tar.addfile(about, io.BytesIO(content))
    code, _, err = command("verify", "mixed.tar")
    assert code == 2
    assert "its rows are of another study than its study.yaml" in err
