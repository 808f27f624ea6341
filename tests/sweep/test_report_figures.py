"""The figures of a report show nothing that the SQL beside them does not say."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import duckdb
import plotly.graph_objects as go
import pytest
import small_study
from reported_studies import Elements, asked, figures_of, report, sections_of, shown, write_studies

from sweep.cli.study_commands import stored_study
from sweep.engine.search import importances
from sweep.results import answer_query, open_for_reading, read_rows
from sweep.results.questions import best_sql
from sweep.results.wording import scale_of
from sweep.study.goals import goals_of


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
def test_every_figure_is_one_that_plotly_knows(folder: Path, name: str) -> None:
    for figure in figures_of(folder / "results.duckdb", name):
        for plot in figure.plots:
            go.Figure(data=plot["data"], layout=plot["layout"])  # raises on an unknown word


def test_every_figure_shows_the_sql_that_makes_it(folder: Path) -> None:
    text, written = report(folder / "results.duckdb", "pair")
    said = Elements(text).texts("pre")
    figures = figures_of(folder / "results.duckdb", "pair")
    assert [figure["sql"] for figure in written["figures"]] == [figure.sql for figure in figures]
    assert all(figure.sql in said for figure in figures)
    plots = json.loads(Elements(text).texts("script")[0])
    assert len(plots) == sum(len(figure.plots) for figure in figures)


def test_that_sql_gives_the_trials_that_are_drawn(folder: Path) -> None:
    database = folder / "results.duckdb"
    front, *_ = figures_of(database, "pair")
    rows = asked(database, front)
    traces = [trace for trace in front.plots[0]["data"] if "chosen" not in trace["name"]]
    for place, (way, metric) in enumerate((("x", "refault_hit_ratio"), ("y", "stored"))):
        drawn = sorted(value for trace in traces for value in trace[way])
        known = [row for row in rows if None not in row["objectives"]]
        assert drawn == sorted(shown(metric, known, place), key=lambda value: value.expected)
    edge = next(trace for trace in traces if trace["name"].endswith("on the front"))
    assert len(edge["x"]) == sum(row["on_front"] for row in rows) > 0
    # Every baseline is marked.
    assert sum(trace["marker"]["symbol"] == "diamond" for trace in traces) == 2


def test_that_sql_gives_the_slices_that_are_drawn(folder: Path) -> None:
    database = folder / "results.duckdb"
    figures = {figure.title: figure for figure in sections_of(database, "wicked")["Slices"]}
    assert list(figures) == list(small_study.PARAMETERS)
    rows = asked(database, figures["drop"])
    (plot,) = figures["drop"].plots
    traces = {trace["name"]: trace for trace in plot["data"]}
    assert len(traces["trials"]["x"]) == sum(row["feasible"] for row in rows)
    assert len(traces["infeasible"]["x"]) == sum(not row["feasible"] for row in rows) > 0
    words = plot["layout"]["xaxis"]["ticktext"]
    mine = [row for row in rows if row["feasible"]]
    assert [words[round(x)] for x in traces["trials"]["x"]] == [row["drop"] for row in mine]
    divisor = scale_of("time_saved_ns", [row["objectives"][0] for row in rows]).divisor
    expected = [pytest.approx(row["objectives"][0] / divisor, rel=1e-5) for row in mine]
    assert traces["trials"]["y"] == expected


def test_that_sql_gives_the_systems_that_are_drawn(folder: Path) -> None:
    database = folder / "results.duckdb"
    figure, *_ = figures_of(database, "systems")
    rows = asked(database, figure)
    assert {row["system"] for row in rows} == {
        *("cleancache", "tmem", "zswap", "ideal", "carveout")
    }
    assert figure.plots[0]["data"][0]["x"] == shown("time_saved_ns", rows)
    assert figure.plots[0]["data"][0]["x"] == sorted(figure.plots[0]["data"][0]["x"], reverse=True)


def test_that_sql_gives_the_importance_that_is_drawn(folder: Path) -> None:
    database = folder / "results.duckdb"
    (figure,) = sections_of(database, "pair")["Parameter importance"]
    study = stored_study(database, "pair")
    rows = [row | {"asked": json.loads(row["asked"])} for row in asked(database, figure)]
    goals = goals_of(study)
    for place, (bar, goal) in enumerate(zip(figure.plots[0]["data"], goals, strict=True)):
        shares = importances(study, place, rows)
        assert bar["name"] == goal.name
        assert dict(zip(bar["y"], bar["x"], strict=True)) == pytest.approx(shares, rel=1e-5)
        # Where all trials are equal, nothing is important.
        values = {row["objectives"][place] for row in rows}
        assert sum(bar["x"]) == pytest.approx(1 if len(values) > 1 else 0, abs=1e-5)


def test_that_sql_gives_what_tag_storage_holds(folder: Path) -> None:
    database = folder / "results.duckdb"
    (figure,) = sections_of(database, "pair")["Occupancy of tag storage"]
    rows = asked(database, figure)
    assert len(figure.plots) == 3  # the chosen policy and two baselines
    for place, column in enumerate(("reserved_pages", "cached_pages", "empty_pages")):
        drawn = [value for plot in figure.plots for value in plot["data"][place]["y"]]
        assert drawn == [row[column] for row in rows]


def test_the_latency_distribution_reaches_the_recorded_quantile(folder: Path) -> None:
    database = folder / "results.duckdb"
    (figure,) = sections_of(database, "wicked")["Reservation latency"]
    rows = asked(database, figure)
    drawn = [y for trace in figure.plots[0]["data"] for y in trace["y"]]
    assert drawn == [pytest.approx(row["share"], rel=1e-5) for row in rows]
    assert [row["share"] for row in rows][-1] == 1
    recorded = answer_query(
        database,
        "SELECT role, number, reservation_p99_ns FROM trials "
        "WHERE study = 'wicked' AND reservation_p99_ns IS NOT NULL",
    ).rows
    p99 = {(role, number): value for role, number, value in recorded}
    for key in {(row["role"], row["number"]) for row in rows}:
        mine = [row for row in rows if (row["role"], row["number"]) == key]
        assert min(row["latency_ns"] for row in mine if row["share"] >= 0.99) == p99[key]
    assert "carveout" in figure.caption  # which reserves nothing


@pytest.mark.parametrize("system", ["cleancache", "migrate_cma", "zswap"])
def test_a_reservation_that_migrates_or_writes_pays_for_it(database: Path, system: str) -> None:
    where = "study = 'wicked' AND role = 'baseline' AND number = 1"
    samples = [
        dict(zip(("blocks", "dropped", "written", "migrated"), sample, strict=True))
        | {"atomic": False, "count": 1}
        for sample in (
            (1, 0, 0, 0),
            (2, 0, 0, 0),
            (1, 3, 2 if system == "zswap" else 0, 4 if system == "migrate_cma" else 0),
        )
    ]
    with duckdb.connect(str(database)) as connection:
        connection.execute(f"UPDATE trials SET system = '{system}' WHERE {where}")
        connection.execute(f"UPDATE runs SET reservation_samples = ? WHERE {where}", [samples])
        world = connection.sql("SELECT * FROM scenarios WHERE study = 'wicked'").to_arrow_table()
        (costs,) = world.to_pylist()
    (figure,) = sections_of(database, "wicked")["Reservation latency"]
    block = costs["tag_block_size"] // 64 * costs["cache_line_ns"]
    cached = 3 * costs["slot_drop_ns"]
    if system == "migrate_cma":
        cached += costs["migrate_base_ns"] + 4 * costs["migrate_page_ns"]
    if system == "zswap":
        cached += 2 * costs["swap_write_ns"]
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
            "[hash(number, copy, 1) % 1000003 / 1000003, "
            "(hash(number, copy, 2) % 1000003)::DOUBLE] AS objectives) "
            "FROM trials, (SELECT unnest(range(1, 501)) AS copy) "
            "WHERE study = 'pair' AND role = 'trial'"
        )
        rows = connection.execute(
            "SELECT objectives[1] AS hits, objectives[2] AS stored FROM trials "
            "WHERE study = 'pair' AND role = 'trial' ORDER BY hits DESC, stored"
        ).fetchall()
    assert len(rows) == 20_040
    text, written = report(database, "pair")
    assert written["bytes"] == len(text.encode()) < 8_000_000
    plots = json.loads(Elements(text).texts("script")[0])
    points = [sum(len(trace["x"]) for trace in plot["data"]) for plot in plots.values()]
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
    assert [tuple(row["objectives"]) for row in best] == front
    traces = plots["plot-1"]["data"]
    edge = next(trace for trace in traces if trace["name"].endswith("on the front"))
    assert len(edge["x"]) == len(front)
