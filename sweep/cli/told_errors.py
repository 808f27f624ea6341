"""What a command says of an error that ends it, in one line; imported where there is one."""

from __future__ import annotations

import sys

from core.errors import InputError, printable


def tell(error: Exception) -> None:
    """Print an error that a user can put right; raise any other, which is one of this program."""
    show = getattr(error, "show", None)  # typer's own errors show the usage too
    if show is not None:
        for name in ("message", "param_hint"):  # what was typed stands in them
            if isinstance(said := getattr(error, name, None), str):
                setattr(error, name, printable(said))
        show()
    elif isinstance(error, InputError):
        print(error, file=sys.stderr)
    elif isinstance(error, OSError) and error.strerror:
        # A file system that is full or read-only, or a name that it does not take.
        print(f"{error.filename or 'output'}: {error.strerror}", file=sys.stderr)
    elif isinstance(error, MemoryError) or _is_of_memory(error):
        print(f"needs more memory than there is: {error}", file=sys.stderr)
    elif isinstance(error, RuntimeError) and "start new thread" in str(error):
        print("no thread can be started: there are as many as may be", file=sys.stderr)
    elif isinstance(error, UnicodeEncodeError) and _is_of_a_name(error):
        print(
            f"{error.object}: a name that is not UTF-8, or not so in this locale; rename the file",
            file=sys.stderr,
        )
    else:
        raise error


def _is_of_memory(error: Exception) -> bool:
    """Return whether a library of native code could not be loaded for want of memory."""
    said = str(error)
    return isinstance(error, ImportError) and ("map segment" in said or "allocate" in said)


def _is_of_a_name(error: UnicodeEncodeError) -> bool:
    """Return whether text could not be encoded because it holds bytes of a name as they are."""
    return all("\udc80" <= sign <= "\udcff" for sign in error.object[error.start : error.end])
