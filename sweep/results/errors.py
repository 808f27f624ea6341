"""What is told when a database cannot be used."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from core.errors import InputError


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
        raise StoreError(first_line(error), file=path) from None
    except OSError as error:
        place = f" ({error.filename})" if error.filename else ""
        raise StoreError(f"{error.strerror or error}{place}", file=path) from None
    except RuntimeError as error:
        if str(error) == "Query interrupted":  # how DuckDB tells of Ctrl-C
            raise KeyboardInterrupt from None
        raise


def first_line(error: Exception) -> str:
    """Return the first line of an error, without the class that DuckDB puts before it."""
    line = next(iter(str(error).strip().splitlines()), type(error).__name__)
    return re.sub(r"^[\w ]+ Error: ", "", line)
