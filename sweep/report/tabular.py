"""The rows behind a figure as CSV, as the database has them, and as a table of LaTeX."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from typing import Any

from core.outcomes import UNITS
from sweep.results import Row
from sweep.results.wording import MINUS, Scale, axis_title, scale_of

#: A text of LaTeX for each character that it does not take as it is, in whatever font.
LATEX = {character: f"\\{character}" for character in "{}$&#_%"}
LATEX |= {"\\": r"\textbackslash{}", "^": r"\textasciicircum{}", "~": r"\textasciitilde{}"}
LATEX |= {"<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}", '"': "{''}"}
LATEX |= {MINUS: "$-$", "µ": r"$\mu$", "\N{HORIZONTAL ELLIPSIS}": r"\dots{}", "`": "{`}"}
LATEX |= {"\N{MULTIPLICATION SIGN}": r"$\times$"}


def csv_bytes(rows: Sequence[Row]) -> bytes:
    """Return rows as CSV, their columns named, numbers to the last digit: as `sweep query --csv`.

    Parameters
    ----------
    rows
        At least one, all with the same columns.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(rows[0])
    writer.writerows(row.values() for row in rows)
    return text.getvalue().encode()


def latex_rows(rows: Sequence[Row]) -> list[dict[str, str]]:
    """Return rows in words, each column in one unit, which its name tells; six digits of a number.

    Parameters
    ----------
    rows
        At least one, all with the same columns.
    """
    scales = {}
    for name in rows[0]:
        numbers = [row[name] for row in rows if _is_number(row[name])]
        scales[name] = scale_of(name, numbers) if numbers else Scale("", 1.0)
    return [
        {
            axis_title(name, scales[name]): _shown(name, value, scales[name].divisor)
            for name, value in row.items()
        }
        for row in rows
    ]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _shown(name: str, value: Any, divisor: float) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if not _is_number(value):
        return str(value)
    if isinstance(value, int) and divisor == 1:
        text = f"{value:,}" if name in UNITS else str(value)
    else:
        shown = value / divisor
        text = f"{shown:,.0f}" if abs(shown) >= 1e6 else f"{shown:.6g}"
    return text.replace("-", MINUS)


def latex_bytes(rows: Sequence[dict[str, str]], about: str) -> bytes:
    """Return a table of LaTeX, for the package booktabs.

    Parameters
    ----------
    rows
        Texts, at least one row, all with the same columns.
    about
        What the table shows, which becomes a comment above it.
    """
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    sides = ["r" if all(map(_is_quantity, texts)) else "l" for texts in columns.values()]
    lines = [
        *(f"% {line}".rstrip() for line in about.splitlines()),
        r"% Needs \usepackage{booktabs}.",
        rf"\begin{{tabular}}{{{''.join(sides)}}}",
        r"\toprule",
        _line(list(columns)),
        r"\midrule",
        *(_line(list(row.values())) for row in rows),
        r"\bottomrule",
        r"\end{tabular}",
    ]
    return ("\n".join(lines) + "\n").encode()


def _is_quantity(text: str) -> bool:
    """Return whether a text begins as a number does, or says that there is none."""
    return text == "-" or re.match(rf"{MINUS}?\d", text) is not None


def _line(texts: Sequence[str]) -> str:
    line = " & ".join(map(latex_escaped, texts)) + r" \\"
    # A row that begins so would be taken for an argument of the one before.
    return "{}" + line if line.lstrip().startswith(("*", "[")) else line


def latex_escaped(text: str) -> str:
    """Return a text that LaTeX prints as it is, on one line; control characters become spaces."""
    one_line = re.sub(r"[\x00-\x1f\x7f]+", " ", text)
    escaped = "".join(LATEX.get(character, character) for character in one_line)
    # Two hyphens would become a dash.
    return escaped.replace("--", "-{}-").replace("--", "-{}-")
