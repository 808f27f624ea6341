"""`sweep report`: one file that holds a study's answer, and shows nothing that SQL does not say."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import duckdb
import plotly.graph_objects as go
import pytest
import small
from plotly.offline import get_plotlyjs

from sweep.command import stored_study
from sweep.report import Written, write_report
from sweep.report.figure import Figure
from sweep.report.source import Source
from sweep.report.wording import readable, scale_of
from sweep.report.write import drawn
from sweep.results import StoreError, ask, open_for_reading, read_rows
from sweep.search import importances
from sweep.sql import best_sql

SYSTEMS = """\
policies:
  - policy: {system: cleancache}
    parameters:
      eviction: {type: categorical, choices: [lru, fifo, none]}
      headroom: {type: float, low: 0.0, high: 0.5}
  - policy: {system: tmem}
    parameters: {tmem_ratio: {type: float, low: 0.01, high: 0.1, log: true}}
  - policy: {system: ideal}
"""
WICKED = '</script><script>alert(1)</script><img src=x onerror=alert(2)> & "why"?'


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with three finished studies in results.duckdb: pair, wicked and systems."""
    made = tmp_path_factory.mktemp("report")
    small.write_trace(made)
    path = small.write_study(made, n_trials=40, objectives=small.TWO)
    text = path.read_text()
    path.write_text(text.replace("study: small", "study: pair"))
    small.run(path, made / "results.duckdb")
    text = small.write_study(made, n_trials=30, constraints=small.HIT).read_text()
    path.write_text(text.replace("study: small", f"study: wicked\nquestion: {json.dumps(WICKED)}"))
    small.run(path, made / "results.duckdb")
    fixed = re.sub(r"policy: .*\nparameters: .*\n", lambda _: SYSTEMS, text)
    fixed = re.sub(r"constraints: .*\n", "", fixed)
    path.write_text(fixed.replace("study: small", "study: systems"))
    small.run(path, made / "results.duckdb")
    return made


@pytest.fixture
def database(folder: Path, tmp_path: Path) -> Path:
    """Return a copy of the database, to be changed."""
    return Path(shutil.copy(folder / "results.duckdb", tmp_path / "results.duckdb"))


def report(database: Path, name: str) -> tuple[str, Written]:
    """Return the text of a study's report, and what was said of it."""
    output = database.parent / f"{name}.html"
    written = write_report(stored_study(database, name), name, database, output)
    return output.read_text(encoding="utf-8"), written


def figures_of(database: Path, name: str) -> list[Figure]:
    with open_for_reading(database) as connection:
        return drawn(Source(stored_study(database, name), name, connection))


class Elements(HTMLParser):
    """The elements of a page, and the text in each."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None], str]] = []
        self.open: list[int] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attributes), ""))
        if tag not in ("meta", "img", "link", "br"):
            self.open.append(len(self.found) - 1)

    def handle_endtag(self, tag: str) -> None:
        assert self.found[self.open.pop()][0] == tag

    def handle_data(self, data: str) -> None:
        if self.open:
            tag, attributes, text = self.found[self.open[-1]]
            self.found[self.open[-1]] = (tag, attributes, text + data)

    def texts(self, tag: str) -> list[str]:
        return [text for found, _, text in self.found if found == tag]


def asked(database: Path, figure: Figure) -> list[dict[str, Any]]:
    """Return what a user is answered who asks the query that a figure shows."""
    answer = ask(database, figure.sql)
    return [dict(zip(answer.columns, row, strict=True)) for row in answer.rows]


def shown(metric: str, rows: list[dict[str, Any]]) -> list[Any]:
    """Return a column in the unit that a figure of these rows is in."""
    divisor = scale_of(metric, [row[metric] for row in rows]).divisor
    return [pytest.approx(row[metric] / divisor, rel=1e-5) for row in rows]


@pytest.mark.parametrize("name", ["pair", "wicked", "systems"])
def test_a_report_needs_no_network(folder: Path, name: str) -> None:
    text, _ = report(folder / "results.duckdb", name)
    page = Elements(text)
    assert page.open == []  # every element is closed, in order
    for tag, attributes, _ in page.found:
        assert tag not in ("link", "img", "iframe", "object", "base", "form"), tag
        assert "src" not in attributes
        assert (attributes.get("href") or "#").startswith("#")
    (style,) = page.texts("style")
    assert "url(" not in style
    assert "@import" not in style
    (policy,) = (a["content"] for t, a, _ in page.found if t == "meta" and "http-equiv" in a)
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
    assert "gcma" in said[2]
    assert Elements(text).texts("h2")[0] == "Policies"


def test_the_ideal_is_a_bound_and_not_the_answer(folder: Path) -> None:
    database = folder / "results.duckdb"
    study = stored_study(database, "systems")
    with open_for_reading(database) as connection:
        source = Source(study, "systems", connection)
        assert source.best[0]["system"] == "ideal"
        chosen = source.chosen
        # The chosen policy, the best of each other subspace, and the baselines.
        assert {row["system"] for row in source.marked} == {
            *("cleancache", "tmem", "ideal", "carveout")
        }
        assert source.marked[0] == chosen
    assert chosen is not None
    assert chosen["system"] != "ideal"
    text, _ = report(database, "systems")
    assert f"the ideal apart: trial {chosen['number']} " in text


def test_each_system_is_named_with_its_best(folder: Path) -> None:
    text, written = report(folder / "results.duckdb", "systems")
    (sentence,) = (p for p in Elements(text).texts("p") if "of each system" in p)
    assert all(f"{name} " in sentence for name in ("cleancache", "tmem", "ideal"))
    sections = [figure["section"] for figure in written["figures"]]
    assert list(dict.fromkeys(sections)) == [
        "Systems compared",
        "Slices",
        "Parameter importance",
        "Occupancy of tag storage",
        "Reservation latency",
    ]


@pytest.mark.parametrize("name", ["pair", "wicked", "systems"])
def test_every_figure_is_one_that_plotly_knows(folder: Path, name: str) -> None:
    for figure in figures_of(folder / "results.duckdb", name):
        for plot in figure.plots:
            go.Figure(data=plot["data"], layout=plot["layout"])  # raises on an unknown word


def test_every_figure_shows_the_sql_that_makes_it(folder: Path) -> None:
    text, written = report(folder / "results.duckdb", "pair")
    said = Elements(text).texts("pre")
    figures = figures_of(folder / "results.duckdb", "pair")
    assert [figure["sql"] for figure in written["figures"]] == [one.sql for one in figures]
    assert all(figure.sql in said for figure in figures)
    plots = json.loads(Elements(text).texts("script")[0])
    assert len(plots) == sum(len(figure.plots) for figure in figures)


def test_that_sql_gives_the_trials_that_are_drawn(folder: Path) -> None:
    database = folder / "results.duckdb"
    front, *_ = figures_of(database, "pair")
    rows = asked(database, front)
    traces = [one for one in front.plots[0]["data"] if not one["name"].startswith("chosen")]
    for way, metric in (("x", "refault_hit_ratio"), ("y", "stored")):
        found = sorted(value for trace in traces for value in trace[way])
        known = [row for row in rows if row[metric] is not None]
        assert found == sorted(shown(metric, known), key=lambda value: value.expected)
    edge = next(one for one in traces if one["name"].endswith("on the front"))
    assert len(edge["x"]) == sum(row["on_front"] for row in rows) > 0
    # Every baseline is marked.
    assert sum(one["marker"]["symbol"] == "diamond" for one in traces) == 2


def test_that_sql_gives_the_slices_that_are_drawn(folder: Path) -> None:
    database = folder / "results.duckdb"
    figures = {one.title: one for one in figures_of(database, "wicked") if one.section == "Slices"}
    assert list(figures) == list(small.PARAMETERS)
    rows = asked(database, figures["drop"])
    (plot,) = figures["drop"].plots
    traces = {trace["name"]: trace for trace in plot["data"]}
    assert len(traces["trials"]["x"]) == sum(row["feasible"] for row in rows)
    assert len(traces["infeasible"]["x"]) == sum(not row["feasible"] for row in rows) > 0
    words = plot["layout"]["xaxis"]["ticktext"]
    mine = [row for row in rows if row["feasible"]]
    assert [words[round(x)] for x in traces["trials"]["x"]] == [row["drop"] for row in mine]
    divisor = scale_of("time_saved_ns", [row["time_saved_ns"] for row in rows]).divisor
    expected = [pytest.approx(row["time_saved_ns"] / divisor, rel=1e-5) for row in mine]
    assert traces["trials"]["y"] == expected


def test_that_sql_gives_the_systems_that_are_drawn(folder: Path) -> None:
    database = folder / "results.duckdb"
    figure, *_ = figures_of(database, "systems")
    rows = asked(database, figure)
    assert {row["system"] for row in rows} == {"cleancache", "tmem", "ideal", "carveout"}
    assert figure.plots[0]["data"][0]["x"] == shown("time_saved_ns", rows)
    assert figure.plots[0]["data"][0]["x"] == sorted(figure.plots[0]["data"][0]["x"], reverse=True)


def test_that_sql_gives_the_importance_that_is_drawn(folder: Path) -> None:
    database = folder / "results.duckdb"
    (figure,) = (f for f in figures_of(database, "pair") if f.section == "Parameter importance")
    study = stored_study(database, "pair")
    for bar, objective in zip(figure.plots[0]["data"], study.objectives, strict=True):
        rows = asked(database, figure)
        shares = importances(study, objective.metric, rows)
        assert dict(zip(bar["y"], bar["x"], strict=True)) == pytest.approx(shares, rel=1e-5)
        # Where all trials are equal, nothing is important.
        values = {row[objective.metric] for row in rows}
        assert sum(bar["x"]) == pytest.approx(1 if len(values) > 1 else 0, abs=1e-5)


def test_that_sql_gives_what_tag_storage_holds(folder: Path) -> None:
    database = folder / "results.duckdb"
    (figure,) = (f for f in figures_of(database, "pair") if f.section.startswith("Occupancy"))
    rows = asked(database, figure)
    assert len(figure.plots) == 3  # the chosen policy and two baselines
    for place, column in enumerate(("reserved_pages", "cached_pages", "empty_pages")):
        found = [value for plot in figure.plots for value in plot["data"][place]["y"]]
        assert found == [row[column] for row in rows]


def test_the_latency_distribution_reaches_the_recorded_quantile(folder: Path) -> None:
    database = folder / "results.duckdb"
    (figure,) = (f for f in figures_of(database, "wicked") if f.section == "Reservation latency")
    rows = asked(database, figure)
    found = [y for trace in figure.plots[0]["data"] for y in trace["y"]]
    assert found == [pytest.approx(row["share"], rel=1e-5) for row in rows]
    assert [row["share"] for row in rows][-1] == 1
    recorded = ask(
        database,
        "SELECT role, number, reservation_p99_ns FROM trials "
        "WHERE study = 'wicked' AND reservation_p99_ns IS NOT NULL",
    ).rows
    p99 = {(role, number): value for role, number, value in recorded}
    for key in {(row["role"], row["number"]) for row in rows}:
        mine = [row for row in rows if (row["role"], row["number"]) == key]
        assert min(row["latency_ns"] for row in mine if row["share"] >= 0.99) == p99[key]
    assert "carveout" in figure.caption  # which reserves nothing


@pytest.mark.parametrize("system", ["cleancache", "migrate_cma"])
def test_a_reservation_that_migrates_pays_for_it(database: Path, system: str) -> None:
    where = "study = 'wicked' AND role = 'baseline' AND number = 1"
    samples = [
        {"atomic": False, "blocks": blocks, "dropped": dropped, "count": 1}
        for blocks, dropped in ((1, 0), (2, 0), (1, 3))
    ]
    with duckdb.connect(str(database)) as connection:
        connection.execute(f"UPDATE trials SET system = '{system}' WHERE {where}")
        connection.execute(f"UPDATE runs SET reservation_samples = ? WHERE {where}", [samples])
        costs = (
            connection.sql(f"SELECT * FROM trials WHERE {where}").to_arrow_table().to_pylist()[0]
        )
    (figure,) = (f for f in figures_of(database, "wicked") if f.section == "Reservation latency")
    block = costs["tag_block_size"] // 64 * costs["cache_line_ns"]
    cached = 3 * costs["slot_drop_ns"]
    if system == "migrate_cma":
        cached = costs["migrate_base_ns"] + 3 * costs["migrate_page_ns"]
    expected = [costs["reserve_base_ns"] + ns for ns in (block, 2 * block, block + cached)]
    mine = [
        row for row in asked(database, figure) if (row["role"], row["number"]) == ("baseline", 1)
    ]
    assert [row["latency_ns"] for row in mine] == sorted(expected)
    assert [row["share"] for row in mine] == pytest.approx([1 / 3, 2 / 3, 1])


def test_twenty_thousand_trials_make_a_bounded_report(database: Path) -> None:
    with duckdb.connect(str(database)) as connection:
        connection.execute(
            "INSERT INTO trials SELECT * EXCLUDE (copy) REPLACE (number + 40 * copy AS number, "
            "hash(number, copy, 1) % 1000003 / 1000003 AS refault_hit_ratio, "
            "(hash(number, copy, 2) % 1000003)::BIGINT AS stored) "
            "FROM trials, (SELECT unnest(range(1, 501)) AS copy) "
            "WHERE study = 'pair' AND role = 'trial'"
        )
        rows = connection.execute(
            "SELECT refault_hit_ratio, stored FROM trials WHERE study = 'pair' AND role = 'trial' "
            "ORDER BY refault_hit_ratio DESC, stored"
        ).fetchall()
    assert len(rows) == 20_040
    text, written = report(database, "pair")
    assert written["bytes"] == len(text.encode()) < 8_000_000
    plots = json.loads(Elements(text).texts("script")[0])
    points = [sum(len(one["x"]) for one in plot["data"]) for plot in plots.values()]
    assert max(points) < 2_100
    assert "of 20,040 complete trials are drawn" in text
    # The front is whole, though few of the others are drawn.
    front = []
    for hits, stored in rows:
        if not front or stored < front[-1][1]:
            front.append((hits, stored))
    study = stored_study(database, "pair")
    with open_for_reading(database) as connection:
        best = read_rows(connection, best_sql(study, 500), ["pair"])
    assert [(row["refault_hit_ratio"], row["stored"]) for row in best] == front
    edge = next(one for one in plots["plot-1"]["data"] if one["name"].endswith("on the front"))
    assert len(edge["x"]) == len(front)


def test_an_unfinished_study_is_reported_as_one(database: Path) -> None:
    with duckdb.connect(str(database)) as connection:
        connection.execute("UPDATE studies SET n_trials = 1000 WHERE study = 'pair'")
    text, _ = report(database, "pair")
    assert "Unfinished: 40 of 1,000 trials are done" in text


def test_a_study_without_a_feasible_trial_says_so(database: Path) -> None:
    with duckdb.connect(str(database)) as connection:
        connection.execute("UPDATE trials SET feasible = false WHERE study = 'wicked'")
    text, written = report(database, "wicked")
    assert "None of 30 complete trials keeps every constraint (on restored)." in text
    assert "Slices" in {figure["section"] for figure in written["figures"]}


def test_a_study_that_was_set_aside_is_reported_under_its_new_name(database: Path) -> None:
    with duckdb.connect(str(database)) as connection:
        for table in ("studies", "trials", "runs"):
            connection.execute(f"UPDATE {table} SET study = 'pair~1' WHERE study = 'pair'")
    text, written = report(database, "pair~1")
    assert Elements(text).texts("h1") == ["pair~1"]
    assert len(written["figures"]) == 10


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
    process = small.command("report", *words, cwd=folder)
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
    process = small.command("report", "pair", "-o", "told.html", "--json", cwd=folder)
    out, err = process.communicate()
    assert (process.returncode, err) == (0, "")
    told = json.loads(out)
    assert told["path"] == "told.html"
    assert told["bytes"] == (folder / "told.html").stat().st_size
    assert {"section", "title", "sql"} == told["figures"][0].keys()
