"""What is printed, to whatever is there: any encoding, a terminal that is gone, none at all.

A text can come from a study, a trace or a database of anybody's. So what a terminal would obey is
written out, in all that is printed; a console of rich's, which has its own codes, does the same
(sweep/cli/console.py).
"""

from __future__ import annotations

import codecs
import os
import re
import sys
from contextlib import suppress
from typing import Any, TextIO

_BARS = dict(zip("▁▂▃▄▅▆▇█", ".:-=+*#@", strict=True))
#: What stands for a sign that the encoding lacks.
_PLAIN = _BARS | {
    **{"…": "...", "µ": "u", "\N{GREEK SMALL LETTER MU}": "u", "\N{MINUS SIGN}": "-"},
    **{"\N{EN DASH}": "-", "\N{EM DASH}": "-", "\N{MULTIPLICATION SIGN}": "x", "≤": "<="},
    **{"≥": ">=", "\N{LEFT SINGLE QUOTATION MARK}": "'", "\N{RIGHT SINGLE QUOTATION MARK}": "'"},
    **{"“": '"', "”": '"', "→": "->", "•": "*", "\N{NO-BREAK SPACE}": " "},
}
_HANDLER = "sweep.plain"
#: Text in which nothing is to be written out: most of what is printed.
_HARMLESS = re.compile(r"[\n\t -~]*")
#: A size of a terminal that can be meant, in columns or lines; another is asked of the terminal.
_SIZE = re.compile(r"[1-9][0-9]{1,2}")


class _Stream:
    """Stdout or stderr, as a console of rich's has it.

    Parameters
    ----------
    stream
        The stream.
    is_told
        Whether anyone is told that it cannot be written. What goes to stderr is told beside the
        work of a command: it does not end with a terminal that is gone, or a full disk.
    """

    def __init__(self, stream: TextIO, is_told: bool) -> None:
        self._stream, self._is_told = stream, is_told

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Write a text as it is."""
        try:
            return self._stream.write(text)
        except (OSError, ValueError):
            if self._is_told:
                raise
            return len(text)

    def flush(self) -> None:
        """Write what is held back."""
        try:
            self._stream.flush()
        except (OSError, ValueError):
            if self._is_told:
                raise


class _Printed(_Stream):
    """Stdout or stderr, to which a text goes with what a terminal would obey written out."""

    def __init__(self, stream: TextIO, is_told: bool) -> None:
        super().__init__(stream, is_told)
        #: Where rich writes, by its own protocol.
        self.rich_proxied_file = _Stream(stream, is_told)

    def write(self, text: str) -> int:
        """Write a text as it is printed."""
        if not _HARMLESS.fullmatch(text):
            from core.errors import printable  # `sweep --help` needs none of it

            super().write(printable(text))
            return len(text)
        return super().write(text)


def print_to_anything() -> None:
    """Let stdout and stderr take all that is printed, whatever they are.

    What their encoding lacks is printed in ASCII, a byte of a file's name that is no text as
    ``\\xff``. One that is closed is /dev/null: else the next file that is opened would have its
    number, and what is printed would go there.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    codecs.register_error(_HANDLER, _plainly)
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if isinstance(stream, _Printed):
            continue
        if stream is None:
            stream = os.fdopen(os.open(os.devnull, os.O_WRONLY), "w")
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors=_HANDLER)
        setattr(sys, name, _Printed(stream, is_told=name == "stdout"))
    for name in ("COLUMNS", "LINES"):
        if not _SIZE.fullmatch(os.environ.get(name, "80")):
            del os.environ[name]


def _plainly(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeEncodeError)
    lacking = error.object[error.start : error.end]
    return "".join(_plain(sign) for sign in lacking), error.end


def _plain(sign: str) -> str:
    if "\udc80" <= sign <= "\udcff":
        return f"\\x{ord(sign) - 0xDC00:02x}"
    return _PLAIN.get(sign) or sign.encode("ascii", "backslashreplace").decode()


def give_up_stdout_if_full() -> None:
    """Send nowhere what stdout cannot take: the interpreter would try again when it ends."""
    try:
        sys.stdout.flush()
    except (OSError, ValueError):
        with suppress(OSError, ValueError), open(os.devnull, "w") as nowhere:
            os.dup2(nowhere.fileno(), sys.stdout.fileno())
