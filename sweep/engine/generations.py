"""The loop of a run: ask a generation, settle its trials, tell them."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Protocol

from sweep.engine.candidates import baseline, candidates
from sweep.engine.executor import Executor
from sweep.engine.inputs import Inputs
from sweep.engine.search import Search, SearchError, grid_size
from sweep.engine.trials import Trial, Trials
from sweep.results import Row, Store
from sweep.study.model import Study
from sweep.study.samplers import SAMPLERS
from sweep.study.values import MAX_TRIALS


class Progress(Protocol):
    """What a run tells as it goes."""

    def began(self, total: int, recorded: int) -> None:
        """The run has `total` trials, `recorded` of them from before."""

    def finished(self, row: Row) -> None:
        """One more trial, or baseline, has its row."""


def number_of_trials(study: Study) -> int:
    """Return how many trials a study has, in all its subspaces."""
    return sum(trials_within(study.within(subspace)) for subspace in study.subspaces)


def trials_within(study: Study) -> int:
    """Return the trials of one subspace: what the study says, or all points of its grid."""
    if not study.parameters:
        return 1
    if not SAMPLERS[study.sampler.name].enumerates:
        return study.n_trials or 1
    return min(grid_size(study), study.n_trials or MAX_TRIALS)


def run_study(
    study: Study,
    inputs: Inputs,
    store: Store,
    executor: Callable[[], Executor],
    progress: Progress,
) -> None:
    """Run every trial that is not recorded yet; what was finished is recorded on any exit.

    Parameters
    ----------
    study
        The study.
    inputs
        Its workloads.
    store
        The database.
    executor
        Returns the executor, started; it is called when there is something to replay.
    progress
        What is told of trials as they end.
    """
    trials = Trials(study, inputs, store, executor, progress.finished)
    # Of S subspaces the first has the trials 0, S, 2S …, so that each can be searched further.
    spaces = [
        (study.within(subspace), trials_within(study.within(subspace)))
        for subspace in study.subspaces
    ]
    done = [
        sum(("trial", place + k * len(spaces)) in trials.recorded for k in range(total))
        for place, (_, total) in enumerate(spaces)
    ]
    progress.began(number_of_trials(study), sum(done))
    try:
        _run_baselines(study, trials)
        for place, (within, total) in enumerate(spaces):
            if done[place] < total:
                _run_generations(within, trials, total, place, len(spaces))
    finally:
        trials.close()


def _run_baselines(study: Study, trials: Trials) -> None:
    waiting = [
        trials.make("baseline", number, baseline(fields, trials.worlds))
        for number, fields in enumerate(study.baselines)
        if ("baseline", number) not in trials.recorded
    ]
    trials.settle(waiting)


def _run_generations(study: Study, trials: Trials, total: int, place: int, subspaces: int) -> None:
    """Search one subspace; its trial `k` is number `place + k * subspaces` of the study."""
    search = Search(study)
    for generation, first in enumerate(range(0, total, study.generation)):
        numbers = range(first, min(first + study.generation, total))
        rows = [trials.recorded.get(("trial", place + k * subspaces)) for k in numbers]
        whole = [row for row in rows if row is not None]
        if len(whole) == study.generation:
            search.replay(
                generation,
                [
                    (k, json.loads(row["asked"]), _told(row))
                    for k, row in zip(numbers, whole, strict=True)
                ],
            )
            continue
        asked = search.ask(generation, len(numbers))
        generation_trials = [
            trials.make(
                "trial",
                place + k * subspaces,
                candidates(study, parameters, trials.worlds),
                parameters,
                place,
            )
            for k, parameters in asked
        ]
        for trial, row in zip(generation_trials, rows, strict=True):
            _resume(trial, row)
        trials.settle(generation_trials)
        for (k, _), trial in zip(asked, generation_trials, strict=True):
            search.tell(k, _told(trial.row))


def _resume(trial: Trial, row: Row | None) -> None:
    """Give a trial its row from before, if it is the trial that is asked for now."""
    if row is None:
        return
    before = json.loads(row["asked"])
    changed = [name for name, value in trial.asked.items() if before.get(name) != value]
    if changed:
        raise SearchError(
            f"trial {trial.number}: the sampler asks for another {', '.join(changed)} than is "
            "recorded: another version of optuna? --new starts afresh"
        )
    trial.row = row


def _told(row: Row | None) -> Row | None:
    """Return what the sampler is told of a trial, or None of one that has no outcomes."""
    return None if row is None or row["state"] != "complete" else row
