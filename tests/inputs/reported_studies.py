"""Finished studies to report, and ways to read what is reported of them."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import small_study

from sweep.cli.study_commands import stored_study
from sweep.report import Written, write_report
from sweep.report.figures import draw_sections
from sweep.report.plotting import Figure
from sweep.report.study_results import StudyResults
from sweep.results import answer_query, open_for_reading
from sweep.results.wording import scale_of

SYSTEMS = """\
policies:
  - policy: {system: cleancache}
    parameters:
      eviction: {type: categorical, choices: [lru, fifo, none]}
      headroom: {type: float, low: 0.0, high: 0.5}
  - policy: {system: tmem, tmem_ratio: 0.05}
    parameters: {eviction: {type: categorical, choices: [lru, fifo, none]}}
  - policy: {system: zswap}
    parameters: {headroom: {type: float, low: 0.0, high: 0.5}}
  - policy: {system: ideal}
"""
WICKED = '</script><script>alert(1)</script><img src=x onerror=alert(2)> & "why"?'


def write_studies(made: Path) -> None:
    """Run three studies into results.duckdb of a folder: pair, wicked and systems."""
    small_study.write_trace(made)
    path = small_study.write_study(made, n_trials=40, objectives=small_study.TWO_OBJECTIVES)
    text = path.read_text()
    path.write_text(text.replace("study: small", "study: pair"))
    small_study.run(path, made / "results.duckdb")
    text = small_study.write_study(
        made, n_trials=30, constraints=small_study.RESTORED_BOUND
    ).read_text()
    path.write_text(text.replace("study: small", f"study: wicked\nquestion: {json.dumps(WICKED)}"))
    small_study.run(path, made / "results.duckdb")
    fixed = re.sub(r"policy: .*\nparameters: .*\n", lambda _: SYSTEMS, text)
    fixed = re.sub(r"constraints: .*\n", "", fixed)
    path.write_text(fixed.replace("study: small", "study: systems"))
    small_study.run(path, made / "results.duckdb")


def report(database: Path, name: str) -> tuple[str, Written]:
    """Return the text of a study's report, and what was said of it."""
    output = database.parent / f"{name}.html"
    written = write_report(stored_study(database, name), name, database, output)
    return output.read_text(encoding="utf-8"), written


def sections_of(database: Path, name: str) -> dict[str, list[Figure]]:
    """Return the figures of a study's report under each heading."""
    with open_for_reading(database) as connection:
        results = StudyResults(stored_study(database, name), name, connection)
        return {section.heading: section.figures for section in draw_sections(results)}


def figures_of(database: Path, name: str) -> list[Figure]:
    """Return the figures of a study's report in the order of the page."""
    return [figure for figures in sections_of(database, name).values() for figure in figures]


class Elements(HTMLParser):
    """The elements of a page, and the text in each."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None], str]] = []
        self.open: list[int] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attributes), ""))
        if tag not in ("meta", "img", "link", "br"):
            self.open.append(len(self.elements) - 1)

    def handle_endtag(self, tag: str) -> None:
        assert self.elements[self.open.pop()][0] == tag

    def handle_data(self, data: str) -> None:
        if self.open:
            tag, attributes, text = self.elements[self.open[-1]]
            self.elements[self.open[-1]] = (tag, attributes, text + data)

    def texts(self, tag: str) -> list[str]:
        return [text for name, _, text in self.elements if name == tag]


def asked(database: Path, figure: Figure) -> list[dict[str, Any]]:
    """Return what a user is answered who asks the query that a figure shows."""
    answer = answer_query(database, figure.sql)
    return [dict(zip(answer.columns, row, strict=True)) for row in answer.rows]


def shown(metric: str, rows: list[dict[str, Any]], place: int = 0) -> list[Any]:
    """Return the values of a goal in the unit that a figure of these rows is in."""
    divisor = scale_of(metric, [row["objectives"][place] for row in rows]).divisor
    return [pytest.approx(row["objectives"][place] / divisor, rel=1e-5) for row in rows]
