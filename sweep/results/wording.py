"""The words of results: numbers with units that a person reads, and names of policies."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from core.outcomes import UNITS
from core.policy import Policy
from sweep.results.schema import Row
from sweep.study.glossary import short_meaning
from sweep.study.goals import Goal
from sweep.study.model import FixedPolicy, Study
from sweep.study.values import SIZE_FIELDS

#: Is said of a capture in which reclaim cannot be told from truncation, and of one without stores.
UNTOLD_RECLAIM = "no reclaim can be told in this capture"
NOTHING_STORED = "nothing is ever stored"
MINUS = "\N{MINUS SIGN}"
_TIMES = (("s", 1e9), ("ms", 1e6), ("µs", 1e3), ("ns", 1.0))
_SIZES = (("GiB", 2.0**30), ("MiB", 2.0**20), ("KiB", 2.0**10), ("B", 1.0))


class Scale(NamedTuple):
    """The unit that values are shown in, and how many of the stored unit it is, such as ms, 1e6."""

    unit: str
    divisor: float


def unit_of(name: str) -> str:
    """Return the unit that a column is stored in, such as ns or pages; empty if it has none."""
    if name in UNITS:
        return UNITS[name]
    if name in (*SIZE_FIELDS, "data_memory", "page_size"):
        return "bytes"
    return "ns" if name.endswith("_ns") else ""


def scale_of(name: str, values: Iterable[float | None]) -> Scale:
    """Return the largest unit in which the largest of a column's values is at least 1."""
    unit = unit_of(name)
    steps = {"ns": _TIMES, "bytes": _SIZES}.get(unit)
    if steps is None:
        return Scale("" if unit == "ratio" else unit, 1.0)
    largest = max((abs(value) for value in values if value is not None), default=0)
    for step, divisor in steps:
        if largest >= divisor:
            return Scale(step, divisor)
    return Scale(*steps[-1])


def plain_name(name: str) -> str:
    """Return a column's name without its unit, for where each value is shown with a unit."""
    if unit_of(name) in ("ns", "bytes"):
        return name.removesuffix("_ns").removesuffix("_bytes")
    return name


def hover_texts(names: Iterable[str]) -> dict[str, str]:
    """Return what columns are, by the headings that they have in a table."""
    told = {plain_name(name): short_meaning(name) for name in names}
    return {heading: words for heading, words in told.items() if words}


def plain_goal(goal: Goal) -> str:
    """Return a goal's name without the unit of its metric."""
    return goal.name.replace(goal.metric, plain_name(goal.metric))


def axis_title(name: str, scale: Scale) -> str:
    """Return the title of an axis: the column, and the unit that it is shown in."""
    name = plain_name(name)
    return f"{name} ({scale.unit})" if scale.unit else name


def readable(name: str, value: Any) -> str:
    """Return a value of a column in words, with its unit: 209652900 ns is ``209.7 ms``."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if not isinstance(value, int | float):
        return str(value)
    scale = scale_of(name, [value])
    shown = value / scale.divisor
    whole = float(shown).is_integer() or abs(shown) >= 1000
    text = f"{shown:,.0f}" if whole else f"{shown:.4g}"
    return f"{text} {scale.unit}".strip().replace("-", MINUS)


def percent(share: float) -> str:
    """Return a share as a percentage: 0.5 is ``50 %``."""
    return f"{100 * share:.3g} %"


def fixed_label(fixed: FixedPolicy) -> str:
    """Return a policy's name from what the study says of it: ``gcma, eviction sieve``."""
    given = fixed.model_dump(mode="json", exclude_unset=True)
    head = given.pop("preset", None)
    if head is None:
        head = given.pop("system", Policy.system)
    return ", ".join([head, *(f"{name} {readable(name, value)}" for name, value in given.items())])


def subspace_labels(study: Study) -> list[str]:
    """Return a name for each subspace, all different."""
    return _distinct([fixed_label(space.policy) for space in study.subspaces], "policies")


def baseline_labels(study: Study) -> list[str]:
    """Return a name for each baseline, all different."""
    return _distinct([fixed_label(baseline) for baseline in study.baselines], "baseline")


def _distinct(labels: Sequence[str], kind: str) -> list[str]:
    """Return labels with the place added to those that occur twice: ``gcma (baseline 2)``."""
    return [
        f"{label} ({kind} {number})" if labels.count(label) > 1 else label
        for number, label in enumerate(labels)
    ]


def label_of(study: Study, row: Row) -> str:
    """Return the short name of a trial or baseline."""
    if row["role"] == "trial":
        return f"trial {row['number']}"
    labels = baseline_labels(study)
    return labels[row["number"]] if row["number"] < len(labels) else f"baseline {row['number']}"


def system_of(study: Study, row: Row) -> str:
    """Return a trial's system where the study searches it, and else the name of its subspace."""
    place = row["subspace"] or 0
    searched = "system" in study.subspaces[place].parameters
    return str(row["system"]) if searched else subspace_labels(study)[place]


def settings_of(study: Study, row: Row) -> str:
    """Return a trial's policy in words: what the study fixes of it, then what the search chose.

    What the trial's system does not read is NULL, and left out.
    """
    space = study.subspaces[row.get("subspace") or 0]
    parts = []
    if "system" not in space.parameters:
        # The name of the subspace begins with its system or preset.
        parts.append(fixed_label(space.policy))
    for name in space.parameters:
        if row[name] is not None:
            parts.append(f"{name} {readable(name, row[name])}")
    return ", ".join(parts)


def described(study: Study, row: Row) -> str:
    """Return the name of a baseline, or that of a trial with its policy in words."""
    label = label_of(study, row)
    return label if row["role"] == "baseline" else f"{label}: {settings_of(study, row)}"
