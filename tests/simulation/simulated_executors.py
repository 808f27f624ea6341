"""Executors that replay nothing: batches take their time, come back in any order, fail or kill."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from simulated_world import World

from core.errors import InputError
from core.evaluator import Candidate
from core.policy import Policy
from sweep.engine.driver import IN_FLIGHT
from sweep.engine.executor import Failure, Replays, Result
from sweep.engine.rows import Evaluated, row_of

#: How often a policy that kills nobody may fail alone, in all: at the third it would be given up.
UNDESERVED = 2
Poison = frozenset[tuple[str, int]]
#: The columns of a trial that tell the policies of a simulated study apart.
KIND = ("system", "eviction", "restore", "folio_order")


class Faults:
    """What goes wrong in the executors of one study.

    Parameters
    ----------
    poison
        The policies that kill what replays them: `restore` and `folio_order` of each.
    probability
        Of a fault of each kind at each batch.
    """

    def __init__(self, poison: Poison, probability: float = 0.0) -> None:
        self.poison, self.probability = poison, probability
        #: How often a policy failed alone without being to blame.
        self.undeserved: Counter[tuple[Any, ...]] = Counter()

    def kills(self, policy: Policy) -> bool:
        """Return whether a policy kills what replays it."""
        return (policy.restore.value, policy.folio_order) in self.poison


def kind_of(policy: Policy) -> tuple[Any, ...]:
    """Return what tells a policy from the others of a study."""
    row = row_of(policy)
    return tuple(row[name] for name in KIND)


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
    """

    def __init__(
        self,
        world: World,
        faults: Faults,
        evaluate: Callable[[Sequence[Candidate]], Evaluated],
        isolates: bool,
        workers: int,
        changes: bool = False,
    ) -> None:
        self._world, self._faults, self._evaluate = world, faults, evaluate
        self.isolates, self.workers, self._changes = isolates, workers, changes
        self._queued: list[tuple[int, list[Candidate]]] = []
        #: When each batch ends, that is worked on.
        self._working: dict[int, tuple[float, list[Candidate]]] = {}
        self._compiled_s = world.now_s + (world.chance.uniform(0, 5) if changes else 0)
        self.closed = False

    def takes(self, candidate: Candidate) -> bool:
        return self._world.now_s >= self._compiled_s or candidate.policy.folio_order % 2 == 0

    def submit(self, number: int, candidates: Sequence[Candidate]) -> None:
        with self._world.operation(f"submit {number}, of {len(candidates)}"):
            self._world.hold(not self.closed, "a batch is handed to an executor that is closed")
            self._world.hold(self._world.stopped_by is None, "the driver goes on after Ctrl-C")
            has = len(self._queued) + len(self._working)
            self._world.hold(has < IN_FLIGHT * self.workers, "an executor gets more than its share")
            self._queued.append((number, list(candidates)))
            self._work()

    def finished(self, timeout_s: float) -> list[tuple[int, Result]]:
        with self._world.operation("what is finished?"):
            self._world.hold(not self.closed, "a closed executor is asked what is finished")
            chance = self._world.chance
            until_s = self._world.now_s + timeout_s
            if self._working:
                until_s = min(until_s, min(end for end, _ in self._working.values()))
            self._world.now_s = max(self._world.now_s, until_s)
            self._world.die_of_what_is_replayed("what is finished?")
            if self._changes and self._world.happens(0.05):
                self.workers = chance.randint(1, 4)
            if self.isolates and self._world.happens(self._faults.probability / 20):
                self._world.has_failed = True
                raise InputError("the cluster is lost")
            ended = [n for n, (end, _) in self._working.items() if end <= self._world.now_s]
            chance.shuffle(ended)
            late = chance.randint(0, len(ended)) if self._world.happens(0.1) else 0
            results = [(n, self._result(self._working.pop(n)[1])) for n in ended[late:]]
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
            number, batch = self._queued.pop(0)
            end_s = self._world.now_s + self._world.chance.expovariate(4.0) * (1 + len(batch))
            self._working[number] = (end_s, batch)
            if not self.isolates and self._poisoned(batch):
                self._world.deadly_s.append(end_s)

    def _poisoned(self, batch: Sequence[Candidate]) -> bool:
        return any(self._faults.kills(candidate.policy) for candidate in batch)

    def _result(self, batch: list[Candidate]) -> Result:
        if self._poisoned(batch):
            return Failure("the process that replayed it was killed by SIGSEGV", died=True)
        if self._world.happens(self._faults.probability):
            if self.isolates and self._world.happens(0.5):
                return Failure("the node is lost", died=True, lost=True)
            kinds = {kind_of(candidate.policy) for candidate in batch}
            if len(kinds) > 1:
                return Failure("MemoryError: of all of them", died=self.isolates)
            (kind,) = kinds
            if self._faults.undeserved[kind] < UNDESERVED:
                self._faults.undeserved[kind] += 1
                return Failure("MemoryError: of it alone", died=self.isolates)
        return Replays(self._evaluate(batch), 0.05 * len(batch))
