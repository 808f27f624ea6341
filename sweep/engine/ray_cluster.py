"""The executor that replays on a Ray cluster: its own local one, or one that runs already."""

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
from typing import Any

from core.backend import compile_loop
from core.errors import InputError
from core.evaluator import Candidate, Evaluator, Workloads
from core.events import Events
from core.system.contract import ReplayLoop
from core.workload.recipe import Recipe
from sweep.engine.executor import Result, evaluated
from sweep.engine.plugins import NO_PLUGINS, Plugins

#: Batches that an actor has in hand: one it works on, and one so that it never waits.
IN_FLIGHT = 2


class ClusterError(InputError):
    """A cluster that cannot be started or reached."""


class _Worker:
    """What an actor holds: the workloads, and the timelines it made of them."""

    def __init__(self, workloads: Workloads, plugins: Plugins) -> None:
        plugins.load()
        self._evaluator = Evaluator(workloads)

    def compile(self, loops: list[ReplayLoop]) -> None:
        for loop in loops:
            compile_loop(loop)

    def evaluate(self, batch: list[Candidate]) -> Result:
        return evaluated(self._evaluator, batch)


class RayCluster:
    """One actor a core of a Ray cluster: its own local one, or the one at `address`.

    Parameters
    ----------
    workloads
        What every actor holds.
    workers
        Number of actors; by default one a core.
    address
        A cluster that runs already.
    loops
        What is compiled before the first batch: here while Ray starts, and the rest of them by the
        actors side by side. All read the same folder of compiled code.
    plugins
        A user's own code, which every actor imports.

    Raises
    ------
    ClusterError
        When the cluster cannot be started or reached.
    """

    def __init__(
        self,
        workloads: Workloads,
        workers: int | None,
        address: str | None,
        loops: Sequence[ReplayLoop],
        plugins: Plugins = NO_PLUGINS,
    ) -> None:
        left = deque(loops)
        compiling = threading.Thread(target=_compile, args=(left,), daemon=True)
        compiling.start()
        ray = _start(workers, address, sum(_bytes(source) for source in workloads.sources))
        self._ray = ray
        # Once in the object store: actors of a node read the same memory.
        self._made_of = (ray.put(workloads), plugins)
        self.workers = workers or max(1, int(ray.cluster_resources().get("CPU", 1)))
        self._remote: Any = ray.remote(num_cpus=1, max_restarts=0)(_Worker)
        self._actors = [self._remote.remote(*self._made_of) for _ in range(self.workers)]
        shares: list[list[ReplayLoop]] = [[] for _ in self._actors]
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
                    fresh = self._remote.remote(*self._made_of)
                    self._actors[self._actors.index(actor)] = fresh
                    free = deque(
                        [*(other for other in free if other != actor), *[fresh] * IN_FLIGHT]
                    )
            except ray.exceptions.RayError as error:
                result = f"{type(error).__name__}: {str(error).splitlines()[0]}"
                free.append(actor)
            yield place, result

    def close(self) -> None:
        """Stop the actors, and the cluster if it is our own; to close it again does nothing."""
        with redirect_stdout(sys.stderr):
            while self._actors:
                self._ray.kill(self._actors.pop())
            self._ray.shutdown()


def _compile(left: deque[ReplayLoop]) -> None:
    while left:
        try:
            loop = left.popleft()
        except IndexError:
            return
        compile_loop(loop)


def _bytes(source: Events | Recipe) -> int:
    table = source.table if isinstance(source, Recipe) else source
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
