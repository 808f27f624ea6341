"""Captures of real kernels: those that come with the project, and a part of one as text."""

from __future__ import annotations

from pathlib import Path

TRACES = Path(__file__).parents[2] / "studies" / "traces"
#: The beginning of an ftrace capture, as `sweep trace record` writes it.
CAPTURE_PART = Path(__file__).parent / "data" / "database-xfs-part.ftrace.txt.gz"
