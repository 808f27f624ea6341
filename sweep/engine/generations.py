"""The loop of a run: ask generations, have their trials settled, tell them in order."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from time import monotonic
from typing import Protocol

from sweep.engine.candidates import baseline, candidates
from sweep.engine.driver import Driver
from sweep.engine.handed_out import Starting
from sweep.engine.inputs import Inputs
from sweep.engine.retrying import retried, without_outcomes
from sweep.engine.search import Search, SearchError
from sweep.engine.shards import Shard
from sweep.engine.stopping import Stopping
from sweep.engine.trials import Trial
from sweep.results import Row, RunStore
from sweep.results.reading import told_contradictions
from sweep.study.model import Study
from sweep.study.points import grid_size
from sweep.study.samplers import SAMPLERS
from sweep.study.values import MAX_TRIALS


class Progress(Protocol):
    """What a run tells as it goes."""

    def compiling(self, ended: int, missing: int) -> None:
        """Of the `missing` loops that had to be compiled, so many have ended."""

    def making(self, workload: str, done: int, total: int) -> None:
        """Of the `total` accesses that a workload is made from, so many are read."""

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
    shard: Shard | None = None,
    note: Callable[[str], None] = lambda line: None,
    retry_failed: bool = False,
) -> str | None:
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
    shard
        The share of the trials that is run, beside all baselines; None for all.
    note
        What is called with each line that the user should know of.
    retry_failed
        Whether trials that an earlier run recorded as failed are tried again.

    Returns
    -------
    str or None
        Why a search ended before its last trial, as the study's `stop` says; None if none did.
    """
    driver = Driver(study, inputs, store, starting, progress.finished, clock, note)
    if driver.died_with:
        note(
            f"the last run died with {driver.died_with} policies in flight, which counts for none; "
            "one that is in flight at two deaths is replayed alone, in a process of its own"
        )
    # Of S subspaces the first has the trials 0, S, 2S …, so that each can be searched further.
    spaces = [
        _Subspace(driver, study.within(subspace), place, len(study.subspaces), shard, clock)
        for place, subspace in enumerate(study.subspaces)
    ]
    failed = _to_retry(study, driver, spaces, note, retry_failed)
    done = sum(space.done for space in spaces) - sum(row["role"] == "trial" for row in failed)
    progress.began(sum(len(space.numbers) for space in spaces), done)
    reasons = []
    try:
        driver.add(_baselines(study, driver))
        with told_contradictions(store.path):
            again = list(retried(study, driver.keys, failed))
        driver.add(again)
        left = [space for space in spaces if space.done < len(space.numbers)]
        for space in left:
            reasons.append(space.run(inputs.have_single_pages()))
        for space in left:
            space.finish()
        while driver.busy:
            driver.advance()
    finally:
        driver.close()
    return next((reason for reason in reasons if reason is not None), None)


def _to_retry(
    study: Study,
    driver: Driver,
    spaces: Sequence[_Subspace],
    note: Callable[[str], None],
    retry: bool,
) -> list[Row]:
    """Return the rows of trials to be tried again; where nobody asked for that, tell of them."""
    places = {("trial", number) for space in spaces for number in space.numbers}
    places |= {("baseline", number) for number in range(len(study.baselines))}
    rows = without_outcomes(row for place, row in driver.recorded.items() if place in places)
    if rows and not retry:
        note(
            f"{len(rows)} trials and baselines failed in earlier runs, and are not tried again; "
            "--retry-failed tries them"
        )
    return rows if retry else []


def _baselines(study: Study, driver: Driver) -> Iterator[Trial]:
    for number, fields in enumerate(study.baselines):
        if ("baseline", number) not in driver.recorded:
            yield driver.keys.trial("baseline", number, baseline(fields, driver.keys.worlds))


class _Subspace:
    """The search of one subspace; its trial `k` is number `place + k * subspaces` of the study."""

    def __init__(
        self,
        driver: Driver,
        study: Study,
        place: int,
        subspaces: int,
        shard: Shard | None,
        clock: Callable[[], float],
    ) -> None:
        self._driver, self._study, self._shard = driver, study, shard
        self._place, self._subspaces = place, subspaces
        self._total = trials_within(study)
        # Each has an equal part of the time: else the first would leave the others none.
        self._stopping = Stopping(study, clock, (place + 1) / subspaces)
        # Generations that are asked for and not told yet: trials by number in the search.
        self._asked: deque[dict[int, Trial]] = deque()
        #: The numbers of the trials that are run here.
        self.numbers = [
            number for number in map(self._number, range(self._total)) if self._has(number)
        ]
        self.done = sum(("trial", number) in driver.recorded for number in self.numbers)

    def _number(self, k: int) -> int:
        return self._place + k * self._subspaces

    def _has(self, number: int) -> bool:
        return self._shard is None or self._shard.has(number)

    def run(self, single_pages: bool) -> str | None:
        """Ask for the trials that are not recorded; return why the search ended before the last.

        What is asked for last is out when this returns, so that the next subspace begins meanwhile:
        of one without parameters that is all, a single trial.

        A generation is asked for once the one before is told, unless what the sampler asks for
        does not depend on what it is told: then, before workers have nothing to do. Where the
        search may end by what is told, how far it goes would depend on them: it is not asked then.
        """
        self._search = search = Search(self._study, single_pages)
        asks_ahead = (
            SAMPLERS[self._study.sampler.name].asks_ahead and self._study.stop.patience is None
        )
        size = self._study.generation
        reason = None
        for generation, first in enumerate(range(0, self._total, size)):
            while self._asked and not (asks_ahead and self._driver.hungry):
                self._advance()
            ks = range(first, min(first + size, self._total))
            recorded = [self._driver.recorded.get(("trial", self._number(k))) for k in ks]
            rows = [row for row in recorded if row is not None]
            if len(rows) == size:
                self._replay(generation, ks, rows)
                continue
            reason = self._stopping.reason()
            if reason is not None:
                break
            asked = search.ask(generation, len(ks))
            trials = {
                k: self._trial(k, parameters, row)
                for (k, parameters), row in zip(asked, recorded, strict=True)
                # Those of other shares are asked for and never told, and that decides nothing.
                if row is not None or self._has(self._number(k))
            }
            self._driver.add(trial for trial in trials.values() if trial.row is None)
            self._asked.append(trials)
        return reason

    def finish(self) -> None:
        """Wait for all that is asked for."""
        while self._asked:
            self._advance()

    def _trial(self, k: int, parameters: Row, row: Row | None) -> Trial:
        keys = self._driver.keys
        made = candidates(self._study, parameters, keys.worlds)
        trial = keys.trial("trial", self._number(k), made, parameters, self._place)
        with told_contradictions(self._driver.database):
            _resume(trial, row)
        return trial

    def _replay(self, generation: int, ks: Sequence[int], rows: Sequence[Row]) -> None:
        """Bring in a generation that is recorded, after those that are asked for."""
        self.finish()
        with told_contradictions(self._driver.database):
            told = [_told(row) for row in rows]
            before = [json.loads(row["asked"]) for row in rows]
            self._search.replay(generation, list(zip(ks, before, told, strict=True)))
            self._stopping.tell(told)

    def _advance(self) -> None:
        """Tell of the generations that are settled, in order, or wait for more."""
        while self._asked and all(trial.row is not None for trial in self._asked[0].values()):
            trials = self._asked.popleft()
            for k, trial in trials.items():
                self._search.tell(k, _told(trial.row))
            self._stopping.tell([_told(trial.row) for trial in trials.values()])
        if self._asked:
            self._driver.advance()


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
    """Return what the sampler is told of a trial, or None of one that has no outcomes.

    One that failed, and was tried again later, has failed for the search: what it asked for next it
    asked for without that trial.
    """
    if row is None or row["state"] != "complete" or row["retried"]:
        return None
    return row
