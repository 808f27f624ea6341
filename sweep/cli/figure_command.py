"""The command `sweep figure`: a figure of a report for a paper, or their list."""

from __future__ import annotations

from pathlib import Path

from sweep.cli.study_commands import name_of, refuse_study_file, stored_study
from sweep.cli.terminal import note, print_json, print_table
from sweep.report import figures_of_study, write_figure
from sweep.results import MODEL_VERSION, open_for_reading, read_rows
from sweep.results.questions import model_version_sql, of_another_version


def list_figures_command(study: str, database: Path, as_json: bool) -> None:
    """Show the names and titles of what a study's report has."""
    name = name_of(study)
    figures = figures_of_study(stored_study(database, name), name, database)
    if as_json:
        print_json(figures)
    else:
        print_table(
            [{key: figure[key] for key in ("name", "section", "title")} for figure in figures]
        )


def figure_command(
    study: str, figure_name: str, database: Path, output: Path, as_json: bool
) -> None:
    """Write one figure of a study's report, and tell what is in it."""
    name = name_of(study)
    refuse_study_file(study, output)
    written = write_figure(stored_study(database, name), name, figure_name, database, output)
    with open_for_reading(database) as connection:
        version = read_rows(connection, model_version_sql(), [name])[0]["model_version"]
    if version != MODEL_VERSION:
        note(f"note: {of_another_version(version)}")
    if as_json:
        print_json(written)
    else:
        print(f"{output}: {written['title']}, {written['bytes'] / 1e3:,.0f} kB")
