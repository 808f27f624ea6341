"""The words that fields of a policy may be: a ``StrEnum`` each."""

from __future__ import annotations

from enum import StrEnum


class Admission(StrEnum):
    """Which stores are let in."""

    ALL = "all"
    WORKINGSET = "workingset"


class Restore(StrEnum):
    """Whether a restored page keeps its copy."""

    INCLUSIVE = "inclusive"
    EXCLUSIVE = "exclusive"


class Drop(StrEnum):
    """What goes when a reservation hits a unit: the pages hit, or the whole unit."""

    PAGE = "page"
    FOLIO = "folio"


class LargeFolios(StrEnum):
    """What happens to folios of an order above 0."""

    CUT = "cut"
    REFUSE = "refuse"


class Offer(StrEnum):
    """Which evicted folios the hook hands over: all, or those marked as mapped to disk."""

    ALL = "all"
    MAPPED = "mapped"


class Lookup(StrEnum):
    """How a read request is looked up: each page, or a run's pages up to its first miss."""

    EACH = "each"
    PREFIX = "prefix"


class SlotReclaim(StrEnum):
    """Who makes room where no slot is free: the store itself, or a worker after it."""

    DIRECT = "direct"
    BACKGROUND = "background"


class Use(StrEnum):
    """When movable pages take tag storage: past half of the free pages, or before other frames."""

    HALF = "half"
    FIRST = "first"


class Clean(StrEnum):
    """What happens to clean page cache in a block that is wanted for tags."""

    DROP = "drop"
    MIGRATE = "migrate"


class Metadata(StrEnum):
    """What describes tag pages: a ``struct page`` each, 16 bytes a cached page, or nothing."""

    MEMMAP = "memmap"
    COMPACT = "compact"
    NONE = "none"


class Placement(StrEnum):
    """Which free slots the pages of a unit take."""

    QUEUE = "queue"
    CONTIGUOUS = "contiguous"
    SPREAD = "spread"
    COLD_BLOCK = "cold_block"
    FAR = "far"


class HeadroomMode(StrEnum):
    """Whether the headroom is the first blocks, or as many of those that are empty."""

    STATIC = "static"
    DYNAMIC = "dynamic"


class TaggedPlacement(StrEnum):
    """Which frames tagged pages get: the recorded ones, or those of an allocator that knows."""

    RECORDED = "recorded"
    RESERVED_FIRST = "reserved_first"
    HEADROOM_FIRST = "headroom_first"


class Guests(StrEnum):
    """When the memory of guests is tagged: from the start, or as they touch it."""

    KVM = "kvm"
    PKVM = "pkvm"


class Anonymous(StrEnum):
    """What a swap device is to a compressed cache: apart from it, behind it, or its last resort.

    Written through, every page that is swapped out is on the device too; written back, only one
    that is turned away or dropped.
    """

    NONE = "none"
    WRITE_THROUGH = "write_through"
    WRITE_BACK = "write_back"


class Packing(StrEnum):
    """How compressed pages share a slot: by size classes, or in pairs."""

    ZSMALLOC = "zsmalloc"
    ZBUD = "zbud"
