"""`sweep verify`: recorded trials are replayed, and every value is held against what is stored."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import bundled_study
import pytest
import small_study
from commands import CommandInThisProcess

from core.jit import CORE_DIGEST


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return bundled_study.make(tmp_path_factory.mktemp("verified"))


@pytest.fixture
def command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], database: Path
) -> CommandInThisProcess:
    monkeypatch.chdir(database.parent)
    return CommandInThisProcess(monkeypatch, capsys)


def test_what_a_run_stored_is_what_a_replay_gives(command: CommandInThisProcess) -> None:
    code, out, err = command("verify", "small.yaml")
    assert code == 0, err
    assert "10 of 10 trials and baselines replayed" in out
    assert "small: equal in all 10 trials and baselines" in out


TAMPERED = [
    ("trials", "stored", "stored + 1"),
    ("trials", "folio_order", "folio_order + 1"),
    ("trials", "objectives", "[objectives[1] * 2]"),
    ("trials", "attainable", "NULL"),
    ("trials", "state", "'fail'"),
    ("trials", "asked", "json_merge_patch(asked, '{\"folio_order\": 9}')"),
    ("outcomes", "read_ns", "read_ns + 1"),
    (
        "outcomes",
        "wait_saved_by_cost",
        "map_concat(wait_saved_by_cost, MAP {'lookup_ns': 77::BIGINT})",
    ),
    ("runs", "wait_saved_ratio", "NULL"),
    ("runs", "series_cached_pages", "list_reverse(series_cached_pages)"),
    ("runs", "reservation_samples", "[]"),
    ("runs", "events_digest", "'another'"),
    ("scenarios", "read_random_ns", "read_random_ns + 1"),
]


@pytest.mark.parametrize(("table", "column", "value"), TAMPERED, ids=[c for _, c, _ in TAMPERED])
def test_a_stored_value_that_no_replay_gives_fails_by_its_place(
    table: str,
    column: str,
    value: str,
    database: Path,
    tmp_path: Path,
    command: CommandInThisProcess,
) -> None:
    where = "scenario = 'read_random_ns 250000'"
    if table == "trials":
        where = "role = 'trial' AND number = 3"
    elif table != "scenarios":
        where += " AND role = 'trial' AND number = 3"
    change = f'UPDATE {table} SET "{column}" = {value} WHERE {where}'
    copy = bundled_study.tampered(database, tmp_path / "tampered.duckdb", change)
    code, out, _ = command("verify", "small", "--db", copy, "--json")
    assert code == 1
    shown = json.loads(out)
    (first, *_) = shown["simulators"][0]["first"]
    if column != "asked":
        assert shown["simulators"][0]["different"] == 1
        assert (first["table"], first["column"]) == (table, column)
    if table != "scenarios":
        assert (first["role"], first["number"]) == ("trial", 3)
        assert shown["simulators"][0]["different_trials"] == 1
    if table != "trials":
        assert first["scenario"] == "read_random_ns 250000"
    if table == "runs":
        assert first["workload"] == "small.parquet"
    assert first["stored"] != first["replayed"]


def test_a_row_that_was_removed_fails(
    database: Path, tmp_path: Path, command: CommandInThisProcess
) -> None:
    change = "DELETE FROM runs WHERE role = 'baseline' AND number = 1"
    copy = bundled_study.tampered(database, tmp_path / "tampered.duckdb", change)
    code, out, _ = command("verify", "small", "--db", copy)
    assert code == 1
    assert "1 of 10 trials and baselines differ, under the same simulator: 2 of" in out
    assert "runs.(row)" in out
    assert "no row" in out


@pytest.mark.parametrize("asked", ["nonsense", '{"folio_order": "x"}', "[" * 100_000])
def test_a_trial_that_says_nothing_to_try_fails(
    asked: str, database: Path, tmp_path: Path, command: CommandInThisProcess
) -> None:
    change = f"UPDATE trials SET asked = '{asked}' WHERE role = 'trial' AND number = 3"
    copy = bundled_study.tampered(database, tmp_path / "tampered.duckdb", change)
    code, out, err = command("verify", "small", "--db", copy, "--json")
    assert (code, "Traceback" in err) == (1, False)
    (untried,) = json.loads(out)["cannot_be_tried"]
    assert (untried["role"], untried["number"]) == ("trial", 3)
    assert untried["replayed"].startswith("cannot be tried: ")


def test_code_that_only_a_row_names_is_not_imported(
    database: Path, tmp_path: Path, command: CommandInThisProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "named_by_a_row.py").write_text("raise SystemExit('imported')")
    monkeypatch.syspath_prepend(tmp_path)
    asked = '{"eviction": "named_by_a_row:MRU"}'
    change = f"UPDATE trials SET asked = '{asked}' WHERE role = 'trial' AND number = 3"
    copy = bundled_study.tampered(database, tmp_path / "tampered.duckdb", change)
    code, out, _ = command("verify", "small", "--db", copy, "--json")
    assert (code, "named_by_a_row" in sys.modules) == (1, False)
    assert json.loads(out)["simulators"][0]["different_trials"] == 1


def test_another_simulator_is_another_version_and_no_failure(
    database: Path, tmp_path: Path, command: CommandInThisProcess
) -> None:
    older = [f"UPDATE {table} SET core_digest = 'older'" for table in ("studies", "trials")]
    copy = bundled_study.tampered(
        database,
        tmp_path / "older.duckdb",
        *older,
        "UPDATE trials SET policy_key = 'older' || policy_key",
        "UPDATE outcomes SET time_saved_ns = time_saved_ns * 2 WHERE role = 'trial' AND number = 3",
        # An outcome that the older version did not know.
        "UPDATE runs SET lookups = NULL",
    )
    code, out, _ = command("verify", "small", "--db", copy)
    assert code == 0
    assert f"another version of the simulator (older; this is {CORE_DIGEST}): 2 of " in out
    assert "differ, at most by 50 % (time_saved_ns)" in out


def test_the_order_of_a_map_says_nothing(
    database: Path, tmp_path: Path, command: CommandInThisProcess
) -> None:
    change = (
        "UPDATE outcomes SET wait_saved_by_cost = "
        "map_from_entries(list_reverse(map_entries(wait_saved_by_cost)))"
    )
    copy = bundled_study.tampered(database, tmp_path / "turned.duckdb", change)
    assert command("verify", "small", "--db", copy)[0] == 0


@pytest.mark.parametrize(("sample", "size"), [("30%", 3), ("0.1%", 1), ("4", 4), ("99", 10)])
def test_a_sample_is_a_share_or_a_number_of_trials(
    sample: str, size: int, command: CommandInThisProcess
) -> None:
    code, out, _ = command("verify", "small", "--sample", sample, "--json")
    shown = json.loads(out)
    assert (code, shown["replayed"], shown["trials"]) == (0, size, 10)


def test_a_seed_is_a_sample(database: Path, tmp_path: Path, command: CommandInThisProcess) -> None:
    copy = bundled_study.tampered(
        database, tmp_path / "tampered.duckdb", "UPDATE trials SET stored = stored + 1"
    )

    def chosen(seed: int) -> list[tuple[str, int]]:
        words = ("--sample", "3", "--seed", str(seed), "--json")
        _, out, _ = command("verify", "small", "--db", copy, *words)
        first = json.loads(out)["simulators"][0]["first"]
        return [(each["role"], each["number"]) for each in first]

    assert chosen(0) == chosen(0)
    assert len({tuple(chosen(seed)) for seed in range(4)}) > 1


@pytest.mark.parametrize("sample", ["0", "0%", "101%", "many", "2.5", "-1"])
def test_no_other_sample_is_taken(sample: str, command: CommandInThisProcess) -> None:
    code, out, err = command("verify", "small", f"--sample={sample}")
    assert (code, out) == (2, "")
    assert "neither a share, such as 1%, nor a number of trials" in err


def test_trials_without_outcomes_are_counted_and_left_out(
    database: Path, tmp_path: Path, command: CommandInThisProcess
) -> None:
    copy = bundled_study.tampered(
        database,
        tmp_path / "failed.duckdb",
        "UPDATE trials SET state = 'fail', reason = 'MemoryError', objectives = NULL "
        "WHERE role = 'trial' AND number = 2",
        "DELETE FROM outcomes WHERE role = 'trial' AND number = 2",
        "DELETE FROM runs WHERE role = 'trial' AND number = 2",
    )
    code, out, _ = command("verify", "small", "--db", copy)
    assert code == 0
    assert "9 of 9 trials and baselines replayed" in out
    assert "1 trials that failed have no outcomes" in out


def test_a_study_under_another_name_is_verified_from_its_folder(
    database: Path, tmp_path: Path, command: CommandInThisProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    renamed = [f"UPDATE {table} SET study = 'small~1'" for table in
               ("studies", "scenarios", "trials", "outcomes", "runs")]  # fmt: skip
    copy = bundled_study.tampered(database, tmp_path / "aside.duckdb", *renamed)
    monkeypatch.chdir(tmp_path)
    words = ("verify", "small~1", "--db", copy)
    code, _, err = command(*words)
    assert code == 2
    assert "no such file" in err
    assert "--folder names another folder" in err
    code, out, _ = command(*words, "--folder", database.parent)
    assert code == 0
    assert "small~1: equal in all 10 trials" in out


def test_other_files_than_the_study_was_run_on_are_refused(
    database: Path, tmp_path: Path, command: CommandInThisProcess
) -> None:
    path = tmp_path / "small.yaml"
    shutil.copyfile(database.parent / "small.parquet", tmp_path / "small.parquet")
    text = (database.parent / "small.yaml").read_text()
    path.write_text(text.replace("high: 4", "high: 3"))
    code, _, err = command("verify", path)
    assert code == 2
    assert "has changed since it was run:\n  parameters.folio_order.high: was 4, is 3" in err
    path.write_text(text)
    small_study.write_trace(tmp_path, rows=30_000)
    code, _, err = command("verify", path)
    assert code == 2
    assert "small.parquet: other events than those that it was run on" in err


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("UPDATE studies SET model_version = NULL", "was run by an earlier version of the model"),
        ("DELETE FROM trials", "has no trial with outcomes yet"),
        ("DELETE FROM studies", "no study small; it holds no study"),
    ],
)
def test_what_cannot_be_verified_is_told(
    change: str, told: str, database: Path, tmp_path: Path, command: CommandInThisProcess
) -> None:
    copy = bundled_study.tampered(database, tmp_path / "changed.duckdb", change)
    code, out, err = command("verify", "small", "--db", copy)
    assert (code, out) == (2, "")
    assert told in err


@pytest.mark.parametrize(
    "row",
    [
        "versions = '[1'",
        "versions = '5'",
        "identity = '['",
        "workloads = NULL, events_digests = NULL",
    ],
)
def test_a_study_whose_row_no_run_wrote_is_told_in_a_line(
    row: str, database: Path, tmp_path: Path, command: CommandInThisProcess
) -> None:
    copy = bundled_study.tampered(
        database, tmp_path / "tampered.duckdb", f"UPDATE studies SET {row}"
    )
    code, _, err = command("verify", "small", "--db", copy)
    assert code == 2
    assert "as no run writes them" in err or "other events" in err


def test_what_a_replay_ends_in_is_not_put_down_to_the_rows(
    monkeypatch: pytest.MonkeyPatch, command: CommandInThisProcess
) -> None:
    def fail(*arguments: object) -> None:
        raise ValueError("of our own making")

    monkeypatch.setattr("sweep.engine.verify._replay", fail)
    with pytest.raises(ValueError, match="of our own making"):
        command("verify", "small")
