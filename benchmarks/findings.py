"""Renew docs/findings.md: run the studies it quotes, and put tables and figures in anew.

``python benchmarks/findings.py [--db results.duckdb] [STUDY…]``. A table stands between
``<!-- table: SQL -->`` and ``<!-- end -->``; after ``<!-- figure: STUDY | SECTION -->`` stands the
first plot of that section of the study's report, drawn by kaleido, which needs Chrome or Chromium.
What was run before is looked up.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import plotly.io

from sweep.report.stored import Source
from sweep.report.write import drawn
from sweep.results import ask, open_for_reading
from sweep.study.read import load_study

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "findings.md"
TABLE = re.compile(r"(<!-- table: (.*?) -->\n).*?(<!-- end -->)", re.DOTALL)
FIGURE = re.compile(r"(<!-- figure: (\S+) \| (.*?) -->\n)(?:!\[.*\n)?")
WIDTH = 860
STUDY = re.compile(r"^sweep run studies/(\S+)\.yaml$", re.MULTILINE)


def cell(value: Any) -> str:
    """Return a value as a reader wants it: few digits, thousands apart."""
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:,.3g}" if abs(value) < 1000 else f"{value:,.0f}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


def table(database: Path, sql: str) -> str:
    """Return the answer to a query as a Markdown table."""
    answer = ask(database, " ".join(sql.split()))
    rows = [answer.columns, ["---"] * len(answer.columns)]
    rows += [[cell(value) for value in row] for row in answer.rows]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def figure(database: Path, name: str, section: str) -> str:
    """Draw a figure of a study's report; return the line of Markdown that shows it."""
    study, _ = load_study(ROOT / "studies" / f"{name}.yaml")
    with open_for_reading(database) as connection:
        found = drawn(Source(study, name, connection))
    (one, *_) = (other for other in found if other.section == section)
    shown = one.plots[0]
    path = PAGE.parent / "figures" / f"{name}-{section.lower().replace(' ', '-')}.svg"
    path.parent.mkdir(exist_ok=True)
    layout = shown["layout"] | {"paper_bgcolor": "white", "plot_bgcolor": "white"}
    layout["legend"] = {"orientation": "h", "y": -0.15}
    size = {"width": WIDTH, "height": layout["height"]}
    traces = [part | {"uid": f"trace{place}"} for place, part in enumerate(shown["data"])]
    drawing = {"data": traces, "layout": layout}
    svg = plotly.io.to_image(drawing, format="svg", **size, validate=False).decode()
    # Plotly draws the names of a figure's parts by lot: what has not changed should look so.
    drawn_by_lot = re.search(r"clip([0-9a-f]{6})xy", svg)
    path.write_text(svg.replace(drawn_by_lot[1], "") if drawn_by_lot else svg)
    return f"![{section}: {shown['title'] or one.title}](figures/{path.name})\n"


def main() -> None:
    """Run, ask, and write the page."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--db", type=Path, default=Path("results.duckdb"))
    options.add_argument("studies", nargs="*")
    given = options.parse_args()
    text = PAGE.read_text()
    for study in given.studies or STUDY.findall(text):
        words = ["-m", "sweep", "run", f"studies/{study}.yaml", "--db", str(given.db), "--new"]
        print(f"{study} …", file=sys.stderr)
        subprocess.run([sys.executable, *words], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    text = TABLE.sub(lambda m: m[1] + table(given.db, m[2]) + m[3], text)
    PAGE.write_text(FIGURE.sub(lambda m: m[1] + figure(given.db, m[2], m[3]), text))


if __name__ == "__main__":
    main()
