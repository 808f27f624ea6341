"""The executor for trials that may kill or hang what replays them: a child, a trial at a time.

If such a trial is to blame the child dies, and its death tells why; or it is killed when its time
is over.
"""

from __future__ import annotations

import os
import pickle
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Thread
from time import monotonic, sleep
from typing import IO, Any

from core.available_memory import kills_for_memory
from core.backend import compile_loop
from core.errors import InputError
from core.evaluator import Candidate, Evaluator, Workloads
from core.jit import at_compiling
from sweep.engine.executor import Cause, Failure, Result, evaluated
from sweep.engine.loops import loops_of_policy
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
    size = (1, 1)

    def __init__(self, workloads: Workloads, plugins: Plugins = NO_PLUGINS) -> None:
        self._made_of = (workloads, plugins)
        self._child: subprocess.Popen[bytes] | None = None
        #: The batch that is replayed now, and since when; the one for which the child was killed.
        self._begun: tuple[int, float] | None = None
        self._stopped: int | None = None
        self._tasks: SimpleQueue[tuple[int, Sequence[Candidate]] | None] = SimpleQueue()
        self._results: SimpleQueue[tuple[int, Result | Exception]] = SimpleQueue()
        self._closed = False
        self._thread = Thread(target=self._work, daemon=True)
        self._thread.start()

    def limit(self, workers: int | None) -> None:
        """Do nothing: it has one worker, which is the least."""

    def takes(self, candidate: Candidate) -> bool:
        """Return True: the child compiles what is not compiled."""
        return True

    def submit(self, number: int, candidates: Sequence[Candidate], alone: bool = False) -> None:
        """Hand a batch over, which comes back under its number; it is alone in any case."""
        self._tasks.put((number, candidates))

    def running(self) -> Mapping[int, float]:
        """Return the batch that is replayed now, and for how many seconds it has been."""
        begun = self._begun
        return {} if begun is None else {begun[0]: monotonic() - begun[1]}

    def stop(self, number: int) -> None:
        """Kill the child: the batch comes back as a failure, and another child is started."""
        begun, child = self._begun, self._child
        if begun is not None and begun[0] == number and child is not None:
            self._stopped = number
            child.kill()

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
                self._results.put((number, self._replay(number, list(batch))))
            except Exception as error:  # else the driver would wait for the batch for ever
                self._results.put((number, error))

    def _replay(self, number: int, batch: list[Candidate]) -> Result:
        if self._child is not None and self._child.poll() is not None:
            # It died after the batch before: no batch is to blame for that.
            self._child = self._stopped = None
        kills_before = kills_for_memory()
        child = self._child or _start()
        try:
            if self._child is None:
                self._child = child
                _send(child.stdin, sys.path)
                _send(child.stdin, self._made_of)
            _send(child.stdin, batch)
            while isinstance(told := pickle.load(_open(child.stdout)), bool):
                # Whether it compiles: what takes time meanwhile is not the trial's.
                self._begun = None if told else (number, monotonic())
            result: Result = told
            return result
        except (EOFError, OSError, pickle.UnpicklingError):
            code = child.wait()
            self._child = None
            stopped, self._stopped = self._stopped, None
            if stopped == number:
                return Failure("it took too long", Cause.TIME, socket.gethostname())
            if stopped is not None:
                return Failure("its process was killed for the batch before", Cause.LOST)
            return _death(code, kills_for_memory() > kills_before)
        finally:
            self._begun = None


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


def _death(code: int, for_memory: bool) -> Failure:
    """Return what a process died of, from its exit code."""
    host = socket.gethostname()
    if code >= 0:
        return Failure(f"the process that replayed it alone exited with {code}", Cause.EXIT, host)
    try:
        name = signal.Signals(-code).name
    except ValueError:  # a real-time signal has none
        name = f"signal {-code}"
    told = f"the process that replayed it alone was killed by {name}"
    if for_memory and -code == signal.SIGKILL:
        why = "the machine, or its control group, had no memory left"
        return Failure(f"{told}: {why}", Cause.MEMORY, host)
    return Failure(told, Cause.SIGNAL, host)


def _end_with(parent: int) -> None:
    """End this process when its parent is gone, whatever it replays."""
    while os.getppid() == parent:
        sleep(_LOOK_S)
    os._exit(1)


def serve() -> None:
    """Replay what comes on stdin until it ends; what a user's own code prints goes to stderr."""
    Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    with suppress(OSError):
        # Where memory runs out, the child goes and not its driver.
        Path("/proc/self/oom_score_adj").write_text("1000")
    source, target = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    # Its driver may be killed at any moment, also while it writes.
    with suppress(EOFError, pickle.UnpicklingError):
        workloads, plugins = pickle.load(source)
        plugins.load()
        evaluator = Evaluator(workloads)
        with at_compiling(partial(_send, target, True), partial(_send, target, False)):
            while True:
                batch: list[Candidate] = pickle.load(source)
                _compile_for(batch)
                _send(target, False)
                _send(target, evaluated(evaluator, batch))


def _compile_for(batch: Sequence[Candidate]) -> None:
    """Compile what a batch calls, or load it: that takes no time of the batch's own."""
    with suppress(Exception):  # a loop that no compiler likes is told of by its replay
        for loop in {loop for each in batch for loop in loops_of_policy(each.policy)}:
            compile_loop(loop)
