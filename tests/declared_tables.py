"""The tables in the documents of what is declared in the source. `make schema` writes them anew.

A table stands between ``<!-- NAME: ... -->`` and ``<!-- end of NAME -->``.
"""

from __future__ import annotations

import re
from enum import StrEnum
from pathlib import Path

from core.cost_presets import SOURCED_PRESETS
from core.costs import DECLARED_COSTS, Costs
from core.declaration import Declaration
from core.import_losses import SENTENCES
from core.outcome_declarations import DECLARED_OUTCOMES
from core.policy import DECLARED, Policy, reads
from core.system import SYSTEMS
from core.workload.formats import FORMATS, about
from sweep.study.glossary import number_text, range_text

REPOSITORY = Path(__file__).parent.parent


def values_of(declared: Declaration) -> str:
    """Return the domain of a field: its words, or from where to where a number may be."""
    if declared.words is not None:
        return " ".join(f"`{word}`" for word in declared.words)
    assert declared.bounds is not None
    return range_text(*declared.bounds)


def policy_fields() -> list[list[str]]:
    """Return the rows of the table of policy fields, the heading first, decisions before worlds."""
    rows = [["policy field", "values", "default", "what it is", "read by", "varies under"]]
    for name, declared in sorted(DECLARED.items(), key=lambda item: item[1].is_world):
        default = getattr(Policy, name)
        shown = f"`{default}`" if isinstance(default, StrEnum | str) else number_text(default)
        readers = " ".join(f"`{system}`" for system in SYSTEMS if name in reads(system))
        varies = "`scenarios`" if declared.is_world else "`parameters`"
        of_field = [f"`{name}`", values_of(declared), shown, declared.meaning]
        rows.append([*of_field, readers or "every study", varies])
    return rows


def outcomes() -> list[list[str]]:
    """Return the rows of the table of outcomes, the heading first."""
    rows = [["outcome", "unit", "what it is", "formula", "over several workloads"]]
    for name, declared in DECLARED_OUTCOMES.items():
        formula = f"`{declared.formula}`" if declared.formula else ""
        words = [declared.unit, declared.meaning, formula, declared.combined.value]
        rows.append([f"`{name}`", *words])
    return rows


def costs() -> list[list[str]]:
    """Return the rows of the table of costs, the heading first."""
    rows = [["cost", "default", "plausible", "what it pays for", "source"]]
    for name, declared in DECLARED_COSTS.items():
        assert declared.plausible is not None
        value, plausible = f"{getattr(Costs, name):,}", _from_to(*declared.plausible)
        rows.append([f"`{name}`", value, plausible, declared.meaning, declared.source])
    return rows


def _from_to(least: float, most: float) -> str:
    return f"{least:,} to {most:,}"


def cost_presets() -> list[list[str]]:
    """Return the rows of the table of cost presets, the heading first."""
    rows = [["preset", "of", "sources looked up"]]
    for name, preset in SOURCED_PRESETS.items():
        rows.append([f"`{name}`", preset.machine, preset.date])
    return rows


def costs_of_presets() -> list[list[str]]:
    """Return the rows of the table of costs that differ from the defaults, the heading first."""
    rows = [["preset", "cost", "value", "plausible", "source"]]
    for name, preset in SOURCED_PRESETS.items():
        for cost, (value_ns, plausible_ns, source) in preset.own.items():
            plausible = _from_to(*plausible_ns)
            rows.append([f"`{name}`", f"`{cost}`", f"{value_ns:,}", plausible, source])
    return rows


def formats() -> list[list[str]]:
    """Return the rows of the table of formats of traces, the heading first."""
    rows = [["format", "what it is", "what it holds, and in which units", "told by"]]
    for row in FORMATS:
        what = about(row)
        rows.append([f"`{row.name}`", what.title, what.columns, what.recognised])
    return rows


def losses() -> list[list[str]]:
    """Return the rows of the table of what a trace may lack, the heading first."""
    rows = [["loss", "what is said"]]
    for name, sentence in SENTENCES.items():
        rows.append([f"`{name}`", sentence.replace("{count}", "N")])
    return rows


#: Of each table the document, and what makes its rows.
TABLES = {
    "policy fields": ("README.md", policy_fields),
    "outcomes": ("docs/model.md", outcomes),
    "costs": ("docs/model.md", costs),
    "cost presets": ("docs/model.md", cost_presets),
    "costs of presets": ("docs/model.md", costs_of_presets),
    "formats": ("docs/traces.md", formats),
    "losses": ("docs/losses.md", losses),
}


def with_table(text: str, name: str, rows: list[list[str]]) -> str:
    """Return a document with one of its tables as `rows`."""
    head, *body = ["| " + " | ".join(row) + " |\n" for row in rows]
    table = head + "|---" * len(rows[0]) + "|\n" + "".join(body)
    places = rf"(<!-- {name}: [^>]*-->\n).*?(<!-- end of {name} -->)"
    written, places_found = re.subn(
        places, lambda place: place[1] + table + place[2], text, flags=re.S
    )
    assert places_found == 1, f"{places_found} places for the table of {name}"
    return written


if __name__ == "__main__":
    for table, (document, make_rows) in TABLES.items():
        path = REPOSITORY / document
        path.write_text(with_table(path.read_text(), table, make_rows()))
