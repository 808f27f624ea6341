"""Where in ``folio->flags`` is what: kernels number these bits differently."""

from __future__ import annotations

from typing import NamedTuple


class PageFlags(NamedTuple):
    """The numbers of the bits of ``folio->flags`` that tell what an evicted folio is."""

    workingset: int = 9
    mappedtodisk: int = 11
    swapbacked: int = 17
