"""The loop of a run: ask a generation, settle its trials, tell them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from sweep.batch import Row, baseline, candidate
from sweep.cluster import Executor
from sweep.inputs import Inputs
from sweep.results import OUTCOME_COLUMNS, Store
from sweep.search import Search, SearchError, grid_size
from sweep.study import Study
from sweep.trials import Trial, Trials


class Progress(Protocol):
    """What a run tells as it goes."""

    def began(self, total: int, recorded: int) -> None:
        """The run has `total` trials, `recorded` of them from before."""

    def finished(self, row: Row) -> None:
        """One more trial, or baseline, has its row."""


def number_of_trials(study: Study) -> int:
    """Return how many trials a study has: what it says, or all points of its grid."""
    return study.n_trials if study.n_trials is not None else grid_size(study)


def run_study(
    study: Study,
    inputs: Inputs,
    store: Store,
    executor: Callable[[], Executor],
    progress: Progress,
) -> None:
    """Run every trial that is not recorded yet; what was finished is recorded on any exit.

    The executor is started when there is something to replay.
    """
    trials = Trials(study, inputs, store, executor, progress.finished)
    total = number_of_trials(study)
    done = sum(role == "trial" and number < total for role, number in trials.recorded)
    progress.began(total, done)
    try:
        _run_baselines(study, trials)
        if done < total:
            _run_generations(study, trials, total)
    finally:
        trials.close()


def _run_baselines(study: Study, trials: Trials) -> None:
    made = [
        trials.make("baseline", number, baseline(study, fields))
        for number, fields in enumerate(study.baselines)
    ]
    trials.settle([one for one in made if ("baseline", one.number) not in trials.recorded])


def _run_generations(study: Study, trials: Trials, total: int) -> None:
    search = Search(study)
    for generation, first in enumerate(range(0, total, study.generation)):
        numbers = range(first, min(first + study.generation, total))
        rows = [trials.recorded.get(("trial", number)) for number in numbers]
        whole = [row for row in rows if row is not None]
        if len(whole) == study.generation:
            search.replay(
                generation,
                [(row["number"], search.parameters_of(row), _outcome(row)) for row in whole],
            )
            continue
        asked = search.ask(generation, len(numbers))
        made = [trials.make("trial", number, candidate(study, asks)) for number, asks in asked]
        for one, row in zip(made, rows, strict=True):
            _resume(one, row)
        trials.settle(made)
        for one in made:
            search.tell(one.number, _outcome(one.row))


def _resume(trial: Trial, row: Row | None) -> None:
    """Give a trial its row from before, if it is the trial that is asked for now."""
    if row is None:
        return
    changed = [name for name, value in trial.candidate.row.items() if row[name] != value]
    if changed:
        raise SearchError(
            f"trial {trial.number}: the sampler asks for another {', '.join(changed)} than is "
            "recorded: another version of optuna? --new starts afresh"
        )
    trial.row = row


def _outcome(row: Row | None) -> Row | None:
    """Return the outcomes in a row, or None of a trial that could not be replayed."""
    if row is None or row["stored"] is None:
        return None
    return {name: row[name] for name in OUTCOME_COLUMNS}
