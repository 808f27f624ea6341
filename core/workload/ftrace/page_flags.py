"""Where in ``folio->flags`` is what: kernels number these bits differently."""

from __future__ import annotations

import re
from typing import NamedTuple


class PageFlags(NamedTuple):
    """The numbers of the bits of ``folio->flags`` that tell what an evicted folio is."""

    workingset: int = 9
    mappedtodisk: int = 11
    swapbacked: int = 17


#: A kernel whose bits have the default numbers.
_KNOWN_KERNEL = re.compile(r"\b6\.12\.\d")


def page_flags_of(numbers: str, kernel: str) -> PageFlags | None:
    """Return the numbers of the bits of a recorded kernel, or None where nothing tells them.

    Parameters
    ----------
    numbers
        Lines such as ``workingset 9``, as the recorder writes them; a bit that lacks is the
        default one's.
    kernel
        What ``uname`` says of the kernel.
    """
    found = {
        name: int(number)
        for name, number in re.findall(r"^\s*(?:PG_)?(\w+)\s+(\d{1,2})\s*$", numbers, re.MULTILINE)
        if name in PageFlags._fields
    }
    if found or _KNOWN_KERNEL.search(kernel):
        return PageFlags(**found)
    return None
