"""How the text of a trace is encoded, and the same text in UTF-8."""

from __future__ import annotations

import codecs
from collections.abc import Iterator

#: What a text may begin with to tell its encoding; the longer mark comes first.
_MARKS = (
    (b"\xff\xfe\0\0", "utf-32-le"),
    (b"\0\0\xfe\xff", "utf-32-be"),
    (b"\xef\xbb\xbf", ""),
    (b"\xff\xfe", "utf-16-le"),
    (b"\xfe\xff", "utf-16-be"),
)
_SAMPLE_BYTES = 4096
#: The text of a trace is nearly all of ASCII.
_LEAST_ASCII = 0.95


def encoding_of(head: bytes) -> tuple[int, str]:
    """Return how many bytes a text's mark takes, and its encoding; empty where bytes stay as is.

    Without a mark, a text is in UTF-16 or UTF-32 if it is nearly all ASCII when so decoded.
    """
    for mark, encoding in _MARKS:
        if head.startswith(mark):
            return len(mark), encoding
    sample = head[: min(len(head), _SAMPLE_BYTES) // 4 * 4]
    if b"\0" in sample:
        for encoding in ("utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"):
            text = sample.decode(encoding, "replace")
            plain = sum(" " <= sign <= "~" or sign in "\t\r\n" for sign in text)
            if plain >= _LEAST_ASCII * len(text):
                return 0, encoding
    return 0, ""


def as_utf8(pieces: Iterator[bytes], encoding: str) -> Iterator[bytes]:
    """Yield text in UTF-8; a piece may end within a character."""
    decoder = codecs.getincrementaldecoder(encoding)("replace")
    for piece in pieces:
        if text := decoder.decode(piece):
            yield text.encode("utf-8", "replace")
    if text := decoder.decode(b"", final=True):
        yield text.encode("utf-8", "replace")


def with_newlines(text: bytes) -> bytes:
    r"""Return whole lines with ``\n`` at their ends: Windows ends them with ``\r\n``.

    Serial consoles write ``\r\r\n``, or ``\n\r``, of which the last sign may begin the text.
    """
    for _ in range(3):
        if b"\r\n" in text:
            text = text.replace(b"\r\n", b"\n")
    return text.removeprefix(b"\r").replace(b"\n\r", b"\n")
