"""The words at the top of a report: the answer in sentences, and the table of policies."""

from __future__ import annotations

from sweep.report.sql import FRONT
from sweep.report.study_results import BEST_SHOWN, StudyResults
from sweep.report.systems import systems_sql
from sweep.results import MODEL_VERSION, Row
from sweep.results.questions import columns_shown, of_another_version, shown_of
from sweep.results.wording import label_of, percent, plain_name, readable, settings_of, system_of
from sweep.study.model import Objective, Study

#: The most baselines, and the most systems, that the answer names; the figures show all.
MOST_NAMED = 8


def answer_sentences(results: StudyResults) -> list[str]:
    """Return the sentences that answer the study's question."""
    return [
        *_version(results),
        *_best(results),
        *_systems(results),
        *_baselines(results),
        *_unfinished(results),
    ]


def _version(results: StudyResults) -> list[str]:
    """Return what is told of a study that another version of the model ran."""
    version = results.model_version
    return [] if version == MODEL_VERSION else [of_another_version(version)]


def _best(results: StudyResults) -> list[str]:
    """Return what the best trial has; for several objectives, the best of each."""
    study, chosen = results.study, results.chosen
    complete = results.counts["complete"]
    trials = f"{complete:,} complete {'trial' if complete == 1 else 'trials'}"
    if chosen is None:
        bounds = ", ".join(constraint.metric for constraint in study.constraints)
        return [f"None of {trials} keeps every constraint (on {bounds})."]
    first, *others = study.objectives
    ideal = chosen["share_of_ideal"]
    share = f", share_of_ideal {percent(ideal)}" if ideal is not None else ""
    policy = f"{label_of(study, chosen)} ({settings_of(study, chosen)})"
    apart = ", the ideal apart" if len(results.best) < len(results.best) else ""
    if not others:
        return [
            f"{_most(first)} of {trials}{apart}: {policy} with {_values(study, chosen)}{share}."
        ]
    number = f"{len(results.best):,}" if len(results.best) < FRONT else f"at least {FRONT:,}"
    sentences = [
        f"Best trade-offs (the Pareto set): {number} of {trials}.",
        f"{_most(first)}{apart}: {policy} with {_values(study, chosen)}{share}.",
    ]
    for other in others:
        best = max if other.direction == "maximize" else min
        value = best(row[other.metric] for row in results.best)
        # Of trials with this value, the first in the list has the best first objective.
        end = next(row for row in results.best if row[other.metric] == value)
        if end["number"] != chosen["number"]:
            policy = f"{label_of(study, end)} ({settings_of(study, end)})"
            sentences.append(f"{_most(other)}: {policy} with {_values(study, end)}.")
    return sentences


def _most(objective: Objective) -> str:
    word = "Most" if objective.direction == "maximize" else "Least"
    return f"{word} {plain_name(objective.metric)}"


def _values(study: Study, row: Row) -> str:
    """Return the values of a trial's objectives in words."""
    metrics = [objective.metric for objective in study.objectives]
    metrics = [metric for metric in metrics if row[metric] is not None]
    return ", ".join(f"{plain_name(name)} {readable(name, row[name])}" for name in metrics)


def _systems(results: StudyResults) -> list[str]:
    """Return what the best trial of each system has, where there are several."""
    study = results.study
    rows = [row for row in results.read(systems_sql(results, 0)) if row["role"] == "trial"]
    if len(rows) < 2:
        return []
    first = study.objectives[0].metric
    parts = [
        f"{system_of(study, row)} {readable(first, row[first])} ({label_of(study, row)})"
        for row in rows[:MOST_NAMED]
    ]
    more = f"; and {len(rows) - MOST_NAMED} more" if len(rows) > MOST_NAMED else ""
    return [f"Best {plain_name(first)} of each system: {'; '.join(parts)}{more}."]


def _baselines(results: StudyResults) -> list[str]:
    """Return what the baselines have, the best first."""
    study = results.study
    first = study.objectives[0]
    rows = [row for row in results.baselines if row[first.metric] is not None]
    if not rows:
        return []
    rows.sort(key=lambda row: row[first.metric], reverse=first.direction == "maximize")
    single = len(study.objectives) == 1
    parts = [
        f"{label_of(study, row)} "
        + (readable(first.metric, row[first.metric]) if single else f"with {_values(study, row)}")
        for row in rows[:MOST_NAMED]
    ]
    more = f"; and {len(rows) - MOST_NAMED} more" if len(rows) > MOST_NAMED else ""
    return [f"Baselines: {'; '.join(parts)}{more}."]


def _unfinished(results: StudyResults) -> list[str]:
    """Return how many trials are done, where some are not."""
    counts = results.counts
    done = counts["complete"] + counts["failed"]
    if counts["n_trials"] is None or done >= counts["n_trials"]:
        return []
    total = counts["n_trials"]
    return [f"Unfinished: {done:,} of {total:,} trials are done, and this is what they say."]


def policies_table(results: StudyResults) -> list[dict[str, str]]:
    """Return the rows of the table of policies, values in words: best trials, then baselines."""
    study = results.study
    metrics = [objective.metric for objective in study.objectives]
    names = list(dict.fromkeys([*metrics, "share_of_ideal", *columns_shown(study)[1:]]))
    rows = []
    best = results.best if len(metrics) == 1 else _spread(results.best)
    for row in [*best, *results.baselines]:
        shown = shown_of(study, row, names)
        cells = {plain_name(name): readable(name, value) for name, value in shown.items()}
        rows.append({"policy": label_of(study, row)} | cells)
    return rows


def policies_caption(results: StudyResults) -> str:
    """Return the caption of the table of policies."""
    trials, shown = len(results.best), len(_spread(results.best))
    if len(results.study.objectives) == 1:
        kind = "The best trial of each policy" if results.study.policies else "The best trials"
        return f"{kind} (of equal ones the first), then the baselines."
    part = f"{shown} of its {trials:,} trials, from end to end" if shown < trials else "all of it"
    return f"The Pareto set, {part}; then the baselines."


def _spread(best: list[Row]) -> list[Row]:
    """Return as many rows as the table shows, evenly spread, the first and last among them."""
    if len(best) <= BEST_SHOWN:
        return best
    return [best[place * (len(best) - 1) // (BEST_SHOWN - 1)] for place in range(BEST_SHOWN)]
