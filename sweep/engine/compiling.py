"""Compiling: the loops over lanes that a study needs, compiled by processes of their own.

Numba compiles one function at a time in a process. So some processes, at a low priority, share the
loops that are not on disk; the process that waits for them goes on with those that are.

Two runs that start at once share the work as well, by a lock a loop. A process dies with the one
that started it: it reads its stdin, which ends then.
"""

from __future__ import annotations

import fcntl
import json
import os
import pickle
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress

from core.backend import compile_loop, not_compiled
from core.errors import InputError
from core.evaluator import Candidate
from core.jit import code_folder
from core.system.cleancache.entries import entry_name
from core.system.contract import ReplayLoop
from sweep.engine.loops import loops_of_policy
from sweep.engine.plugins import NO_PLUGINS, Plugins

#: What is added to the niceness of a process that compiles. Beside a replay it has a quarter of a
#: processor; with less, whoever waits for it would wait for all else that a busy machine does.
_NICENESS = 5
#: What such a process runs: it ends with its parent, from the first moment on, and finds modules
#: where its parent does, not in the folder where it happens to be (-P).
_PROGRAM = """
import os, pickle, sys, threading

def end_with_parent():
    sys.stdin.buffer.read()
    os._exit(1)

sys.path[:], request = pickle.load(sys.stdin.buffer)
threading.Thread(target=end_with_parent, daemon=True).start()
from sweep.engine.compiling import work
work(request)
"""


class Compiling:
    """The compilation of loops over lanes by processes of its own, as far as they are not on disk.

    Parameters
    ----------
    loops
        The loops, in the order in which they are begun.
    processes
        How many processes compile, at most.
    told
        What is called with the number of loops that have ended, and of all that were not on disk:
        at the start, and by a thread of this object whenever one ends.
    plugins
        A user's own evictions, which each process imports.
    """

    def __init__(
        self,
        loops: Iterable[ReplayLoop],
        processes: int,
        told: Callable[[int, int], None] = lambda ended, missing: None,
        plugins: Plugins = NO_PLUGINS,
    ) -> None:
        #: The errors of those that could not be compiled: whoever calls one meets it again.
        self.failed: dict[ReplayLoop, str] = {}
        self._loops = list(loops)
        self._missing: list[ReplayLoop] = []
        self._left: set[ReplayLoop] = set()
        self._is_started = False
        self._most, self._told, self._plugins = processes, told, plugins
        self._processes: list[subprocess.Popen[bytes]] = []
        self._listener: threading.Thread | None = None
        self._all_ended = threading.Event()
        self._closed = False

    def start(self) -> None:
        """Start the processes, if there is anything to compile; to start again does nothing."""
        if self._is_started:
            return
        self._is_started = True
        self._missing = not_compiled(self._loops)
        self._left = set(self._missing)
        if not self._missing:
            self._all_ended.set()
            return
        self._told(0, len(self._missing))
        answers, answer = os.pipe()
        request = pickle.dumps((sys.path, pickle.dumps((self._missing, self._plugins))))
        why = ""
        try:
            for _ in range(min(self._most, len(self._missing))):
                self._processes.append(_started(request, answer))
        except OSError as error:
            why = f"no process can be started: {error}"
        finally:
            os.close(answer)
        listener = threading.Thread(target=self._listen, args=(answers, why), daemon=True)
        listener.start()
        self._listener = listener

    def takes(self, candidate: Candidate) -> bool:
        """Return whether a candidate can be replayed at once: no loop of it is waited for."""
        return not self._left or self._left.isdisjoint(loops_of_policy(candidate.policy))

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait until no loop is waited for, or for so long, and return whether none is."""
        return self._all_ended.wait(timeout_s)

    def close(self) -> None:
        """Kill the processes that still compile; to close it again does nothing."""
        self._closed = True
        for process in self._processes:
            process.kill()
        if self._listener is not None:
            self._listener.join()

    def _listen(self, answers: int, why: str) -> None:
        """Note what ends, until the processes have; what no process has told of has failed."""
        with open(answers) as lines:
            for line in lines:
                place, error = json.loads(line)
                self._end(self._missing[place], error)
        for process in self._processes:
            process.communicate()
            code = process.returncode
            ended = f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
            why = why or f"a process that compiled {ended}"
        for loop in [] if self._closed else list(self._left):
            self._end(loop, why)

    def _end(self, loop: ReplayLoop, error: str) -> None:
        if loop not in self._left:
            return
        if error:
            self.failed[loop] = error
        self._left.discard(loop)
        if not self._left:
            self._all_ended.set()
        # A terminal that is gone keeps nobody waiting.
        with suppress(OSError, ValueError):
            self._told(len(self._missing) - len(self._left), len(self._missing))


def compile_all(
    loops: Iterable[ReplayLoop], processes: int, plugins: Plugins = NO_PLUGINS
) -> dict[ReplayLoop, str]:
    """Compile loops that are not on disk, and return the errors of those that cannot be compiled.

    Parameters
    ----------
    loops, processes, plugins
        As `Compiling` takes them.
    """
    compiling = Compiling(loops, processes, plugins=plugins)
    try:
        compiling.start()
        compiling.wait()
    finally:
        compiling.close()
    return compiling.failed


def _started(request: bytes, answer: int) -> subprocess.Popen[bytes]:
    """Return a process that compiles, at work.

    It is a group of its own, so that Ctrl-C is the parent's alone, but of the same session: Linux
    may schedule sessions against each other whatever their niceness.
    """
    process = subprocess.Popen(
        [sys.executable, "-P", "-c", _PROGRAM],
        stdin=subprocess.PIPE, stdout=answer, stderr=subprocess.DEVNULL, process_group=0,
    )  # fmt: skip
    assert process.stdin is not None
    process.stdin.write(request)
    process.stdin.flush()
    return process


def work(request: bytes) -> None:
    """Compile the loops that a request names, and tell on stdout of each that ends.

    A loop that another process compiles is left until the end. By then it is on disk, or the
    process has died and left it.
    """
    os.nice(_NICENESS)
    # What a user's module prints is no answer.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    loops, plugins = pickle.loads(request)
    with suppress(InputError):  # what a loop lacks is told by compiling it
        plugins.load()
    left = dict(enumerate(loops))
    for waits in (False, True):
        for place, loop in list(left.items()):
            with _claimed(entry_name(*loop), waits) as mine:
                if mine:
                    error = _compiled(loop)
                    del left[place]
                    print(json.dumps((place, error)), file=answers, flush=True)


@contextmanager
def _claimed(name: str, waits: bool) -> Iterator[bool]:
    """Yield whether this process may compile a loop, or another one does; it may be waited for."""
    try:
        file = (code_folder() / f"{name}.lock").open("w")
    except OSError:  # a full disk, say: to compile twice harms nobody
        yield True
        return
    with file:
        is_mine = True
        try:
            fcntl.flock(file, fcntl.LOCK_EX if waits else fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            is_mine = False
        except OSError:
            pass  # a file system without locks
        yield is_mine


def _compiled(loop: ReplayLoop) -> str:
    """Compile a loop that is not on disk, and return why that cannot be; "" if it can."""
    try:
        for missing in not_compiled([loop]):
            compile_loop(missing)
    except Exception as error:
        return f"{type(error).__name__}: {error}"[:1000]
    return ""
