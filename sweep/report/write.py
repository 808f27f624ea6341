"""The report is written: whole under its name, or not at all."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TypedDict

from sweep.report.figure import Figure
from sweep.report.over_time import latency_figure, occupancy_figure
from sweep.report.page import page
from sweep.report.slices import importance_figures, slice_figures
from sweep.report.stored import Source
from sweep.report.systems import front_figure, systems_figure
from sweep.results import StoreError, open_for_reading, told_errors
from sweep.study.model import Study


class FigureWritten(TypedDict):
    """A figure of a report, and the query that it shows."""

    section: str
    title: str
    sql: str


class Written(TypedDict):
    """What was written where."""

    path: str
    bytes: int
    figures: list[FigureWritten]


def write_report(study: Study, name: str, database: Path, output: Path) -> Written:
    """Write the report of a stored study.

    Raises
    ------
    StoreError
        When no trial is complete, or the file cannot be written.
    """
    # Told before the database is read: a long study takes seconds.
    if not output.parent.is_dir():
        raise StoreError(f"{output}: there is no folder {output.parent}")
    if output.is_dir():
        raise StoreError(f"{output}: is a folder")
    if output.resolve() == database.resolve():
        raise StoreError(f"{output}: is the database")
    with open_for_reading(database) as connection:
        source = Source(study, name, connection)
        if not source.counts["complete"]:
            raise StoreError(f"{database}: study {name} has no complete trial to report yet")
        figures = drawn(source)
        content = page(source, figures).encode()
    _replace(output, content)
    told: list[FigureWritten] = [
        {"section": one.section, "title": one.title, "sql": one.sql} for one in figures
    ]
    return {"path": str(output), "bytes": len(content), "figures": told}


def drawn(source: Source) -> list[Figure]:
    """Return the figures of a report, in their order; those with nothing to show are left out."""
    study = source.study
    objectives = range(len(study.objectives))
    found: list[Figure | None] = [
        *([front_figure(source)] if len(objectives) > 1 else []),
        *(systems_figure(source, objective) for objective in objectives),
        *slice_figures(source),
        *importance_figures(source),
        occupancy_figure(source),
        latency_figure(source),
    ]
    return [figure for figure in found if figure is not None and figure.plots]


def _replace(output: Path, content: bytes) -> None:
    partial = output.with_name(f"{output.name}.{os.getpid()}.partial")
    with told_errors(output):
        try:
            partial.write_bytes(content)
            partial.replace(output)
        finally:
            partial.unlink(missing_ok=True)
