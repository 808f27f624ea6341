"""The loop of a run: ask generations, have their trials settled, tell them in order."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Iterator
from time import monotonic
from typing import Protocol

from sweep.engine.candidates import baseline, candidates
from sweep.engine.driver import Driver, Starting
from sweep.engine.inputs import Inputs
from sweep.engine.search import Search, SearchError, grid_size
from sweep.engine.trials import Trial
from sweep.results import Row, RunStore
from sweep.study.model import Study
from sweep.study.samplers import SAMPLERS
from sweep.study.values import MAX_TRIALS


class Progress(Protocol):
    """What a run tells as it goes."""

    def compiling(self, ended: int, missing: int) -> None:
        """Of the `missing` loops that had to be compiled, so many have ended."""

    def began(self, total: int, recorded: int) -> None:
        """The run has `total` trials, `recorded` of them from before."""

    def finished(self, row: Row) -> None:
        """One more trial, or baseline, is safe on disk."""


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
    store: RunStore,
    starting: Starting,
    progress: Progress,
    clock: Callable[[], float] = monotonic,
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
    starting
        Starts executors, when there is something to replay.
    progress
        What is told of trials once they are safe.
    clock
        Returns seconds that go on whatever the time of day.
    """
    driver = Driver(study, inputs, store, starting, progress.finished, clock)
    # Of S subspaces the first has the trials 0, S, 2S …, so that each can be searched further.
    spaces = [
        (study.within(subspace), trials_within(study.within(subspace)))
        for subspace in study.subspaces
    ]
    done = [
        sum(("trial", place + k * len(spaces)) in driver.recorded for k in range(total))
        for place, (_, total) in enumerate(spaces)
    ]
    progress.began(number_of_trials(study), sum(done))
    try:
        driver.add(_baselines(study, driver))
        for place, (within, total) in enumerate(spaces):
            if done[place] < total:
                _run_subspace(within, driver, total, place, len(spaces))
        while driver.busy:
            driver.advance()
    finally:
        driver.close()


def _baselines(study: Study, driver: Driver) -> Iterator[Trial]:
    for number, fields in enumerate(study.baselines):
        if ("baseline", number) not in driver.recorded:
            yield driver.keys.trial("baseline", number, baseline(fields, driver.keys.worlds))


def _run_subspace(study: Study, driver: Driver, total: int, place: int, subspaces: int) -> None:
    """Search one subspace; its trial `k` is number `place + k * subspaces` of the study.

    A generation is asked for once the one before is told, unless what the sampler asks for does not
    depend on what it is told: then, before workers have nothing to do.
    """
    search = Search(study)
    asks_ahead = SAMPLERS[study.sampler.name].asks_ahead
    asked: deque[dict[int, Trial]] = deque()  # generations, by number in the search
    for number, first in enumerate(range(0, total, study.generation)):
        while asked and not (asks_ahead and driver.hungry):
            _tell_settled(search, asked)
            if asked:
                driver.advance()
        numbers = range(first, min(first + study.generation, total))
        rows = [driver.recorded.get(("trial", place + k * subspaces)) for k in numbers]
        whole = [row for row in rows if row is not None]
        if len(whole) == study.generation:
            search.replay(
                number,
                [
                    (k, json.loads(row["asked"]), _told(row))
                    for k, row in zip(numbers, whole, strict=True)
                ],
            )
            continue
        trials = {
            k: driver.keys.trial(
                "trial",
                place + k * subspaces,
                candidates(study, parameters, driver.keys.worlds),
                parameters,
                place,
            )
            for k, parameters in search.ask(number, len(numbers))
        }
        for trial, row in zip(trials.values(), rows, strict=True):
            _resume(trial, row)
        driver.add(trial for trial in trials.values() if trial.row is None)
        asked.append(trials)
    while asked:
        _tell_settled(search, asked)
        if asked:
            driver.advance()


def _tell_settled(search: Search, asked: deque[dict[int, Trial]]) -> None:
    """Tell the search the generations that are settled, in order."""
    while asked and all(trial.row is not None for trial in asked[0].values()):
        for k, trial in asked.popleft().items():
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
