"""The executor of a Ray cluster: which worker has which batch in hand, and what became of it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from functools import partial
from queue import Empty
from time import monotonic
from typing import Any

from core.evaluator import Candidate, Workloads
from core.events import Events
from core.jit import CORE_DIGEST
from core.system.contract import ReplayLoop
from core.workload.recipe import Recipe
from sweep.engine.executor import Cause, Failure, Result, failure_of
from sweep.engine.plugins import NO_PLUGINS, Plugins
from sweep.engine.ray_cluster.connection import ClusterError, Connection, Need
from sweep.engine.ray_cluster.worker import Worker, packed

#: Batches that a worker has in hand: one it works on, and one so that it never waits.
IN_FLIGHT = 2
#: So many workers in a row may die before they are ready.
MAX_STILLBORN = 8
#: What a worker reserves of its node's memory beside its timelines, which are no larger than the
#: tables. One that has replayed nothing holds 196 MiB, after 256 lanes of the quickstart 327 MiB.
WORKER_BYTES = 384 * 2**20
#: Results on their way, and what Ray keeps there itself, beside the workloads.
STORE_BYTES = 100 * 2**20


class _Member:
    """A worker of the cluster, and what it has in hand, oldest first."""

    def __init__(self, actor: Any) -> None:
        self.actor = actor
        self.node = self.host = ""
        self.hand: deque[int] = deque()
        #: Since when it works on the first of them.
        self.since = 0.0
        #: Whether what it has in hand is to be alone there, and whether it has said that it lives.
        self.alone = self.lives = False
        self.compiles = False

    def has_room(self, alone: bool) -> bool:
        """Return whether it takes a batch, or one that is to be alone."""
        if not self.hand:
            return True
        return not (alone or self.alone) and len(self.hand) < IN_FLIGHT


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
        self._waiting: deque[tuple[int, Sequence[Candidate], bool]] = deque()
        self._done: list[tuple[int, Result]] = []
        self._members: list[_Member] = []
        self._loops: dict[str, _Loops] = {}
        self._stillborn = 0
        self._over: ClusterError | None = None
        held_bytes = sum(map(_bytes, workloads.sources))
        need = Need(WORKER_BYTES + held_bytes, STORE_BYTES + 2 * held_bytes)
        self._need = need
        self._size = (0, 0)
        self._connection = Connection(
            *(address, workers, need, self._begin, self._joined, self._see, note)
        )

    @property
    def workers(self) -> int:
        """How many workers replay side by side now; those that are expected, before the first."""
        limit = self._connection.limit
        workers = self.ready or self._connection.expected
        return workers if limit is None else min(limit, workers)

    @property
    def size(self) -> tuple[int, int]:
        """How many nodes and workers there were at one time, at most."""
        return self._size

    def limit(self, workers: int | None) -> None:
        """Have so many workers at most: what others hold of memory is given back."""
        self._connection.limit = workers
        self._hand_out()

    @property
    def ready(self) -> int:
        """How many workers are there."""
        return self._connection.ready

    def takes(self, candidate: Candidate) -> bool:
        """Return True: a batch waits here until a node has compiled what it needs."""
        return True

    def submit(self, number: int, candidates: Sequence[Candidate], alone: bool = False) -> None:
        """Take a batch, which goes to a worker when one has room."""
        self._waiting.append((number, candidates, alone))
        self._hand_out()

    def running(self) -> Mapping[int, float]:
        """Return the batches that are replayed now, and for how many seconds each has been."""
        now = monotonic()
        return {member.hand[0]: now - member.since for member in self._members if member.hand}

    def stop(self, number: int) -> None:
        """Kill the worker that replays a batch; another one takes its place."""
        for member in [each for each in self._members if number in each.hand]:
            self._bury(member, Failure("it took too long", Cause.TIME))

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
        if member not in self._members:
            return  # its node was lost meanwhile
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
        member.node, member.host = future.result()
        self._loops.setdefault(member.node, _Loops(self._to_compile))
        self._connection.ready += 1
        nodes = len({each.node for each in self._members if each.node})
        self._size = max(self._size[0], nodes), max(self._size[1], self.ready)

    def _see(self, nodes: set[str], dead: set[str]) -> None:
        """Give up workers that died idle, and those of nodes that are gone: Ray may never say."""
        for member in list(self._members):
            if member.node and member.node not in nodes:
                self._bury(member, Failure("the node was lost", Cause.LOST))
            elif member.actor._actor_id.hex() in dead:
                self._bury(member, Failure("its worker died before it began", Cause.LOST))

    def _hand_out(self) -> None:
        """Give workers what waits: their node's loops first, then batches, evenly."""
        self._send_away()
        able = []
        for member in self._members:
            if not member.node:
                continue
            loops = self._loops[member.node]
            if loops.left and not member.compiles:
                member.compiles = True
                loops.begun += 1
                compiling = member.actor.compile.remote(loops.left.popleft())
                self._watch(compiling, partial(self._has_compiled, member))
            elif loops.are_compiled:
                able.append(member)
        while self._waiting:
            # One that is to be alone goes first to a worker that is free: no other passes it.
            number, candidates, alone = self._waiting[0]
            with_room = [member for member in able if member.has_room(alone)]
            if not with_room:
                return
            member = min(with_room, key=lambda member: len(member.hand))
            self._waiting.popleft()
            if not member.hand:
                member.since = monotonic()
            member.hand.append(number)
            member.alone, member.lives = alone, False
            if alone:
                # One that was dead before did not die of it.
                self._watch(member.actor.node.remote(), partial(self._lives, member))
            ending = member.actor.evaluate.remote(packed(candidates))
            self._watch(ending, partial(self._has_ended, member, number))

    def _send_away(self) -> None:
        """End workers that are more than the limit, as soon as they have nothing in hand."""
        limit = self._connection.limit
        if limit is None:
            return
        idle = [each for each in self._members if each.node and not each.hand and not each.compiles]
        for member in idle[: max(0, self.ready - limit)]:
            self._bury(member)

    def _lives(self, member: _Member, future: Future[Any]) -> None:
        member.lives = future.exception() is None

    def _has_compiled(self, member: _Member, future: Future[Any]) -> None:
        # A loop that no compiler likes is told of by the batch that calls it.
        member.compiles = False
        self._loops[member.node].begun -= 1
        error = future.exception()
        if isinstance(error, self._errors.RayError):
            self._bury(member, self._death(member, error))

    def _has_ended(self, member: _Member, number: int, future: Future[Any]) -> None:
        if member not in self._members or number not in member.hand:
            return  # it was given up, and came back with its worker
        error = future.exception()
        if isinstance(error, self._errors.RayError) and not self._is_of_call(error):
            self._bury(member, self._death(member, error))
            return
        result: Result = future.result() if error is None else failure_of(error)
        member.hand.remove(number)
        member.since = monotonic()
        self._done.append((number, result))

    def _is_of_call(self, error: BaseException) -> bool:
        """Return whether an error was raised in the worker, which lives."""
        return isinstance(error, self._errors.RayTaskError)

    def _death(self, member: _Member, error: Any) -> Failure:
        """Return what a worker died of, from what Ray says of it."""
        said = str(error)
        unreachable = isinstance(error, self._errors.ActorUnavailableError)
        preempted = getattr(error, "preempted", False)
        if unreachable or preempted or "its node has died" in said:
            return Failure("the node was lost", Cause.LOST)
        if isinstance(error, self._errors.OutOfMemoryError) or "memory pressure" in said:
            return Failure("its worker was killed, as the node ran out of memory", Cause.MEMORY)
        if self._connection.was_killed_for_memory(member.node):
            return Failure("the kernel killed its worker for want of memory", Cause.MEMORY)
        return Failure("its worker died, of a signal or by itself", Cause.SIGNAL)

    def _bury(self, member: _Member, why: Failure | None = None) -> None:
        """Give up a worker, once, and what it has in hand; the connection asks for another.

        It died of what it worked on, or of the batch behind it where it had just ended that one. So
        nobody is to blame where it had both.
        """
        if member not in self._members:
            return
        self._members.remove(member)
        for place, number in enumerate(member.hand):
            failure = Failure("its worker died of another batch", Cause.LOST)
            if place == 0 and why is not None and (member.lives or not member.alone):
                failure = why._replace(host=member.host, node=member.node)
            self._done.append((number, failure))
        member.hand.clear()
        self._connection.ready -= 1 if member.node else 0
        self._connection.lost += 1
        self._kill(member.actor)


def _last_line(error: BaseException) -> str:
    return str(error).strip().splitlines()[-1]


def _bytes(source: Events | Recipe) -> int:
    table = source.table if isinstance(source, Recipe) else source
    return sum(column.nbytes for column in table.columns.values()) if table is not None else 0
