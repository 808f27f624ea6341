"""Policies: what to do with unused tag storage, one at a time by name or many as an array."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from core.declaration import BELOW_ONE, Declaration, Need, declarations_of, declare
from core.eviction import EVICTIONS
from core.policy_words import (
    Admission,
    Anonymous,
    Clean,
    Drop,
    Guests,
    HeadroomMode,
    LargeFolios,
    Lookup,
    Metadata,
    Offer,
    Packing,
    Placement,
    Restore,
    SlotReclaim,
    TaggedPlacement,
    Use,
)
from core.system import SYSTEMS

MAX_FOLIO_ORDER = 9

_CACHES = ("cleancache", "tmem")
_KEEPERS = ("cleancache", "zswap")
_TAGGED = ("cleancache", "zswap", "ideal")
_MEMORY = ("migrate_cma", "more_memory")
_NO_GUESTS = Need("guest_ratio", "there are no guests")
_MOST_NS = 2**50


@dataclass(frozen=True)
class Policy:
    """One policy by its named fields; docs/model.md says exactly what each does.

    Raises
    ------
    ValueError
        When a field is outside its domain.
    """

    system: str = declare("cleancache", "what holds the unused tag storage", words=SYSTEMS)
    eviction: str = declare(
        "lru", "which unit goes when room is needed", words=EVICTIONS, read_by=_CACHES
    )
    admission: Admission = declare(
        Admission.ALL,
        "which evicted folios are let in: all, or those of the workingset",
        words=Admission,
        read_by=(*_CACHES, "zswap"),
    )
    offer: Offer = declare(
        Offer.ALL,
        "which evicted folios are offered: all, or those whose blocks the file system has marked "
        "as on disk",
        words=Offer,
        read_by=(*_CACHES, "zswap"),
    )
    lookup: Lookup = declare(
        Lookup.EACH,
        "how a read request is looked up: each page, or each run of it up to its first miss",
        words=Lookup,
        read_by=(*_CACHES, "zswap"),
    )
    restore: Restore = declare(
        Restore.INCLUSIVE,
        "whether a restored page keeps its copy (inclusive) or not",
        words=Restore,
        read_by=(*_CACHES, "zswap"),
    )
    drop: Drop = declare(
        Drop.PAGE,
        "what a reservation drops of a unit that it hits: the pages hit, or the whole unit",
        words=Drop,
        read_by=_CACHES,
    )
    folio_order: int = declare(
        0,
        "order of the units that a folio is cut into, and ranked and dropped by",
        bounds=(0, MAX_FOLIO_ORDER),
        read_by=_CACHES,
    )
    large_folios: LargeFolios = declare(
        LargeFolios.CUT,
        "what happens to folios above order 0: they are cut into units, or refused",
        words=LargeFolios,
        read_by=_CACHES,
    )
    slot_reclaim: SlotReclaim = declare(
        SlotReclaim.DIRECT,
        "who makes room where no slot is free: the store, or a worker behind it, which skips it",
        words=SlotReclaim,
        read_by=("cleancache",),
    )
    slot_reclaim_batch: int = declare(
        32,
        "units that the worker reclaims when a store found no slot",
        bounds=(1, 2**20),
        unit="units",
        read_by=("cleancache",),
        needs=(Need("slot_reclaim", "no worker makes room"),),
    )
    headroom: float = declare(
        0.0,
        "share of the tag blocks that never cache, so that tags find them empty",
        bounds=(0.0, BELOW_ONE),
        unit="ratio",
        read_by=_KEEPERS,
    )
    headroom_mode: HeadroomMode = declare(
        HeadroomMode.STATIC,
        "whether the headroom is the first blocks, or as many of the emptiest",
        words=HeadroomMode,
        read_by=("cleancache",),
        needs=(Need("headroom", "there is no headroom to keep empty", "dynamic"),),
    )
    placement: Placement = declare(
        Placement.QUEUE,
        "which free slots the pages of a unit take",
        words=Placement,
        read_by=("cleancache",),
    )
    tagged_placement: TaggedPlacement = declare(
        TaggedPlacement.RECORDED,
        "which frames tagged pages get: those recorded, or those of an allocator that knows",
        words=TaggedPlacement,
        read_by=_TAGGED,
        needs=(Need("headroom", "there is no headroom to fill first", "headroom_first"),),
    )
    guests: Guests = declare(
        Guests.KVM,
        "when the memory of guests is tagged: from the start (kvm), or as they touch it (pkvm)",
        words=Guests,
        read_by=(*_TAGGED, *_MEMORY),
        needs=(_NO_GUESTS,),
        is_world=True,
    )
    guest_ratio: float = declare(
        0.0,
        "share of the tag blocks that covers the memory of guests with MTE",
        bounds=(0.0, BELOW_ONE),
        unit="ratio",
        read_by=(*_TAGGED, *_MEMORY),
        is_world=True,
    )
    packing: Packing = declare(
        Packing.ZSMALLOC,
        "how compressed pages share a slot: by size classes (zsmalloc) or in pairs (zbud)",
        words=Packing,
        read_by=("zswap",),
    )
    anonymous: Anonymous = declare(
        Anonymous.NONE,
        "what becomes of anonymous pages that go to a swap device: nothing, kept and written "
        "through, or kept and written back",
        words=Anonymous,
        read_by=("zswap",),
    )
    compression_ratio: float = declare(
        3.0,
        "mean of a page's size over that of its compressed copy",
        bounds=(1.0, 100.0),
        unit="ratio",
        read_by=("zswap",),
        is_world=True,
    )
    tmem_ratio: float = declare(
        1 / 32,
        "size of the hypervisor's region at most, as a share of data memory",
        bounds=(0.0001, 1.0),
        unit="ratio",
        read_by=("tmem",),
        is_world=True,
    )
    tmem_swing: float = declare(
        0.0,
        "share of the region that the hypervisor takes away and gives back by turns",
        bounds=(0.0, 1.0),
        unit="ratio",
        read_by=("tmem",),
        is_world=True,
    )
    tmem_period_ns: int = declare(
        10**10,
        "time from one shrinking of the region to the next",
        bounds=(10**6, _MOST_NS),
        unit="ns",
        read_by=("tmem",),
        needs=(Need("tmem_swing", "the region keeps its size"),),
        is_world=True,
    )
    discard_ratio: float = declare(
        0.0,
        "share of lookups that find a page discarded by the hypervisor",
        bounds=(0.0, 1.0),
        unit="ratio",
        read_by=("tmem",),
        is_world=True,
    )
    use: Use = declare(
        Use.HALF,
        "when movable pages take tag storage: past half of the free pages, or before other frames",
        words=Use,
        read_by=("migrate_cma",),
    )
    clean: Clean = declare(
        Clean.DROP,
        "what happens to clean page cache in a block that is wanted: it is dropped, or migrated",
        words=Clean,
        read_by=("migrate_cma",),
    )
    pinned_ratio: float = declare(
        0.0,
        "share of the pages in tag storage that are pinned for a while",
        bounds=(0.0, 1.0),
        unit="ratio",
        read_by=("migrate_cma",),
        is_world=True,
    )
    pin_duration_ns: int = declare(
        10**7,
        "how long a page stays pinned",
        bounds=(0, _MOST_NS),
        unit="ns",
        read_by=("migrate_cma",),
        needs=(Need("pinned_ratio", "nothing is pinned"),),
        is_world=True,
    )
    pinned_on_purpose: int = declare(
        0,
        "pages in tag storage that somebody pins for good",
        bounds=(0, 2**31 - 1),
        unit="pages",
        read_by=("migrate_cma",),
        is_world=True,
    )
    metadata: Metadata = declare(
        Metadata.MEMMAP,
        "what describes a tag page: a struct page, 16 bytes a cached page, or nothing",
        words=Metadata,
        read_by=(*_CACHES, "zswap"),
    )
    seed: int = declare(
        0,
        "seed of what a system or an eviction draws",
        bounds=(0, 2**31 - 1),
        read_by=(*_CACHES, "zswap", "migrate_cma"),
        is_world=True,
    )

    def __post_init__(self) -> None:
        for name, declared in DECLARED.items():
            object.__setattr__(self, name, declared.checked(name, getattr(self, name)))


#: What is declared of each field, in the order of `Policy`.
DECLARED: dict[str, Declaration] = declarations_of(Policy)
POLICY_FIELDS: tuple[str, ...] = tuple(DECLARED)
#: Those that a designer decides; the others are what the world is.
DECISIONS: tuple[str, ...] = tuple(name for name in DECLARED if not DECLARED[name].is_world)

_GCMA = Policy(
    admission=Admission.WORKINGSET,
    large_folios=LargeFolios.REFUSE,
    offer=Offer.MAPPED,
    lookup=Lookup.PREFIX,
)


class PolicyPreset(NamedTuple):
    """A policy with a name: that of a kernel, or of a series of patches.

    Parameters
    ----------
    meaning
        One line: whose policy it is.
    source
        Where it can be looked up.
    policy
        Its fields.
    """

    meaning: str
    source: str
    policy: Policy


#: What is known of each preset.
SOURCED_POLICIES: dict[str, PolicyPreset] = {
    "gcma": PolicyPreset(
        "the cleancache of the series that was posted in 2025",
        "Guaranteed CMA, version 2, 20251026203611.1608903-1",
        _GCMA,
    ),
    "gcma_android": PolicyPreset(
        "the cleancache that vendors of Android ship: it takes every evicted folio, and a worker "
        "makes room",
        "read from what vendors ship; no kernel with it was recorded",
        replace(
            _GCMA,
            admission=Admission.ALL,
            offer=Offer.ALL,
            slot_reclaim=SlotReclaim.BACKGROUND,
            slot_reclaim_batch=32,
        ),
    ),
    "classic": PolicyPreset(
        "the cleancache of 2010 to 2022",
        "mm/cleancache.c of Linux 3.0 to 5.16",
        Policy(eviction="fifo", restore=Restore.EXCLUSIVE),
    ),
}
#: The policy of each preset.
PRESETS: dict[str, Policy] = {name: preset.policy for name, preset in SOURCED_POLICIES.items()}

#: B policies as one structured array, a field of `Policy` each.  # [lane]
Policies = NDArray[Any]
_COLUMNS = np.dtype([(name, declared.array_type) for name, declared in DECLARED.items()])


def pack(policies: Sequence[Policy]) -> Policies:
    """Return `policies` as a structured array; ``array["headroom"]`` is a column of it."""
    rows = [tuple(getattr(policy, name) for name in POLICY_FIELDS) for policy in policies]
    return np.array(rows, dtype=_COLUMNS)


def reads(system: str) -> frozenset[str]:
    """Return the fields that a system reads, beside `system` itself: others change nothing.

    Of a user's own system that is not loaded they are not known, and all are taken as read.
    """
    traits = SYSTEMS.known(system)
    if traits is None:
        return frozenset(POLICY_FIELDS) - {"system"}
    return _declared_for(system) | frozenset(traits.reads)


@cache
def _declared_for(system: str) -> frozenset[str]:
    return frozenset(name for name in POLICY_FIELDS if system in DECLARED[name].read_by)


def as_read(policies: Policies, system: str) -> Policies:
    """Return policies of one system with what it does not read at its defaults."""
    seen = policies.copy()
    for name in set(POLICY_FIELDS) - reads(system) - {"system"}:
        seen[name] = getattr(Policy, name)
    return seen


def read_alone(policy: Policy) -> tuple[Any, ...]:
    """Return the values of a policy in the order of its fields, with None for what is not read.

    Policies that are equal in it are replayed alike.
    """
    read = reads(policy.system) | {"system"}
    return tuple(getattr(policy, name) if name in read else None for name in POLICY_FIELDS)


def code(word: StrEnum) -> int:
    """Return the number that stands for `word` in kernels: its place in its enum."""
    return list(type(word)).index(word)


def headroom_blocks(headroom: Any, blocks: int) -> Any:
    """Return how many of `blocks` a share of them is: the floor of their product in doubles."""
    return np.floor(np.float64(headroom) * blocks).astype(np.int64)
