"""What is printed, in whatever encoding the terminal or the file behind it has."""

from __future__ import annotations

import codecs
import os
import sys

_BARS = dict(zip("▁▂▃▄▅▆▇█", ".:-=+*#@", strict=True))
#: What stands for a sign that the encoding lacks.
_PLAIN = _BARS | {
    **{"…": "...", "µ": "u", "\N{GREEK SMALL LETTER MU}": "u", "\N{MINUS SIGN}": "-"},
    **{"\N{EN DASH}": "-", "\N{EM DASH}": "-", "\N{MULTIPLICATION SIGN}": "x", "≤": "<="},
    **{"≥": ">=", "\N{LEFT SINGLE QUOTATION MARK}": "'", "\N{RIGHT SINGLE QUOTATION MARK}": "'"},
    **{"“": '"', "”": '"', "→": "->", "•": "*", "\N{NO-BREAK SPACE}": " "},
}
_HANDLER = "sweep.plain"


def print_in_any_encoding() -> None:
    """Let stdout and stderr print what their encoding lacks in ASCII, in place of an error.

    A byte of a file's name that is no text is printed as ``\\xff``.
    """
    codecs.register_error(_HANDLER, _plainly)
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors=_HANDLER)


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
    except OSError:
        with open(os.devnull, "w") as nowhere:
            os.dup2(nowhere.fileno(), sys.stdout.fileno())
