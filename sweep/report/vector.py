"""A figure of a report as SVG or PDF, as wide as a column of a paper.

matplotlib (the extra `figures`) draws the plots that plotly draws on the page. It knows of plotly's
words those that figures use, and refuses any other one rather than draw something else.
"""

from __future__ import annotations

import io
import math
import re
import textwrap
import warnings
from collections.abc import Iterable, Sequence
from typing import Any

from core.errors import InputError
from sweep.report.plotting import Figure, Plot, PlotTrace, plain

WIDTH_IN = 3.5
#: Pixels of the page in an inch: a plot 300 px high is there about as wide as 500 px.
PX_PER_IN = 150
POINTS_PER_PX = 72 / PX_PER_IN
LEGEND_LINE_IN, TITLE_LINE_IN = 0.13, 0.15
#: Letters in a line as wide as a column, and beside an axis.
LINE_LETTERS, TICK_LETTERS = 54, 36
GRID, ZERO = "#d8dde3", "#6a737d"
#: Steps between ticks, and powers of ten of them.
ROUND_STEPS = (1, 2, 2.5, 5, 10)

#: Bytes depend on nothing but the figure and matplotlib's version: no font or setting of the user.
SETTINGS: dict[Any, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 7,
    "axes.titlesize": 7,
    "axes.linewidth": 0.5,
    "axes.edgecolor": GRID,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "grid.linewidth": 0.4,
    "xtick.major.width": 0.5,
    "ytick.major.width": 0.5,
    "figure.dpi": 72,
    "text.parse_math": False,  # a $ in a name is a $
    "svg.hashsalt": "sweep",
    "pdf.fonttype": 42,  # publishers refuse type 3
}
METADATA = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}

#: plotly's words for how lines and points look, as matplotlib has them.
DASHES = {"solid": "-", "dash": "--", "dot": ":", "dashdot": "-."}
SHAPES = {"linear": "default", "hv": "steps-post", "vh": "steps-pre"}
SYMBOLS = {"circle": "o", "square": "s", "diamond": "D", "star": "*", "cross": "P", "x": "X"}
SYMBOLS |= {"triangle-up": "^", "triangle-down": "v", "x-thin-open": "x", "x-thin": "x"}

#: What is drawn of plotly's description of each type of trace, of an axis and of a layout.
DRAWN = {
    "scatter": {"mode", "x", "y", "line", "marker", "stackgroup", "fillcolor"},
    "bar": {"orientation", "base", "x", "y", "marker"},
    "heatmap": {"x", "y", "z", "zmin", "zmax", "colorscale", "colorbar"},
}
AXIS_DRAWN = {"title", "type", "range", "rangemode", "autorange", "tickvals", "ticktext"}
AXIS_DRAWN |= {"tickformat", "nticks", "showgrid", "zeroline"}
LAYOUT_DRAWN = {"xaxis", "yaxis", "height", "showlegend", "barmode"}
#: What a page alone has: pointers, room for the labels, a font's slant.
OF_A_PAGE = {"type", "name", "text", "textposition", "hovertemplate", "hovermode", "hoverinfo"}
OF_A_PAGE |= {"automargin", "margin", "ticks", "ticklen", "tickcolor", "tickangle"}


def vector_bytes(figure: Figure, form: str) -> bytes:
    """Return a figure as a file, its plots below each other; the same bytes each time.

    Parameters
    ----------
    figure
        One with plots.
    form
        ``svg`` or ``pdf``.

    Raises
    ------
    InputError
        When matplotlib is not installed.
    ValueError
        When a plot says what this module does not draw.
    """
    try:
        import matplotlib
        from matplotlib.figure import Figure as Canvas
    except ImportError:
        what = f"a figure as {form} needs matplotlib: pip install 'tag-storage-sweep[figures]'"
        raise InputError(what) from None
    with matplotlib.rc_context(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a letter that the font does not have
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(SETTINGS)
        heights_in = [_height_in(plot) for plot in figure.plots]
        canvas = Canvas(figsize=(WIDTH_IN, sum(heights_in)), layout="constrained")
        grid = canvas.subplots(len(heights_in), squeeze=False, height_ratios=heights_in)
        for axes, plot in zip(grid[:, 0], figure.plots, strict=True):
            _draw(axes, plot)
        content = io.BytesIO()
        about: dict[str, Any] = {"Title": figure.title, "Creator": "sweep figure"}
        canvas.savefig(content, format=form, metadata=about | METADATA[form])
    return content.getvalue()


def _height_in(plot: Plot) -> float:
    """Return the height of a plot with its title and its legend."""
    lines, _ = _legend(plot)
    title = _wrapped(plot["title"], LINE_LETTERS)
    above_in = TITLE_LINE_IN * len(title.splitlines()) + LEGEND_LINE_IN * lines
    return float(max(plot["layout"]["height"] / PX_PER_IN, 0.9) + above_in)


def _legend(plot: Plot) -> tuple[int, int]:
    """Return the lines and the columns of a plot's legend."""
    if not plot["layout"].get("showlegend"):
        return 0, 1
    names = [plain(trace.get("name", "")) for trace in plot["data"]]
    columns = next((n for n in (3, 2) if max(map(len, names)) <= LINE_LETTERS // n - 6), 1)
    lines = [len(_wrapped(name, LINE_LETTERS // columns).splitlines()) for name in names]
    return math.ceil(sum(lines) / columns), columns


def _wrapped(text: str, letters: int) -> str:
    """Return a text in lines of so many letters at most."""
    lines = (textwrap.fill(line, letters) for line in text.splitlines())
    # A control character has no place in XML.
    return re.sub(r"[\x00-\x09\x0b-\x1f\x7f]", "\N{REPLACEMENT CHARACTER}", "\n".join(lines))


def _draw(axes: Any, plot: Plot) -> None:
    """Draw a plot, with its title and its legend."""
    layout, data = plot["layout"], plot["data"]
    _refuse_others(layout, LAYOUT_DRAWN)
    words = {way: _words(trace[way] for trace in data) for way in ("x", "y")}
    described = {way: layout[f"{way}axis"] for way in ("x", "y")}
    for way in ("x", "y"):
        if described[way].get("type") == "log":
            axes.set(**{f"{way}scale": "log"})
    bars = [trace for trace in data if trace["type"] == "bar"]
    if bars and layout.get("barmode", "group") != "group":
        raise ValueError(f"bars of mode {layout['barmode']} are not drawn")
    tops: dict[str, list[float]] = {}
    handles = {}
    bar_place = 0
    for place, trace in enumerate(data):
        if trace["type"] not in DRAWN:
            raise ValueError(f"a trace of type {trace['type']} is not drawn")
        _refuse_others(trace, DRAWN[trace["type"]])
        x, y = (_numbers(trace[way], words[way]) for way in ("x", "y"))
        if trace["type"] == "heatmap":
            _draw_heatmap(axes, trace, x, y)
        elif trace["type"] == "bar":
            handles[place] = _draw_bars(axes, trace, x, y, bar_place, len(bars))
            bar_place += 1
        elif "stackgroup" in trace:
            handles[place] = _draw_area(axes, trace, x, y, tops)
        else:
            handles[place] = _draw_line(axes, trace, x, y)
    for way in ("x", "y"):
        _set_axis(axes, way, described[way], words[way])
    title = _wrapped(plot["title"], LINE_LETTERS)
    if not layout.get("showlegend"):
        axes.set_title(title, loc="left")
        return
    _, columns = _legend(plot)
    # One space before it, since matplotlib leaves out names that begin with an underscore.
    names = [
        " " + _wrapped(plain(data[place].get("name", "")), LINE_LETTERS // columns)
        for place in handles
    ]
    box = {"loc": "lower left", "bbox_to_anchor": (0, 1), "frameon": False, "borderaxespad": 0.2}
    legend = axes.legend(
        handles.values(), names, ncols=columns, handlelength=1.8, columnspacing=1, **box
    )
    if title:
        legend.set_title(title)
        legend.set_alignment("left")


def _refuse_others(described: Iterable[str], drawn: set[str]) -> None:
    """Raise `ValueError` for a word of plotly that would change a plot and is not drawn."""
    others = set(described) - drawn - OF_A_PAGE
    if others:
        raise ValueError(f"not drawn: {', '.join(sorted(others))}")


def _words(columns: Iterable[Sequence[Any]]) -> list[str]:
    """Return the words that stand along an axis, in their order; none if it has numbers."""
    values = [value for column in columns for value in column if isinstance(value, str)]
    return list(dict.fromkeys(values))


def _numbers(values: Sequence[Any], words: list[str]) -> list[float]:
    """Return where values lie along an axis, a word at its place among `words`."""
    if words:
        return [float(words.index(value)) for value in values]
    return [math.nan if value is None else float(value) for value in values]


def _draw_line(axes: Any, trace: PlotTrace, x: list[float], y: list[float]) -> Any:
    """Draw a line, or points, or both."""
    mode = trace["mode"].split("+")
    line, marker = trace.get("line", {}), trace.get("marker", {})
    colour = line.get("color") or marker.get("color")
    look: dict[str, Any] = {"color": colour, "alpha": marker.get("opacity"), "linestyle": "none"}
    if "lines" in mode:
        look["linestyle"] = DASHES[line.get("dash", "solid")]
        look["drawstyle"] = SHAPES[line.get("shape", "linear")]
        look["linewidth"] = line.get("width", 2) * POINTS_PER_PX
    if "markers" in mode:
        symbol, edge = marker.get("symbol", "circle"), marker.get("line", {})
        thin = "thin" in symbol
        look |= {"marker": SYMBOLS[symbol], "markersize": marker.get("size", 6) * POINTS_PER_PX}
        look["markeredgecolor"] = edge.get("color", colour)
        look["markeredgewidth"] = edge.get("width", float(thin)) * POINTS_PER_PX
    (drawn,) = axes.plot(x, y, **look)
    return drawn


def _draw_area(
    axes: Any, trace: PlotTrace, x: list[float], y: list[float], tops: dict[str, list[float]]
) -> Any:
    """Draw an area on top of the last one of its group, whose upper edge is in `tops`."""
    bottom = tops.get(trace["stackgroup"], [0.0] * len(y))
    top = [low + value for low, value in zip(bottom, y, strict=True)]
    tops[trace["stackgroup"]] = top
    axes.margins(x=0)
    return axes.fill_between(x, bottom, top, color=trace["fillcolor"], linewidth=0)


def _draw_bars(
    axes: Any, trace: PlotTrace, x: list[float], y: list[float], place: int, of: int
) -> Any:
    """Draw the bars of a trace, beside those of the others."""
    thickness = 0.8 / of
    aside = (place - (of - 1) / 2) * thickness
    if trace.get("orientation") == "h":
        lengths, draw = x, axes.barh
        at = [position + aside for position in y]
    else:
        lengths, draw = y, axes.bar
        at = [position + aside for position in x]
    starts = _numbers(trace.get("base", [0.0] * len(at)), [])
    return draw(at, lengths, thickness, starts, color=trace.get("marker", {}).get("color"))


def _draw_heatmap(axes: Any, trace: PlotTrace, x: list[float], y: list[float]) -> None:
    """Draw a table of numbers as coloured fields, with the bar that tells what colours mean."""
    cells = [_numbers(row, []) for row in trace["z"]]
    limits = {"vmin": trace.get("zmin"), "vmax": trace.get("zmax")}
    colours = str(trace.get("colorscale", "viridis")).lower()
    mesh = axes.pcolormesh(x, y, cells, cmap=colours, shading="nearest", **limits)
    bar = axes.figure.colorbar(mesh, ax=axes)
    bar.set_label(plain(trace.get("colorbar", {}).get("title", {}).get("text", "")))


def _set_axis(axes: Any, way: str, described: dict[str, Any], words: list[str]) -> None:
    """Set the title, the ends and the ticks of an axis whose contents are drawn."""
    _refuse_others(described, AXIS_DRAWN)
    log = described.get("type") == "log"
    line = axes.xaxis if way == "x" else axes.yaxis
    line.set_label_text(_wrapped(plain(described.get("title", {}).get("text", "")), LINE_LETTERS))
    _set_ends(axes, way, described)
    low, high = sorted(line.get_view_interval())
    if "tickvals" in described or words:
        texts = described.get("ticktext", words)
        ticks = described.get("tickvals", list(range(len(words))))
        labels = [_wrapped(plain(text), TICK_LETTERS) for text in texts]
        line.set_ticks([float(tick) for tick in ticks], labels)
    elif log:
        log_ticks = _log_ticks(low, high)
        line.set_ticks(log_ticks, [f"{tick:g}" for tick in log_ticks])
    else:
        _set_number_ticks(line, described)
    line.set_ticks([], minor=True)
    axes.grid(described.get("showgrid", True), axis=way)
    line.set_tick_params(length=2, color=GRID)
    # Of an axis with texts, 0 is just the place of one of them.
    has_zero = not (log or words or "tickvals" in described) and low < 0 < high
    if has_zero and described.get("zeroline", True):
        (axes.axvline if way == "x" else axes.axhline)(0, color=ZERO, linewidth=0.5, zorder=0.9)


def _set_ends(axes: Any, way: str, described: dict[str, Any]) -> None:
    """Set where an axis begins and ends; plotly gives the ends of a logarithmic one as powers."""
    low, high = axes.get_xlim() if way == "x" else axes.get_ylim()
    if "range" in described:
        low, high = described["range"]
        if described.get("type") == "log":
            low, high = 10**low, 10**high
    elif described.get("rangemode") == "tozero":
        least, most = getattr(axes.dataLim, f"interval{way}")
        low, high = (low if least < 0 else 0.0), (high if most > 0 else 0.0)
    if described.get("autorange") == "reversed":
        low, high = high, low
    axes.set(**{f"{way}lim": (low, high)})


def _set_number_ticks(line: Any, described: dict[str, Any]) -> None:
    """Set the ticks of a linear axis of numbers, and how they are written."""
    from matplotlib.ticker import MaxNLocator, PercentFormatter, StrMethodFormatter

    line.set_major_locator(MaxNLocator(described.get("nticks", 6) - 1, steps=ROUND_STEPS))
    form = described.get("tickformat", "")
    percent = re.fullmatch(r"\.(\d)%", form)
    if percent:
        line.set_major_formatter(PercentFormatter(1, decimals=int(percent[1])))
    elif form:
        line.set_major_formatter(StrMethodFormatter(f"{{x:{form}}}"))


def _log_ticks(low: float, high: float) -> list[float]:
    """Return some three to six round numbers between the ends of a logarithmic axis."""
    from matplotlib.ticker import MaxNLocator

    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for steps in ((1,), (1, 3), (1, 2, 5)):
        ticks = [step * 10.0**power for power in powers for step in steps]
        ticks = [tick for tick in ticks if low <= tick <= high]
        if len(ticks) > 2:
            return ticks[:: math.ceil(len(ticks) / 6)]
    even = MaxNLocator(4, steps=ROUND_STEPS).tick_values(low, high)
    return [float(tick) for tick in even if low <= tick <= high]
