"""The machine: data memory, page size and the geometry of its tag storage."""

from __future__ import annotations

from dataclasses import dataclass
from math import lcm

#: One tag-storage page holds the tags of 32 data pages (4 bits for each 16 bytes).
DATA_PAGES_PER_TAG_PAGE = 32
#: Largest folio and allocation order a kernel can form (64 KiB pages: MAX_PAGE_ORDER 13).
MAX_ORDER = 13
#: The most pages of a machine: frames are numbered by 32 bits with a sign.
MAX_PAGES = 2**31 - 1


@dataclass(frozen=True)
class Machine:
    """One tagged memory region and the tag storage that belongs to it.

    Parameters
    ----------
    page_size
        Bytes of a page; a power of two from 4096 to 2**30.
    data_pages
        Pages of the tagged region.
    tag_block_size
        Smallest unit of tag storage that can be reserved, in bytes: the devicetree property
        ``block-size`` of "Add support for arm64 MTE dynamic tag storage reuse" (RFC v3).

    Raises
    ------
    ValueError
        When a field is outside its domain.
    """

    page_size: int
    data_pages: int
    tag_block_size: int = 4096

    def __post_init__(self) -> None:
        if not 4096 <= self.page_size <= 2**30 or self.page_size & (self.page_size - 1):
            raise ValueError(f"page_size {self.page_size} is no power of two from 4096 to 2**30")
        if not 1 <= self.data_pages <= MAX_PAGES:
            raise ValueError(f"data_pages {self.data_pages} is not between 1 and 2**31 - 1")
        if not 1 <= self.tag_block_size <= 2**30:
            raise ValueError(f"tag_block_size {self.tag_block_size} is not between 1 and 2**30")

    @property
    def tag_block_pages(self) -> int:
        """Tag pages of a block: ``lcm(page_size, tag_block_size) / page_size``."""
        return lcm(self.page_size, self.tag_block_size) // self.page_size

    @property
    def tag_blocks(self) -> int:
        """Blocks of tag storage; the last one is whole even if it covers fewer data pages."""
        return -(-self.data_pages // (DATA_PAGES_PER_TAG_PAGE * self.tag_block_pages))

    @property
    def slots(self) -> int:
        """Tag pages in all blocks."""
        return self.tag_blocks * self.tag_block_pages
