"""A figure of a report: plotly's own description of its plots, and the query that they show."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from sweep.report.wording import Scale, axis_title

Row = dict[str, Any]
Plot = dict[str, Any]  # what Plotly.newPlot takes, data and layout; and a title

#: The chosen policy has one colour in every figure, and no other policy has it.
CHOSEN = "#d55e00"
#: Colours that all can tell apart, on light and on dark, after Okabe and Ito.
COLOURS = ("#2a8bd2", "#009e73", "#cc79a7", "#c99700", "#56b4e9", "#8c6bd1", "#b3564a", "#6f9a1f")
MUTED = "#8a8f98"
#: Ticks that are not seen, and keep labels away from bars.
TICKS = {"ticks": "outside", "ticklen": 8, "tickcolor": "rgba(0,0,0,0)"}


@dataclass(frozen=True)
class Figure:
    """One or several plots of the answer to one query."""

    section: str
    title: str
    caption: str
    sql: str
    plots: list[Plot] = field(default_factory=list)


def escaped(text: str) -> str:
    """Return words as plotly takes them: it reads some HTML."""
    return html.escape(text, quote=False)


def scaled(values: Sequence[float | None], scale: Scale) -> list[float | None]:
    """Return values in the unit that is shown, to six digits: more are only bytes."""
    return [None if value is None else float(f"{value / scale.divisor:.6g}") for value in values]


def axis(name: str, scale: Scale, **more: Any) -> dict[str, Any]:
    """Return an axis of a column."""
    return {"title": {"text": escaped(axis_title(name, scale))}, "automargin": True} | more


def plot(
    data: list[dict[str, Any]],
    x: dict[str, Any],
    y: dict[str, Any],
    height: int,
    title: str = "",
    **more: Any,
) -> Plot:
    """Return a plot of a height in pixels, to which its legend adds; its width is the page's.

    Its title is the page's too: in a narrow plot one of plotly's is cut off.
    """
    # On a phone a legend has a line or two for each two of its entries.
    legend = 12 * len(data) if len(data) > 1 else 0
    layout: dict[str, Any] = {"xaxis": x, "yaxis": y, "height": height + legend} | more
    layout["margin"] = {"l": 48, "r": 12, "t": 12, "b": 44}
    layout["showlegend"] = len(data) > 1
    return {"data": data, "layout": layout, "title": title}


def points(
    name: str,
    x: Sequence[Any],
    y: Sequence[Any],
    words: Sequence[str],
    colour: str,
    symbol: str = "circle",
    size: int = 6,
    opacity: float = 0.55,
) -> dict[str, Any]:
    """Return a trace of points, each with words of its own."""
    return {
        "type": "scatter",
        "mode": "markers",
        "name": escaped(name),
        "x": list(x),
        "y": list(y),
        "text": [escaped(one) for one in words],
        "hovertemplate": "%{text}<br>%{x}<br>%{y}<extra></extra>",
        "marker": {"color": colour, "symbol": symbol, "size": size, "opacity": opacity},
    }
