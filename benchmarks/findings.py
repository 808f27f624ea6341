"""Renew the findings: run the studies that they quote, and replace their tables.

``python benchmarks/findings.py [--db results.duckdb] [--page PAGE.md] [STUDY…]``: of a page that is
named, only its own studies are run, and nothing else is renewed. Between each of these marks and
``<!-- end -->`` stands a table: ``<!-- table: SQL -->`` (the answer), ``<!-- over costs: SQL
-->`` (besides, for each row, what cost_ranges.py says of it) and ``<!-- truth -->`` (what kernels
with a cleancache counted).
Trials that the database has from an earlier run are not replayed again.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from cost_ranges import over_costs, shown

from core.event_files import read_events
from core.truth import compare_with_kernel
from sweep.results import answer_query, open_for_reading
from sweep.results.reading import read_rows

ROOT = Path(__file__).parent.parent
PAGES = [
    ROOT / "README.md",
    ROOT / "docs" / "findings.md",
    *sorted((ROOT / "docs" / "findings").glob("*.md")),
    ROOT / "docs" / "evidence.md",
]
TABLE = re.compile(r"(<!-- table: (.*?) -->\n).*?(<!-- end -->)", re.DOTALL)
OVER_COSTS = re.compile(r"(<!-- over costs: (.*?) -->\n).*?(<!-- end -->)", re.DOTALL)
TRUTH = re.compile(r"(<!-- truth -->\n).*?(<!-- end -->)", re.DOTALL)
#: What a row of `over costs` is known by; it is not shown.
KEY = ("study", "role", "number", "scenario", "workload", "than")
#: Outcomes of a kernel with a cleancache that are shown beside a replay's.
TRUTHS = ("stored", "restored", "reclaimed", "recalled", "invalidated", "reservations", "releases")
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
    return markdown(list(answer.columns), [[cell(value) for value in row] for row in answer.rows])


def markdown(heading: list[str], rows: list[list[str]]) -> str:
    """Return a Markdown table."""
    lines = [heading, ["---"] * len(heading), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def over_costs_table(database: Path, sql: str) -> str:
    """Return a table of trials with what they save over the ranges of all costs."""
    rows, heading = [], []
    with open_for_reading(database) as connection:
        for row in read_rows(connection, " ".join(sql.split())):
            labels = {name: value for name, value in row.items() if name not in KEY}
            saved = over_costs(connection, {name: row[name] for name in KEY if name in row})
            heading = [*labels, "wait saved", "disk time saved"]
            rows.append([*map(cell, labels.values()), shown(saved["wait"]), shown(saved["time"])])
    return markdown(heading, rows)


def truth_table() -> str:
    """Return what kernels with a cleancache counted, and what their replays count."""
    rows = []
    for path in sorted((ROOT / "studies" / "traces").glob("cache-*.parquet")):
        compared = {of.name: of for of in compare_with_kernel(read_events(path))}
        both = [f"{compared[name].kernel:,} / {compared[name].replay:,}" for name in TRUTHS]
        rows.append([f"`{path.stem}`", *both])
    return markdown(["kernel / replay", *(f"`{name}`" for name in TRUTHS)], rows)


def main() -> None:
    """Run the studies, query the database, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--db", type=Path, default=Path("results.duckdb"))
    parser.add_argument("--page", type=Path, action="append", help="a page to renew (default: all)")
    parser.add_argument("studies", nargs="*")
    given = parser.parse_args()
    pages = given.page or [page for page in PAGES if page.exists()]
    texts = {page: page.read_text() for page in pages}
    quoted = [study for text in texts.values() for study in STUDY.findall(text)]
    for study in given.studies or dict.fromkeys(quoted):
        words = ["-m", "sweep", "run", f"studies/{study}.yaml", "--db", str(given.db), "--new"]
        print(f"{study} …", file=sys.stderr)
        subprocess.run([sys.executable, *words], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    for page, text in texts.items():
        text = TABLE.sub(lambda match: match[1] + table(given.db, match[2]) + match[3], text)
        text = OVER_COSTS.sub(
            lambda match: match[1] + over_costs_table(given.db, match[2]) + match[3], text
        )
        text = TRUTH.sub(lambda match: match[1] + truth_table() + match[2], text)
        page.write_text(text)


if __name__ == "__main__":
    main()
