"""How long a database may be asked, and how much memory it may take: its file may be a stranger's.

A question without end is interrupted. DuckDB does not hear of that inside a call of some functions;
a command then leaves all the same.
"""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from threading import Event, Thread
from typing import TYPE_CHECKING

from core.available_memory import memory_limit_bytes
from sweep.results.errors import StoreError

if TYPE_CHECKING:
    import duckdb

#: So long DuckDB may take to hear that it is interrupted.
_DEAF_S = 0.5
#: The largest answer that is told. Python hears of no signal while it turns a larger value to text.
MOST_ANSWER_BYTES = 2**29


class TimeLimit:
    """The time for which databases may be asked, all questions together.

    Parameters
    ----------
    seconds
        The time.
    leave
        What ends the process where DuckDB does not hear; it is given the error.
    """

    def __init__(self, seconds: float, leave: Callable[[StoreError], None]) -> None:
        self._seconds, self._left_s, self._leave = seconds, seconds, leave

    @contextmanager
    def asking(self, connection: duckdb.DuckDBPyConnection) -> Iterator[None]:
        """Interrupt what a connection is asked inside, when the time is over."""
        answered, over = Event(), Event()

        def watch() -> None:
            if answered.wait(max(0.0, self._left_s)):
                return
            over.set()
            while not answered.is_set():  # it may have come a moment before the question
                connection.interrupt()
                if not answered.wait(_DEAF_S):
                    self._leave(self._error())

        begin = time.monotonic()
        thread = Thread(target=watch, daemon=True)
        thread.start()
        try:
            yield
        except BaseException as error:
            if over.is_set() and not isinstance(error, KeyboardInterrupt):
                raise self._error() from None
            raise
        finally:
            answered.set()
            thread.join()
            self._left_s -= time.monotonic() - begin

    def _error(self) -> StoreError:
        return StoreError(
            f"the database has not answered within {self._seconds:g} s; "
            "--timeout SECONDS gives it longer"
        )


_limit: ContextVar[TimeLimit | None] = ContextVar("_limit", default=None)


@contextmanager
def time_limit(seconds: float, leave: Callable[[StoreError], None]) -> Iterator[None]:
    """Limit how long databases may be asked inside, all questions together.

    Parameters are those of `TimeLimit`.
    """
    token = _limit.set(TimeLimit(seconds, leave))
    try:
        yield
    finally:
        _limit.reset(token)


@contextmanager
def memory_limit() -> Iterator[None]:
    """Limit the memory of this process inside to half of what it may have, beside what it has.

    DuckDB holds tables and sorts to a limit of its own, but not the text that a function makes.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    with open("/proc/self/statm") as file:
        data_pages = int(file.read().split()[5])
    most = data_pages * os.sysconf("SC_PAGE_SIZE") + memory_limit_bytes() // 2
    lowest = min((most, *(each for each in (soft, hard) if each != resource.RLIM_INFINITY)))
    resource.setrlimit(resource.RLIMIT_DATA, (lowest, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))


@contextmanager
def asking(connection: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """Hold what a connection is asked inside to the time limit, if there is one.

    Raises
    ------
    StoreError
        When the time is over.
    """
    limit = _limit.get()
    if limit is None:
        yield
        return
    with limit.asking(connection):
        yield
