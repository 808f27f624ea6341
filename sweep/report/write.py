"""Write a report to its file, whole or not at all."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypedDict

from core.files import written_whole
from sweep.report.figures import draw_sections
from sweep.report.page import page
from sweep.report.study_results import StudyResults
from sweep.results import StoreError, check_output_file, open_for_reading, told_errors
from sweep.study.model import Study


class FigureWritten(TypedDict):
    """A figure of a written report, and the query that it shows."""

    section: str
    name: str
    title: str
    sql: str


class Written(TypedDict):
    """A written report: its file, the size in bytes, and its figures in the order of the page."""

    path: str
    bytes: int
    figures: list[FigureWritten]


def write_report(
    study: Study,
    name: str,
    database: Path,
    output: Path,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Written:
    """Write the report of a stored study.

    Parameters
    ----------
    study
        The study as it was stored.
    name
        Its name in the database.
    database
        The results database.
    output
        The HTML file to write; a file of that name is replaced.
    progress
        Called with how many sections are drawn, and of how many.

    Raises
    ------
    StoreError
        When no trial is complete, or the file cannot be written.
    """
    check_output_file(output, database)
    with results_to_report(study, name, database) as results:
        sections = draw_sections(results, progress)
        content = page(results, sections).encode()
    write_whole(output, content)
    figures: list[FigureWritten] = [
        {
            "section": section.heading,
            "name": figure.name,
            "title": figure.title,
            "sql": figure.sql,
        }
        for section in sections
        for figure in section.figures
    ]
    return {"path": str(output), "bytes": len(content), "figures": figures}


@contextmanager
def results_to_report(study: Study, name: str, database: Path) -> Iterator[StudyResults]:
    """Open the results of a study, as long as the code inside runs.

    Raises
    ------
    StoreError
        When no trial is complete, or the database cannot be read.
    """
    with open_for_reading(database) as connection:
        results = StudyResults(study, name, connection)
        if not results.counts["complete"]:
            raise StoreError(f"study {name} has no complete trial to report yet", file=database)
        yield results


def write_whole(output: Path, content: bytes) -> None:
    """Write a file under another name first, so that no half of it takes the name."""
    with told_errors(output), written_whole(output) as file:
        file.write(content)
