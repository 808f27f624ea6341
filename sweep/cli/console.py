"""A console of rich's whose text can be anything: what is no letter of it is written out."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any

from rich.console import Console
from rich.segment import Segment

from core.errors import printable


class SafeConsole(Console):
    """Stdout or stderr, to which rich's own escape codes go, and those of no study and no trace.

    Parameters
    ----------
    stderr
        Whether it is stderr.
    options
        As rich takes them.
    """

    def __init__(self, stderr: bool = False, **options: Any) -> None:
        stream: Any = sys.stderr if stderr else sys.stdout
        while hasattr(stream, "rich_proxied_file"):  # a progress bar's, and ours beneath it
            stream = stream.rich_proxied_file
        super().__init__(file=stream, **options)

    def _render_buffer(self, buffer: Iterable[Segment]) -> str:
        """Return the segments as a terminal takes them."""
        return super()._render_buffer(
            segment if segment.control else Segment(printable(segment.text), segment.style)
            for segment in buffer
        )

    def on_broken_pipe(self) -> None:
        """Raise the error, in place of rich's own exit code."""
        raise
