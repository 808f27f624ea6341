"""The base of the errors that a user can put right: told in lines, with exit code 2."""

from __future__ import annotations

import os


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
        place = [str(part) for part in (file, line, column) if part is not None]
        hint = f", did you mean {meant}?" if meant else ""
        super().__init__(f"{':'.join(place)}: {what}{hint}" if place else f"{what}{hint}")


class TraceError(InputError):
    """A trace that cannot be imported: which file and line, and why."""
