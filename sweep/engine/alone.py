"""The executor for trials that may kill the process that replays them: a child, a trial at a time.

Two drivers died while they had such a trial in flight. If it was to blame the child dies, and its
death tells why.
"""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Thread
from time import sleep
from typing import IO, Any

from core.errors import InputError
from core.evaluator import Candidate, Evaluator, Workloads
from sweep.engine.executor import Failure, Result, evaluated
from sweep.engine.plugins import NO_PLUGINS, Plugins

#: How often a child looks whether its driver lives still.
_LOOK_S = 1.0
#: What a child runs: it finds modules where its driver does, not in the folder where it happens to
#: be (-P).
_PROGRAM = """
import pickle, sys
sys.path[:] = pickle.load(sys.stdin.buffer)
from sweep.engine.alone import serve
serve()
"""


class Alone:
    """A child process that replays one batch after the other, and is started anew when it dies.

    Parameters
    ----------
    workloads
        What is replayed.
    plugins
        A user's own code, which the child imports.
    """

    isolates = True
    workers = 1

    def __init__(self, workloads: Workloads, plugins: Plugins = NO_PLUGINS) -> None:
        self._made_of = (workloads, plugins)
        self._child: subprocess.Popen[bytes] | None = None
        self._tasks: SimpleQueue[tuple[int, Sequence[Candidate]] | None] = SimpleQueue()
        self._results: SimpleQueue[tuple[int, Result | Exception]] = SimpleQueue()
        self._closed = False
        self._thread = Thread(target=self._work, daemon=True)
        self._thread.start()

    def takes(self, candidate: Candidate) -> bool:
        """Return True: the child compiles what is not compiled."""
        return True

    def submit(self, number: int, candidates: Sequence[Candidate]) -> None:
        """Hand a batch over, which comes back under its number."""
        self._tasks.put((number, candidates))

    def finished(self, timeout_s: float) -> list[tuple[int, Result]]:
        """Return the batch that ended, if one does in so long.

        Raises
        ------
        InputError
            When no child can be started.
        """
        try:
            number, result = self._results.get(timeout=timeout_s)
        except Empty:
            return []
        if isinstance(result, Exception):
            raise result
        return [(number, result)]

    def close(self) -> None:
        """End the child."""
        self._closed = True
        self._tasks.put(None)
        child = self._child  # which the thread forgets as soon as it is dead
        if child is not None:
            child.kill()
            child.wait()
        self._thread.join(1.0)

    def _work(self) -> None:
        while (task := self._tasks.get()) is not None and not self._closed:
            number, batch = task
            try:
                self._results.put((number, self._replay(list(batch))))
            except Exception as error:  # else the driver would wait for the batch for ever
                self._results.put((number, error))

    def _replay(self, batch: list[Candidate]) -> Result:
        killed_before = _killed_for_memory()
        child = self._child or _start()
        try:
            if self._child is None:
                self._child = child
                _send(child.stdin, sys.path)
                _send(child.stdin, self._made_of)
            _send(child.stdin, batch)
            result: Result = pickle.load(_open(child.stdout))
            return result
        except (EOFError, OSError, pickle.UnpicklingError):
            code = child.wait()
            self._child = None
            return Failure(_cause(code, _killed_for_memory() > killed_before), died=True)


def _start() -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(
            [sys.executable, "-P", "-c", _PROGRAM],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            # A signal to the terminal's group is for the driver, which ends its child.
            start_new_session=True,
        )
    except OSError as error:
        raise InputError(
            f"no process can be started for a trial that may kill it: {error.strerror}; finished "
            "trials are kept, run it again to go on"
        ) from None


def _open(pipe: IO[bytes] | None) -> IO[bytes]:
    assert pipe is not None
    return pipe


def _send(pipe: IO[bytes] | None, content: Any) -> None:
    pickle.dump(content, _open(pipe), protocol=5)
    _open(pipe).flush()


def _cause(code: int, for_memory: bool) -> str:
    """Return what a process died of, from its exit code."""
    if code >= 0:
        return f"the process that replayed it alone exited with {code}"
    name = signal.Signals(-code).name
    why = ": the machine, or its control group, had no memory left" if for_memory else ""
    return f"the process that replayed it alone was killed by {name}{why}"


def _killed_for_memory() -> int:
    """Return how often Linux killed a process of this control group for want of memory."""
    try:
        group = Path("/proc/self/cgroup").read_text().strip().rpartition("::/")[2]
        lines = Path("/sys/fs/cgroup", group, "memory.events").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) for line in lines if line.startswith("oom_kill "))


def _end_with(parent: int) -> None:
    """End this process when its parent is gone, whatever it replays."""
    while os.getppid() == parent:
        sleep(_LOOK_S)
    os._exit(1)


def serve() -> None:
    """Replay what comes on stdin until it ends; what a user's own code prints goes to stderr."""
    Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    source, target = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    # Its driver may be killed at any moment, also while it writes.
    with suppress(EOFError, pickle.UnpicklingError):
        workloads, plugins = pickle.load(source)
        plugins.load()
        evaluator = Evaluator(workloads)
        while True:
            _send(target, evaluated(evaluator, pickle.load(source)))
