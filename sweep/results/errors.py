"""What is told when a database cannot be used."""

from __future__ import annotations

import errno
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

from core.errors import InputError, shown_name


class StoreError(InputError):
    """The error that a database, or a file beside it, cannot be used."""


class LockedError(StoreError):
    """The error that another process holds a database open."""


@contextmanager
def told_errors(path: Path) -> Iterator[None]:
    """Turn the errors of DuckDB and of the file system into a `StoreError` of one line.

    Parameters
    ----------
    path
        The file that the code inside works on; the error names it.

    Raises
    ------
    StoreError
        In place of an error of DuckDB or an `OSError`.
    KeyboardInterrupt
        When Ctrl-C stopped a query.
    """
    import duckdb

    try:
        yield
    except duckdb.Error as error:
        line = first_line(error)
        raise StoreError(line + _advice(line), file=path) from None
    except OSError as error:
        name = error.filename
        place = f" ({shown_name(os.fsdecode(name))})" if isinstance(name, str | bytes) else ""
        line = f"{error.strerror or error}{place}"
        raise StoreError(line + _advice(line), file=path) from None
    except RuntimeError as error:
        if str(error) == "Query interrupted":  # how DuckDB tells of Ctrl-C
            raise KeyboardInterrupt from None
        raise


def _advice(line: str) -> str:
    """Return what to do about an error of the file system, if there is something."""
    full = (os.strerror(code) for code in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG))
    if any(words in line for words in full):
        return "; free some space, then run it again to go on: finished trials are kept"
    return ""


@cache
def tell_once(line: str) -> None:
    """Print a line to stderr, unless this process has printed it."""
    with suppress(OSError, ValueError):  # a terminal that is gone
        if sys.stderr is not None:
            print(line, file=sys.stderr, flush=True)


def first_line(error: Exception) -> str:
    """Return the first line of an error, without the class that DuckDB puts before it."""
    line = next(iter(str(error).strip().splitlines()), type(error).__name__)
    return re.sub(r"^[\w ]+ Error: ", "", line)
