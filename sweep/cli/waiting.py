"""What a command that takes its time says of that: how far it is, that it compiles."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, Thread, Timer
from time import monotonic
from typing import Protocol

from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from sweep.cli.console import SafeConsole

#: Compiling that takes no longer is not worth a word.
_LONG_S = 2.0
#: Without a terminal, progress is a line every so many seconds.
_LINE_INTERVAL_S = 10.0
_SCALES = ((10**9, "G"), (10**6, "M"), (1, ""))


class Compiling:
    """How long machine code has been compiled, and whether anyone was told so."""

    def __init__(self, what: str) -> None:
        self.seconds = 0.0
        self._message = f"compiling what no {what} has needed before"
        self._start = 0.0
        self._told = False
        self._timer: Timer | None = None

    def begins(self) -> None:
        """Note that compiling begins."""
        self._start = monotonic()
        if not self._told:
            self._timer = Timer(max(0.0, _LONG_S - self.seconds), self._tell)
            self._timer.daemon = True
            self._timer.start()

    def ends(self) -> None:
        """Note that nothing is compiled any more."""
        self.seconds += monotonic() - self._start
        self.stop()

    def stop(self) -> None:
        """Let nothing be told any more of what is being compiled."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _tell(self) -> None:
        self._told = True
        print(self._message, file=sys.stderr, flush=True)


@contextmanager
def telling_of_compiling(what: str) -> Iterator[Compiling]:
    """Say once on stderr that machine code is compiled, if that takes long.

    Parameters
    ----------
    what
        What needs the code, such as ``import``.
    """
    from core.jit import at_compiling

    compiling = Compiling(what)
    try:
        with at_compiling(compiling.begins, compiling.ends):
            yield compiling
    finally:
        compiling.stop()


class Advance(Protocol):
    """What is called as a command advances: with how much is done, and of how much, if known."""

    def __call__(self, done: int, total: int = 0, /) -> None:
        """Take in how far it is."""


@contextmanager
def telling_of_progress(what: str, unit: str = "") -> Iterator[Advance]:
    """Show on stderr how far a command is: a bar on a terminal, elsewhere a line every 10 s.

    A line comes too where nothing advances, as long as one call of native code lasts.

    Parameters
    ----------
    what
        What it does, such as ``importing``.
    unit
        What is counted, such as ``accesses``; ``B`` is for bytes, none for what is not counted.
    """
    began = monotonic()
    done_of = (0, 0)
    console = SafeConsole(stderr=True)
    if console.is_terminal:
        said = TextColumn("{task.description}", markup=False)
        columns = (said, BarColumn(), TextColumn("{task.fields[done]}"))
        with Progress(*columns, TimeElapsedColumn(), console=console, transient=True) as bar:
            task = bar.add_task(what, total=None, done="")

            def advance(done: int, total: int = 0, /) -> None:
                said = _amount(done, total, unit)
                bar.update(task, completed=done, total=total or None, done=said)

            yield advance
        return

    def say_lines(ended: Event) -> None:
        while not ended.wait(_LINE_INTERVAL_S):
            amount = f"{_amount(*done_of, unit)}, " if done_of[0] else ""
            line = f"{what}: {amount}{monotonic() - began:.0f} s so far"
            print(line, file=sys.stderr, flush=True)

    def note(done: int, total: int = 0, /) -> None:
        nonlocal done_of
        done_of = done, total

    ended = Event()
    Thread(target=say_lines, args=(ended,), daemon=True).start()
    try:
        yield note
    finally:
        ended.set()


def _amount(done: int, total: int, unit: str) -> str:
    """Return an amount in words, such as ``12.0 of 250.0 MB`` or ``3 of 8 figures``."""
    scale, prefix = next(row for row in _SCALES if max(done, total) >= row[0] or row[0] == 1)
    digits = 1 if scale > 1 else 0
    of = f" of {total / scale:,.{digits}f}" if total else ""
    return f"{done / scale:,.{digits}f}{of} {prefix}{unit if unit == 'B' else f' {unit}'}".rstrip()
