"""`sweep report`: one file that holds a study's answer, and asks nothing of a network."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import shutil
from pathlib import Path

import commands
import duckdb
import pytest
from plotly.offline import get_plotlyjs
from reported_studies import WICKED, Elements, report, write_studies

from sweep.cli.study_commands import stored_study
from sweep.report import figures
from sweep.report.figures import FIGURES, FigureKind
from sweep.report.plotting import Figure, plot
from sweep.report.study_results import StudyResults
from sweep.results import StoreError, open_for_reading, read_rows
from sweep.results.questions import best_sql
from sweep.results.schema import TABLES
from sweep.results.wording import readable
from sweep.study.glossary import short_meaning


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("report")
    write_studies(made)
    return made


@pytest.fixture
def database(folder: Path, tmp_path: Path) -> Path:
    """Return a copy of the database, to be changed."""
    return Path(shutil.copy(folder / "results.duckdb", tmp_path / "results.duckdb"))


@pytest.mark.parametrize("name", ["pair", "wicked", "systems"])
def test_a_report_needs_no_network(folder: Path, name: str) -> None:
    text, _ = report(folder / "results.duckdb", name)
    page = Elements(text)
    assert page.open == []  # every element is closed, in order
    for tag, attributes, _ in page.elements:
        assert tag not in ("link", "img", "iframe", "object", "base", "form"), tag
        assert "src" not in attributes
        assert (attributes.get("href") or "#").startswith("#")
    (style,) = page.texts("style")
    assert "url(" not in style
    assert "@import" not in style
    (policy,) = (a["content"] for t, a, _ in page.elements if t == "meta" and "http-equiv" in a)
    assert "default-src 'none'" in str(policy)


def test_the_script_is_embedded_once(folder: Path) -> None:
    text, _ = report(folder / "results.duckdb", "pair")
    assert text.count(get_plotlyjs()) == 1
    assert text.count("<script") - get_plotlyjs().count("<script") == 3


def test_a_question_cannot_inject_script(folder: Path) -> None:
    text, _ = report(folder / "results.duckdb", "wicked")
    page = Elements(text)
    assert any(WICKED in said for said in page.texts("p"))
    assert any("alert(1)" in said for said in page.texts("pre"))
    plots, *scripts = page.texts("script")
    assert len(scripts) == 2
    assert "alert(1)" not in "".join(scripts)
    # What the page lets run is just these two, whatever gets into it.
    for script in scripts:
        digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        assert f"'sha256-{digest}'" in text
    assert "script-src 'sha256-" in text
    assert "<" not in plots


def test_the_question_and_the_answer_come_first(folder: Path) -> None:
    database = folder / "results.duckdb"
    text, _ = report(database, "wicked")
    said = Elements(text).texts("p")
    sql = best_sql(stored_study(database, "wicked"), 1)
    with open_for_reading(database) as connection:
        (best,) = read_rows(connection, sql, ["wicked"])
    assert said[0] == WICKED
    assert f"trial {best['number']} " in said[1]
    assert readable("time_saved_ns", best["time_saved_ns"]) in said[1]
    assert "30 complete trials" in said[1]
    assert any("gcma" in sentence for sentence in said[2:6])
    assert Elements(text).texts("h2")[0] == "Policies"


def test_the_table_of_policies_says_what_its_columns_are(folder: Path) -> None:
    text, _ = report(folder / "results.duckdb", "pair")
    titles = {said: a.get("title") for tag, a, said in Elements(text).elements if tag == "th"}
    assert titles["share_of_ideal"] == short_meaning("share_of_ideal")
    assert titles["reservation_p99"] == short_meaning("reservation_p99_ns")
    assert titles["policy"] is None


def test_bounds_and_other_hardware_are_never_the_answer(folder: Path) -> None:
    database = folder / "results.duckdb"
    study = stored_study(database, "systems")
    with open_for_reading(database) as connection:
        results = StudyResults(study, "systems", connection)
        assert {row["system"] for row in results.best} == {"cleancache", "zswap"}
        assert {row["system"] for row in results.beyond} == {"ideal", "tmem"}
        ideal = max(results.beyond, key=lambda row: row["time_saved_ns"])
        chosen = results.chosen
        # The chosen policy, the best of each other subspace, and the baselines.
        assert {row["system"] for row in results.compared_policies} == {
            *("cleancache", "zswap", "carveout")
        }
        assert results.compared_policies[0] == chosen
    assert chosen is not None
    assert (chosen["system"], ideal["system"]) == ("cleancache", "ideal")
    assert ideal["time_saved_ns"] > chosen["time_saved_ns"]
    text, _ = report(database, "systems")
    said = Elements(text).texts("p")
    assert f"trial {chosen['number']} " in said[1]
    bounds = [sentence for sentence in said if "but it is no answer: " in sentence]
    assert len(bounds) == 2
    assert readable("time_saved_ns", ideal["time_saved_ns"]) in bounds[0]


def test_each_system_is_named_with_its_best(folder: Path) -> None:
    text, written = report(folder / "results.duckdb", "systems")
    (sentence,) = (p for p in Elements(text).texts("p") if "of each policy: " in p)
    assert all(name in sentence for name in ("cleancache ", "zswap ")), sentence
    beyond = " ".join(p for p in Elements(text).texts("p") if "it is no answer" in p)
    assert all(name in beyond for name in ("tmem", "ideal")), beyond
    sections = [figure["section"] for figure in written["figures"]]
    # All but the Pareto front, which needs several objectives.
    headings = [kind.heading for kind in FIGURES if kind.heading != "Pareto front"]
    assert list(dict.fromkeys(sections)) == headings


def test_a_figure_is_a_row_of_the_table_of_figures(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def draw_failures(results: StudyResults) -> list[Figure]:
        sql = f"SELECT count(*) AS failed FROM trials WHERE {results.study_condition}"
        bar = {"type": "bar", "x": [0], "y": [row["failed"] for row in results.read(sql)]}
        return [Figure("How many failed", "A toy.", sql, [plot([bar], {}, {}, 100)])]

    def never(_: StudyResults) -> bool:
        return False

    rows = [FigureKind("Failures", draw_failures), FigureKind("Absent", draw_failures, never)]
    monkeypatch.setattr(figures, "FIGURES", (FIGURES[0], *rows, *FIGURES[1:]))
    text, written = report(folder / "results.duckdb", "pair")
    sections = list(dict.fromkeys(figure["section"] for figure in written["figures"]))
    assert sections == [FIGURES[0].heading, "Failures", *(kind.heading for kind in FIGURES[1:])]
    page = Elements(text)
    assert page.texts("h2") == ["Policies", *sections, "The study", "Provenance"]
    links = [attributes["href"] for tag, attributes, _ in page.elements if tag == "a"]
    assert "#failures" in links
    assert "How many failed" in page.texts("h3")
    assert written["figures"][1]["sql"] in page.texts("pre")


def test_an_unfinished_study_is_reported_as_one(database: Path) -> None:
    with duckdb.connect(str(database)) as connection:
        connection.execute("UPDATE studies SET n_trials = 1000 WHERE study = 'pair'")
    text, _ = report(database, "pair")
    assert "Unfinished: 40 of 1,000 trials are done" in text


def test_a_study_without_a_feasible_trial_says_so(database: Path) -> None:
    with duckdb.connect(str(database)) as connection:
        connection.execute("UPDATE trials SET feasible = false WHERE study = 'wicked'")
    text, written = report(database, "wicked")
    assert "None of 30 complete trials keeps every constraint (on restored); nearest is" in text
    assert "Slices" in {figure["section"] for figure in written["figures"]}


def test_a_study_that_was_set_aside_is_reported_under_its_new_name(database: Path) -> None:
    _, before = report(database, "pair")
    with duckdb.connect(str(database)) as connection:
        for table in TABLES:
            connection.execute(f"UPDATE {table} SET study = 'pair~1' WHERE study = 'pair'")
    text, written = report(database, "pair~1")
    assert Elements(text).texts("h1") == ["pair~1"]
    titles = [
        [(figure["section"], figure["title"]) for figure in of["figures"]]
        for of in (before, written)
    ]
    assert titles[0] == titles[1]
    assert len(titles[0]) >= 10


def test_a_report_is_written_whole_or_not_at_all(
    database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = database.parent / "pair.html"
    output.write_text("the last one")

    def full(path: Path, _: object) -> Path:
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(StoreError, match="No space left"):
        report(database, "pair")
    assert output.read_text() == "the last one"
    assert not list(output.parent.glob("*.partial"))


def test_a_report_takes_the_place_of_no_device(database: Path) -> None:
    output = database.parent / "pair.html"
    os.mkfifo(output)
    with pytest.raises(StoreError, match=r"pair\.html: a folder, a pipe or a device, and no file"):
        report(database, "pair")
    assert output.is_fifo()


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (["pear", "-o", "x.html"], "no study pear; it holds pair, systems, wicked"),
        (["pair", "-o", "no/such/x.html"], "no/such/x.html: there is no folder no/such"),
        (["pair", "-o", "."], ".: is a folder"),
        (["pair", "-o", "results.duckdb"], "results.duckdb: is the database"),
        (["pair", "-o", "x.html", "--db", "none.duckdb"], "none.duckdb: no such database"),
        (["pair"], "--output"),
    ],
)
def test_bad_input_is_one_message_and_exit_code_2(
    folder: Path, words: list[str], what: str
) -> None:
    process = commands.start("report", *words, cwd=folder)
    out, err = process.communicate()
    assert (process.returncode, out) == (2, "")
    assert what in " ".join(err.replace("│", " ").split())
    assert "Traceback" not in err


def test_a_study_without_a_complete_trial_is_refused(database: Path) -> None:
    with duckdb.connect(str(database)) as connection:
        connection.execute("UPDATE trials SET state = 'fail' WHERE study = 'pair'")
    with pytest.raises(StoreError, match="study pair has no complete trial"):
        report(database, "pair")


def test_the_command_tells_what_it_wrote(folder: Path) -> None:
    process = commands.start("report", "pair", "-o", "told.html", "--json", cwd=folder)
    out, err = process.communicate()
    assert (process.returncode, err) == (0, "")
    told = json.loads(out)
    assert told["path"] == "told.html"
    assert told["bytes"] == (folder / "told.html").stat().st_size
    assert {"section", "name", "title", "sql"} == told["figures"][0].keys()
