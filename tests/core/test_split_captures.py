"""A capture whose lines lie in a file of each CPU is the capture in one file."""

from __future__ import annotations

from pathlib import Path

PART = Path(__file__).parents[1] / "inputs" / "data"
