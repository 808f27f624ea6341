"""The words that fields of a policy may be: an enum each, a line of meaning with every word."""

from __future__ import annotations

from core.declaration import Word


class Admission(Word):
    """Which stores are let in."""

    ALL = "all", "every folio that is offered"
    WORKINGSET = (
        "workingset",
        "only folios with the workingset flag: they were active, or came back soon after an "
        "eviction",
    )


class Restore(Word):
    """Whether a restored page keeps its copy."""

    INCLUSIVE = "inclusive", "the copy stays in tag storage, and counts as touched"
    EXCLUSIVE = "exclusive", "the copy leaves, since the page is in memory again"


class Drop(Word):
    """What goes when a reservation hits a unit: the pages hit, or the whole unit."""

    PAGE = "page", "only the pages that lie in the reserved block"
    FOLIO = "folio", "these pages, and the rest of each unit that lost one (collateral)"


class LargeFolios(Word):
    """What happens to folios of an order above 0."""

    CUT = "cut", "they are cut into units of folio_order"
    REFUSE = "refuse", "their stores are skipped, and their restores are missed"


class Offer(Word):
    """Which evicted folios the hook hands over: all, or those marked as mapped to disk."""

    ALL = "all", "every clean folio that reclaim evicts"
    MAPPED = (
        "mapped",
        "only folios whose blocks the file system has marked as on disk (PG_mappedtodisk), as the "
        "hook of 2025 does",
    )


class Lookup(Word):
    """How a read request is looked up: each page, or a run's pages up to its first miss."""

    EACH = "each", "every page of it, as the hook of 2010 did"
    PREFIX = "prefix", "each run of it up to the first miss, as the hook of 2025 does"


class SlotReclaim(Word):
    """Who makes room where no slot is free: the store itself, or a worker after it."""

    DIRECT = "direct", "the store reclaims units until its pages fit"
    BACKGROUND = (
        "background",
        "a worker reclaims slot_reclaim_batch units afterwards, and the store is skipped",
    )


class Use(Word):
    """When movable pages take tag storage: past half of the free pages, or before other frames."""

    HALF = "half", "when more than half of the free pages are tag storage, as mainline does"
    FIRST = "first", "before any other frame, as vendors do"


class Clean(Word):
    """What happens to clean page cache in a block that is wanted for tags."""

    DROP = "drop", "it is evicted, mapped or not"
    MIGRATE = "migrate", "it moves to another frame, as dirty and anonymous pages do"


class Metadata(Word):
    """What describes tag pages: a ``struct page`` each, 16 bytes a cached page, or nothing."""

    MEMMAP = "memmap", "a struct page of 64 bytes for each tag page"
    COMPACT = "compact", "16 bytes for each cached page"
    NONE = "none", "nothing"


class Placement(Word):
    """Which free slots the pages of a unit take."""

    QUEUE = "queue", "those that have been free for longest"
    CONTIGUOUS = "contiguous", "the run of free slots that holds all of them in the fewest blocks"
    SPREAD = "spread", "for each page the next block, round all blocks"
    COLD_BLOCK = "cold_block", "the block whose last release is longest ago"
    FAR = "far", "the block under which the fewest frames are free to become tagged"


class HeadroomMode(Word):
    """Whether the headroom is the first blocks, or as many of those that are empty."""

    STATIC = "static", "the first blocks, always the same"
    DYNAMIC = "dynamic", "as many blocks, whichever cache the fewest pages when one is needed"


class TaggedPlacement(Word):
    """Which frames tagged pages get: the recorded ones, or those of an allocator that knows."""

    RECORDED = "recorded", "those of the trace"
    RESERVED_FIRST = "reserved_first", "free frames of blocks that are reserved already, if any"
    HEADROOM_FIRST = (
        "headroom_first",
        "free frames of reserved blocks, then those of the headroom, then any",
    )


class Guests(Word):
    """When the memory of guests is tagged: from the start, or as they touch it."""

    KVM = "kvm", "all of it from the start, and pinned, as with devices that are passed through"
    PKVM = "pkvm", "bit by bit, as the guests touch it"


class Anonymous(Word):
    """What a swap device is to a compressed cache: apart from it, behind it, or its last resort.

    Written through, every page that is swapped out is on the device too; written back, only one
    that is turned away or dropped.
    """

    NONE = "none", "they are left to the device, and out of every outcome"
    WRITE_THROUGH = "write_through", "they are kept, and each is written to the device at once too"
    WRITE_BACK = "write_back", "they are kept, and written when they are turned away or dropped"


class Packing(Word):
    """How compressed pages share a slot: by size classes, or in pairs."""

    ZSMALLOC = "zsmalloc", "a slot holds pages of one compressed size, as many as fit"
    ZBUD = "zbud", "a slot holds two pages of any sizes that fit"
