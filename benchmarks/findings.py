"""Renew docs/findings.md: run the studies it quotes, and put the tables of their results in anew.

``python benchmarks/findings.py [--db results.duckdb] [STUDY…]``. A table stands between
``<!-- table: SQL -->`` and ``<!-- end -->``; what was run before is looked up.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from sweep.results import ask

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "findings.md"
TABLE = re.compile(r"(<!-- table: (.*?) -->\n).*?(<!-- end -->)", re.DOTALL)
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


def main() -> None:
    """Run, ask, and write the page."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--db", type=Path, default=Path("results.duckdb"))
    options.add_argument("studies", nargs="*")
    given = options.parse_args()
    text = PAGE.read_text()
    for study in given.studies or STUDY.findall(text):
        words = ["-m", "sweep.cli", "run", f"studies/{study}.yaml", "--db", str(given.db), "--new"]
        print(f"{study} …", file=sys.stderr)
        subprocess.run([sys.executable, *words], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    PAGE.write_text(TABLE.sub(lambda m: m[1] + table(given.db, m[2]) + m[3], text))


if __name__ == "__main__":
    main()
