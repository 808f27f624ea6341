"""The figures of a report: the table `FIGURES`, a row for each kind, in the order of the page.

To add a figure, write its function in a file of its own and add a row.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import NamedTuple

from sweep.report.cost_swings import draw_swings
from sweep.report.effects import draw_effects
from sweep.report.front import draw_front
from sweep.report.importance import draw_importance
from sweep.report.latency import draw_latency
from sweep.report.occupancy import draw_occupancy
from sweep.report.plotting import Figure
from sweep.report.slices import draw_slices
from sweep.report.study_results import StudyResults
from sweep.report.systems import draw_systems


def _always(_: StudyResults) -> bool:
    return True


def _with_several_objectives(results: StudyResults) -> bool:
    return len(results.goals) > 1


def _with_policies_to_compare(results: StudyResults) -> bool:
    return bool(results.compared_policies)


class FigureKind(NamedTuple):
    """A kind of figure, such as the slices, of which there is one for each parameter.

    Parameters
    ----------
    heading
        The heading on the page, under which all figures of the kind stand.
    draw
        The function that returns them; figures without plots are left out.
    when
        Tells whether a study has such figures.
    word
        What the names of its figures begin with; by default the heading, in small letters.
    """

    heading: str
    draw: Callable[[StudyResults], Iterable[Figure]]
    when: Callable[[StudyResults], bool] = _always
    word: str = ""

    @property
    def name(self) -> str:
        """The name of its figure; if it has several, what their names begin with."""
        return self.word or _joined(self.heading.lower())


FIGURES = (
    FigureKind("Pareto front", draw_front, _with_several_objectives, word="front"),
    FigureKind("Systems compared", draw_systems, word="systems"),
    FigureKind("Effects", draw_effects, word="effects"),
    FigureKind("Slices", draw_slices, word="slice"),
    FigureKind("Parameter importance", draw_importance, word="importance"),
    FigureKind("Cost assumptions", draw_swings, word="costs"),
    FigureKind(
        "Occupancy of tag storage", draw_occupancy, _with_policies_to_compare, word="occupancy"
    ),
    FigureKind("Reservation latency", draw_latency, _with_policies_to_compare, word="latency"),
)


class Section(NamedTuple):
    """A part of the page: a heading, and the figures under it."""

    heading: str
    figures: list[Figure]


def draw_sections(
    results: StudyResults, progress: Callable[[int, int], None] = lambda done, total: None
) -> list[Section]:
    """Return the sections of a report in the order of the page, without those that are empty.

    Parameters
    ----------
    results
        The results of the study.
    progress
        Called with how many sections are drawn, and of how many.
    """
    drawn = []
    for number, kind in enumerate(FIGURES):
        progress(number, len(FIGURES))
        drawn.append(Section(kind.heading, _draw(kind, results)))
    return [section for section in drawn if section.figures]


def draw_figure(results: StudyResults, name: str) -> Figure | None:
    """Return the figure of a name, or None; kinds whose figures have other names are not drawn."""
    kinds = [kind for kind in FIGURES if f"{name}-".startswith(f"{kind.name}-")]
    figures = (figure for kind in kinds for figure in _draw(kind, results))
    return next((figure for figure in figures if figure.name == name), None)


def _draw(kind: FigureKind, results: StudyResults) -> list[Figure]:
    """Return the figures of a kind that have plots, each with its name."""
    if not kind.when(results):
        return []
    figures = []
    times: Counter[str] = Counter()
    for figure in kind.draw(results):
        if figure.plots:
            name = _joined(f"{kind.name} {figure.of}")
            times[name] += 1
            # Two texts may differ in what a name leaves out.
            again = f"-{times[name]}" if times[name] > 1 else ""
            figures.append(replace(figure, name=name + again))
    return figures


def _joined(text: str) -> str:
    """Return a text as a name that a shell and a link take as it is, such as ``slice-headroom``."""
    return "-".join(re.findall(r"[\w.]+", text))
