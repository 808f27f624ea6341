"""The page of a report: one HTML file that needs nothing from a network."""

from __future__ import annotations

import base64
import hashlib
import html
import json
from importlib.resources import files
from string import Template
from typing import Any

from core.errors import printable
from sweep.report.answer import answer_sentences, policies_caption, policies_table
from sweep.report.figures import Section
from sweep.report.plotting import Figure
from sweep.report.study_results import StudyResults
from sweep.results.questions import columns_shown
from sweep.results.wording import hover_texts
from sweep.study.model import Study


def page(results: StudyResults, sections: list[Section]) -> str:
    """Return the HTML page of a report."""
    from plotly.offline import get_plotlyjs, get_plotlyjs_version

    template = files("sweep.report").joinpath("page.html").read_text(encoding="utf-8")
    draw = files("sweep.report").joinpath("draw.js").read_text(encoding="utf-8")
    scripts = (get_plotlyjs(), draw)
    links = [
        f'<a href="#{_key(section.heading)}">{_escaped(section.heading)}</a>'
        for section in sections
    ]
    plots: dict[str, Any] = {}
    content = "\n".join(_section(section, plots) for section in sections)
    sentences = answer_sentences(results)
    return Template(template).substitute(
        title=_escaped(results.name),
        # The page allows these two scripts and no other, whatever a study's texts hold.
        script_sources=" ".join(map(_script_hash, scripts)),
        question=_escaped(results.study.question or "No question is written down."),
        answer="\n".join(f"<p>{_escaped(sentence)}</p>" for sentence in sentences),
        policies=_table(policies_table(results), hover_texts(_named(results.study))),
        policies_caption=_escaped(policies_caption(results)),
        policies_sql=_sql(results.policies_sql),
        links="\n".join(links),
        sections=content,
        yaml=_escaped(results.study_row["yaml"]),
        provenance=_provenance(results, get_plotlyjs_version()),
        # A "<" in a text could end the script element that holds the plots.
        plots=json.dumps(plots, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c"),
        plotly=scripts[0],
        draw=scripts[1],
    )


def _escaped(text: str) -> str:
    """Return a text as HTML that shows it, with what nobody would see written out."""
    return html.escape(printable(text))


def _named(study: Study) -> list[str]:
    """Return the columns that the table of policies may have."""
    return [*(objective.metric for objective in study.objectives), *columns_shown(study)]


def _script_hash(script: str) -> str:
    """Return a script as the page's Content-Security-Policy names it."""
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return f"'sha256-{digest}'"


def _key(heading: str) -> str:
    """Return the id of the section under a heading, which links lead to."""
    return heading.lower().replace(" ", "-")


def _section(section: Section, plots: dict[str, Any]) -> str:
    """Return a section, and add its plots to `plots` by the id of their element."""
    parts = "\n".join(_figure(figure, plots) for figure in section.figures)
    # Figures of a single plot stand beside each other.
    tiles = len(section.figures) > 1 and all(len(each.plots) == 1 for each in section.figures)
    return (
        f'<section id="{_key(section.heading)}">\n<h2>{_escaped(section.heading)}</h2>\n'
        f'<div class="{"tiles" if tiles else ""}">\n{parts}\n</div>\n</section>'
    )


def _figure(figure: Figure, plots: dict[str, Any]) -> str:
    """Return a figure, and add its plots to `plots` by the id of their element."""
    title = _escaped(figure.title)
    boxes = []
    for plot in figure.plots:
        key = f"plot-{len(plots) + 1}"
        plots[key] = {"data": plot["data"], "layout": plot["layout"]}
        plot_title = _escaped(plot["title"])
        head = f"<h4>{plot_title}</h4>" if plot_title else ""
        # The element has the plot's height from the start, so that drawing does not move the page.
        boxes.append(
            f'<div>{head}<div class="plot" id="{key}" role="img" '
            f'aria-label="{title}: {plot_title}" '
            f'style="min-height:{plot["layout"]["height"]}px"></div></div>'
        )
    classes = "plots many" if len(boxes) > 1 else "plots"
    parts = "\n".join(boxes)
    return (
        f'<figure id="{_figure_key(figure)}">\n<h3>{title}{_link(figure)}</h3>\n'
        f"<figcaption>{_escaped(figure.caption)}</figcaption>\n"
        f'<div class="{classes}">\n{parts}\n</div>\n{_sql(figure.sql)}\n</figure>'
    )


def _figure_key(figure: Figure) -> str:
    """Return the id of a figure, which no section has, whatever its heading."""
    return _escaped(f"figure-{figure.name}")


def _link(figure: Figure) -> str:
    """Return a figure's name, by which `sweep figure` writes it, as a link to it."""
    return f'<a class="name" href="#{_figure_key(figure)}">{_escaped(figure.name)}</a>'


def _sql(text: str) -> str:
    return (
        f'<details class="sql"><summary>SQL</summary><pre tabindex="0">{_escaped(text)}</pre>'
        "</details>"
    )


def _table(rows: list[dict[str, str]], words: dict[str, str]) -> str:
    """Return a table; `words` say what a column is, by its heading, to who points at that."""
    if not rows:
        return "<p>There is none.</p>"
    titles = {name: f' title="{_escaped(text)}"' for name, text in words.items()}
    head = "".join(
        f'<th scope="col"{titles.get(name, "")}>{_escaped(name)}</th>' for name in rows[0]
    )
    body = "\n".join(
        "<tr>"
        + "".join(
            f'<th scope="row">{_escaped(value)}</th>' if name == "policy"
            else f"<td>{_escaped(value)}</td>"
            for name, value in row.items()
        )
        + "</tr>"
        for row in rows
    )  # fmt: skip
    return (
        '<div class="wide" tabindex="0" role="region" aria-label="Policies"><table>\n'
        f"<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody></table></div>"
    )


def _provenance(results: StudyResults, plotly_js: str) -> str:
    """Return where the rows come from: workloads, simulator, versions, and how trials ended."""
    study, counts = results.study_row, results.counts
    events = [
        f"{workload}: {digest}"
        for workload, digest in zip(study["workloads"], study["events_digests"], strict=False)
    ]
    reasons = results.read(
        "SELECT reason, count(*) AS trials FROM trials "
        f"WHERE {results.study_condition} AND state = 'fail' "
        "GROUP BY reason ORDER BY trials DESC, reason LIMIT 5"
    )
    simulators = results.read(
        "SELECT DISTINCT core_digest FROM trials "
        f"WHERE {results.study_condition} ORDER BY core_digest"
    )
    versions = json.loads(study["versions"] or "{}")
    facts: list[tuple[str, list[str]]] = [
        ("study", [results.name]),
        ("created at", [f"{study['created_at']:%Y-%m-%d %H:%M:%S} UTC"]),
        ("trials", [f"{counts['complete']:,} complete, {counts['failed']:,} failed, "
                    f"{counts['feasible']:,} feasible, of {counts['n_trials'] or 0:,}"]),
        ("why trials failed", [f"{row['trials']:,}: {row['reason']}" for row in reasons]),
        ("digests of events", events),
        ("digest of the simulator", [str(row["core_digest"]) for row in simulators]),
        ("git revision", [study["git_revision"] or "unknown"]),
        ("versions", [f"{name} {version}" for name, version in versions.items()]),
        ("host", [study["host"] or "unknown"]),
        ("drawn by", [f"plotly.js {plotly_js}"]),
    ]  # fmt: skip
    return "\n".join(
        f"<dt>{name}</dt>" + "".join(f"<dd>{_escaped(value)}</dd>" for value in values)
        for name, values in facts
        if values
    )
