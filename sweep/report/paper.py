"""The figures of a report for a paper, each by its name: as SVG, PDF, CSV or a table of LaTeX."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TypedDict

from sweep.report.answer import policies_caption, policies_table
from sweep.report.figures import draw_figure, draw_sections
from sweep.report.plotting import Figure
from sweep.report.study_results import StudyResults
from sweep.report.tabular import csv_bytes, latex_bytes, latex_rows
from sweep.report.vector import vector_bytes
from sweep.report.write import FigureWritten, results_to_report, write_whole
from sweep.results import Row, StoreError, as_answer, check_output_file, read_table
from sweep.study.model import Study
from sweep.study.wording import suggest

#: The name of the table of policies, which has rows and no plots.
POLICIES = "policies"


class FigureFile(TypedDict):
    """A figure that was written: its file, the size in bytes, and what it shows."""

    path: str
    bytes: int
    name: str
    title: str
    sql: str


def figures_of_study(study: Study, name: str, database: Path) -> list[FigureWritten]:
    """Return what a study's report has, the table of policies first, then the figures.

    Parameters are those of `write_report`.

    Raises
    ------
    StoreError
        When no trial is complete, or the database cannot be read.
    """
    with results_to_report(study, name, database) as results:
        sections = {"Policies": [_policies(results)]}
        sections |= {section.heading: section.figures for section in draw_sections(results)}
    return [
        {"section": heading, "name": figure.name, "title": figure.title, "sql": figure.sql}
        for heading, figures in sections.items()
        for figure in figures
    ]


def write_figure(
    study: Study, name: str, figure_name: str, database: Path, output: Path
) -> FigureFile:
    """Write a figure of a study's report, in the format that the file's suffix names.

    Parameters
    ----------
    study, name, database
        As for `write_report`.
    figure_name
        The figure's name, as `figures_of_study` tells it.
    output
        The file to write; a file of that name is replaced.

    Raises
    ------
    StoreError
        When there is no such figure, no trial is complete, or the file cannot be written.
    InputError
        When matplotlib is needed and not installed.
    """
    write = FORMATS.get(output.suffix.lower())
    if write is None:
        suffix = output.suffix or "no suffix"
        raise StoreError(f"{suffix} is none of {', '.join(FORMATS)}", file=output)
    check_output_file(output, database)
    with results_to_report(study, name, database) as results:
        if figure_name == POLICIES:
            figure: Figure | None = _policies(results)
        else:
            figure = draw_figure(results, figure_name)
        if figure is None:
            sections = draw_sections(results)
            names = [each.name for section in sections for each in section.figures]
            hint = suggest(figure_name, [POLICIES, *names])
            raise StoreError(f"study {name} has no figure {figure_name}{hint}", file=database)
        content = write(results, figure)
    write_whole(output, content)
    return {
        "path": str(output),
        "bytes": len(content),
        "name": figure.name,
        "title": figure.title,
        "sql": figure.sql,
    }


def _policies(results: StudyResults) -> Figure:
    """Return the table of policies as a figure without plots."""
    sql = results.policies_sql
    return Figure("Policies", policies_caption(results), sql, name=POLICIES)


def _drawn(_: StudyResults, figure: Figure, form: str) -> bytes:
    if not figure.plots:
        raise StoreError(f"{figure.name} is a table, which is written as .csv or .tex")
    return vector_bytes(figure, form)


def _csv(results: StudyResults, figure: Figure) -> bytes:
    return csv_bytes(_rows(results, figure))


def _tex(results: StudyResults, figure: Figure) -> bytes:
    rows = _rows(results, figure)
    if figure.name == POLICIES:
        texts = policies_table(results)
    else:
        texts = latex_rows([_by_goal(results, row) for row in rows])
    about = f"{results.name}, {figure.name}: {figure.title}\n{figure.caption}\n\n{figure.sql}"
    return latex_bytes(texts, about)


def _by_goal(results: StudyResults, row: Row) -> Row:
    """Return a row with a column for each goal in place of the list `objectives`."""
    goals = [goal.name for goal in results.goals]
    cells: Row = {}
    for name, value in row.items():
        if name == "objectives":
            cells |= dict(zip(goals, value or [None] * len(goals), strict=True))
        else:
            cells[name] = value
    return cells


def _rows(results: StudyResults, figure: Figure) -> list[Row]:
    """Return the rows that a figure shows."""
    if figure.name == POLICIES:
        rows = [*results.best, *results.beyond, *results.baselines]
    else:
        answer = as_answer(read_table(results.connection, figure.sql))
        rows = [dict(zip(answer.columns, row, strict=True)) for row in answer.rows]
    if not rows:
        raise StoreError(f"study {results.name} has no row to show in {figure.name}")
    # Of baselines some columns are not told, such as how many are equal.
    names = dict.fromkeys(name for row in rows for name in row)
    return [dict.fromkeys(names) | row for row in rows]


#: What writes a figure, by the suffix of the file.
FORMATS: dict[str, Callable[[StudyResults, Figure], bytes]] = {
    ".svg": partial(_drawn, form="svg"),
    ".pdf": partial(_drawn, form="pdf"),
    ".csv": _csv,
    ".tex": _tex,
}
