"""`sweep figure`: the figures and tables of a report for a paper, the same bytes each time."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import shutil
import sys
from pathlib import Path
from xml.etree import ElementTree

import commands
import duckdb
import pytest
from reported_studies import Elements, figures_of, report, write_studies

from core.errors import InputError
from sweep.cli.study_commands import stored_study
from sweep.report import figures_of_study, write_figure
from sweep.report.figures import FIGURES
from sweep.results import StoreError, answer_query

STUDIES = ("pair", "wicked", "systems")
SVG = "{http://www.w3.org/2000/svg}"
#: Two columns of a LaTeX table, with nothing in them that is not escaped.
CELL = r"(?:[^\\{}$&#_%^~]|\\[{}$&#_%]|\\\w+\{\}|\{''\}|\{`\}|-\{\}-|\$(?:-|\\mu|\\times)\$)*"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("figure")
    write_studies(made)
    return made


@pytest.fixture
def database(folder: Path, tmp_path: Path) -> Path:
    """Return a copy of the database, to be changed."""
    return Path(shutil.copy(folder / "results.duckdb", tmp_path / "results.duckdb"))


@pytest.fixture
def sweep(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> commands.CommandInThisProcess:
    monkeypatch.chdir(folder)
    return commands.CommandInThisProcess(monkeypatch, capsys)


def written(database: Path, study: str, name: str, suffix: str) -> bytes:
    """Return what is written of a figure."""
    output = database.parent / f"{study}-{name}{suffix}"
    told = write_figure(stored_study(database, study), study, name, database, output)
    content = output.read_bytes()
    assert told["bytes"] == len(content)
    return content


@pytest.mark.parametrize("study", STUDIES)
def test_every_figure_of_a_report_has_a_name_of_its_own(folder: Path, study: str) -> None:
    database = folder / "results.duckdb"
    listed = figures_of_study(stored_study(database, study), study, database)
    names = [figure["name"] for figure in listed]
    assert len(set(names)) == len(names)
    assert all(re.fullmatch(r"[\w.-]+", name) for name in names)
    text, told = report(database, study)
    assert (names[0], listed[1:]) == ("policies", told["figures"])
    page = Elements(text)
    ids = [attributes.get("id") for _, attributes, _ in page.elements]
    links = [attributes["href"] for tag, attributes, _ in page.elements if tag == "a"]
    for name in names[1:]:
        assert ids.count(f"figure-{name}") == links.count(f"#figure-{name}") == 1


def test_names_say_what_a_figure_shows(folder: Path) -> None:
    names = [figure.name for figure in figures_of(folder / "results.duckdb", "pair")]
    assert names == [
        *("front", "systems-refault_hit_ratio", "systems-stored", "effects-refault_hit_ratio"),
        *("effects-stored", "slice-restore", "slice-drop", "slice-folio_order", "slice-headroom"),
        *("importance", "costs", "occupancy", "latency"),
    ]


def test_no_kind_of_figure_has_names_of_another() -> None:
    names = [kind.name for kind in FIGURES]
    starts = [(one, other) for one in names for other in names if f"{other}-".startswith(f"{one}-")]
    assert starts == [(name, name) for name in names]


@pytest.mark.parametrize("study", STUDIES)
@pytest.mark.parametrize("suffix", [".svg", ".pdf"])
def test_every_figure_is_drawn_as_wide_as_a_column(folder: Path, study: str, suffix: str) -> None:
    database = folder / "results.duckdb"
    for figure in figures_of(database, study):
        content = written(database, study, figure.name, suffix)
        if suffix == ".pdf":
            assert content.startswith(b"%PDF-")
            assert content.endswith(b"%%EOF\n")
            assert b"/MediaBox [ 0 0 252 " in content  # 3.5 in
            assert b"Date" not in content
            continue
        root = ElementTree.fromstring(content)
        assert root.get("width") == "252pt"
        assert b"<dc:date>" not in content
        axes = [group for group in root.iter(f"{SVG}g") if (group.get("id") or "")[:4] == "axes"]
        assert len(axes) == len(figure.plots)


@pytest.mark.parametrize("study", STUDIES)
def test_csv_is_what_a_user_is_answered_who_asks_the_figures_query(
    folder: Path, study: str
) -> None:
    database = folder / "results.duckdb"
    for figure in figures_of(database, study):
        answer = answer_query(database, figure.sql)
        expected = io.StringIO()
        writer = csv.writer(expected, lineterminator="\n")
        writer.writerows([answer.columns, *answer.rows])
        assert written(database, study, figure.name, ".csv").decode() == expected.getvalue()
    # Of the policies: those of the report's table, with every column.
    content = written(database, study, "policies", ".csv").decode()
    rows = list(csv.DictReader(io.StringIO(content)))
    assert [row["role"] for row in rows] == sorted((row["role"] for row in rows), reverse=True)
    assert set(rows[0]) >= set(answer_query(database, "SELECT * FROM trials LIMIT 1").columns)


@pytest.mark.parametrize("study", STUDIES)
def test_tex_is_a_table_of_the_rows_with_nothing_left_to_escape(folder: Path, study: str) -> None:
    database = folder / "results.duckdb"
    for name in ["policies", *(figure.name for figure in figures_of(database, study))]:
        lines = written(database, study, name, ".tex").decode().splitlines()
        body = [line for line in lines if not line.startswith("%")]
        (sides,) = re.fullmatch(r"\\begin\{tabular\}\{([lr]+)\}", body[0]).groups()  # type: ignore[union-attr]
        assert (body[1], body[3], *body[-2:]) == (
            *(r"\toprule", r"\midrule", r"\bottomrule", r"\end{tabular}"),
        )
        table = [body[2], *body[4:-2]]
        row = " & ".join([CELL] * len(sides)) + r" \\\\"
        assert [line for line in table if not re.fullmatch(row, line)] == []
        rows = list(csv.reader(io.StringIO(written(database, study, name, ".csv").decode())))
        assert len(table) == len(rows)


def test_the_table_of_policies_is_that_of_the_report(folder: Path) -> None:
    database = folder / "results.duckdb"
    text, _ = report(database, "pair")
    headings = [name for name in Elements(text).texts("th") if name]
    tex = written(database, "pair", "policies", ".tex").decode()
    shown = re.findall(r"^([^%\\].*) \\\\$", tex, re.M)
    assert shown[0].split(" & ")[:3] == ["policy", r"refault\_hit\_ratio", "stored"]
    assert [line.split(" & ")[0] for line in shown[1:]] == headings[-len(shown) + 1 :]
    with pytest.raises(StoreError, match=r"policies is a table, which is written as .csv or .tex"):
        written(database, "pair", "policies", ".svg")


def test_two_processes_write_the_same_bytes_whatever_the_user_has_set(
    folder: Path, tmp_path: Path
) -> None:
    database = folder / "results.duckdb"
    (tmp_path / "matplotlibrc").write_text("font.size: 20\nsvg.fonttype: none\naxes.grid: True\n")
    for number, settings in enumerate([{}, {"MPLCONFIGDIR": str(tmp_path)}]):
        clock = {"PYTHONHASHSEED": str(number), "SOURCE_DATE_EPOCH": str(10**9 + number)}
        for name, suffix in ("front", "svg"), ("occupancy", "pdf"):
            output = tmp_path / f"{number}-f.{suffix}"
            done = commands.say(
                *("figure", "pair", name, "-o", output, "--db", database),
                cwd=folder,
                env=os.environ | clock | settings,
            )
            assert done[0] == 0, done[2]
    for suffix in ("svg", "pdf"):
        assert (tmp_path / f"0-f.{suffix}").read_bytes() == (
            tmp_path / f"1-f.{suffix}"
        ).read_bytes()


def test_without_matplotlib_the_user_is_told_how_to_get_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "matplotlib"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    database = folder / "results.duckdb"
    with pytest.raises(InputError, match=r"pip install 'tag-storage-sweep\[figures\]'"):
        written(database, "pair", "front", ".svg")
    assert written(database, "pair", "front", ".csv").startswith(b"role,")


def test_without_a_name_the_figures_are_listed(sweep: commands.CommandInThisProcess) -> None:
    code, out, err = sweep("figure", "pair")
    assert (code, err) == (0, "")
    assert "systems-stored" in out
    assert "How long reservations take" in out
    code, out, err = sweep("figure", "pair", "--json")
    assert {"section", "name", "title", "sql"} == json.loads(out)[0].keys()


def test_the_command_tells_what_it_wrote(
    folder: Path, sweep: commands.CommandInThisProcess
) -> None:
    code, out, err = sweep("figure", "pair", "latency", "-o", "told.TEX", "--json")
    assert (code, err) == (0, "")
    told = json.loads(out)
    assert told["bytes"] == (folder / "told.TEX").stat().st_size
    assert (told["path"], told["name"]) == ("told.TEX", "latency")
    code, out, _ = sweep("figure", "pair", "latency", "-o", "told.csv")
    assert out.startswith("told.csv: How long reservations take, ")


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (["pear", "front", "-o", "x.svg"], "no study pear; it holds pair, systems, wicked"),
        (["pair", "fronts", "-o", "x.svg"], "study pair has no figure fronts, did you mean front?"),
        (["pair", "slice", "-o", "x.svg"], "did you mean slice-restore?"),
        (["pair", "?", "-o", "x.svg"], "expected one of policies, front, systems-refault_hit"),
        (["pair", "front", "-o", "x.png"], "x.png: .png is none of .svg, .pdf, .csv, .tex"),
        (["pair", "front", "-o", "x"], "x: no suffix is none of .svg"),
        (["pair", "front", "-o", "no/such/x.svg"], "there is no folder no/such"),
        (["pair", "front", "-o", "linked.csv"], "linked.csv: is the database"),
        (["small.yaml", "front", "-o", "study.tex"], "study.tex: is the study"),
        (["pair", "front", "-o", "x.svg", "--db", "none.duckdb"], "no such database"),
        (["pair", "front"], "where to? a file, such as front.svg"),
        (["pair", "-o", "x.svg"], "which figure? sweep figure pair lists their names"),
    ],
)
def test_bad_input_is_one_message_and_exit_code_2(
    folder: Path, sweep: commands.CommandInThisProcess, words: list[str], what: str
) -> None:
    for link, target in (("linked.csv", "results.duckdb"), ("study.tex", "small.yaml")):
        (folder / link).unlink(missing_ok=True)
        (folder / link).symlink_to(target)
    code, out, err = sweep("figure", *words)
    assert (code, out) == (2, "")
    assert what in " ".join(err.replace("│", " ").split())
    assert not (folder / "x.svg").exists()


def test_a_report_does_not_overwrite_its_study(sweep: commands.CommandInThisProcess) -> None:
    code, _, err = sweep("report", "small.yaml", "-o", "small.yaml")
    assert (code, err) == (2, "small.yaml: is the study\n")


def test_a_figure_is_written_whole_or_not_at_all(
    database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = database.parent / "pair-front.svg"
    output.write_text("the last one")

    def full(path: Path, _: object) -> Path:
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(StoreError, match="No space left"):
        written(database, "pair", "front", ".svg")
    assert output.read_text() == "the last one"
    assert not list(output.parent.glob("*.partial"))


def test_results_of_another_version_of_the_model_are_told_as_such(
    database: Path, sweep: commands.CommandInThisProcess
) -> None:
    with duckdb.connect(str(database)) as connection:
        connection.execute("UPDATE studies SET model_version = NULL")
    output = database.parent / "old.csv"
    code, _, err = sweep("figure", "pair", "systems-stored", "-o", output, "--db", database)
    assert (code, output.read_bytes()[:5]) == (0, b"role,")
    assert "An earlier version of the model" in err


def test_a_study_without_a_complete_trial_is_refused(database: Path) -> None:
    with duckdb.connect(str(database)) as connection:
        connection.execute("UPDATE trials SET state = 'fail' WHERE study = 'pair'")
    with pytest.raises(StoreError, match="study pair has no complete trial"):
        written(database, "pair", "front", ".svg")
    with duckdb.connect(str(database)) as connection:
        connection.execute("DELETE FROM trials WHERE study = 'systems' AND role = 'baseline'")
        connection.execute("UPDATE trials SET feasible = false WHERE study = 'systems'")
    with pytest.raises(StoreError, match="study systems has no row to show in policies"):
        written(database, "systems", "policies", ".csv")
