"""Trials that are recorded already: made again from their rows, as of those that failed."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator

from sweep.engine.candidates import baseline, candidates
from sweep.engine.trials import Keys, Trial
from sweep.results import Row
from sweep.study.model import Study


def without_outcomes(rows: Iterable[Row]) -> list[Row]:
    """Return the rows of trials and baselines that failed before they had outcomes."""
    return [row for row in rows if row["state"] == "fail" and row["objectives"] is None]


def retried(study: Study, keys: Keys, rows: Iterable[Row]) -> Iterator[Trial]:
    """Yield the trials of rows that are to be tried again."""
    for row in rows:
        trial = trial_of(study, keys, row)
        trial.is_retried = True
        yield trial


def trial_of(study: Study, keys: Keys, row: Row) -> Trial:
    """Return the trial, or the baseline, of a recorded row, without what became of it.

    Raises
    ------
    LookupError, ValueError, TypeError, AttributeError
        When the row says nothing that the study could try.
    """
    role, number = row["role"], row["number"]
    if role == "baseline":
        if not 0 <= number < len(study.baselines):
            raise LookupError(f"the study has {len(study.baselines)} baselines")
        return keys.trial(role, number, baseline(study.baselines[number], keys.worlds))
    # Of S subspaces the first has the trials 0, S, 2S …
    place = number % len(study.subspaces)
    within = study.within(study.subspaces[place])
    asked = json.loads(row["asked"] or "")
    return keys.trial(role, number, candidates(within, asked, keys.worlds), asked, place)
