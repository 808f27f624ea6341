"""A figure of a report, and the pieces of plotly's description of a plot that figures share."""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from core.errors import printable
from sweep.results.wording import Scale, axis_title, plain_goal
from sweep.study.goals import Goal

#: What Plotly.newPlot takes, data and layout; and a title.
Plot = dict[str, Any]
#: One entry of a plot's data, such as a line or a set of points; plotly calls it a trace.
PlotTrace = dict[str, Any]

#: The chosen policy has this colour in every figure, and no other policy has it.
CHOSEN = "#d55e00"
#: Colours that colour-blind readers can tell apart too, on light and on dark, after Okabe and Ito.
COLOURS = ("#2a8bd2", "#009e73", "#cc79a7", "#c99700", "#56b4e9", "#8c6bd1", "#b3564a", "#6f9a1f")
MUTED = "#8a8f98"
#: What is never the answer: a bound, or other hardware.
BEYOND = "#b9d6ee"
#: Invisible ticks, which keep the labels of an axis away from its bars.
TICKS = {"ticks": "outside", "ticklen": 8, "tickcolor": "rgba(0,0,0,0)"}

_LINE_BREAK, _ELEMENT = re.compile(r"<br ?/?>"), re.compile(r"</?[a-z][^<>]*>")


@dataclass(frozen=True)
class Figure:
    """One or several plots that show the answer to one query; without plots it is left out.

    Parameters
    ----------
    title, caption
        The words above it.
    sql
        The query.
    plots
        What is drawn.
    of
        What tells it from the other figures of its kind, such as a parameter; empty if its kind has
        one figure.
    name
        The name by which a user asks for it, such as ``slice-headroom``; figures.py gives it.
    """

    title: str
    caption: str
    sql: str
    plots: list[Plot] = field(default_factory=list)
    of: str = ""
    name: str = ""


def escaped(text: str) -> str:
    """Return a text as plotly takes it, which reads some HTML in its texts, and as it is seen."""
    return html.escape(printable(text), quote=False)


def plain(text: str) -> str:
    """Return a text of a plot as it is read: line breaks for ``<br>``, no ``<b>``, no escapes."""
    lines = _LINE_BREAK.sub("\n", text)
    return html.unescape(_ELEMENT.sub("", lines))


def scaled(values: Sequence[float | None], scale: Scale) -> list[float | None]:
    """Return values in the unit that is shown, to six digits: more would only add bytes."""
    return [None if value is None else float(f"{value / scale.divisor:.6g}") for value in values]


def axis(name: str, scale: Scale, **more: Any) -> dict[str, Any]:
    """Return plotly's description of the axis of a column."""
    return {"title": {"text": escaped(axis_title(name, scale))}, "automargin": True} | more


def goal_axis(goal: Goal, scale: Scale, **more: Any) -> dict[str, Any]:
    """Return plotly's description of the axis of a goal."""
    return {"title": {"text": escaped(goal_title(goal, scale))}, "automargin": True} | more


def goal_title(goal: Goal, scale: Scale) -> str:
    """Return the title of an axis of a goal: its name, and the unit that it is shown in."""
    return f"{plain_goal(goal)} ({scale.unit})" if scale.unit else plain_goal(goal)


def plot(
    data: list[PlotTrace],
    x: dict[str, Any],
    y: dict[str, Any],
    height_px: int,
    title: str = "",
    **more: Any,
) -> Plot:
    """Return a plot as wide as the page.

    Parameters
    ----------
    data
        What is drawn, the last on top.
    x, y
        The axes.
    height_px
        The height in pixels, to which the legend adds its own.
    title
        Written by the page above the plot: plotly would cut it off in a narrow one.
    more
        Further entries of plotly's layout.
    """
    # On a phone a legend has a line or two for each two of its entries.
    legend_px = 12 * len(data) if len(data) > 1 else 0
    layout: dict[str, Any] = {"xaxis": x, "yaxis": y, "height": height_px + legend_px} | more
    layout["margin"] = {"l": 48, "r": 12, "t": 12, "b": 44}
    layout["showlegend"] = len(data) > 1
    return {"data": data, "layout": layout, "title": title}


def points(
    name: str,
    x: Sequence[Any],
    y: Sequence[Any],
    hover_texts: Sequence[str],
    colour: str,
    symbol: str = "circle",
    size: int = 6,
    opacity: float = 0.55,
) -> PlotTrace:
    """Return points to draw.

    Parameters
    ----------
    name
        Their name in the legend.
    x, y
        Where they are.  # each [point]
    hover_texts
        What is shown when the pointer is over one.  # [point]
    colour, symbol, size, opacity
        How they look; `size` is in pixels.
    """
    return {
        "type": "scatter",
        "mode": "markers",
        "name": escaped(name),
        "x": list(x),
        "y": list(y),
        "text": [escaped(text) for text in hover_texts],
        "hovertemplate": "%{text}<br>%{x}<br>%{y}<extra></extra>",
        "marker": {"color": colour, "symbol": symbol, "size": size, "opacity": opacity},
    }
