"""What an earlier version wrote is read and kept, never changed or continued."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import duckdb
import earlier_database
import pytest
import small_study
from commands import CommandInThisProcess
from database_processes import Writers, held, numbers, spool_of, trial
from earlier_database import OLD_TABLES, content, in_order, in_this_form
from reported_studies import Elements, report, sections_of

from core.costs import Costs
from core.outcomes import UNITS
from core.policy import Policy
from sweep.results import MODEL_VERSION, Store, StoreError, answer_query
from sweep.results.schema import TABLES
from sweep.study.worlds import AS_GIVEN


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a study, its trace, and databases in which earlier versions ran it."""
    made = tmp_path_factory.mktemp("earlier")
    small_study.write_trace(made)
    study = small_study.write_study(made, n_trials=6)
    for form in earlier_database.FORMS:
        earlier_database.write(made / f"{form}.duckdb", study, form=form)
    return made


@pytest.fixture(params=earlier_database.FORMS)
def path(request: pytest.FixtureRequest, folder: Path, tmp_path: Path) -> Path:
    """A copy of a database of each earlier form, to be changed."""
    return Path(shutil.copy(folder / f"{request.param}.duckdb", tmp_path / "results.duckdb"))


@pytest.fixture
def path_1(folder: Path, tmp_path: Path) -> Path:
    """A copy of the database of version 1 of the model, to be changed."""
    return Path(shutil.copy(folder / "version_1.duckdb", tmp_path / "results.duckdb"))


@pytest.fixture
def sweep(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> CommandInThisProcess:
    return CommandInThisProcess(monkeypatch, capsys)


def described(path: Path) -> dict[str, list[tuple[Any, ...]]]:
    return {table: answer_query(path, f"DESCRIBE {table}").rows for table in TABLES}


def has_the_form_of_this_version(path: Path, new: Path) -> bool:
    """Return whether tables begin with the columns of a new database, in their order."""
    Store(new)
    mine, wanted = described(path), described(new)
    return {table: mine[table][: len(wanted[table])] for table in TABLES} == wanted


def write_one(path: Path) -> None:
    store = Store(path)
    store.add("trials", trial(7))
    store.flush()


def test_an_earlier_file_is_read_in_the_form_of_this_version_and_left_as_it_is(
    path: Path, tmp_path: Path
) -> None:
    before = path.read_bytes()
    assert has_the_form_of_this_version(path, tmp_path / "new.duckdb")
    expected = in_this_form(content(path))
    store = Store(path)
    for table in OLD_TABLES:
        assert in_order(store.rows(f"FROM {table}")) == in_order(expected[table])
    asked = "SELECT count(*), count(phases), min(restored) FROM runs"
    assert answer_query(path, asked).rows == [(8, 0, 1000)]
    assert path.read_bytes() == before


def test_what_this_version_tells_apart_is_made_from_what_earlier_rows_have(path: Path) -> None:
    before = path.read_bytes()
    store = Store(path)
    (world,) = store.rows("FROM scenarios")
    assert (world["study"], world["scenario"], world["place"]) == ("small", AS_GIVEN, 0)
    assert (world["tag_block_size"], world["lookup_ns"]) == (4096, Costs().lookup_ns)
    assert (world["tmem_ratio"], world["zram_size"], world["page_size"]) == (
        *(Policy.tmem_ratio, None, None),
    )
    outcomes, trials = (in_order(store.rows(f"FROM {table}")) for table in ("outcomes", "trials"))
    assert len(outcomes) == len(trials) == 8
    for of_scenario, trial_row in zip(outcomes, trials, strict=True):
        assert of_scenario["scenario"] == AS_GIVEN
        assert of_scenario["time_saved_by_cost"] is None
        assert {name: of_scenario[name] for name in UNITS} == {
            name: trial_row[name] for name in UNITS
        }
    # The views answer for it as for a study of this version.
    assert [row["number"] for row in store.rows("FROM best_trials")] == [5]
    (status,) = store.rows("FROM study_status")
    assert (status["complete"], status["baselines"], status["distinct_policies"]) == (6, 2, 6)
    assert path.read_bytes() == before


def test_an_earlier_study_that_searched_the_world_is_read(
    folder: Path, tmp_path: Path, sweep: CommandInThisProcess
) -> None:
    costs = {"lookup_ns": "{type: int, low: 0, high: 9000}"}
    study = small_study.write_study(tmp_path, n_trials=24, **costs)
    path = tmp_path / "results.duckdb"
    earlier_database.write(path, study, 24, "before_scenarios")
    before = path.read_bytes()
    (world,) = Store(path).rows("SELECT lookup_ns, copy_in_ns FROM scenarios")
    assert world == {"lookup_ns": None, "copy_in_ns": Costs().copy_in_ns}
    code, out, err = sweep("best", "small", "--db", path, "--json")
    assert (code, err) == (0, "")
    best, *_ = json.loads(out)["best"]
    assert (best["number"], best["lookup_ns"], best["objectives"]) == (23, 2300, [1023.0])
    code, out, err = sweep("best", "small", "--db", path)
    assert (code, err) == (0, "")
    assert "lookup" in out
    text, written = report(path, "small")
    assert "lookup_ns" in text
    assert "Slices" in {figure["section"] for figure in written["figures"]}
    assert path.read_bytes() == before
    # To be run again, it says what varies as scenarios.
    code, _, err = sweep("run", study, "--db", path, "--executor", "in-process")
    assert code == 2
    assert "let it vary under scenarios (scenarios: {lookup_ns: [0, 9000]})" in err


@pytest.mark.parametrize("holder", ["nobody", "a client"])
def test_a_written_earlier_file_has_the_form_of_this_version_and_every_row(
    path: Path, tmp_path: Path, holder: str
) -> None:
    expected = in_this_form(content(path))
    with held(path) if holder == "a client" else nullcontext():
        write_one(path)
        assert len(spool_of(path)) == (holder == "a client")
        assert len(Store(path).rows("FROM trials")) == 9
    write_one(path)  # what is there already stays
    assert has_the_form_of_this_version(path, tmp_path / "new.duckdb")
    written = content(path)
    assert [row["number"] for row in written["trials"] if row["study"] == "s"] == [7]
    for table in OLD_TABLES:
        mine = [row for row in written[table] if row["study"] != "s"]
        assert in_order(mine) == in_order(expected[table])
    with duckdb.connect(str(path)) as connection, pytest.raises(duckdb.ConstraintException):
        connection.execute("INSERT INTO trials SELECT * FROM trials LIMIT 1")


def test_columns_that_this_version_has_not_and_what_a_user_added_stay(path: Path) -> None:
    with duckdb.connect(str(path)) as connection:
        connection.execute("ALTER TABLE trials ADD COLUMN missed_sequential BIGINT")
        connection.execute("UPDATE trials SET missed_sequential = number + 1")
        connection.execute("CREATE TABLE notes AS SELECT 42 AS note")
        connection.execute("CREATE VIEW best AS SELECT max(restored) AS restored FROM trials")
    sql = "SELECT sum(missed_sequential), any_value(note), any_value(best.restored) FROM best, "
    sql += "notes, trials"
    before = answer_query(path, sql).rows
    write_one(path)
    assert answer_query(path, sql).rows == before == [(24, 42, 1005)]
    columns = [row[0] for row in described(path)["trials"]]
    assert columns[-2:] == ["page_cache_order", "missed_sequential"]
    assert columns.index("finished_at") < columns.index("lookup_ns")


@pytest.mark.parametrize("form", earlier_database.FORMS)
def test_rows_that_an_earlier_version_spooled_are_merged(
    form: str, folder: Path, tmp_path: Path
) -> None:
    path = Path(shutil.copy(folder / f"{form}.duckdb", tmp_path / "results.duckdb"))
    rows = earlier_database.rows(folder / "small.yaml", 9, form)
    with duckdb.connect(str(path), read_only=True) as connection:
        known = {table: connection.sql(f"FROM {table} LIMIT 0").columns for table in OLD_TABLES}
    spool = path.parent / f"{path.name}.spool"
    spool.mkdir()
    lines = [
        json.dumps([table, {name: row[name] for name in known[table] if name in row}], default=str)
        for table, row in rows
    ]
    (spool / "1-1.jsonl").write_text("\n".join(lines))
    assert sorted(numbers(path)) == [0, 0, 1, 1, 2, 3, 4, 5, 6, 7, 8]
    assert not spool_of(path)
    sql = "SELECT DISTINCT unnest(reservation_samples).migrated FROM runs"
    assert answer_query(path, sql).rows == [(0,)]


@pytest.mark.parametrize("step", ["sync:rewrite*", "rename:rewrite*"])
def test_a_kill_while_the_copy_is_made_leaves_the_earlier_file(path: Path, step: str) -> None:
    before, expected = path.read_bytes(), in_this_form(content(path))
    writers = Writers()
    (path.parent / f"{path.name}.spool").mkdir()
    with held(path) as holder:  # so that the rows to be merged are in the spool
        writers.start(path, 100)
        acknowledged = [int(writers.read()), *writers.kill()]
        holder.communicate()
    writers.start(path, 1000, step)
    acknowledged += writers.acknowledged()
    writers.process.communicate()
    assert (path.parent / f"{path.name}.spool" / "rewrite.duckdb").exists()
    assert path.read_bytes() == before
    write_one(path)
    written = content(path)
    assert set(acknowledged) <= {row["number"] for row in written["trials"]}
    for table in OLD_TABLES:
        mine = [row for row in written[table] if row["study"] != "s"]
        assert in_order(mine) == in_order(expected[table])


FOREIGN = {
    "ALTER TABLE trials ALTER stored TYPE VARCHAR": "column stored of table trials is VARCHAR",
    "ALTER TABLE runs ALTER reservation_samples TYPE VARCHAR": "and not STRUCT",
    "ALTER TABLE runs DROP reservation_samples; "
    "ALTER TABLE runs ADD COLUMN reservation_samples STRUCT(x BIGINT)[]": "and not STRUCT",
    "ALTER TABLE trials DROP policy_key": "table trials has no column policy_key",
    "DROP TABLE studies": "it has a table trials and no table studies",
}


@pytest.mark.parametrize("change", FOREIGN)
def test_what_no_version_wrote_is_refused_and_left_as_it_is(path_1: Path, change: str) -> None:
    with duckdb.connect(str(path_1)) as connection:
        if "TYPE" in change:
            table, column = change.split()[2], change.split()[4]
            connection.execute(f"UPDATE {table} SET {column} = NULL")
        connection.execute(change)
    before = path_1.read_bytes()
    with pytest.raises(StoreError, match=FOREIGN[change]) as caught:
        write_one(path_1)
    assert "of another program; name another with --db" in str(caught.value)
    assert path_1.read_bytes() == before


def test_an_earlier_study_is_never_continued(
    path_1: Path, folder: Path, sweep: CommandInThisProcess
) -> None:
    study = folder / "small.yaml"
    before = path_1.read_bytes()
    # Nothing of it is left to run, and of a longer one three trials are.
    for trials in (6, 9):
        small_study.write_study(folder, n_trials=trials)
        code, out, err = sweep("run", study, "--db", path_1, "--executor", "in-process")
        assert (code, out) == (2, "")
        first, second = err.splitlines()
        assert first.startswith(
            f"{study}: study small was run by an earlier version of the model (1; this is "
        )
        assert "--new keeps those results as small~1" in second
        assert path_1.read_bytes() == before


@pytest.mark.parametrize("option", ["--new", "--new-if-changed"])
def test_an_earlier_study_is_kept_aside_and_begun_anew(
    path_1: Path, folder: Path, sweep: CommandInThisProcess, option: str
) -> None:
    expected = in_this_form(content(path_1))
    study = small_study.write_study(folder, n_trials=6)
    words = ("run", study, "--db", path_1, "--executor", "in-process", option)
    code, out, err = sweep(*words)
    assert code == 0
    assert "the earlier study is kept as small~1" in err
    assert "of 6 complete trials" in out
    written = content(path_1)
    for table in OLD_TABLES:
        kept = [row for row in written[table] if row["study"] == "small~1"]
        assert in_order(kept) == in_order([row | {"study": "small~1"} for row in expected[table]])
    versions = answer_query(path_1, "SELECT study, model_version FROM studies ORDER BY study").rows
    assert versions == [("small", MODEL_VERSION), ("small~1", None)]
    if option == "--new-if-changed":  # the second time there is nothing to do
        code, _, err = sweep(*words)
        assert (code, err) == (0, "study small: 6 of 6 trials are recorded\n")
        assert answer_query(path_1, "SELECT count(*) FROM studies").rows == [(2,)]


def test_a_later_study_is_never_continued_either(
    path_1: Path, folder: Path, sweep: CommandInThisProcess
) -> None:
    write_one(path_1)
    with duckdb.connect(str(path_1)) as connection:
        connection.execute(f"UPDATE studies SET model_version = {MODEL_VERSION + 1}")
    study = small_study.write_study(folder, n_trials=6)
    code, _, err = sweep("run", study, "--db", path_1, "--executor", "in-process")
    assert code == 2
    assert "was run by a later version of the model" in err


def test_reports_say_first_that_an_earlier_version_made_the_results(
    path_1: Path, sweep: CommandInThisProcess
) -> None:
    before = path_1.read_bytes()
    told = "An earlier version of the model (1; this is "
    text, written = report(path_1, "small")
    assert Elements(text).texts("p")[1].startswith(told)
    headings = {figure["section"] for figure in written["figures"]}
    assert {"Slices", "Occupancy of tag storage", "Reservation latency"} <= headings
    code, out, err = sweep("best", "small", "--db", path_1)
    assert (code, err) == (0, "")
    assert out.lstrip().startswith(f"* {told}")
    assert "1,005" in out
    code, out, err = sweep("best", "small", "--db", path_1, "--json")
    told_to_programs = json.loads(out)
    first = told_to_programs["verdict"][0]
    assert (first["kind"], first["numbers"]) == ("version", {"model_version": 1})
    assert told_to_programs["best"][0]["wait_saved_ns"] is None
    code, out, err = sweep("status", "--db", path_1, "--json")
    assert [(row["study"], row["complete"]) for row in json.loads(out)] == [("small", 6)]
    assert path_1.read_bytes() == before
    with duckdb.connect(str(path_1)) as connection:
        connection.execute(
            f"ALTER TABLE studies ADD COLUMN model_version BIGINT DEFAULT {MODEL_VERSION}"
        )
    text, _ = report(path_1, "small")
    assert told not in text
    assert told not in sweep("best", "small", "--db", path_1)[1]


def test_pages_that_version_1_told_as_dropped_are_reported_as_migrated(path_1: Path) -> None:
    with duckdb.connect(str(path_1)) as connection:
        connection.execute("UPDATE trials SET system = 'migrate_cma' WHERE role = 'baseline'")
        rows = connection.sql("FROM trials WHERE role = 'baseline' AND number = 1").to_arrow_table()
    (costs,) = rows.to_pylist()
    (figure,) = sections_of(path_1, "small")["Reservation latency"]
    answer = answer_query(path_1, figure.sql)
    mine = [row[2] for row in answer.rows if row[:2] == ("baseline", 1)]
    block = costs["reserve_base_ns"] + 64 * costs["cache_line_ns"]
    moved = costs["migrate_base_ns"] + 2 * costs["migrate_page_ns"]
    assert mine == [block, block + moved]


def test_a_stored_study_that_this_version_would_refuse_is_reported(path_1: Path) -> None:
    with duckdb.connect(str(path_1)) as connection:
        # This version reads pages in parallel, which is never slower than one by itself.
        connection.execute("UPDATE studies SET yaml = yaml || 'costs: {read_random_ns: 5000}\n'")
    assert "costs: {read_random_ns: 5000}" in report(path_1, "small")[0]


def test_an_earlier_file_that_may_only_be_read_is_read(path_1: Path) -> None:
    path_1.chmod(0o444)
    assert len(numbers(path_1)) == 8


def test_a_process_leaves_no_copy_behind(path_1: Path, tmp_path: Path) -> None:
    copies = tmp_path / "copies"
    copies.mkdir()
    code = "import sys; from sweep.results import answer_query as a; from pathlib import Path\n"
    code += "print(a(Path(sys.argv[1]), 'SELECT count(*) FROM trials').rows)"
    done = subprocess.run(
        [sys.executable, "-c", code, path_1],
        env={**os.environ, "TMPDIR": str(copies)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "[(8,)]\n"
    assert not list(copies.iterdir())
