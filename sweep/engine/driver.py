"""The driver: trials go out in batches, come back in any order, and are safe before they are told.

All that it touches is handed in: an executor, a store, a clock. So a test can drive it through any
order of events (tests/simulation).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from datetime import UTC, datetime
from math import isqrt
from time import monotonic

from sweep.engine.batching import Pace, enough, next_batches
from sweep.engine.executor import Cause, Executor, Failure, Result
from sweep.engine.handed_out import HandedOut, Out, Starting
from sweep.engine.in_flight import InFlight
from sweep.engine.inputs import Inputs
from sweep.engine.known import Known
from sweep.engine.lateness import Lateness
from sweep.engine.over_scenarios import Judge
from sweep.engine.pressure import Pressure
from sweep.engine.recording import Recorder, Settled, settle
from sweep.engine.rows import Evaluated
from sweep.engine.trials import Keys, Trial
from sweep.results import Row, RunStore
from sweep.study.model import Study

#: A trial is given up after so many failures of its own.
MAX_ATTEMPTS = 3
#: A trial that was lost so often with where it was replayed may have been to blame for it: it is
#: tried where nothing but itself can be lost.
MOST_LOSSES = 8
#: Settled trials wait so long before they are acknowledged, and acknowledged ones before they are
#: merged into the database, which copies it; or, where that takes long, ten times as long as the
#: last one took.
ACKNOWLEDGE_S, MERGE_S, SHARE = 0.25, 5.0, 0.1
#: How long to wait for a batch before looking whether something is due, and how often to look for
#: batches that take too long.
LOOK_S, LATE_S = 0.1, 1.0


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
    note
        What is called with each line that the user should know of.
    """

    def __init__(
        self,
        study: Study,
        inputs: Inputs,
        store: RunStore,
        starting: Starting,
        finished: Callable[[Row], None],
        clock: Callable[[], float] = monotonic,
        note: Callable[[str], None] = lambda line: None,
    ) -> None:
        self.keys = Keys(study, inputs)
        self._study, self._store = study, store
        #: The file that errors name.
        self.database = store.path
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
        self._handed = HandedOut(starting, self._in_flight)
        self._pace = Pace(study.trial_timeout)
        self._pressure = Pressure(note)
        self._lateness = Lateness(study.trial_timeout, self._pace, note)
        # Trials without a row, by what they have in common: the first is replayed, and settles all.
        self._alike: dict[str, list[Trial]] = {}
        self._waiting: deque[Trial] = deque()
        self._cut: deque[list[Trial]] = deque()  # batches that no worker has room for yet
        # Parts of batches that failed, which are tried each by itself, down to single trials; those
        # of the second queue with nothing beside them.
        self._to_try_alone: deque[list[Trial]] = deque()
        self._to_try_solo: deque[Trial] = deque()
        # Settled trials: those that are in no table yet, and those that nobody was told of.
        self._unrecorded: list[Settled] = []
        self._untold: list[Trial] = []
        self._acknowledge_at = clock()  # the first at once
        self._merge_at = clock() + MERGE_S
        self._look_late_at = clock() + LATE_S

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
                trial.suspected = before["cause"] not in (None, Cause.EXCEPTION, Cause.MEMORY)
                if trial.is_retried:
                    trial.failed_before = before["attempts"]
                else:  # an earlier run was stopped while this trial failed: go on counting
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
        elif trial.attempts or self._is_deadly(trial):
            self._to_try_alone.append([trial])
        else:
            self._waiting.append(trial)

    def _is_deadly(self, trial: Trial) -> bool:
        """Return whether a trial may have killed or hung what replayed it, in any run."""
        return trial.suspected or self._in_flight.suspects(trial.key)

    @property
    def hungry(self) -> bool:
        """Whether workers would soon have nothing to do."""
        return not enough(self._waiting, self._pace, self._handed.workers)

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
        if not self._handed and not self._waiting:  # what waits may have to be compiled first
            return
        executors = self._handed.at_work
        if now >= self._look_late_at:
            self._look_late(executors, now)
        # One waits; where there are two, each a part of the time.
        wait_s = LOOK_S / len(executors)
        ended = [each for executor in executors for each in executor.finished(wait_s)]
        for number, result in ended:
            self._take_back(number, result)
        if ended:
            self._hand_out()

    def _look_late(self, executors: Iterable[Executor], now: float) -> None:
        for executor in executors:
            self._lateness.look(executor, self._handed.batch)
        self._look_late_at = now + LATE_S

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
            for executor in self._handed.started:
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
        if not (self._waiting or self._cut or self._to_try_alone or self._to_try_solo):
            return
        usual = self._handed.usual
        if self._to_try_solo and not self._handed:
            trial = self._to_try_solo.popleft()
            self._handed.submit(self._executor_of([trial]), [trial], alone=True, solo=True)
        if self._to_try_solo or self._handed.has_solo:
            return
        self._try_alone()
        while self._handed.has_room(usual):
            if not self._cut:
                most = self._pressure.trials
                self._cut.extend(
                    next_batches(self._waiting, self._pace, usual.workers, usual.takes, most)
                )
            if not self._cut:
                return
            self._handed.submit(usual, self._cut.popleft())

    def _try_alone(self) -> None:
        """Hand out what is tried by itself: where it kills nobody else, if it is suspected."""
        for _ in range(len(self._to_try_alone)):
            batch = self._to_try_alone.popleft()
            executor = self._executor_of(batch)
            if self._handed.has_room(executor):
                self._handed.submit(executor, batch, alone=True)
            else:
                self._to_try_alone.append(batch)

    def _executor_of(self, batch: list[Trial]) -> Executor:
        """Return where trials are tried by themselves.

        It is a child of this process where a death would be this process's, and before a trial is
        given up for deaths: whoever kills the workers of a cluster does not kill that one.
        """
        first = batch[0]
        is_last = first.suspected and first.attempts == MAX_ATTEMPTS - 1
        in_child = (self._is_deadly(first) and not self._handed.usual.isolates) or is_last
        in_child |= first.losses >= MOST_LOSSES
        return self._handed.alone if in_child else self._handed.usual

    def _take_back(self, number: int, result: Result) -> None:
        out = self._handed.take_back(number)
        if isinstance(result, Failure):
            self._fail(out, result)
            return
        self._pace.learn(out.batch, result.seconds)
        if self._pressure.fall():
            self._handed.usual.limit(self._pressure.workers)
        self._settle(out.batch, result.evaluated, result.host)

    def _fail(self, out: Out, failure: Failure) -> None:
        """Try the trials of a batch again, in parts, and count what one of them did alone."""
        cause, batch = failure.cause, out.batch
        if cause is Cause.LOST:
            self._try_lost_again(out)
            return
        if cause is Cause.MEMORY and not out.solo:
            self._try_with_less(out)
            return
        for trial in batch:
            trial.suspected |= cause.is_death or cause is Cause.TIME
        is_its_own = _is_its_own(out, cause)
        if len(batch) == 1 and is_its_own:
            self._count(batch[0], failure)
        (trial, *others) = batch
        if others:
            self._try_in_parts(batch)
        elif trial.attempts >= MAX_ATTEMPTS or (cause is Cause.TIME and is_its_own):
            self._give_up(trial)
        elif cause is Cause.MEMORY:
            self._to_try_solo.append(trial)
        else:
            self._to_try_alone.append(batch)

    def _try_in_parts(self, batch: list[Trial]) -> None:
        """Try a batch again in parts: two rounds find one of 256, 16 and then 1 at a time."""
        size = isqrt(len(batch))
        parts = range(0, len(batch), size)
        self._to_try_alone += [batch[first : first + size] for first in parts]

    def _try_lost_again(self, out: Out) -> None:
        for trial in out.batch:
            trial.losses += 1
        if out.solo:
            self._to_try_solo.extendleft(out.batch)
        elif out.alone:
            self._to_try_alone.append(out.batch)
        elif out.batch[0].losses >= MOST_LOSSES:
            self._to_try_alone += [[trial] for trial in out.batch]
        else:
            self._waiting.extendleft(reversed(out.batch))

    def _try_with_less(self, out: Out) -> None:
        """Try a batch again that died for memory: smaller, and with less beside it."""
        usual = self._handed.usual
        self._pressure.rise(usual.workers, len(out.batch))
        usual.limit(self._pressure.workers)
        while self._cut:  # they are too large now
            self._waiting.extendleft(reversed(self._cut.pop()))
        if len(out.batch) == 1:
            self._to_try_solo.append(out.batch[0])
        elif out.alone:
            self._try_in_parts(out.batch)
        else:
            self._waiting.extendleft(reversed(out.batch))

    def _count(self, trial: Trial, failure: Failure) -> None:
        """Count a failure of a trial's own, and write it down before it is tried again."""
        trial.attempts += 1
        trial.error = failure.error
        if failure.cause is Cause.TIME:
            limit = self._study.trial_timeout
            trial.error = f"it was replayed for more than {limit:g} s (trial_timeout)"
        at = datetime.now(UTC).replace(tzinfo=None)
        for twin in self._alike[trial.key]:
            counted = {
                "study": self._study.study,
                "role": twin.role,
                "number": twin.number,
                "attempt": twin.failed_before + trial.attempts,
                "cause": failure.cause.value,
                "error": trial.error,
                "host": failure.host or None,
                "node": failure.node or None,
                "at": at,
            }
            self._store.add("attempts", counted)
        self._store.acknowledge()

    def _give_up(self, trial: Trial) -> None:
        for twin in self._alike.pop(trial.key):
            twin.attempts, twin.error = trial.attempts, trial.error
            settle(twin, None, trial.error)
            self._has_settled([twin], None)

    def _settle(self, trials: list[Trial], evaluated: Evaluated, host: str = "") -> None:
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
            self._has_settled(settled, evaluated, host)

    def _has_settled(
        self, trials: list[Trial], evaluated: Evaluated | None, host: str = ""
    ) -> None:
        self._unrecorded.append(Settled(trials, evaluated, host))
        self._untold += trials
        if evaluated is not None:
            # What failed stays suspected: another trial may ask for its policy.
            self._in_flight.forget(trial.key for trial in trials)
            self._known.add(trials, evaluated)


def _is_its_own(out: Out, cause: Cause) -> bool:
    """Return whether a batch failed by what it replayed, and by nothing beside it."""
    if cause.is_death:
        return out.alone  # a death beside others may be another's
    if cause is Cause.TIME:
        return out.executor.isolates  # a thread may have waited for one that hangs
    return True
