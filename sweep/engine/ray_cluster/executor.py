"""The executor of a Ray cluster: which worker has which batch in hand, and what became of it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from functools import partial
from queue import Empty
from typing import Any

from core.evaluator import Candidate, Workloads
from core.events import Events
from core.jit import CORE_DIGEST
from core.system.contract import ReplayLoop
from core.workload.recipe import Recipe
from sweep.engine.executor import Failure, Result
from sweep.engine.plugins import NO_PLUGINS, Plugins
from sweep.engine.ray_cluster.connection import ClusterError, Connection, Need
from sweep.engine.ray_cluster.worker import Worker, packed

#: Batches that a worker has in hand: one it works on, and one so that it never waits.
IN_FLIGHT = 2
#: So many workers in a row may die before they are ready.
MAX_STILLBORN = 3
#: What a worker reserves of its node's memory beside its timelines, which are no larger than the
#: tables. One that has replayed nothing holds 196 MiB, after 256 lanes of the quickstart 327 MiB.
WORKER_BYTES = 384 * 2**20
#: Results on their way, and what Ray keeps there itself, beside the workloads.
STORE_BYTES = 100 * 2**20


class _Member:
    """A worker of the cluster, and what it has in hand, oldest first."""

    def __init__(self, actor: Any) -> None:
        self.actor = actor
        self.node = ""
        self.hand: deque[int] = deque()
        self.compiles = False
        #: What it worked on when it died; None of one that lives.
        self.suspect: int | None = None


class _Loops:
    """The loops that the workers of one node compile side by side, into one folder."""

    def __init__(self, loops: Sequence[ReplayLoop]) -> None:
        self.left, self.begun = deque(loops), 0

    @property
    def are_compiled(self) -> bool:
        return not self.left and not self.begun


class RayCluster:
    """An executor on a Ray cluster: its own local one, or the one at `address`.

    It is there at once; Ray starts beside what the driver does, and batches wait for workers.

    Parameters
    ----------
    workloads
        What every worker holds.
    workers
        Number of workers; by default one a CPU of the cluster.
    address
        A cluster that runs already.
    loops
        What the workers of each node compile side by side before its first batch.
    plugins
        A user's own code, which every worker imports.
    note
        Called with each line that the user should know of.
    """

    #: A batch that kills its process kills a worker, and no driver.
    isolates = True

    def __init__(
        self,
        workloads: Workloads,
        workers: int | None,
        address: str | None,
        loops: Sequence[ReplayLoop],
        plugins: Plugins = NO_PLUGINS,
        note: Callable[[str], None] = lambda line: None,
    ) -> None:
        self._held, self._plugins, self._to_compile = workloads, plugins, tuple(loops)
        self._waiting: deque[tuple[int, Sequence[Candidate]]] = deque()
        self._done: list[tuple[int, Result]] = []
        self._members: list[_Member] = []
        self._loops: dict[str, _Loops] = {}
        self._stillborn = 0
        self._over: ClusterError | None = None
        held_bytes = sum(map(_bytes, workloads.sources))
        need = Need(WORKER_BYTES + held_bytes, STORE_BYTES + 2 * held_bytes)
        self._need = need
        self._connection = Connection(address, workers, need, self._begin, self._joined, note)

    @property
    def workers(self) -> int:
        """How many workers replay side by side now; those that are expected, before the first."""
        return self.ready or self._connection.expected

    @property
    def ready(self) -> int:
        """How many workers are there."""
        return self._connection.ready

    def takes(self, candidate: Candidate) -> bool:
        """Return True: a batch waits here until a node has compiled what it needs."""
        return True

    def submit(self, number: int, candidates: Sequence[Candidate]) -> None:
        """Take a batch, which goes to a worker when one has room."""
        self._waiting.append((number, candidates))
        self._hand_out()

    def finished(self, timeout_s: float) -> list[tuple[int, Result]]:
        """Return what ended, in any order, as soon as something happened.

        Raises
        ------
        ClusterError
            When the cluster cannot be started or reached, or its head has gone.
        """
        events = self._connection.events
        try:
            happened = events.get(timeout=timeout_s) if timeout_s > 0 else events.get_nowait()
            while True:
                self._learn(happened)
                happened = events.get_nowait()
        except Empty:
            pass
        self._hand_out()
        done, self._done = self._done, []
        if not done and self._over is not None:
            raise self._over
        return done

    def close(self) -> None:
        """Stop the workers, and the cluster if it is our own; to close it again does nothing."""
        self._waiting.clear()
        self._connection.close()

    def _learn(self, happened: Callable[[], None]) -> None:
        try:
            happened()
        except ClusterError as error:
            self._over = error

    def _begin(self, ray: Any) -> Callable[[], Any]:
        """Return what asks the cluster for one more worker; called by the connection."""
        # Once in the object store: workers of a node read the same memory.
        made_of = (ray.put(self._held), self._plugins, CORE_DIGEST)
        remote = ray.remote(num_cpus=1, memory=self._need.worker_bytes, max_restarts=0)(Worker)
        self._errors = ray.exceptions
        self._kill = ray.kill
        return lambda: remote.remote(*made_of)

    def _joined(self, actor: Any) -> None:
        member = _Member(actor)
        self._members.append(member)
        self._watch(actor.node.remote(), partial(self._is_ready, member))

    def _watch(self, reference: Any, then: Callable[[Future[Any]], None]) -> None:
        """Have the driver's thread call `then` when a remote call has ended."""
        events = self._connection.events
        reference.future().add_done_callback(lambda future: events.put(partial(then, future)))

    def _is_ready(self, member: _Member, future: Future[Any]) -> None:
        error = future.exception()
        if error is not None:
            self._members.remove(member)
            self._connection.lost += 1
            self._stillborn += 1
            failed = isinstance(error, self._errors.RayActorError) and error.actor_init_failed
            if failed or self._stillborn >= MAX_STILLBORN:
                raise ClusterError(f"a worker cannot start: {_last_line(error)}")
            return
        self._stillborn = 0
        member.node = future.result()
        self._loops.setdefault(member.node, _Loops(self._to_compile))
        self._connection.ready += 1

    def _hand_out(self) -> None:
        """Give workers what waits: their node's loops first, then batches, evenly."""
        able = []
        for member in self._members:
            if not member.node or member.suspect is not None:
                continue
            loops = self._loops[member.node]
            if loops.left and not member.compiles:
                member.compiles = True
                loops.begun += 1
                compiling = member.actor.compile.remote(loops.left.popleft())
                self._watch(compiling, partial(self._has_compiled, member))
            elif loops.are_compiled and len(member.hand) < IN_FLIGHT:
                able.append(member)
        while self._waiting and able:
            member = min(able, key=lambda member: len(member.hand))
            number, candidates = self._waiting.popleft()
            member.hand.append(number)
            if len(member.hand) == IN_FLIGHT:
                able.remove(member)
            ending = member.actor.evaluate.remote(packed(candidates))
            self._watch(ending, partial(self._has_ended, member, number))

    def _has_compiled(self, member: _Member, future: Future[Any]) -> None:
        # A loop that no compiler likes is told of by the batch that calls it.
        member.compiles = False
        self._loops[member.node].begun -= 1
        if isinstance(future.exception(), self._errors.RayActorError):
            self._bury(member)

    def _has_ended(self, member: _Member, number: int, future: Future[Any]) -> None:
        error = future.exception()
        if error is None:
            result: Result = future.result()
        elif isinstance(error, self._errors.RayActorError):
            result = self._of_the_dead(member, number, error)
        else:
            result = Failure(f"{type(error).__name__}: {_last_line(error)}")
        member.hand.remove(number)
        self._done.append((number, result))

    def _of_the_dead(self, member: _Member, number: int, error: Any) -> Failure:
        """Return whose fault it was: of what the worker worked on, unless its node was lost."""
        self._bury(member)
        said = str(error)
        unreachable = isinstance(error, self._errors.ActorUnavailableError)
        if unreachable or error.preempted or "its node has died" in said:
            return Failure("the node was lost", lost=True)
        if number != member.suspect:
            return Failure("the worker died of another batch", lost=True)
        if "memory pressure" in said or "OutOfMemory" in said:
            return Failure("the worker was killed, as its node ran out of memory", died=True)
        return Failure("the worker died: killed by a signal, or for memory", died=True)

    def _bury(self, member: _Member) -> None:
        """Give up a worker, once; the connection asks for another."""
        if member not in self._members:
            return
        self._members.remove(member)
        member.suspect = member.hand[0] if member.hand else -1
        self._connection.ready -= 1
        self._connection.lost += 1
        self._kill(member.actor)


def _last_line(error: BaseException) -> str:
    return str(error).strip().splitlines()[-1]


def _bytes(source: Events | Recipe) -> int:
    table = source.table if isinstance(source, Recipe) else source
    return sum(column.nbytes for column in table.columns.values()) if table is not None else 0
