"""Executors that replay nothing: batches take their time, come back in any order, fail or kill."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from simulated_world import World

from core.errors import InputError
from core.evaluator import Candidate
from core.policy import Policy
from sweep.engine.executor import Cause, Failure, Replays, Result
from sweep.engine.handed_out import IN_FLIGHT
from sweep.engine.rows import Evaluated, row_of

#: How often a policy that is not to blame may fail alone, in all: at the third it is given up.
UNDESERVED = 2
#: Policies: `restore` and `folio_order` of each.
Kinds = frozenset[tuple[str, int]]


class Poison(NamedTuple):
    """The policies of a study that fail, whoever replays them.

    Parameters
    ----------
    kills
        They kill the process that replays them.
    hogs
        They take more memory than there is.
    hangs
        They never end.
    """

    kills: Kinds = frozenset()
    hogs: Kinds = frozenset()
    hangs: Kinds = frozenset()

    def cause(self, kind: tuple[str, int]) -> Cause | None:
        """Return what a policy fails by; None of one that is not to blame."""
        causes = ((Cause.SIGNAL, self.kills), (Cause.MEMORY, self.hogs), (Cause.TIME, self.hangs))
        return next((cause for cause, kinds in causes if kind in kinds), None)


#: The columns of a trial that tell the policies of a simulated study apart.
KIND = ("system", "eviction", "restore", "folio_order")


class Faults:
    """What goes wrong in the executors of one study.

    Parameters
    ----------
    poison
        The policies that are to blame.
    probability
        Of a fault of each kind at each batch.
    kills
        Whether somebody kills workers, as often as it happens; else batches end in errors, which
        each policy has `UNDESERVED` times at most.
    """

    def __init__(self, poison: Poison, probability: float = 0.0, kills: bool = False) -> None:
        self.poison, self.probability, self.kills = poison, probability, kills
        #: How often a policy failed alone without being to blame.
        self.undeserved: Counter[tuple[Any, ...]] = Counter()

    def causes(self, batch: Sequence[Candidate]) -> set[Cause | None]:
        """Return what the policies of a batch fail by."""
        policies = [candidate.policy for candidate in batch]
        return {self.poison.cause((each.restore.value, each.folio_order)) for each in policies}


def kind_of(policy: Policy) -> tuple[Any, ...]:
    """Return what tells a policy from the others of a study."""
    row = row_of(policy)
    return tuple(row[name] for name in KIND)


class _Work(NamedTuple):
    """A batch that is worked on: since when, until when, and whether its process has no other."""

    begun_s: float
    end_s: float
    batch: list[Candidate]
    alone: bool


class SimulatedExecutor:
    """An executor of a world.

    Parameters
    ----------
    world, faults
        What it happens in, and what goes wrong.
    evaluate
        Returns what becomes of candidates.
    isolates
        Whether what kills a worker leaves the driver alive.
    workers
        Batches that it works on side by side.
    changes
        Whether workers come and go.
    is_child
        Whether it is the driver's own child, which nobody else kills.
    """

    def __init__(
        self,
        world: World,
        faults: Faults,
        evaluate: Callable[[Sequence[Candidate]], Evaluated],
        isolates: bool,
        workers: int,
        changes: bool = False,
        is_child: bool = False,
    ) -> None:
        self._world, self._faults, self._evaluate = world, faults, evaluate
        self.isolates, self._there, self._changes = isolates, workers, changes
        self._most: int | None = None
        self._is_child = is_child
        self._queued: list[tuple[int, list[Candidate], bool]] = []
        self._working: dict[int, _Work] = {}
        self._stopped: list[int] = []
        self._compiled_s = world.now_s + (world.chance.uniform(0, 5) if changes else 0)
        self.closed = False

    @property
    def workers(self) -> int:
        return self._there if self._most is None else min(self._there, self._most)

    @property
    def size(self) -> tuple[int, int]:
        return 1, self._there

    def limit(self, workers: int | None) -> None:
        self._world.hold(workers != 0, "an executor is left without a worker")
        self._most = workers

    def takes(self, candidate: Candidate) -> bool:
        return self._world.now_s >= self._compiled_s or candidate.policy.folio_order % 2 == 0

    def submit(self, number: int, candidates: Sequence[Candidate], alone: bool = False) -> None:
        with self._world.operation(f"submit {number}, of {len(candidates)}"):
            self._world.hold(not self.closed, "a batch is handed to an executor that is closed")
            self._world.hold(self._world.stopped_by is None, "the driver goes on after Ctrl-C")
            has = len(self._queued) + len(self._working)
            # Workers that are there no more, or too many, keep what they have.
            room = IN_FLIGHT * self.workers
            self._world.hold(has < room, "an executor gets more than its share")
            self._queued.append((number, list(candidates), alone))
            self._work()

    def running(self) -> Mapping[int, float]:
        now_s = self._world.now_s
        return {number: now_s - work.begun_s for number, work in self._working.items()}

    def stop(self, number: int) -> None:
        with self._world.operation(f"stop {number}"):
            if number in self._working:
                self._working.pop(number)
                self._stopped.append(number)

    def finished(self, timeout_s: float) -> list[tuple[int, Result]]:
        with self._world.operation("what is finished?"):
            self._world.hold(not self.closed, "a closed executor is asked what is finished")
            chance = self._world.chance
            until_s = self._world.now_s + timeout_s
            if self._stopped:
                until_s = self._world.now_s
            if self._working:
                until_s = min(until_s, min(work.end_s for work in self._working.values()))
            self._world.now_s = max(self._world.now_s, until_s)
            self._world.die_of_what_is_replayed("what is finished?")
            if self._changes and self._world.happens(0.05):
                self._there = chance.randint(1, 4)
            if self.isolates and self._world.happens(self._faults.probability / 60):
                self._world.has_failed = True
                raise InputError("the cluster is lost")
            ended = [n for n, work in self._working.items() if work.end_s <= self._world.now_s]
            chance.shuffle(ended)
            late = chance.randint(0, len(ended)) if self._world.happens(0.1) else 0
            results = [(n, Failure("it took too long", Cause.TIME)) for n in self._stopped]
            self._stopped = []
            results += self._lost()
            for number in ended[late:]:
                if number in self._working:
                    is_only = self._is_only(self._working[number].batch)
                    results.append((number, self._result(self._working.pop(number), is_only)))
            self._work()
            for number, result in results:
                what = "" if isinstance(result, Replays) else f": {result}"
                self._world.log.append(f"      batch {number} is back{what}")
            return results

    def close(self) -> None:
        with self._world.operation("close the executor"):
            self.closed = True
            self._queued, self._working = [], {}
            self._world.deadly_s = []

    def _work(self) -> None:
        while self._queued and len(self._working) < self.workers:
            number, batch, alone = self._queued.pop(0)
            now_s = self._world.now_s
            end_s = now_s + min(2.0, self._world.chance.expovariate(4.0)) * (1 + len(batch))
            causes = self._faults.causes(batch)
            if Cause.TIME in causes:
                end_s = math.inf
            self._working[number] = _Work(now_s, end_s, batch, alone)
            if not self.isolates and Cause.SIGNAL in causes:
                self._world.deadly_s.append(now_s + (0.5 if end_s == math.inf else end_s - now_s))
        if not self.isolates and self._waits_for_one_that_hangs() and self._world.happens(0.3):
            # They wait for what the one that hangs makes for all.
            self._working = {n: work._replace(end_s=math.inf) for n, work in self._working.items()}

    def _waits_for_one_that_hangs(self) -> bool:
        return any(Cause.TIME in self._faults.causes(w.batch) for w in self._working.values())

    def _lost(self) -> list[tuple[int, Result]]:
        """Lose a node now and then, with all that is replayed there."""
        if not self.isolates or self._is_child or not self._working:
            return []
        if not self._world.happens(self._faults.probability / 4):
            return []
        lost = [number for number in self._working if self._world.happens(0.7)]
        for number in lost:
            self._working.pop(number)
        return [(number, Failure("the node was lost", Cause.LOST)) for number in lost]

    def _is_only(self, batch: list[Candidate]) -> bool:
        """Return whether nothing else is replayed in the world."""
        kinds = {kind_of(candidate.policy) for candidate in batch}
        at_work = sum(len(each._working) for each in self._world.executors)  # this batch too
        return at_work == 1 and len(kinds) == 1

    def _result(self, work: _Work, is_only: bool) -> Result:
        causes = self._faults.causes(work.batch)
        if Cause.SIGNAL in causes:
            return Failure("the process that replayed it was killed by SIGSEGV", Cause.SIGNAL)
        if Cause.MEMORY in causes:
            return Failure("the process that replayed it was killed for memory", Cause.MEMORY)
        if self._world.happens(self._faults.probability):
            failure = self._fault(work, is_only)
            if failure is not None:
                return failure
        return Replays(self._evaluate(work.batch), 0.05 * len(work.batch))

    def _fault(self, work: _Work, is_only: bool) -> Failure | None:
        """Return how something goes wrong that no policy of a batch is to blame for."""
        if not is_only and self._world.happens(0.3):
            return Failure("it was killed for the memory that others took", Cause.MEMORY)
        if self._faults.kills:
            if not self.isolates or self._is_child:
                return None
            return Failure("somebody killed its worker", Cause.SIGNAL)
        kinds = {kind_of(candidate.policy) for candidate in work.batch}
        if len(kinds) > 1:
            return Failure("OSError: of all of them")
        (kind,) = kinds
        if self._faults.undeserved[kind] >= UNDESERVED:
            return None
        self._faults.undeserved[kind] += 1
        return Failure("OSError: of it alone")
