"""Bundles: a study, its files and rows as one tar, reproduced elsewhere, and what is refused."""

from __future__ import annotations

import io
import json
import shutil
import tarfile
from collections.abc import Iterable
from pathlib import Path

import bundled_study
import pytest
import small_study
from bundled_study import Members
from commands import CommandInThisProcess, say

from core.jit import CORE_DIGEST
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


def manifest_of(path: Path) -> dict[str, object]:
    ((_, content),) = [of for of in bundled_study.members(path) if of[0].name == "manifest.json"]
    manifest: dict[str, object] = json.loads(content)
    return manifest


def test_the_same_content_is_the_same_bytes(database: Path, bundle: Path, tmp_path: Path) -> None:
    again = bundled_study.bundle(database, tmp_path / "again.tar")
    assert again.read_bytes() == bundle.read_bytes()
    members = [about for about, _ in bundled_study.members(bundle)]
    assert [about.name for about in members] == sorted(about.name for about in members)
    told = {(about.mtime, about.uid, about.gid, about.uname, about.mode) for about in members}
    assert told == {(0, 0, 0, "", 0o644)}


def test_a_bundle_tells_what_made_it_and_on_which_machine_it_does_not(bundle: Path) -> None:
    manifest = manifest_of(bundle)
    assert manifest["study"] == "small"
    assert manifest["core_digest"] == CORE_DIGEST
    assert manifest["rows"] == {
        "studies": 1, "scenarios": 2, "trials": 10, "outcomes": 20, "runs": 20, "attempts": 0
    }  # fmt: skip
    assert set(manifest["files"]) >= {"study/study.yaml", "study/small.parquet"}  # type: ignore[call-overload]
    host = json.loads(say("query", "select distinct host from trials", "--json", "--db",
                          bundle_rows(bundle))[1])  # fmt: skip
    assert host == [{"host": None}]


def bundle_rows(bundle: Path) -> Path:
    """Return a database of the rows in a bundle."""
    from sweep.results import read_row_files

    folder = bundle.parent / "rows"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    unpack(bundle, folder)
    read_row_files(folder / "rows.duckdb", "small", folder / "rows")
    return folder / "rows.duckdb"


def test_a_bundle_runs_elsewhere_to_the_same_rows(
    database: Path, bundle: Path, tmp_path: Path, command: CommandInThisProcess
) -> None:
    shutil.copyfile(bundle, tmp_path / "x.tar")
    code, out, err = command("run", "x.tar", "--executor", "in-process")
    assert code == 0, err
    assert "x.tar: equal in all 10 trials and baselines" in out
    assert "were in" not in out
    assert small_study.tables(tmp_path / "results.duckdb") == small_study.tables(database)
    unpacked = err.split("is unpacked to ")[1].split(",")[0]
    assert not Path(unpacked).exists()
    # Once more, nothing is replayed, and that is told.
    code, out, _ = command("run", "x.tar", "--executor", "in-process")
    assert code == 0
    assert "10 of them were in results.duckdb before, and were not replayed now." in out
    code, out, _ = command("run", "x.tar", "--executor", "in-process", "--json")
    assert json.loads(out)["bundle"][0]["different"] == 0


def test_a_bundle_verifies_its_own_rows(
    database: Path, bundle: Path, tmp_path: Path, command: CommandInThisProcess
) -> None:
    code, out, _ = command("verify", bundle, "--sample", "50%")
    assert code == 0
    assert "small: equal in all 5 trials and baselines" in out
    shutil.copyfile(database.parent / "small.parquet", tmp_path / "small.parquet")
    shutil.copyfile(database.parent / "small.yaml", tmp_path / "small.yaml")
    change = "UPDATE outcomes SET stored = stored + 1 WHERE role = 'trial' AND number = 3"
    copy = bundled_study.tampered(database, tmp_path / "tampered.duckdb", change)
    other = bundled_study.bundle(copy, tmp_path / "other.tar")
    code, out, _ = command("verify", other)
    assert code == 1
    code, out, _ = command("run", other, "--executor", "in-process", "--db", "fresh.duckdb")
    assert code == 1
    assert "1 of 10 trials and baselines differ, under the same simulator: 2 of" in out
    assert "outcomes.stored" in out


def test_rows_of_another_simulator_are_another_version_and_no_failure(
    database: Path, tmp_path: Path, command: CommandInThisProcess
) -> None:
    shutil.copyfile(database.parent / "small.parquet", tmp_path / "small.parquet")
    shutil.copyfile(database.parent / "small.yaml", tmp_path / "small.yaml")
    changes = [f"UPDATE {table} SET core_digest = 'older'" for table in ("studies", "trials")]
    changes.append("UPDATE outcomes SET time_saved_ns = 2 * time_saved_ns WHERE role = 'trial'")
    copy = bundled_study.tampered(database, tmp_path / "older.duckdb", *changes)
    older = bundled_study.bundle(copy, tmp_path / "older.tar")
    code, out, _ = command("run", older, "--executor", "in-process")
    assert code == 0
    assert f"another version of the simulator (older; this is {CORE_DIGEST}): 16 of" in out
    assert "differ, at most by 50 % (time_saved_ns)" in out


def test_traces_that_are_left_out_are_found_by_their_digest(
    database: Path, tmp_path: Path, command: CommandInThisProcess
) -> None:
    slim = bundled_study.bundle(database, tmp_path / "slim.tar", "--without-traces")
    names = [about.name for about, _ in bundled_study.members(slim)]
    assert "study/study.yaml" in names
    assert "study/small.parquet" not in names
    words = ("verify", slim, "--sample", "1")
    (tmp_path / "small.parquet").write_bytes(b"another file")
    code, _, err = command(*words)
    assert code == 2
    assert f"files that it leaves out, and that are not in {tmp_path}:\n  small.parquet (" in err
    other = tmp_path / "elsewhere"
    other.mkdir()
    shutil.copyfile(database.parent / "small.parquet", other / "renamed.parquet")
    assert command(*words, "--folder", other)[0] == 0
    shutil.copyfile(database.parent / "small.parquet", tmp_path / "small.parquet")
    assert command(*words)[0] == 0


def test_files_keep_the_names_that_the_study_has_for_them(
    database: Path, tmp_path: Path, command: CommandInThisProcess
) -> None:
    for folder in ("traces", "studies/mine"):
        (tmp_path / folder).mkdir(parents=True)
    shutil.copyfile(database.parent / "small.parquet", tmp_path / "traces" / "small.parquet")
    (tmp_path / "studies" / "phone.yaml").write_text("costs: {read_random_ns: 90000}\n")
    path = tmp_path / "studies" / "mine" / "small.yaml"
    text = (database.parent / "small.yaml").read_text().split("scenarios:")[0]
    text = text.replace("trace: small.parquet", "trace: ../../traces/small.parquet")
    path.write_text(text + "costs: {measured: ../phone.yaml}\n")
    small_study.run(path, tmp_path / "costly.duckdb")
    assert command("bundle", path, "--db", "costly.duckdb", "-o", "costly.tar")[0] == 0
    held = set(manifest_of(tmp_path / "costly.tar")["files"])  # type: ignore[call-overload]
    assert held >= {"study/traces/small.parquet", "study/up/phone.yaml", "study/up/up/study.yaml"}
    for folder in ("traces", "studies"):
        shutil.rmtree(tmp_path / folder)
    code, out, err = command("run", "costly.tar", "--executor", "in-process")
    assert code == 0, err
    assert "costly.tar: equal in all 10 trials" in out


def test_no_bundle_is_made_of_what_it_could_not_give_back(
    database: Path, tmp_path: Path, command: CommandInThisProcess
) -> None:
    path = tmp_path / "small.yaml"
    text = (database.parent / "small.yaml").read_text()
    words = ("bundle", path, "--db", database, "-o", "x.tar")
    (tmp_path / "x.tar").write_text("what was there")
    # The trace is another one than the study was run on.
    path.write_text(text)
    small_study.write_trace(tmp_path, rows=30_000)
    code, _, err = command(*words)
    assert code == 2
    assert "small.parquet: other events than those that it was run on" in err
    # The trace has a name that is true on one machine alone.
    shutil.copyfile(database.parent / "small.parquet", tmp_path / "small.parquet")
    absolute = text.replace("trace: small", f"trace: {tmp_path}/small").replace(
        "study: small", "study: absolute"
    )
    path.write_text(absolute)
    small_study.run(path, tmp_path / "absolute.duckdb")
    code, _, err = command("bundle", path, "--db", "absolute.duckdb", "-o", "x.tar")
    assert code == 2
    assert "a bundle holds files that are named relative to their study" in err
    assert (tmp_path / "x.tar").read_text() == "what was there"
    assert not list(tmp_path.glob("*.partial"))


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("-o", "x.zip"), "x.zip: a bundle is called NAME.tar, did you mean x.zip.tar?"),
        (("-o", "no/such/x.tar"), "there is no folder no/such"),
        (("-o", "x.tar", "--folder", "."), "give the name of the study"),
        (("-o", "x.tar", "--db", "none.duckdb"), "none.duckdb: no such database"),
    ],
)
def test_bad_words_are_one_message(
    words: tuple[str, ...], told: str, database: Path, command: CommandInThisProcess
) -> None:
    code, out, err = command("bundle", database.parent / "small.yaml", *words)
    assert (code, out) == (2, "")
    assert told in err


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


def member(name: str, content: bytes = b"content") -> tuple[tarfile.TarInfo, bytes]:
    about = tarfile.TarInfo(name)
    about.size = len(content)
    return about, content


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


def edited(members: Members, key: str, value: object) -> Members:
    manifest = json.loads(members[0][1])
    if isinstance(value, dict):
        value = manifest[key] | value
    return [member("manifest.json", json.dumps(manifest | {key: value}).encode()), *members[1:]]


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
    change: object, told: str, bundle: Path, tmp_path: Path
) -> None:
    path = bundled_study.rewritten(bundle, tmp_path / "hostile.tar", change)  # type: ignore[arg-type]
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


OWN = "from core.eviction.lru import LRU as MINE\nprint('imported')\n"


def test_code_in_a_bundle_is_imported_only_if_it_is_trusted(database: Path, tmp_path: Path) -> None:
    shutil.copyfile(database.parent / "small.parquet", tmp_path / "small.parquet")
    (tmp_path / "bundled_own").mkdir()
    (tmp_path / "bundled_own" / "__init__.py").write_text("")
    (tmp_path / "bundled_own" / "mine.py").write_text(OWN)
    path = small_study.write_study(tmp_path, n_trials=4)
    path.write_text(path.read_text().replace("eviction: lru", "eviction: 'bundled_own.mine:MINE'"))
    code, out, err = say("run", path, "--executor", "in-process", cwd=tmp_path)
    assert (code, "imported" in out) == (0, True), err
    code, out, err = say("bundle", path, "-o", "own.tar", cwd=tmp_path)
    assert (code, "imported" in out) == (0, False), err
    assert manifest_of(tmp_path / "own.tar")["modules"] == [
        {
            "module": "bundled_own",
            "digest": None,
            "files": ["study/bundled_own/__init__.py", "study/bundled_own/mine.py"],
        }
    ]
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    shutil.copyfile(tmp_path / "own.tar", elsewhere / "own.tar")
    for words in (("run", "own.tar", "--executor", "in-process"), ("verify", "own.tar")):
        code, out, err = say(*words, cwd=elsewhere)
        assert (code, out) == (2, "")
        assert "its study imports bundled_own, code of whoever made the bundle" in err
        assert "bundled_own/mine.py" in err
        code, out, err = say(*words, "--trust-code", cwd=elsewhere)
        assert code == 0, err
        assert "equal in all 6 trials and baselines" in out
