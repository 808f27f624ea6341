"""The text of ftrace in what saves it: systrace's pages of HTML, and JSON of trace viewers."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from itertools import chain

from core.errors import TraceError

#: Text of a script in a page is held back until so much tells whether it is of ftrace.
_DECIDING_BYTES = 1 << 16
#: The longest piece of a page that could be a tag's beginning.
_LONGEST_TAG_BYTES = 4096

_PAGE = re.compile(rb"\s*(?:<!--.*?-->\s*)*<(?:!doctype\s+html|html)\b", re.DOTALL | re.IGNORECASE)
_JSON = re.compile(rb"\s*[\[{]")
_VIEWER_WORD = re.compile(rb'"(?:traceEvents|systemTraceEvents|displayTimeUnit|ph)"\s*:')
_IS_FTRACE = re.compile(rb"# tracer:|[ \t]\d+\.\d{6,9}:\s+(?:\w+:)?\w+:")

#: Where the text of ftrace may begin in a page: in a script of its own, or as a string of one.
_BEGIN = re.compile(
    rb'<script[^>]*class="trace-data"[^>]*>|var linuxPerfData = "', re.IGNORECASE | re.DOTALL
)
_SCRIPT_END = re.compile(rb"</script\s*>", re.IGNORECASE)
_JSON_BEGIN = re.compile(rb'"systemTraceEvents"\s*:\s*"')
#: Whole signs of a string of JSON or JavaScript, up to its end.
_STRING = re.compile(rb'[^"\\]*(?:\\(?:u[0-9a-fA-F]{4}|[^u])[^"\\]*)*', re.DOTALL)
_UNICODE = re.compile(rb"(?:\\u[0-9a-fA-F]{4})+")
_ESCAPES = ((b"\\n", b"\n"), (b"\\t", b"\t"), (b"\\r", b"\r"), (b'\\"', b'"'), (b"\\'", b"'"))
_ENTITIES = (
    (b"&lt;", b"<"),
    (b"&gt;", b">"),
    (b"&quot;", b'"'),
    (b"&#39;", b"'"),
    (b"&amp;", b"&"),
)


def taken_out(name: str, beginning: bytes, pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Return the pieces of a text; of a page or JSON, those of the ftrace text in it alone.

    The text of a page keeps its line numbers: blank lines stand for what else is in the page.

    Raises
    ------
    TraceError
        When a page or the JSON of a trace viewer has no such text.
    """
    if _PAGE.match(beginning):
        return _of_page(name, pieces)
    if _JSON.match(beginning) and _VIEWER_WORD.search(beginning):
        return _of_json(name, pieces)
    return pieces


class _Window:
    """The part of a text that is looked at: what was read of it and not yet used."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self.held = b""
        self._pieces = pieces

    def grow(self) -> bool:
        """Read on; return False at the end of the text."""
        piece = next(self._pieces, b"")
        self.held += piece
        return bool(piece)

    def take(self, size: int) -> bytes:
        """Return the first `size` bytes, which are used."""
        taken, self.held = self.held[:size], self.held[size:]
        return taken

    def skip_to(self, pattern: re.Pattern[bytes]) -> Iterator[bytes | None]:
        """Yield blank lines in place of what stands before a pattern; at last, what matched.

        None is yielded last where the text ends without it.
        """
        while not (match := pattern.search(self.held)):
            yield _blank(self.take(max(0, len(self.held) - _LONGEST_TAG_BYTES)))
            if not self.grow():
                yield _blank(self.take(len(self.held)))
                yield None
                return
        yield _blank(self.take(match.end()))
        yield match[0]


def _blank(text: bytes) -> bytes:
    return b"\n" * text.count(b"\n")


def _of_page(name: str, pieces: Iterator[bytes]) -> Iterator[bytes]:
    window = _Window(pieces)
    found = False
    while True:
        *blanks, begin = window.skip_to(_BEGIN)
        yield from (blank for blank in blanks if blank)
        if begin is None:
            break
        text = _unescaped(window) if begin.startswith(b"var") else _script(window)
        head, is_over = b"", True
        for piece in text:
            head += piece
            if len(head) >= _DECIDING_BYTES:
                is_over = False
                break
        is_ftrace = _IS_FTRACE.search(head) is not None
        found = found or is_ftrace
        for piece in chain([head], () if is_over else text):
            if shown := piece if is_ftrace else _blank(piece):
                yield shown
    if not found:
        raise TraceError(
            "a page of HTML with no text of ftrace in it: give the trace that it was made from, "
            "or a page of systrace",
            file=name,
        )


def _script(window: _Window) -> Iterator[bytes]:
    """Yield the text of a script up to its end; a browser that saved the page wrote entities."""
    while True:
        end = _SCRIPT_END.search(window.held)
        # The last line may hold the beginning of the tag, and be of any length.
        whole = max(window.held.rfind(b"\n") + 1, len(window.held) - _LONGEST_TAG_BYTES)
        size = end.start() if end else whole
        text = window.take(size)
        if b"&" in text:
            for entity, sign in _ENTITIES:
                text = text.replace(entity, sign)
        if text:
            yield text
        if end:
            break
        if not window.grow():
            if window.held:
                yield window.take(len(window.held))
            break


def _of_json(name: str, pieces: Iterator[bytes]) -> Iterator[bytes]:
    window = _Window(pieces)
    *_, begin = window.skip_to(_JSON_BEGIN)
    if begin is None:
        raise TraceError(
            "JSON of a trace viewer with no text of ftrace in it (systemTraceEvents): give the "
            "trace that it was made from",
            file=name,
        )
    yield from _unescaped(window)


def _unescaped(window: _Window) -> Iterator[bytes]:
    """Yield the text of a string up to its end quote, without its escapes."""
    while True:
        match = _STRING.match(window.held)
        text = window.take(match.end() if match else 0)
        # A backslash that is escaped itself begins no escape.
        if text:
            yield b"\\".join(_without_escapes(part) for part in text.split(b"\\\\"))
        if window.held.startswith(b'"') or not window.grow():
            return


def _without_escapes(text: bytes) -> bytes:
    if b"\\" not in text:
        return text
    # A line of JavaScript that goes on in the next one: its number stays that of the page.
    text = text.replace(b"\\n\\\n", b"\n").replace(b"\\\n", b"\n")
    for escape, sign in _ESCAPES:
        text = text.replace(escape, sign)
    text = _UNICODE.sub(_signs, text)
    return text.replace(b"\\/", b"/")


def _signs(match: re.Match[bytes]) -> bytes:
    told: str = json.loads(b'"' + match[0] + b'"')
    return told.encode("utf-8", "replace")
