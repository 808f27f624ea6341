"""Renew docs/findings.md: run the studies it quotes, and replace its tables and figures.

``python benchmarks/findings.py [--db results.duckdb] [STUDY…]``. A table stands between
``<!-- table: SQL -->`` and ``<!-- end -->``; after ``<!-- figure: STUDY | SECTION -->`` stands the
first plot of that section of the study's report, drawn by kaleido, which needs Chrome or Chromium.
Trials that the database has from an earlier run are not replayed again.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import plotly.io

from sweep.report.figures import draw_sections
from sweep.report.study_results import StudyResults
from sweep.results import answer_query, open_for_reading
from sweep.study.read import load_study

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "findings.md"
TABLE = re.compile(r"(<!-- table: (.*?) -->\n).*?(<!-- end -->)", re.DOTALL)
FIGURE = re.compile(r"(<!-- figure: (\S+) \| (.*?) -->\n)(?:!\[.*\n)?")
WIDTH = 860
STUDY = re.compile(r"^sweep run studies/(\S+)\.yaml$", re.MULTILINE)


def cell(value: Any) -> str:
    """Return a value as the page shows it: three digits of a float, thousands separated."""
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:,.3g}" if abs(value) < 1000 else f"{value:,.0f}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


def table(database: Path, sql: str) -> str:
    """Return the answer to a query as a Markdown table."""
    answer = answer_query(database, " ".join(sql.split()))
    rows = [answer.columns, ["---"] * len(answer.columns)]
    rows += [[cell(value) for value in row] for row in answer.rows]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def figure(database: Path, name: str, heading: str) -> str:
    """Draw the first figure under a heading of a study's report; return its line of Markdown."""
    study, _ = load_study(ROOT / "studies" / f"{name}.yaml")
    with open_for_reading(database) as connection:
        sections = draw_sections(StudyResults(study, name, connection))
    (drawn,) = (section.figures[0] for section in sections if section.heading == heading)
    plot = drawn.plots[0]
    path = PAGE.parent / "figures" / f"{name}-{heading.lower().replace(' ', '-')}.svg"
    path.parent.mkdir(exist_ok=True)
    layout = plot["layout"] | {"paper_bgcolor": "white", "plot_bgcolor": "white"}
    layout["legend"] = {"orientation": "h", "y": -0.15}
    size = {"width": WIDTH, "height": layout["height"]}
    traces = [part | {"uid": f"trace{place}"} for place, part in enumerate(plot["data"])]
    drawing = {"data": traces, "layout": layout}
    svg = plotly.io.to_image(drawing, format="svg", **size, validate=False).decode()
    # Plotly puts six random digits into the names of a figure's parts. Without them an unchanged
    # figure is an unchanged file.
    random_digits = re.search(r"clip([0-9a-f]{6})xy", svg)
    path.write_text(svg.replace(random_digits[1], "") if random_digits else svg)
    return f"![{heading}: {plot['title'] or drawn.title}](figures/{path.name})\n"


def main() -> None:
    """Run the studies, query the database, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--db", type=Path, default=Path("results.duckdb"))
    parser.add_argument("studies", nargs="*")
    given = parser.parse_args()
    text = PAGE.read_text()
    for study in given.studies or STUDY.findall(text):
        words = ["-m", "sweep", "run", f"studies/{study}.yaml", "--db", str(given.db), "--new"]
        print(f"{study} …", file=sys.stderr)
        subprocess.run([sys.executable, *words], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    text = TABLE.sub(lambda match: match[1] + table(given.db, match[2]) + match[3], text)
    text = FIGURE.sub(lambda match: match[1] + figure(given.db, match[2], match[3]), text)
    PAGE.write_text(text)


if __name__ == "__main__":
    main()
