"""The answer of a study in a few sentences, and the table of its best policies."""

from __future__ import annotations

from typing import Any

from sweep.report.queries import FRONT, systems_sql
from sweep.report.stored import BEST_SHOWN, Source
from sweep.report.wording import label_of, percent, plain_name, readable, settings_of, system_of
from sweep.results.questions import columns_shown, shown_of
from sweep.study.model import Objective, Study

Row = dict[str, Any]

#: Baselines and systems that are told in the answer; the table and the figures have all.
TOLD = 8


def answer(source: Source) -> list[str]:
    """Return the sentences that answer the study's question, from its rows."""
    return [*_best(source), *_systems(source), *_baselines(source), *_unfinished(source)]


def _best(source: Source) -> list[str]:
    study, chosen = source.study, source.chosen
    complete = source.counts["complete"]
    trials = f"{complete:,} complete {'trial' if complete == 1 else 'trials'}"
    if chosen is None:
        bounds = ", ".join(one.metric for one in study.constraints)
        return [f"None of {trials} keeps every constraint (on {bounds})."]
    first, *others = study.objectives
    ideal = chosen["share_of_ideal"]
    share = f", share_of_ideal {percent(ideal)}" if ideal is not None else ""
    policy = f"{label_of(study, chosen)} ({settings_of(study, chosen)})"
    apart = ", the ideal apart" if len(source.attainable) < len(source.best) else ""
    if not others:
        return [
            f"{_most(first)} of {trials}{apart}: {policy} with {_values(study, chosen)}{share}."
        ]
    number = f"{len(source.best):,}" if len(source.best) < FRONT else f"at least {FRONT:,}"
    told = [
        f"Best trade-offs (the Pareto set): {number} of {trials}.",
        f"{_most(first)}{apart}: {policy} with {_values(study, chosen)}{share}.",
    ]
    for other in others:
        wanted = max if other.direction == "maximize" else min
        value = wanted(row[other.metric] for row in source.attainable)
        # The first of equals has the best first objective.
        end = next(row for row in source.attainable if row[other.metric] == value)
        if end["number"] != chosen["number"]:
            called = f"{label_of(study, end)} ({settings_of(study, end)})"
            told.append(f"{_most(other)}: {called} with {_values(study, end)}.")
    return told


def _most(objective: Objective) -> str:
    word = "Most" if objective.direction == "maximize" else "Least"
    return f"{word} {plain_name(objective.metric)}"


def _values(study: Study, row: Row) -> str:
    metrics = [one.metric for one in study.objectives if row[one.metric] is not None]
    return ", ".join(f"{plain_name(name)} {readable(name, row[name])}" for name in metrics)


def _systems(source: Source) -> list[str]:
    """Return what the best trial of each system has, where there are several."""
    study = source.study
    rows = [
        row for row in source.read(systems_sql(study, source.name, 0)) if row["role"] == "trial"
    ]
    if len(rows) < 2:
        return []
    first = study.objectives[0].metric
    parts = [
        f"{system_of(study, row)} {readable(first, row[first])} ({label_of(study, row)})"
        for row in rows[:TOLD]
    ]
    more = f"; and {len(rows) - TOLD} more" if len(rows) > TOLD else ""
    return [f"Best {plain_name(first)} of each system: {'; '.join(parts)}{more}."]


def _baselines(source: Source) -> list[str]:
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
        + (readable(first.metric, row[first.metric]) if single else f"with {_values(study, row)}")
        for row in known[:TOLD]
    ]
    more = f"; and {len(known) - TOLD} more" if len(known) > TOLD else ""
    return [f"Baselines: {'; '.join(parts)}{more}."]


def _unfinished(source: Source) -> list[str]:
    counts = source.counts
    done = counts["complete"] + counts["failed"]
    if counts["n_trials"] is None or done >= counts["n_trials"]:
        return []
    total = counts["n_trials"]
    return [f"Unfinished: {done:,} of {total:,} trials are done, and this is what they say."]


def policies_table(source: Source) -> list[dict[str, str]]:
    """Return the best trials and the baselines, a row each, as they are read."""
    study = source.study
    metrics = [one.metric for one in study.objectives]
    names = list(dict.fromkeys([*metrics, "share_of_ideal", *columns_shown(study)[1:]]))
    rows = []
    best = source.best if len(metrics) == 1 else _spread(source.best)
    for row in [*best, *source.baselines]:
        shown = shown_of(row, names)
        cells = {plain_name(name): readable(name, value) for name, value in shown.items()}
        rows.append({"policy": label_of(study, row)} | cells)
    return rows


def policies_caption(source: Source) -> str:
    """Return what the table of policies has."""
    found, shown = len(source.best), len(_spread(source.best))
    if len(source.study.objectives) == 1:
        kind = "The best trial of each policy" if source.study.policies else "The best trials"
        return f"{kind} (of equal ones the first), then the baselines."
    part = f"{shown} of its {found:,} trials, from end to end" if shown < found else "all of it"
    return f"The Pareto set, {part}; then the baselines."


def _spread(best: list[Row]) -> list[Row]:
    """Return so many rows as a table shows, both ends among them."""
    if len(best) <= BEST_SHOWN:
        return best
    return [best[place * (len(best) - 1) // (BEST_SHOWN - 1)] for place in range(BEST_SHOWN)]
