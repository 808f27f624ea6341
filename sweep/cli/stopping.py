"""How a command stops by a signal: in order while it can, in any case after a while.

The signal is raised as `Stopped` where the command is, as Ctrl-C always was. But no handler of
Python's runs while one call of native code lasts (a sort of a large table, or LLVM's), and
what is raised in a callback is lost. So a thread hears of signals too, through a pipe that the
interpreter writes to at once. It sends again what was lost in a callback, and if the command is
not gone after a while, it leaves from there.
"""

from __future__ import annotations

import atexit
import os
import select
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from time import monotonic
from types import FrameType
from typing import Any, NamedTuple, NoReturn

#: What a user, a batch system, and a terminal that is closed send to end a command.
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
#: A command stops within a second: so long in order, and the rest is for leaving.
IN_ORDER_S = 0.5
#: `timeout` sends its signal to the command and to its group, a closed terminal likewise: what
#: comes within this time is the first signal still. Nobody presses Ctrl-C twice as fast.
TWICE_S = 0.1
#: A signal that was lost in a callback is sent again after so long: the callback may be at work.
_AGAIN_S = 0.05


class Stopped(KeyboardInterrupt):
    """A signal that ends the command, raised where the command is."""


class _Kept(NamedTuple):
    """What is there of a command's work at any moment, and how long it stops in order."""

    says: Callable[[], str]
    unfinished: Sequence[Path]
    in_order_s: float


_NOTHING = _Kept(lambda: "nothing is written", (), IN_ORDER_S)


class _Stopping:
    """The answer of this process to signals, while a command runs."""

    def __init__(self) -> None:
        self.number = 0  # of the first signal
        self.kept = [_NOTHING]
        self._told = threading.Lock()
        self._is_raised = self._is_lost = False
        # nohup, and a shell's background job, have some of them ignored: they stay so.
        self._before: dict[signal.Signals, Any] = {
            number: handler
            for number in SIGNALS
            if (handler := signal.getsignal(number)) is not signal.SIG_IGN
        }
        # Of what is lost in a callback (LLVM's while it loads code) Python prints a traceback.
        self._hook_before = sys.unraisablehook
        sys.unraisablehook = self._unraisable
        reads, self._writes = os.pipe()
        os.set_blocking(self._writes, False)
        self._wakeup_before = signal.set_wakeup_fd(self._writes, warn_on_full_buffer=False)
        with suppress(RuntimeError):  # there are as many threads as may be
            threading.Thread(target=self._watch, args=(reads,), daemon=True).start()
        for number in self._before:
            signal.signal(number, self._raise)

    def restore(self) -> None:
        """Let signals do what they did before."""
        for number, handler in self._before.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(self._wakeup_before)
        sys.unraisablehook = self._hook_before
        os.close(self._writes)

    def _unraisable(self, lost: sys.UnraisableHookArgs) -> None:
        if isinstance(lost.exc_value, Stopped):
            self._is_raised, self._is_lost = False, True
        else:
            self._hook_before(lost)

    def tell(self, write: Callable[[str], object]) -> None:
        """Say once what stopped the command, and what is kept."""
        if self._told.acquire(blocking=False):
            interrupted = self.number in (0, signal.SIGINT)
            what = "interrupted" if interrupted else f"stopped by {self._name}"
            write(f"{what}: {self.kept[-1].says()}\n")

    def leave(self) -> NoReturn:
        """End the process in order, whatever threads of it are still in native code."""
        # The interpreter would wait for some of them, and abort where one of them comes back.
        self.tell(_print)
        with suppress(OSError, ValueError):
            sys.stdout.flush()
        atexit._run_exitfuncs()
        os._exit(128 + self.number)

    @property
    def _name(self) -> str:
        return signal.Signals(self.number).name

    def _raise(self, number: int, frame: FrameType | None) -> None:
        self.number = self.number or number
        if not self._is_raised:  # else it would break off what is tidied up
            self._is_raised = True
            raise Stopped(number)

    def _watch(self, reads: int) -> None:
        """Leave when the time to stop in order is over, or a second signal comes."""
        heard, sent = 0.0, 0
        poll = select.poll()
        poll.register(reads, select.POLLIN)
        while True:
            left_s = heard + self.kept[-1].in_order_s - monotonic() if heard else None
            if left_s is not None and left_s <= 0:
                self._leave_at_once()
            if not poll.poll(None if left_s is None else 1000 * min(left_s, _AGAIN_S)):
                if self._is_lost:
                    self._is_lost, sent = False, sent + 1
                    signal.pthread_kill(threading.main_thread().ident or 0, self.number)
                continue
            numbers = os.read(reads, 64)
            if not numbers:  # the command is done
                os.close(reads)
                return
            ours = [number for number in numbers if number in self._before]
            again = min(sent, len(ours))  # what was sent again from here is no second signal
            ours, sent = ours[again:], sent - again
            if ours and not heard:
                heard = monotonic()
                self.number = self.number or ours[0]
            elif ours and monotonic() - heard > TWICE_S:
                self._leave_at_once()

    def _leave_at_once(self) -> NoReturn:
        """End the process from another thread than the command's."""
        self.delete_unfinished()
        self.tell(_write)
        os._exit(128 + self.number)

    def delete_unfinished(self) -> None:
        """Delete what the command has begun to write."""
        for path in self.kept[-1].unfinished:
            with suppress(OSError):
                path.unlink(missing_ok=True)


#: The one of the command that runs.
_stopping: _Stopping | None = None


@contextmanager
def answering_signals() -> Iterator[None]:
    """Let SIGINT, SIGTERM and SIGHUP end what runs inside, and the process, with 128 + number.

    A signal that is ignored when it begins stays ignored. A second one leaves at once.
    """
    global _stopping
    mine = _stopping = _Stopping()
    try:
        yield
    finally:
        # Also where what was raised got lost, or became another error, on its way.
        if mine.number:
            mine.leave()
        _stopping = None
        mine.restore()


def leave_at_once(line: str, code: int) -> NoReturn:
    """Say why, and end the process from another thread than the command's, which cannot stop."""
    if _stopping is not None:
        _stopping.delete_unfinished()
    _write(f"{line}\n")
    os._exit(code)


def was_stopped() -> bool:
    """Return whether a signal has stopped the command, so that an error may come of that."""
    return _stopping is not None and _stopping.number != 0


def _forget() -> None:
    """Let a child that was forked not write into its parent's pipe."""
    global _stopping
    if _stopping is not None:
        _stopping.restore()
        _stopping = None


os.register_at_fork(after_in_child=_forget)


@contextmanager
def saying_what_is_kept(
    says: Callable[[], str], in_order_s: float = IN_ORDER_S, unfinished: Sequence[Path] = ()
) -> Iterator[None]:
    """Say what is kept, in one line, if a signal stops what runs inside.

    Parameters
    ----------
    says
        Returns it, as of now; any thread may ask.
    in_order_s
        How long what runs inside may take to stop in order.
    unfinished
        Files that are deleted where it cannot stop in order.
    """
    stopping = _stopping
    if stopping is None:  # in a notebook, say
        yield
        return
    stopping.kept.append(_Kept(says, unfinished, in_order_s))
    try:
        yield
    except BaseException as error:
        if stopping.number or isinstance(error, KeyboardInterrupt):
            stopping.tell(_print)
        raise
    finally:
        if not stopping.number:
            stopping.kept.pop()


@contextmanager
def saying_what_is_written(*outputs: Path | None) -> Iterator[None]:
    """Say, if a signal stops what runs inside, which of its files it has written by then."""
    from core.files import unfinished

    paths = [path for path in outputs if path is not None]
    before = [_stamp(path) for path in paths]

    def says() -> str:
        pairs = zip(paths, before, strict=True)
        changed = [str(path) for path, stamp in pairs if _stamp(path) != stamp]
        return f"{', '.join(changed)} is written" if changed else _NOTHING.says()

    # A wrong name, such as a folder's, is told elsewhere.
    partial = [unfinished(path) for path in paths if path.name]
    with saying_what_is_kept(says, unfinished=partial):
        yield


def _stamp(path: Path) -> tuple[int, int]:
    """Return what changes where a file is replaced."""
    try:
        about = path.stat()
    except OSError:
        return 0, 0
    return about.st_ino, about.st_mtime_ns


def _print(line: str) -> None:
    with suppress(OSError, ValueError):  # a terminal that is gone
        print(line, end="", file=sys.stderr, flush=True)


def _write(line: str) -> None:
    """Write to stderr past Python's buffers, which the command may hold; never wait for it."""
    poll = select.poll()
    poll.register(2, select.POLLOUT)
    with suppress(OSError):
        if any(state & select.POLLOUT for _, state in poll.poll(0)):
            # A progress bar hides the cursor.
            begin = "\x1b[?25h\n" if os.isatty(2) else ""
            shown = "".join(
                sign if sign.isprintable() else sign.encode("unicode_escape").decode()
                for sign in line.removesuffix("\n")
            )
            os.write(2, f"{begin}{shown}\n".encode())
