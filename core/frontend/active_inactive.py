"""The classic active and inactive lists of Linux, for file pages, and refault distances.

mm/vmscan.c, mm/swap.c and mm/workingset.c with ``lru_gen`` off and one memory cgroup. A page enters
the inactive list; its second access there activates it. A refault whose distance, in pages aged, is
within the active list enters that at once (Johannes Weiner, "Refault distance"). Reclaim scans a
share of the lists that doubles with each round, and the active one only while it is the larger or
refaults are activated.
"""

from __future__ import annotations

from core.frontend.lists import (
    ABSENT,
    ACTIVATIONS,
    AGE,
    BATCH,
    DEACTIVATIONS,
    LAST_ACTIVATIONS,
    LEFT_ACTIVE,
    LEFT_INACTIVE,
    LIST,
    MAPS,
    ORDER,
    PRIORITY,
    PROMOTIONS,
    REFERENCED,
    REFS,
    RESTORES,
    SCANNED,
    SHADOW,
    SIZES,
    TIER,
    WORKINGSET,
    Pages,
    Register,
    enter,
    is_empty,
    leave,
    oldest,
)
from core.jit import kernel, wide

INACTIVE, ACTIVE = 0, 1
_FIRST_PRIORITY = 12
#: SWAP_CLUSTER_MAX: the lists take turns by so many pages.
_CLUSTER_PAGES = 32

# A shadow: 1 + (age << 1 | workingset), the age in 29 bits.
_AGE_BITS = (1 << 29) - 1


@kernel
def begin(pages: Pages, register: Register) -> None:
    """Start: both lists are empty."""


@kernel
def begin_run(pages: Pages, register: Register, target: int) -> None:
    """Start a run of reclaim of up to `target` pages: TIER keeps it."""
    register[PRIORITY] = _FIRST_PRIORITY + 1
    register[LEFT_INACTIVE] = 0
    register[LEFT_ACTIVE] = 0
    register[SCANNED] = target
    register[TIER] = target
    register[BATCH] = 0


@kernel
def end_run(pages: Pages, register: Register) -> None:
    """End a run of reclaim: what refaults now counts for the next one."""
    register[LAST_ACTIVATIONS] = register[ACTIVATIONS]


@kernel
def insert(pages: Pages, register: Register, folio: int, in_fault: bool) -> None:
    """Put a folio that was just read on its list; its shadow tells how far away it was."""
    pages[folio, REFS] = 0
    shadow = wide(pages[folio, SHADOW]) - 1
    size = 1 << wide(pages[folio, ORDER])
    which = INACTIVE
    if shadow >= 0:
        distance = (wide(register[AGE]) - (shadow >> 1)) & _AGE_BITS
        if distance <= register[SIZES + ACTIVE]:
            which = ACTIVE
            register[ACTIVATIONS] += size
            register[AGE] += size
            if shadow & 1:
                pages[folio, REFS] = WORKINGSET
                register[RESTORES] += size
    enter(pages, register, folio, which, True)


@kernel
def touch(pages: Pages, register: Register, folio: int) -> None:
    """Count an access: folio_mark_accessed."""
    refs = wide(pages[folio, REFS])
    if not refs & REFERENCED:
        pages[folio, REFS] = refs | REFERENCED
    elif pages[folio, LIST] == INACTIVE:
        leave(pages, register, folio)
        enter(pages, register, folio, ACTIVE, True)
        pages[folio, REFS] = refs & ~REFERENCED
        register[PROMOTIONS] += 1 << wide(pages[folio, ORDER])
        register[AGE] += 1 << wide(pages[folio, ORDER])


@kernel
def is_workingset(pages: Pages, register: Register, folio: int) -> bool:
    """Return whether a folio that is evicted now counts as workingset."""
    return bool(wide(pages[folio, REFS]) & WORKINGSET)


@kernel
def remember(pages: Pages, register: Register, folio: int) -> int:
    """Return the shadow of a folio that is evicted now."""
    register[AGE] += 1 << wide(pages[folio, ORDER])
    workingset = 1 if is_workingset(pages, register, folio) else 0
    return 1 + ((wide(register[AGE]) & _AGE_BITS) << 1 | workingset)


@kernel
def scan(pages: Pages, register: Register) -> int:
    """Look at one folio of either list; return it off its list if it is to be evicted."""
    if register[LEFT_INACTIVE] <= 0 and register[LEFT_ACTIVE] <= 0:
        _next_round(register)
    turn = wide(register[BATCH])
    register[BATCH] = (turn + 1) % (2 * _CLUSTER_PAGES)
    if turn < _CLUSTER_PAGES:
        return _scan_inactive(pages, register)
    _scan_active(pages, register)
    return ABSENT


@kernel
def _next_round(register: Register) -> None:
    """Choose how much to scan: a share of each list, larger if the last round was too little."""
    if register[SCANNED] < register[TIER] or register[PRIORITY] > _FIRST_PRIORITY:
        register[PRIORITY] = max(1, register[PRIORITY] - 1)
    register[SCANNED] = 0
    inactive, active = wide(register[SIZES + INACTIVE]), wide(register[SIZES + ACTIVE])
    register[LEFT_INACTIVE] = inactive >> register[PRIORITY]
    register[LEFT_ACTIVE] = 0
    if register[ACTIVATIONS] != register[LAST_ACTIVATIONS] or inactive < active:
        register[LEFT_ACTIVE] = active >> register[PRIORITY]


@kernel
def _scan_inactive(pages: Pages, register: Register) -> int:
    if register[LEFT_INACTIVE] <= 0 or is_empty(pages, INACTIVE):
        register[LEFT_INACTIVE] = 0
        return ABSENT
    folio = oldest(pages, INACTIVE)
    size = 1 << wide(pages[folio, ORDER])
    register[LEFT_INACTIVE] -= size
    register[SCANNED] += size
    leave(pages, register, folio)
    if pages[folio, MAPS] > 0:
        enter(pages, register, folio, ACTIVE, True)
        register[PROMOTIONS] += size
        register[AGE] += size
        return ABSENT
    return folio


@kernel
def _scan_active(pages: Pages, register: Register) -> None:
    if register[LEFT_ACTIVE] <= 0 or is_empty(pages, ACTIVE):
        register[LEFT_ACTIVE] = 0
        return
    folio = oldest(pages, ACTIVE)
    size = 1 << wide(pages[folio, ORDER])
    register[LEFT_ACTIVE] -= size
    leave(pages, register, folio)
    if pages[folio, MAPS] > 0:
        enter(pages, register, folio, ACTIVE, True)
        return
    pages[folio, REFS] |= WORKINGSET
    enter(pages, register, folio, INACTIVE, True)
    register[DEACTIVATIONS] += size
