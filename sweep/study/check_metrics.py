"""What is wrong with the metrics of a study: those that a system of it can never have."""

from __future__ import annotations

from collections.abc import Iterator

from core.outcomes import UNITS
from core.possible_outcomes import has_no_value
from sweep.study.space import spaces_of, systems_of
from sweep.study.yaml_source import Mistake, Place, Section


def metrics_in(data: Section) -> Iterator[tuple[str, Place]]:
    """Yield the metric of each objective and constraint of a study's raw data, and its place."""
    for key in ("objectives", "constraints"):
        section = data.get(key)
        for i, entry in enumerate(section if isinstance(section, list) else ()):
            metric = entry.get("metric") if isinstance(entry, dict) else None
            if isinstance(metric, str) and metric in UNITS:
                yield metric, (key, i, "metric")


def check_metrics(data: Section) -> Iterator[Mistake]:
    """Yield the metrics that trials of a system can never have: each of them would fail.

    A baseline without a value is no mistake: nobody ranks it.
    """
    systems = dict.fromkeys(system for space in spaces_of(data) for system in systems_of(space))
    for metric, place in metrics_in(data):
        lacking = [system for system in systems if has_no_value(system, metric)]
        if not lacking:
            continue
        under = " and ".join(lacking)
        advice = "choose another metric, such as wait_saved_ratio"
        if len(lacking) < len(systems):
            advice = f"{advice}, or make {under} a baseline"
        message = f"{metric} never has a value under {under}, so that every trial of it fails"
        yield Mistake(place, f"{message}: {advice}")
