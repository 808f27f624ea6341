"""What runs on the workers of a cluster: an actor that holds the workloads and replays batches."""

from __future__ import annotations

import pickle
import socket
from collections.abc import Sequence

from core.backend import compile_loop
from core.evaluator import Candidate, Evaluator, Workloads
from core.jit import CORE_DIGEST
from core.system.contract import ReplayLoop
from sweep.engine.executor import Result, evaluated
from sweep.engine.plugins import Plugins


def packed(candidates: Sequence[Candidate]) -> bytes:
    """Return a batch as it goes to a worker.

    Plain pickle takes 1.4 us a candidate in a batch of 256 and 21 us alone; Ray's own, which asks
    Python about every object, 3.9 us and 94 us; columns, from `pack`, 1.9 us before any pickle.
    """
    return pickle.dumps(list(candidates), protocol=5)


class Worker:
    """An actor: the workloads, and the timelines it made of them.

    Raises
    ------
    RuntimeError
        When its node has another version of the simulator than the driver.
    """

    def __init__(self, workloads: Workloads, plugins: Plugins, core_digest: str) -> None:
        if core_digest != CORE_DIGEST:
            raise RuntimeError(
                f"its node has version {CORE_DIGEST} of the simulator, not {core_digest}: "
                "install the same version of this package on every node"
            )
        plugins.load()
        self._evaluator = Evaluator(workloads)

    def node(self) -> tuple[str, str]:
        """Return the node that the actor was placed on and its machine, once it is ready."""
        import ray

        return str(ray.get_runtime_context().get_node_id()), socket.gethostname()

    def compile(self, loop: ReplayLoop) -> None:
        """Compile a loop, or find it on its node's disk."""
        compile_loop(loop)

    def evaluate(self, batch: bytes) -> Result:
        """Return what became of a batch that was `packed`.

        Ray hands arrays back out of band, through shared memory where they are large.
        """
        return evaluated(self._evaluator, pickle.loads(batch))
