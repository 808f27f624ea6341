"""The figures of a report: the table `FIGURES`, a row for each kind, in the order of the page.

To add a figure, write its function in a file of its own and add a row.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
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
    """

    heading: str
    draw: Callable[[StudyResults], Iterable[Figure]]
    when: Callable[[StudyResults], bool] = _always


FIGURES = (
    FigureKind("Pareto front", draw_front, _with_several_objectives),
    FigureKind("Systems compared", draw_systems),
    FigureKind("Effects", draw_effects),
    FigureKind("Slices", draw_slices),
    FigureKind("Parameter importance", draw_importance),
    FigureKind("Cost assumptions", draw_swings),
    FigureKind("Occupancy of tag storage", draw_occupancy, _with_policies_to_compare),
    FigureKind("Reservation latency", draw_latency, _with_policies_to_compare),
)


class Section(NamedTuple):
    """A part of the page: a heading, and the figures under it."""

    heading: str
    figures: list[Figure]


def draw_sections(results: StudyResults) -> list[Section]:
    """Return the sections of a report in the order of the page, without those that are empty."""
    sections = []
    for kind in FIGURES:
        if kind.when(results):
            figures = [figure for figure in kind.draw(results) if figure.plots]
            if figures:
                sections.append(Section(kind.heading, figures))
    return sections
