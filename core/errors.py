"""The base of the errors that a user can put right: told in lines, with exit code 2."""

from __future__ import annotations

import os
import shlex
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager

#: What is no text to a terminal: controls, signs that turn the order of others or are not seen.
_UNSEEN = ("Cc", "Cf", "Zl", "Zp")


def _written_out(text: str, but: str = "") -> str:
    """Return a text with what no terminal should take written out, such as ``\\x1b``."""
    if text.isprintable():
        return text
    return "".join(
        sign.encode("unicode_escape").decode()
        if sign not in but and unicodedata.category(sign) in _UNSEEN
        else sign
        for sign in text
    )


def printable(text: str) -> str:
    """Return a text of lines as it is printed: nothing in it moves a cursor or hides a sign."""
    return _written_out(text, but="\n\t")


def shown_name(path: str | os.PathLike[str]) -> str:
    """Return the name of a file as a message has it: what would break the line is written out."""
    return _written_out(os.fspath(path))


def quoted_name(path: str | os.PathLike[str]) -> str:
    """Return the name of a file as it stands in a command that somebody is to type."""
    return shlex.quote(shown_name(path))


class InputError(ValueError):
    """An input that cannot be used: where it stands, what is wrong, and what was meant.

    Its text is ``file:line:column: what, did you mean meant?``, without what is not known.

    Parameters
    ----------
    what
        What is wrong, in words that need no traceback beside them.
    file
        The file that holds the input.
    line, column
        Where in the file, both counted from 1.
    meant
        What the user may have meant.
    """

    def __init__(
        self,
        what: str,
        *,
        file: str | os.PathLike[str] | None = None,
        line: int | None = None,
        column: int | None = None,
        meant: str | None = None,
    ) -> None:
        self.what, self.file, self.line, self.column = what, file, line, column
        self.meant = meant
        name = None if file is None else shown_name(file)
        place = [str(part) for part in (name, line, column) if part is not None]
        hint = f", did you mean {meant}?" if meant else ""
        super().__init__(f"{':'.join(place)}: {what}{hint}" if place else f"{what}{hint}")


@contextmanager
def told_of(file: str | os.PathLike[str]) -> Iterator[None]:
    """Tell each error inside as one of a file: what raises it knows a table by its source alone."""
    try:
        yield
    except InputError as error:
        raise type(error)(error.what, file=file, meant=error.meant) from None


class TraceError(InputError):
    """A trace that cannot be imported: which file and line, and why."""


def check_output_name(output: str | os.PathLike[str]) -> None:
    """Raise `InputError` if a file to be written has the name ``-``, or one with a line break."""
    if os.fspath(output) == "-":
        raise InputError("-o -: nothing goes to standard output; give the name of a file")
    if shown_name(output) != os.fspath(output):
        raise InputError("holds a line break or the like; give another name", file=output)
