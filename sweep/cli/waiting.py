"""What a command that takes its time says of that: that it compiles, that it was interrupted."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Timer
from time import monotonic

#: Compiling that takes no longer is not worth a word.
_LONG_S = 2.0


class Compiling:
    """How long machine code has been compiled, and whether anyone was told so."""

    def __init__(self, what: str) -> None:
        self.seconds = 0.0
        self._message = f"compiling what no {what} has needed before"
        self._depth, self._start = 0, 0.0
        self._told = False
        self._timer: Timer | None = None

    def begins(self) -> None:
        """Note that a function begins to be compiled, of which one compiles others."""
        self._depth += 1
        if self._depth == 1:
            self._start = monotonic()
            if not self._told and self._timer is None:
                self._timer = Timer(max(0.0, _LONG_S - self.seconds), self._tell)
                self._timer.daemon = True
                self._timer.start()

    def ends(self) -> None:
        """Note that a function is compiled."""
        self._depth -= 1
        if self._depth == 0:
            self.seconds += monotonic() - self._start
            self.stop()

    def stop(self) -> None:
        """Let nothing be told any more of the function that is being compiled."""
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


@contextmanager
def telling_of_interrupts(*outputs: Path | None) -> Iterator[None]:
    """Say on Ctrl-C what a command has written by then: nothing, or some of its files."""
    before = [_stamp(path) for path in outputs]
    try:
        yield
    except KeyboardInterrupt:
        changed = [
            str(path)
            for path, stamp in zip(outputs, before, strict=True)
            if path is not None and _stamp(path) != stamp
        ]
        written = f"{', '.join(changed)} is written" if changed else "nothing is written"
        print(f"interrupted: {written}", file=sys.stderr, flush=True)
        raise


def _stamp(path: Path | None) -> tuple[int, int]:
    """Return what changes where a file is replaced."""
    try:
        about = path.stat() if path is not None else None
    except OSError:
        about = None
    return (about.st_ino, about.st_mtime_ns) if about else (0, 0)
