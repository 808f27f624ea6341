"""The driver: trials go out in batches, come back in any order, and are safe before they are told.

All that it touches is handed in: an executor, a store, a clock. So a test can drive it through any
order of events (tests/simulation).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from time import monotonic

from sweep.engine.batching import Pace, enough, next_batches
from sweep.engine.executor import Executor, Failure, Result
from sweep.engine.in_flight import InFlight
from sweep.engine.inputs import Inputs
from sweep.engine.known import Known
from sweep.engine.over_scenarios import Judge
from sweep.engine.recording import Recorder, Settled, settle
from sweep.engine.rows import Evaluated
from sweep.engine.trials import Keys, Trial
from sweep.results import Row, RunStore
from sweep.study.model import Study

#: A trial is given up after so many failures alone.
MAX_ATTEMPTS = 3
#: A trial that was lost so often with where it was replayed may have been to blame for it.
MOST_LOSSES = 8
#: Batches that are out for each worker: one it works on, and one so that it never waits.
IN_FLIGHT = 2
#: Settled trials wait so long before they are acknowledged, and acknowledged ones before they are
#: merged into the database, which copies it; or, where that takes long, ten times as long as the
#: last one took.
ACKNOWLEDGE_S, MERGE_S, SHARE = 0.25, 5.0, 0.1
#: How long to wait for a batch before looking whether something is due.
LOOK_S = 0.1


class Starting:
    """What starts the executors of a run, each when it is first needed."""

    def __init__(self, executor: Callable[[], Executor], alone: Callable[[], Executor]) -> None:
        self.executor, self.alone = executor, alone


class Driver:
    """The trials of one run: where their rows come from and where they go.

    Parameters
    ----------
    study, inputs
        The study and its workloads.
    store
        The database.
    starting
        Starts the executors.
    finished
        What is called with the row of each new trial, once it is safe on disk.
    clock
        Returns seconds that go on whatever the time of day.
    """

    def __init__(
        self,
        study: Study,
        inputs: Inputs,
        store: RunStore,
        starting: Starting,
        finished: Callable[[Row], None],
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self.keys = Keys(study, inputs)
        self._study, self._store, self._starting = study, store, starting
        self._finished, self._clock = finished, clock
        self._judge = Judge(study)
        self._recorder = Recorder(study, inputs, self.keys, store)
        with store.database.reading():
            self.recorded = {
                (row["role"], row["number"]): row for row in store.database.recorded(study.study)
            }
            self._attempts = {
                (row["role"], row["number"]): row for row in store.database.attempts(study.study)
            }
            self._known = Known(store, inputs.code_digest, self.keys)
        spool = store.spool
        self._in_flight = InFlight(spool.folder, study.study, self._known, spool.files)
        self._pace = Pace()
        # Trials without a row, by what they have in common: the first is replayed, and settles all.
        self._alike: dict[str, list[Trial]] = {}
        self._waiting: deque[Trial] = deque()
        self._cut: deque[list[Trial]] = deque()  # batches that no worker has room for yet
        self._to_try_alone: deque[Trial] = deque()
        # Batches that executors have, by number.
        self._out: dict[int, tuple[Executor, list[Trial]]] = {}
        self._batches = 0
        self._executor: Executor | None = None
        self._alone: Executor | None = None
        # Settled trials: those that are in no table yet, and those that nobody was told of.
        self._unrecorded: list[Settled] = []
        self._untold: list[Trial] = []
        self._acknowledge_at = clock()  # the first at once
        self._merge_at = clock() + MERGE_S

    @property
    def died_with(self) -> int:
        """How many policies were in flight when the driver before this one died."""
        return self._in_flight.died_with

    def add(self, trials: Iterable[Trial]) -> None:
        """Take trials on that have no row: each is looked up, or will be replayed."""
        found: list[Trial] = []
        for trial in trials:
            before = self._attempts.get(trial.place)
            if before is not None:
                # An earlier run was stopped while this trial failed: go on counting.
                trial.attempts, trial.error = before["attempts"], before["error"]
            if trial.key in self._alike:
                self._alike[trial.key].append(trial)
            elif trial.key in self._known:
                found.append(trial)
            else:
                self._alike[trial.key] = [trial]
                self._wait(trial)
        self._look_up(found)

    def _wait(self, trial: Trial) -> None:
        if trial.attempts >= MAX_ATTEMPTS:
            self._give_up(trial)
        elif trial.attempts or self._in_flight.suspects(trial.key):
            self._to_try_alone.append(trial)
        else:
            self._waiting.append(trial)

    @property
    def hungry(self) -> bool:
        """Whether workers would soon have nothing to do."""
        workers = self._executor.workers if self._executor is not None else 1
        return not enough(self._waiting, self._pace, workers)

    @property
    def busy(self) -> bool:
        """Whether some trials have no row yet."""
        return bool(self._alike)

    def advance(self) -> None:
        """Hand batches out, write down what is due, and settle what comes back."""
        self._hand_out()
        # Now, while workers replay: at the end of a generation, which is asked for next, they wait.
        now = self._clock()
        if now >= self._acknowledge_at and (self._unrecorded or self._untold):
            self.acknowledge()
        if self._clock() >= self._merge_at:
            self._merge()
        if self._out or self._waiting:  # what waits may have to be compiled first
            executors = list(dict.fromkeys(executor for executor, _ in self._out.values()))
            if self._executor is not None and not executors:
                executors = [self._executor]
            # One waits; where there are two, each a part of the time. One that has nothing is not
            # asked: 120 trials that are tried alone took 7.6 s so, in place of 2.2.
            wait_s = LOOK_S / len(executors)
            ended = [each for executor in executors for each in executor.finished(wait_s)]
            for number, result in ended:
                self._take_back(number, result)
            if ended:
                self._hand_out()

    def acknowledge(self) -> None:
        """Write down the rows of settled trials, and tell of them once they are safe."""
        start = self._clock()
        self._recorder.record(self._unrecorded)
        self._unrecorded = []
        self._store.acknowledge()
        told, self._untold = self._untold, []
        for trial in told:
            assert trial.row is not None
            self._finished(trial.row)
        end = self._clock()
        self._acknowledge_at = end + max(ACKNOWLEDGE_S, (end - start) / SHARE)

    def _merge(self) -> None:
        start = self._clock()
        self._store.merge()
        end = self._clock()
        self._merge_at = end + max(MERGE_S, (end - start) / SHARE)

    def close(self) -> None:
        """Stop the executors, and write down all that is settled."""
        with ExitStack() as stack:  # whatever becomes of one of them, from the last to the first
            stack.callback(self._store.merge)
            stack.callback(self.acknowledge)
            stack.callback(self._in_flight.close)
            for executor in (self._executor, self._alone):
                if executor is not None:
                    stack.callback(executor.close)

    def _look_up(self, trials: list[Trial]) -> None:
        """Copy the rows of trials that had the same policy, events, costs and simulator."""
        if not trials:
            return
        self.acknowledge()
        for trial in trials:
            self._alike.setdefault(trial.key, []).append(trial)
        firsts = {trial.key: self._alike[trial.key][0] for trial in trials}
        keys, evaluated = self._known.evaluated(list(firsts))
        self._settle([firsts[key] for key in keys], evaluated)
        for key in firsts.keys() - set(keys):  # the database has lost it meanwhile
            self._wait(firsts[key])

    def _hand_out(self) -> None:
        if not self._waiting and not self._cut and not self._to_try_alone:
            return
        if self._executor is None:
            self._executor = self._starting.executor()
        executor = self._executor
        self._try_alone(executor)
        while self._has_room(executor):
            if not self._cut:
                workers, takes = executor.workers, executor.takes
                self._cut.extend(next_batches(self._waiting, self._pace, workers, takes))
            if not self._cut:
                return
            self._submit(executor, self._cut.popleft())

    def _has_room(self, executor: Executor) -> bool:
        out = sum(each is executor for each, _ in self._out.values())
        return out < IN_FLIGHT * executor.workers

    def _try_alone(self, usual: Executor) -> None:
        """Hand trials out one by one: where they kill nobody else, if they are suspected."""
        for _ in range(len(self._to_try_alone)):
            trial = self._to_try_alone.popleft()
            executor = usual
            if self._in_flight.suspects(trial.key) and not usual.isolates:
                if self._alone is None:
                    self._alone = self._starting.alone()
                executor = self._alone
            if self._has_room(executor):
                self._submit(executor, [trial])
            else:
                self._to_try_alone.append(trial)

    def _submit(self, executor: Executor, batch: list[Trial]) -> None:
        self._batches += 1
        self._out[self._batches] = (executor, batch)
        if not executor.isolates:
            self._in_flight.begin(self._batches, [trial.key for trial in batch])
        executor.submit(self._batches, [each for trial in batch for each in trial.candidates])

    def _take_back(self, number: int, result: Result) -> None:
        _, batch = self._out.pop(number)
        self._in_flight.end(number)
        if isinstance(result, Failure):
            self._fail(batch, result)
            return
        self._pace.learn(batch, result.seconds)
        self._settle(batch, result.evaluated)

    def _fail(self, batch: list[Trial], failure: Failure) -> None:
        """Try trials of a batch again: each alone, so that one that fails counts for no other."""
        if failure.lost:
            for trial in batch:
                trial.losses += 1
            if batch[0].losses < MOST_LOSSES:
                self._waiting.extendleft(reversed(batch))
                return
        if len(batch) == 1:
            (trial,) = batch
            trial.attempts += 1
            trial.error = failure.error
            place = {"study": self._study.study, "role": trial.role, "number": trial.number}
            counted = {"attempts": trial.attempts, "error": trial.error}
            self._store.add("attempts", place | counted)
            self._store.acknowledge()
        for trial in batch:
            if trial.attempts >= MAX_ATTEMPTS:
                self._give_up(trial)
            else:
                self._to_try_alone.append(trial)

    def _give_up(self, trial: Trial) -> None:
        for twin in self._alike.pop(trial.key):
            twin.attempts, twin.error = trial.attempts, trial.error
            settle(twin, None, trial.error)
            self._note([twin], None)

    def _settle(self, trials: list[Trial], evaluated: Evaluated) -> None:
        """Give trials their rows, and those that are like them."""
        worlds = len(self.keys.worlds)
        rows = evaluated.outcomes.select(self._judge.metrics).to_pylist()
        settled: list[Trial] = []
        places: list[int] = []
        for i, trial in enumerate(trials):
            worth = self._judge(rows[i * worlds : (i + 1) * worlds])
            for twin in self._alike.pop(trial.key):
                settle(twin, worth)
                settled.append(twin)
                places += range(i * worlds, (i + 1) * worlds)
        if len(settled) > len(trials):
            evaluated = evaluated.take(places)
        if settled:
            self._note(settled, evaluated)

    def _note(self, trials: list[Trial], evaluated: Evaluated | None) -> None:
        self._unrecorded.append(Settled(trials, evaluated))
        self._untold += trials
        if evaluated is not None:
            # What failed stays suspected: another trial may ask for its policy.
            self._in_flight.forget(trial.key for trial in trials)
            self._known.add(trials, evaluated)
