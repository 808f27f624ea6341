"""The page of a report: everything in one file, which asks nothing of a network."""

from __future__ import annotations

import base64
import hashlib
import html
import json
from collections.abc import Iterator
from importlib.resources import files
from itertools import groupby
from string import Template
from typing import Any, NamedTuple

from sweep.report.answer import answer, policies_caption, policies_table
from sweep.report.figure import Figure
from sweep.report.stored import Source

Row = dict[str, Any]


def page(source: Source, figures: list[Figure]) -> str:
    """Return the page of a report."""
    from plotly.offline import get_plotlyjs, get_plotlyjs_version

    template = files("sweep.report").joinpath("page.html").read_text(encoding="utf-8")
    draw = files("sweep.report").joinpath("draw.js").read_text(encoding="utf-8")
    scripts = (get_plotlyjs(), draw)
    plots: dict[str, Any] = {}
    sections = list(_sections(figures, plots))
    return Template(template).substitute(
        title=html.escape(source.name),
        # No other script runs, whatever a study says.
        script_sources=" ".join(map(_hashed, scripts)),
        question=html.escape(source.study.question or "No question is written down."),
        answer="\n".join(f"<p>{html.escape(sentence)}</p>" for sentence in answer(source)),
        policies=_table(policies_table(source)),
        policies_caption=html.escape(policies_caption(source)),
        policies_sql=_sql(f"{source.best_sql};\n\n{source.baselines_sql}"),
        links="\n".join(f'<a href="#{one.key}">{html.escape(one.heading)}</a>' for one in sections),
        sections="\n".join(one.content for one in sections),
        yaml=html.escape(source.entry["yaml"]),
        provenance=_provenance(source, get_plotlyjs_version()),
        # A text in it must not end the element.
        plots=json.dumps(plots, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c"),
        plotly=scripts[0],
        draw=scripts[1],
    )


def _hashed(script: str) -> str:
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return f"'sha256-{digest}'"


class Section(NamedTuple):
    """A part of the page under a heading, with the key that links lead to."""

    key: str
    heading: str
    content: str


def _sections(figures: list[Figure], plots: dict[str, Any]) -> Iterator[Section]:
    """Yield the sections that figures are in, and put their plots into `plots` by key."""
    for heading, some in groupby(figures, lambda figure: figure.section):
        key = heading.lower().replace(" ", "-")
        drawn = list(some)
        parts = "\n".join(_figure(figure, plots) for figure in drawn)
        # Small figures of one kind stand beside each other.
        small = len(drawn) > 1 and all(len(figure.plots) == 1 for figure in drawn)
        content = (
            f'<section id="{key}">\n<h2>{html.escape(heading)}</h2>\n'
            f'<div class="{"tiles" if small else ""}">\n{parts}\n</div>\n</section>'
        )
        yield Section(key, heading, content)


def _figure(figure: Figure, plots: dict[str, Any]) -> str:
    title = html.escape(figure.title)
    boxes = []
    for one in figure.plots:
        key = f"plot-{len(plots) + 1}"
        plots[key] = {"data": one["data"], "layout": one["layout"]}
        called = html.escape(one["title"])
        head = f"<h4>{called}</h4>" if called else ""
        # Its height is kept free, so that the page does not jump when it is drawn.
        boxes.append(
            f'<div>{head}<div class="plot" id="{key}" role="img" '
            f'aria-label="{title}: {called}" '
            f'style="min-height:{one["layout"]["height"]}px"></div></div>'
        )
    kind = "plots many" if len(boxes) > 1 else "plots"
    parts = "\n".join(boxes)
    return (
        f"<figure>\n<h3>{title}</h3>\n<figcaption>{html.escape(figure.caption)}</figcaption>\n"
        f'<div class="{kind}">\n{parts}\n</div>\n{_sql(figure.sql)}\n</figure>'
    )


def _sql(text: str) -> str:
    return (
        f'<details class="sql"><summary>SQL</summary><pre tabindex="0">{html.escape(text)}</pre>'
        "</details>"
    )


def _table(rows: list[dict[str, str]]) -> str:
    if not rows:
        return "<p>There is none.</p>"
    head = "".join(f'<th scope="col">{html.escape(name)}</th>' for name in rows[0])
    body = "\n".join(
        "<tr>"
        + "".join(
            f'<th scope="row">{html.escape(value)}</th>' if name == "policy"
            else f"<td>{html.escape(value)}</td>"
            for name, value in row.items()
        )
        + "</tr>"
        for row in rows
    )  # fmt: skip
    return (
        '<div class="wide" tabindex="0" role="region" aria-label="Policies"><table>\n'
        f"<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody></table></div>"
    )


def _provenance(source: Source, plotly_js: str) -> str:
    """Return where the rows come from: workloads, simulator, versions, and how trials ended."""
    entry, counts = source.entry, source.counts
    events = [
        f"{workload}: {digest}"
        for workload, digest in zip(entry["workloads"], entry["events_digests"], strict=False)
    ]
    reasons = source.read(
        "SELECT reason, count(*) AS trials FROM trials "
        f"WHERE {source.mine} AND state = 'fail' "
        "GROUP BY reason ORDER BY trials DESC, reason LIMIT 5"
    )
    simulators = source.read(
        f"SELECT DISTINCT core_digest FROM trials WHERE {source.mine} ORDER BY core_digest"
    )
    versions = json.loads(entry["versions"] or "{}")
    facts: list[tuple[str, list[str]]] = [
        ("study", [source.name]),
        ("created at", [f"{entry['created_at']:%Y-%m-%d %H:%M:%S} UTC"]),
        ("trials", [f"{counts['complete']:,} complete, {counts['failed']:,} failed, "
                    f"{counts['feasible']:,} feasible, of {counts['n_trials'] or 0:,}"]),
        ("why trials failed", [f"{row['trials']:,}: {row['reason']}" for row in reasons]),
        ("digests of events", events),
        ("digest of the simulator", [str(row["core_digest"]) for row in simulators]),
        ("git revision", [entry["git_revision"] or "unknown"]),
        ("versions", [f"{name} {version}" for name, version in versions.items()]),
        ("host", [entry["host"] or "unknown"]),
        ("drawn by", [f"plotly.js {plotly_js}"]),
    ]  # fmt: skip
    return "\n".join(
        f"<dt>{name}</dt>" + "".join(f"<dd>{html.escape(value)}</dd>" for value in values)
        for name, values in facts
        if values
    )
