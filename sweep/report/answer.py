"""The answer of a study in a few sentences, and the table of its best policies."""

from __future__ import annotations

from typing import Any

from sweep.report.source import Source
from sweep.report.wording import label_of, percent, readable, settings_of
from sweep.screen import shown_of
from sweep.sql import columns_shown
from sweep.study import Study

Row = dict[str, Any]

#: Baselines that are told in the answer; the table has all.
TOLD = 6


def answer(source: Source) -> list[str]:
    """Return the sentences that answer the study's question, from its rows."""
    return [*_best(source), *_beside(source), *_unfinished(source)]


def _best(source: Source) -> list[str]:
    study, chosen = source.study, source.chosen
    complete = source.counts["complete"]
    trials = f"{complete:,} complete {'trial' if complete == 1 else 'trials'}"
    if chosen is None:
        bounds = ", ".join(one.metric for one in study.constraints)
        return [f"None of {trials} keeps every constraint (on {bounds})."]
    name = label_of(study, chosen)
    policy = settings_of(study, chosen)
    ideal = chosen["share_of_ideal"]
    restored = f" It restores {percent(ideal)} of what the ideal does." if ideal is not None else ""
    if len(study.objectives) == 1:
        metric = study.objectives[0].metric
        goal = f"{_adverb(study, 0)} {metric}"
        value = readable(metric, chosen[metric])
        return [f"Best of {trials} ({goal}): {name}, with {value}: {policy}.{restored}"]
    goals = " and ".join(f"{_adverb(study, i)} {o.metric}" for i, o in enumerate(study.objectives))
    first = study.objectives[0].metric
    return [
        f"Of {trials}, the best trade-offs ({goals}) are the Pareto set below; chosen is what has "
        f"the best {first} of it, {name}, with {_values(study, chosen)}: {policy}.{restored}"
    ]


def _adverb(study: Study, objective: int) -> str:
    return "most" if study.objectives[objective].direction == "maximize" else "least"


def _values(study: Study, row: Row) -> str:
    return ", ".join(
        f"{one.metric} {readable(one.metric, row[one.metric])}" for one in study.objectives
    )


def _beside(source: Source) -> list[str]:
    """Return what the baselines have, the best first."""
    study = source.study
    first = study.objectives[0]
    known = [row for row in source.baselines if row[first.metric] is not None]
    if not known:
        return []
    known.sort(key=lambda row: row[first.metric], reverse=first.direction == "maximize")
    single = len(study.objectives) == 1
    parts = [
        f"{label_of(study, row)} "
        + (readable(first.metric, row[first.metric]) if single else f"({_values(study, row)})")
        for row in known[:TOLD]
    ]
    more = f"; and {len(known) - TOLD} more" if len(known) > TOLD else ""
    return [f"The baselines, beside it: {'; '.join(parts)}{more}."]


def _unfinished(source: Source) -> list[str]:
    counts = source.counts
    done = counts["complete"] + counts["failed"]
    if counts["n_trials"] is None or done >= counts["n_trials"]:
        return []
    return [
        f"Unfinished: {done:,} of {counts['n_trials']:,} trials are done; this is what there is."
    ]


def policies_table(source: Source) -> list[dict[str, str]]:
    """Return the best trials and the baselines, a row each, as they are read."""
    study = source.study
    names = [*columns_shown(study)[1:], "share_of_ideal"]
    rows = []
    for row in [*source.best, *source.baselines]:
        shown = shown_of(row, names)
        cells = {name: readable(name, value) for name, value in shown.items()}
        rows.append({"policy": label_of(study, row)} | cells)
    return rows
