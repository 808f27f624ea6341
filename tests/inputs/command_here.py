"""The command `sweep`, called in this process."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from unittest.mock import patch

from sweep.cli import main as command_line


def call(words: tuple[str | Path, ...], out: io.TextIOBase, err: io.TextIOBase) -> int:
    """Call the command with two streams, and return its exit code."""
    with patch.multiple(sys, argv=["sweep", *map(str, words)], stdout=out, stderr=err):
        try:
            command_line.main()
        except SystemExit as exited:
            return int(str(exited.code))
    return 0


def say_here(*words: str | Path) -> tuple[int, str, str]:
    """Call the command, and return its exit code and what it said to stdout and to stderr."""
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8") for _ in range(2))
    code = call(words, out, err)
    return code, *(_text_of(stream) for stream in (out, err))


def _text_of(stream: io.TextIOWrapper) -> str:
    stream.flush()
    written = stream.detach()
    assert isinstance(written, io.BytesIO)
    return written.getvalue().decode(errors="replace")
