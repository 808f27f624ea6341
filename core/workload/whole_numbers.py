"""Whole numbers in what a stranger wrote."""

from __future__ import annotations


def whole_number(text: str | bytes) -> int | None:
    """Return the number that a text of at most 18 digits is, which fits an int64; else None.

    ``int`` alone raises an error of more than 4,300 digits, and of signs such as ``²``, which
    ``str.isdigit`` takes for digits.
    """
    is_number = text.isascii() and text.isdigit() and len(text) <= 18
    return int(text) if is_number else None
