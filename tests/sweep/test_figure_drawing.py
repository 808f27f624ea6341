"""How a figure is drawn for a paper, and how its rows become a table, on figures made by hand."""

from __future__ import annotations

import re
from html import unescape
from typing import Any
from xml.etree import ElementTree

import pytest

from sweep.report.plotting import Figure, escaped, plot, points
from sweep.report.tabular import latex_bytes, latex_escaped, latex_rows
from sweep.report.vector import vector_bytes

SVG = "{http://www.w3.org/2000/svg}"


def texts_of(svg: bytes) -> list[str]:
    """Return the texts of an SVG, which matplotlib draws as shapes, and tells in comments."""
    parser = ElementTree.XMLParser(target=ElementTree.TreeBuilder(insert_comments=True))
    comments = ElementTree.fromstring(svg, parser).iter(ElementTree.Comment)  # type: ignore[arg-type]
    return [unescape(element.text or "").strip() for element in comments]


def drawn(*traces: dict[str, Any], x: Any = None, y: Any = None, **more: Any) -> Figure:
    """Return a figure of one plot."""
    return Figure("A toy", "", "", [plot(list(traces), x or {}, y or {}, 300, **more)])


def test_texts_are_plain() -> None:
    wicked = 'a<b & "$x$" {_y} <i>'
    bars = {"type": "bar", "orientation": "h", "x": [1], "y": [0]}
    ticks = {"tickvals": [0], "ticktext": [f"<b>{escaped(wicked)}</b><br>2 &lt; 3"]}
    figure = drawn(
        *(bars | {"name": escaped(name)} for name in ("_hidden?", wicked)),
        x={"title": {"text": escaped(wicked)}},
        y=ticks,
        title=f"{wicked}\x01",
    )
    said = texts_of(vector_bytes(figure, "svg"))
    assert said.count(wicked) == 3  # the axis, the legend, and the first line of the tick
    assert {"2 < 3", "_hidden?"} <= set(said)
    assert f"{wicked}\N{REPLACEMENT CHARACTER}" in said
    assert vector_bytes(figure, "pdf").startswith(b"%PDF-")


@pytest.mark.parametrize(
    ("axis", "at", "ends"),
    [
        ({}, [1, 2, 10], [1, 10]),
        ({"type": "log"}, [1, 10, 100], [0, 2]),
        ({"autorange": "reversed"}, [1, 2, 10], [1, 10]),
    ],
)
def test_a_point_lies_at_its_place_along_the_axes(
    axis: dict[str, Any], at: list[int], ends: list[int]
) -> None:
    ticks = {"tickvals": at, "ticktext": list(map(str, at)), "range": ends}
    marks = points("marks", at, at, ["", "", ""], "#112233")
    root = ElementTree.fromstring(vector_bytes(drawn(marks, x=axis | ticks, y=ticks | axis), "svg"))
    # matplotlib marks each tick, and each point, by a use of a shape; letters have no place.
    used: dict[str, list[float]] = {"x": [], "y": [], "points": []}
    for group in root.iter(f"{SVG}g"):
        uses = [use for use in group.iter(f"{SVG}use") if use.get("x")]
        way = (group.get("id") or "").partition("tick_")
        if way[1]:
            used[way[0]] += [float(use.get(way[0], "nan")) for use in uses]
        elif group.get("clip-path"):
            used["points"] += [float(use.get("x", "nan")) for use in uses]
    assert len(used["points"]) == len(used["y"]) == 3
    assert used["points"] == pytest.approx(used["x"])
    assert used["x"] == sorted(used["x"], reverse="autorange" in axis)


def test_lines_bars_areas_and_heatmaps_are_drawn() -> None:
    colours = ["#aa0001", "#aa0002", "#aa0003", "#aa0004"]
    line = {"type": "scatter", "mode": "lines", "x": ["a", "b"], "y": [1, None]}
    line["line"] = {"color": colours[0], "shape": "hv", "dash": "dot", "width": 2}
    bar = {"type": "bar", "x": ["a", "c"], "y": [2, 3], "marker": {"color": colours[1:3]}}
    area = {"type": "scatter", "mode": "lines", "x": ["a", "b"], "y": [1, 1]}
    area |= {"stackgroup": "all", "fillcolor": colours[3]}
    svg = vector_bytes(drawn(line, bar, area), "svg")
    assert [colour for colour in colours if colour.encode() not in svg] == []
    assert {"a", "b", "c"} <= set(texts_of(svg))
    heat = {"type": "heatmap", "x": ["a", "b"], "y": ["c", "d"], "z": [[1, 2], [3, None]]}
    svg = vector_bytes(drawn(heat | {"colorbar": {"title": {"text": "seconds"}}}), "svg")
    assert {"a", "b", "c", "d", "seconds"} <= set(texts_of(svg))


def test_a_bar_begins_at_its_base() -> None:
    bar = {"type": "bar", "orientation": "h", "base": [1], "x": [2], "y": [0]}
    bar["marker"] = {"color": "#aa0001"}
    ticks = {"tickvals": [1, 3], "ticktext": ["1", "3"]}
    root = ElementTree.fromstring(vector_bytes(drawn(bar, x=ticks), "svg"))
    (path,) = (path for path in root.iter(f"{SVG}path") if "#aa0001" in path.get("style", ""))
    groups = [group for group in root.iter(f"{SVG}g") if "xtick" in group.get("id", "")]
    uses = [use for group in groups for use in group.iter(f"{SVG}use") if use.get("x")]
    corners = {float(x) for x, _ in re.findall(r"([\d.]+) ([\d.]+)", path.get("d", ""))}
    assert sorted(corners) == pytest.approx([float(use.get("x", "nan")) for use in uses])


@pytest.mark.parametrize(
    ("trace", "layout"),
    [
        ({"type": "pie"}, {}),
        ({"error_x": {"array": [1]}}, {}),
        ({"type": "bar"}, {"barmode": "stack"}),
        ({}, {"shapes": []}),
        ({}, {"x": {"dtick": 5}}),
    ],
)
def test_what_would_be_drawn_otherwise_is_refused(
    trace: dict[str, Any], layout: dict[str, Any]
) -> None:
    marks = points("marks", [1], [1], [""], "#112233")
    if trace.get("type") == "bar":
        marks = {"x": [1], "y": [1]}
    with pytest.raises(ValueError, match="drawn"):
        vector_bytes(drawn(marks | trace, **layout), "svg")


@pytest.mark.parametrize(
    ("text", "latex"),
    [
        ("wait_saved_ns", r"wait\_saved\_ns"),
        (r"50 % of {a & b} #1 $x$ \end", r"50 \% of \{a \& b\} \#1 \$x\$ \textbackslash{}end"),
        ("a<b>|^~", r"a\textless{}b\textgreater{}\textbar{}\textasciicircum{}\textasciitilde{}"),
        ("\N{MINUS SIGN}2 µs…", r"$-$2 $\mu$s\dots{}"),
        ('--- `x` "y"', r"-{}-{}- {`}x{`} {''}y{''}"),
        ("two\nlines\x00", "two lines "),
    ],
)
def test_latex_prints_a_text_as_it_is(text: str, latex: str) -> None:
    assert latex_escaped(text) == latex
    table = latex_bytes([{text: text}], f"{text}\nagain").decode()
    assert table.count(latex) == 2
    assert [line for line in table.splitlines() if "again" in line] == ["% again"]


def test_a_column_of_a_latex_table_has_one_unit() -> None:
    rows = [
        {"role": "trial", "wait_ns": 1_500_000, "stored": 1234, "feasible": True, "share": None},
        {"role": "trial", "wait_ns": -250, "stored": 5, "feasible": False, "share": 1 / 3},
    ]
    minus = "\N{MINUS SIGN}"
    assert [list(row.values()) for row in latex_rows(rows)] == [
        ["trial", "1.5", "1,234", "yes", "-"],
        ["trial", f"{minus}0.00025", "5", "no", "0.333333"],
    ]
    assert list(latex_rows(rows)[0])[1:3] == ["wait (ms)", "stored (pages)"]
    assert r"\begin{tabular}{lrrlr}" in latex_bytes(latex_rows(rows), "").decode()


@pytest.mark.parametrize("text", ["*", "[2cm]", " [2cm]"])
def test_a_row_of_a_table_is_no_argument_of_the_row_before(text: str) -> None:
    lines = latex_bytes([{"first": text, "second": "1"}, {"first": "plain", "second": text}], "")
    rows = [line for line in lines.decode().splitlines() if line.endswith("\\\\")]
    assert rows[1].startswith("{}")
    assert not rows[2].startswith("{}")
