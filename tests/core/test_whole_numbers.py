"""Whole numbers in what a stranger wrote: none of them ends in an error of Python's."""

from __future__ import annotations

import pytest

from core.workload.requests.recognition import recognise
from core.workload.whole_numbers import whole_number


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("0", 0),
        ("007", 7),
        (b"42", 42),
        ("9" * 18, 10**18 - 1),
        ("9" * 19, None),
        ("9" * 5000, None),
        ("\u00b2", None),
        ("\u0663", None),
        ("-1", None),
        ("", None),
        (b"4\xff", None),
    ],
)
def test_a_text_is_a_number_or_none(text: str | bytes, number: int | None) -> None:
    assert whole_number(text) == number


def test_a_number_of_many_digits_keeps_no_format_from_being_recognised() -> None:
    lines = "".join(f"{place} 1 0 {place}\n" for place in range(20))
    recognise("x.arc", f"{lines}3 1 0 {'9' * 5000}\n".encode())
