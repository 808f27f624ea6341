"""Executors: where batches of candidates are replayed. Each runs them and hands results back.

Batches come back in whatever order they end; the order that matters is the runner's. A batch that
fails comes back as the error's text.
"""

from __future__ import annotations

import itertools
import logging
import os
import secrets
import socket
import sys
import threading
import warnings
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import redirect_stdout
from typing import Any, Protocol

from core.backend import compile_lanes
from core.errors import InputError
from core.events import Events
from core.policy import Eviction
from core.system.cleancache.units import Form
from core.workload.recipe import Recipe
from sweep.engine.candidates import Candidate, Evaluated, Evaluator, Workloads

#: Batches that an actor has in hand: one it works on, and one so that it never waits.
IN_FLIGHT = 2

Result = list[Evaluated] | str
#: A compiled loop over lanes: its eviction and form.
Loop = tuple[Eviction, Form]


class Executor(Protocol):
    """Where batches run."""

    workers: int

    def run(self, batches: Sequence[Sequence[Candidate]]) -> Iterator[tuple[int, Result]]:
        """Yield (place in `batches`, results or the text of an error) as batches end."""

    def close(self) -> None:
        """Stop all that the executor started."""


class InProcess:
    """The executor that replays in this process: for debugging, and for small studies."""

    workers = 1

    def __init__(self, workloads: Workloads) -> None:
        self._evaluator = Evaluator(workloads)

    def run(self, batches: Sequence[Sequence[Candidate]]) -> Iterator[tuple[int, Result]]:
        """Yield batches in their order."""
        for place, batch in enumerate(batches):
            try:
                yield place, self._evaluator.evaluate(batch)
            except Exception as error:
                yield place, f"{type(error).__name__}: {error}"

    def close(self) -> None:
        """Nothing was started."""


class ClusterError(InputError):
    """A cluster that cannot be started or reached."""


class _Worker:
    """What an actor holds: the workloads, and the timelines it made of them."""

    def __init__(self, workloads: Workloads) -> None:
        self._evaluator = Evaluator(workloads)

    def compile(self, loops: list[Loop]) -> None:
        for eviction, form in loops:
            compile_lanes(eviction, form)

    def evaluate(self, batch: list[Candidate]) -> Result:
        try:
            return self._evaluator.evaluate(batch)
        except Exception as error:
            return f"{type(error).__name__}: {error}"


class RayCluster:
    """One actor a core of a Ray cluster: its own local one, or the one at `address`.

    `loops` are compiled here while Ray starts, the rest of them by the actors side by side; all
    read the same folder of compiled code.
    """

    def __init__(
        self,
        workloads: Workloads,
        workers: int | None,
        address: str | None,
        loops: Sequence[Loop],
    ) -> None:
        left = deque(loops)
        compiling = threading.Thread(target=_compile, args=(left,), daemon=True)
        compiling.start()
        ray = _start(workers, address, sum(_bytes(source) for source in workloads.sources))
        self._ray = ray
        # Once in the object store: actors of a node read the same memory.
        self._workloads = ray.put(workloads)
        self.workers = workers or max(1, int(ray.cluster_resources().get("CPU", 1)))
        self._remote: Any = ray.remote(num_cpus=1, max_restarts=0)(_Worker)
        self._actors = [self._remote.remote(self._workloads) for _ in range(self.workers)]
        shares: list[list[Loop]] = [[] for _ in self._actors]
        for share in itertools.cycle(shares):
            try:
                share.append(left.popleft())
            except IndexError:
                break
        done = [
            actor.compile.remote(share) for actor, share in zip(self._actors, shares, strict=True)
        ]
        compiling.join()
        ray.get(done)

    def run(self, batches: Sequence[Sequence[Candidate]]) -> Iterator[tuple[int, Result]]:
        """Yield batches as they end; an actor that died is replaced and its batches fail."""
        ray = self._ray
        waiting = deque(range(len(batches)))
        running: dict[Any, tuple[int, Any]] = {}
        free = deque(self._actors * IN_FLIGHT)
        while waiting or running:
            while waiting and free:
                place, actor = waiting.popleft(), free.popleft()
                running[actor.evaluate.remote(list(batches[place]))] = (place, actor)
            (reference,), _ = ray.wait(list(running), num_returns=1)
            place, actor = running.pop(reference)
            try:
                result: Result = ray.get(reference)
                free.append(actor)
            except ray.exceptions.RayActorError as error:
                result = f"the worker died: {str(error).splitlines()[0]}"
                if actor in self._actors:
                    fresh = self._remote.remote(self._workloads)
                    self._actors[self._actors.index(actor)] = fresh
                    free = deque(
                        [*(other for other in free if other != actor), *[fresh] * IN_FLIGHT]
                    )
            except ray.exceptions.RayError as error:
                result = f"{type(error).__name__}: {str(error).splitlines()[0]}"
                free.append(actor)
            yield place, result

    def close(self) -> None:
        """Stop the actors, and the cluster if it is our own."""
        with redirect_stdout(sys.stderr):
            for actor in self._actors:
                self._ray.kill(actor)
            self._ray.shutdown()


def _compile(left: deque[Loop]) -> None:
    while left:
        try:
            eviction, form = left.popleft()
        except IndexError:
            return
        compile_lanes(eviction, form)


def _bytes(source: Events | Recipe) -> int:
    table = source.accesses if isinstance(source, Recipe) else source
    return sum(column.nbytes for column in table.columns.values()) if table is not None else 0


def _start(workers: int | None, address: str | None, held_bytes: int) -> Any:
    """Connect to the cluster at `address` or in RAY_ADDRESS, or start one on this machine."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    address = address or os.environ.get("RAY_ADDRESS") or "local"
    options: dict[str, Any] = {}
    if address == "local":
        # Without these Ray warns, and writes a token under HOME.
        os.environ.setdefault("RAY_AUTH_MODE", "token")
        os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
        options = {
            "num_cpus": workers or len(os.sched_getaffinity(0)),
            "num_gpus": 0,
            "include_dashboard": False,
            "object_store_memory": 2 * held_bytes + 100 * 2**20,
        }
    elif address != "auto":
        _probe(address)
    with warnings.catch_warnings():
        # What Ray imports has opinions about proxies of the environment.
        warnings.simplefilter("ignore")
        import ray

    try:
        # Ray's notices of dead workers go to stdout, which is for data.
        with redirect_stdout(sys.stderr):
            ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR, **options)
    except (ConnectionError, RuntimeError, ValueError, OSError) as error:
        raise ClusterError(f"Ray at {address}: {str(error).splitlines()[0]}") from None
    return ray


def _probe(address: str) -> None:
    """Raise `ClusterError` if nothing listens at an address; Ray itself waits for minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not host or not port.isdigit():
        raise ClusterError(f"Ray at {address}: an address is HOST:PORT, or auto")
    try:
        socket.create_connection((host, int(port)), timeout=5).close()
    except OSError as error:
        raise ClusterError(f"Ray at {address}: nothing answers there ({error})") from None
