"""Policies: what to do with unused tag storage, one at a time by name or many as arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from enum import StrEnum
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray


class System(StrEnum):
    """What holds the unused tag storage."""

    CARVEOUT = "carveout"
    CLEANCACHE = "cleancache"
    ZSWAP = "zswap"
    TMEM = "tmem"
    MIGRATE_CMA = "migrate_cma"
    IDEAL = "ideal"


class Eviction(StrEnum):
    """Which unit is reclaimed when the cache needs room."""

    FIFO = "fifo"
    LRU = "lru"
    CLOCK = "clock"
    SIEVE = "sieve"
    S3FIFO = "s3fifo"
    RANDOM = "random"
    NONE = "none"


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


MAX_FOLIO_ORDER = 9

#: Policy fields that hold a word, with their words.
WORDS: dict[str, type[StrEnum]] = {
    "system": System,
    "eviction": Eviction,
    "admission": Admission,
    "restore": Restore,
    "drop": Drop,
    "large_folios": LargeFolios,
    "placement": Placement,
    "headroom_mode": HeadroomMode,
    "tagged_placement": TaggedPlacement,
    "guests": Guests,
    "packing": Packing,
    "anonymous": Anonymous,
    "metadata": Metadata,
}

#: Policy fields that hold a number, with the least and the most that they may be; whole if those
#: are. The most that a share may be is just below 1.
_BELOW_ONE = 1 - 2.0**-53
NUMBERS: dict[str, tuple[float, float]] = {
    "folio_order": (0, MAX_FOLIO_ORDER),
    "headroom": (0.0, _BELOW_ONE),
    "guest_ratio": (0.0, _BELOW_ONE),
    "compression_ratio": (1.0, 100.0),
    "tmem_ratio": (0.0001, 1.0),
    "tmem_swing": (0.0, 1.0),
    "tmem_period_ns": (10**6, 2**50),
    "discard_ratio": (0.0, 1.0),
    "pinned_ratio": (0.0, 1.0),
    "pin_duration_ns": (0, 2**50),
    "pinned_on_purpose": (0, 2**31 - 1),
    "seed": (0, 2**31 - 1),
}
WHOLE_NUMBERS = tuple(name for name, (low, _) in NUMBERS.items() if isinstance(low, int))

_TAGGED_FIELDS = ("tagged_placement", "guests", "guest_ratio")
_CACHE_FIELDS = ("eviction", "admission", "restore", "drop", "folio_order", "large_folios", "seed")
#: The fields that each system reads, beside `system` itself: others change nothing under it.
READS: dict[System, tuple[str, ...]] = {
    System.CARVEOUT: (),
    System.CLEANCACHE: (
        *(*_CACHE_FIELDS, "headroom", "headroom_mode", "placement", "metadata"),
        *_TAGGED_FIELDS,
    ),
    System.ZSWAP: (
        *("admission", "restore", "headroom", "packing", "compression_ratio", "anonymous"),
        *("metadata", "seed"),
        *_TAGGED_FIELDS,
    ),
    System.TMEM: (
        *(*_CACHE_FIELDS, "tmem_ratio", "tmem_swing", "tmem_period_ns", "discard_ratio"),
        "metadata",
    ),
    System.MIGRATE_CMA: (
        *("pinned_ratio", "pin_duration_ns", "pinned_on_purpose", "seed"),
        *("guests", "guest_ratio"),
    ),
    System.IDEAL: _TAGGED_FIELDS,
}


def code(word: StrEnum) -> int:
    """Return the number that stands for `word` in kernels: its place in its enum."""
    return list(type(word)).index(word)


@dataclass(frozen=True)
class Policy:
    """One policy by its named fields (docs/model.md says what each does).

    Raises
    ------
    ValueError
        When a field is outside its domain.
    """

    system: System = System.CLEANCACHE
    eviction: Eviction = Eviction.LRU
    admission: Admission = Admission.ALL
    restore: Restore = Restore.INCLUSIVE
    drop: Drop = Drop.PAGE
    folio_order: int = 0
    large_folios: LargeFolios = LargeFolios.CUT
    headroom: float = 0.0
    headroom_mode: HeadroomMode = HeadroomMode.STATIC
    placement: Placement = Placement.QUEUE
    tagged_placement: TaggedPlacement = TaggedPlacement.RECORDED
    guests: Guests = Guests.KVM
    guest_ratio: float = 0.0
    packing: Packing = Packing.ZSMALLOC
    anonymous: Anonymous = Anonymous.NONE
    compression_ratio: float = 3.0
    tmem_ratio: float = 1 / 32
    tmem_swing: float = 0.0
    tmem_period_ns: int = 10**10
    discard_ratio: float = 0.0
    pinned_ratio: float = 0.0
    pin_duration_ns: int = 10**7
    pinned_on_purpose: int = 0
    metadata: Metadata = Metadata.MEMMAP
    seed: int = 0

    def __post_init__(self) -> None:
        for name, words in WORDS.items():
            object.__setattr__(self, name, words(getattr(self, name)))
        for name, (low, high) in NUMBERS.items():
            value = getattr(self, name)
            if name not in WHOLE_NUMBERS:
                value = float(value)
                object.__setattr__(self, name, value)
            if not low <= value <= high:
                raise ValueError(f"{name} {value} is not between {low} and {high}")


POLICY_FIELDS: tuple[str, ...] = tuple(field.name for field in fields(Policy))

PRESETS: dict[str, Policy] = {
    # "Guaranteed CMA" v2, 20251026203611.1608903-1
    "gcma": Policy(admission=Admission.WORKINGSET, large_folios=LargeFolios.REFUSE),
    # mm/cleancache.c of Linux 3.0 to 5.16
    "classic": Policy(eviction=Eviction.FIFO, restore=Restore.EXCLUSIVE),
}


class Policies(NamedTuple):
    """B policies as arrays, one element a lane; words are codes.  # each [lane]"""

    system: NDArray[np.uint8]
    eviction: NDArray[np.uint8]
    admission: NDArray[np.uint8]
    restore: NDArray[np.uint8]
    drop: NDArray[np.uint8]
    folio_order: NDArray[np.int64]
    large_folios: NDArray[np.uint8]
    headroom: NDArray[np.float64]
    headroom_mode: NDArray[np.uint8]
    placement: NDArray[np.uint8]
    tagged_placement: NDArray[np.uint8]
    guests: NDArray[np.uint8]
    guest_ratio: NDArray[np.float64]
    packing: NDArray[np.uint8]
    anonymous: NDArray[np.uint8]
    compression_ratio: NDArray[np.float64]
    tmem_ratio: NDArray[np.float64]
    tmem_swing: NDArray[np.float64]
    tmem_period_ns: NDArray[np.int64]
    discard_ratio: NDArray[np.float64]
    pinned_ratio: NDArray[np.float64]
    pin_duration_ns: NDArray[np.int64]
    pinned_on_purpose: NDArray[np.int64]
    metadata: NDArray[np.uint8]
    seed: NDArray[np.int64]

    @property
    def lanes(self) -> int:
        """Number of policies."""
        return int(self.system.size)

    def of(self, lanes: NDArray[np.int64]) -> Policies:
        """The policies of some lanes."""
        return Policies._make(column[lanes] for column in self)


def pack(policies: Sequence[Policy]) -> Policies:
    """Return `policies` as arrays, lane by lane."""
    columns: dict[str, NDArray[Any]] = {}
    for name in POLICY_FIELDS:
        values = [getattr(policy, name) for policy in policies]
        if name in WORDS:
            codes = {word: code(word) for word in WORDS[name]}
            columns[name] = np.array([codes[word] for word in values], dtype=np.uint8)
        else:
            kind = np.int64 if name in WHOLE_NUMBERS else np.float64
            columns[name] = np.array(values, dtype=kind)
    return Policies(**columns)
