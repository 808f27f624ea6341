"""The page of a report: everything in one file, which asks nothing of a network."""

from __future__ import annotations

import base64
import hashlib
import html
import json
from collections.abc import Iterable
from importlib.resources import files
from itertools import groupby
from string import Template
from typing import Any

from sweep.report.answer import answer, policies_table
from sweep.report.figure import Figure
from sweep.report.queries import chosen_sql, existing_sql
from sweep.report.source import BEST_SHOWN, Source

Row = dict[str, Any]


def page(source: Source, figures: list[Figure]) -> str:
    """Return the page of a report."""
    from plotly.offline import get_plotlyjs, get_plotlyjs_version

    template = files("sweep.report").joinpath("page.html").read_text(encoding="utf-8")
    draw = files("sweep.report").joinpath("draw.js").read_text(encoding="utf-8")
    scripts = (get_plotlyjs(), draw)
    plots: dict[str, Any] = {}
    sections = list(_sections(figures, plots))
    links = [(key, heading) for key, heading, _ in sections]
    return Template(template).substitute(
        title=html.escape(source.name),
        # No other script runs, whatever a study says.
        script_sources=" ".join(map(_hashed, scripts)),
        question=html.escape(source.study.question or "No question is written down."),
        answer="\n".join(f"<p>{html.escape(sentence)}</p>" for sentence in answer(source)),
        policies=_table(policies_table(source)),
        policies_sql=_sql(
            f"{chosen_sql(source.study, source.name, BEST_SHOWN)};\n\n{existing_sql(source.name)}"
        ),
        links="\n".join(f'<a href="#{key}">{html.escape(text)}</a>' for key, text in links),
        sections="\n".join(content for _, _, content in sections),
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


def _sections(figures: list[Figure], plots: dict[str, Any]) -> Iterable[tuple[str, str, str]]:
    """Yield the key, heading and HTML of each section, and put its plots into `plots`."""
    number = 0
    for place, (heading, some) in enumerate(groupby(figures, lambda figure: figure.section)):
        parts = []
        for figure in some:
            keys = []
            for one in figure.plots:
                number += 1
                keys.append((f"plot-{number}", one["layout"]["height"]))
                plots[f"plot-{number}"] = one
            parts.append(_figure(figure, keys))
        key = f"section-{place + 1}"
        yield (
            key,
            heading,
            (
                f'<section id="{key}">\n<h2>{html.escape(heading)}</h2>\n'
                + "\n".join(parts)
                + "\n</section>"
            ),
        )


def _figure(figure: Figure, keys: list[tuple[str, int]]) -> str:
    title = html.escape(figure.title)
    plots = "\n".join(
        f'<div class="plot" id="{key}" role="img" aria-label="{title}" '
        f'style="min-height:{height}px"></div>'
        for key, height in keys
    )
    kind = "plots many" if len(keys) > 1 else "plots"
    return (
        f"<figure>\n<h3>{title}</h3>\n<figcaption>{html.escape(figure.caption)}</figcaption>\n"
        f'<div class="{kind}">\n{plots}\n</div>\n{_sql(figure.sql)}\n</figure>'
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
