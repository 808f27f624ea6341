"""Bundles: a study, its files and rows as one tar, reproduced elsewhere, and what is refused."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import bundled_study
import pytest
import small_study
from commands import CommandInThisProcess, say

from core.jit import CORE_DIGEST
from sweep.cli import bundle_commands
from sweep.cli.answer import Answered
from sweep.engine.unpack import unpack


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


def test_a_bundle_of_which_a_baseline_fails_has_failed(
    bundle: Path, command: CommandInThisProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = bundle_commands.answer_of

    def failing(*words: Any) -> Answered:
        answered = answer(*words)
        return answered._replace(counts=answered.counts | {"failed_baselines": 1})

    monkeypatch.setattr(bundle_commands, "answer_of", failing)
    code, _, _ = command("run", bundle, "--executor", "in-process")
    assert code == 1


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


def test_rows_of_an_earlier_model_are_told_as_such(
    bundle: Path, tmp_path: Path, command: CommandInThisProcess
) -> None:
    earlier = bundled_study.rewritten(
        bundle, tmp_path / "earlier.tar", lambda of: bundled_study.edited(of, "model_version", 1)
    )
    code, out, _ = command("run", earlier, "--executor", "in-process")
    assert code == 0
    assert "earlier.tar: an earlier version of the model (1; this is 2): 0 of " in out


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


def test_a_bundle_takes_the_place_of_no_device(
    database: Path, command: CommandInThisProcess
) -> None:
    os.mkfifo("x.tar")
    words = ("bundle", database.parent / "small.yaml", "--db", database, "-o", "x.tar")
    code, out, err = command(*words)
    assert (code, out) == (2, "")
    assert err.startswith("x.tar: a folder, a pipe or a device, and no file")
    assert err.count("\n") == 1
    assert Path("x.tar").is_fifo()


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
