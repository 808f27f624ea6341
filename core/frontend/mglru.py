"""The multi-generational LRU of Linux 6.12, for file pages: generations, tiers and their feedback.

mm/vmscan.c and mm/workingset.c, with ``CONFIG_LRU_GEN`` and one memory cgroup. Four generations are
the four lists, a sequence number modulo four. A page read by file descriptor enters the oldest (or
second oldest) generation, one that a fault brought in the youngest. Reclaim takes the oldest one's
tail; a folio there of a tier above what the feedback allows moves on a generation (it is
*protected*), one that a live task maps goes to the youngest.
"""

from __future__ import annotations

from core.frontend.lists import (
    ABSENT,
    ACTIVATIONS,
    AGINGS,
    AVERAGE_REFAULTED,
    AVERAGE_TOTAL,
    BATCH,
    COUNT,
    LIST,
    MAPS,
    MAX_SEQ,
    MIN_SEQ,
    NOW_EVICTED,
    NOW_PROTECTED,
    NOW_REFAULTED,
    ORDER,
    PROMOTIONS,
    PROTECTIONS,
    REFERENCED,
    REFS,
    RESTORES,
    SHADOW,
    SIZES,
    TIER,
    Pages,
    Register,
    enter,
    is_empty,
    leave,
    oldest,
)
from core.jit import kernel, wide

GENERATIONS = 4
_LEAST_GENERATIONS = 2
_TIERS = 4
#: MIN_LRU_BATCH and MAX_LRU_BATCH.
_BATCH_PAGES = 64
#: Accesses that an eviction's shadow holds beyond the first: LRU_REFS_WIDTH is 2.
_MOST_REFS = 4

# A shadow: 1 + (sequence << 3 | token << 1 | workingset).
_SHADOW_SHIFT = 3


@kernel
def _tier(refs: int) -> int:
    """Return order_base_2(refs + 1)."""
    if refs < 2:
        return refs
    return 2 if refs < 4 else 3


@kernel
def begin(pages: Pages, register: Register) -> None:
    """Start: three generations beyond the first."""
    register[MAX_SEQ] = _LEAST_GENERATIONS + 1


@kernel
def begin_run(pages: Pages, register: Register, target: int) -> None:
    """Start a run of reclaim."""
    register[BATCH] = 0


@kernel
def end_run(pages: Pages, register: Register) -> None:
    """End a run of reclaim."""


@kernel
def insert(pages: Pages, register: Register, folio: int, in_fault: bool) -> None:
    """Put a folio that was just read on its generation; its shadow tells whether it refaults."""
    pages[folio, REFS] = 0
    shadow = wide(pages[folio, SHADOW]) - 1
    size = 1 << wide(pages[folio, ORDER])
    # Of a sequence 28 bits are kept: no trace ages that often.
    if shadow >= 0 and register[MAX_SEQ] - (shadow >> _SHADOW_SHIFT) < GENERATIONS:
        register[ACTIVATIONS] += size
        refs = (shadow >> 1 & 3) + (shadow & 1)
        register[NOW_REFAULTED + _tier(refs)] += size
        if in_fault or refs >= _MOST_REFS - 1:
            pages[folio, REFS] = _MOST_REFS
            register[RESTORES] += size
    if in_fault:
        sequence = register[MAX_SEQ]
    elif register[MIN_SEQ] + _LEAST_GENERATIONS >= register[MAX_SEQ]:
        sequence = register[MIN_SEQ]
    else:
        sequence = register[MIN_SEQ] + 1
    enter(pages, register, folio, wide(sequence) % GENERATIONS, True)


@kernel
def touch(pages: Pages, register: Register, folio: int) -> None:
    """Count an access by file descriptor: folio_inc_refs."""
    refs = wide(pages[folio, REFS])
    if not refs & REFERENCED:
        pages[folio, REFS] = refs | REFERENCED
    elif refs & COUNT < _MOST_REFS:
        pages[folio, REFS] = refs + 1


@kernel
def is_workingset(pages: Pages, register: Register, folio: int) -> bool:
    """Return whether a folio that is evicted now counts as workingset."""
    refs = wide(pages[folio, REFS])
    return bool(refs & REFERENCED and refs & COUNT > 0)


@kernel
def remember(pages: Pages, register: Register, folio: int) -> int:
    """Return the shadow of a folio that is evicted now."""
    refs = wide(pages[folio, REFS])
    refs = refs & COUNT if refs & REFERENCED else 0
    register[NOW_EVICTED + _tier(refs)] += 1 << wide(pages[folio, ORDER])
    token = max(0, refs - 1)
    sequence = wide(register[MIN_SEQ])
    return 1 + (sequence << _SHADOW_SHIFT | token << 1 | (1 if refs > 0 else 0))


@kernel
def scan(pages: Pages, register: Register) -> int:
    """Look at the oldest folio; return it off its list if it is to be evicted, else ABSENT."""
    if register[BATCH] <= 0:
        _next_generation(pages, register)
        while _is_due(register):
            _age(pages, register)
        register[TIER] = _tier_allowed(register)
        register[BATCH] = _BATCH_PAGES
    which = wide(register[MIN_SEQ]) % GENERATIONS
    if is_empty(pages, which):
        register[BATCH] = 0
        return ABSENT
    folio = oldest(pages, which)
    size = 1 << wide(pages[folio, ORDER])
    register[BATCH] -= size
    refs = wide(pages[folio, REFS]) & COUNT
    leave(pages, register, folio)
    if pages[folio, MAPS] > 0:
        pages[folio, REFS] = 0
        enter(pages, register, folio, wide(register[MAX_SEQ]) % GENERATIONS, True)
        register[PROMOTIONS] += size
        return ABSENT
    if _tier(refs) > register[TIER] or refs == _MOST_REFS:
        pages[folio, REFS] = 0
        enter(pages, register, folio, (which + 1) % GENERATIONS, False)
        register[NOW_PROTECTED + _tier(refs)] += size
        register[PROTECTIONS] += size
        return ABSENT
    return folio


@kernel
def _next_generation(pages: Pages, register: Register) -> None:
    """Go on to the oldest generation that has a folio: try_to_inc_min_seq."""
    while register[MIN_SEQ] + _LEAST_GENERATIONS <= register[MAX_SEQ] and is_empty(
        pages, wide(register[MIN_SEQ]) % GENERATIONS
    ):
        register[MIN_SEQ] += 1
        _carry_over(register)


@kernel
def _carry_over(register: Register) -> None:
    """Halve what is remembered of a generation's tiers: reset_ctrl_pos."""
    for tier in range(_TIERS):
        refaulted = register[AVERAGE_REFAULTED + tier] + register[NOW_REFAULTED + tier]
        total = register[AVERAGE_TOTAL + tier] + register[NOW_EVICTED + tier]
        total += register[NOW_PROTECTED + tier]
        register[AVERAGE_REFAULTED + tier] = refaulted // 2
        register[AVERAGE_TOTAL + tier] = total // 2
        register[NOW_REFAULTED + tier] = 0
        register[NOW_EVICTED + tier] = 0
        register[NOW_PROTECTED + tier] = 0


@kernel
def _tier_allowed(register: Register) -> int:
    """Return the highest tier that may be evicted: get_tier_idx, a gain of 1 to 2."""
    base = register[AVERAGE_REFAULTED] + register[NOW_REFAULTED]
    base_total = register[AVERAGE_TOTAL] + register[NOW_EVICTED] + _BATCH_PAGES
    for tier in range(1, _TIERS):
        refaulted = register[AVERAGE_REFAULTED + tier] + register[NOW_REFAULTED + tier]
        total = register[AVERAGE_TOTAL + tier] + register[NOW_EVICTED + tier]
        total += register[NOW_PROTECTED + tier]
        if refaulted >= _BATCH_PAGES and refaulted * base_total > (base + 1) * total * 2:
            return tier - 1
    return _TIERS - 1


@kernel
def _is_due(register: Register) -> bool:
    """Return whether a generation is to be added: should_run_aging."""
    low, high = wide(register[MIN_SEQ]), wide(register[MAX_SEQ])
    if low + _LEAST_GENERATIONS != high:
        return low + _LEAST_GENERATIONS > high
    total = wide(0)
    for which in range(GENERATIONS):
        total += wide(register[SIZES + which])
    young = wide(register[SIZES + high % GENERATIONS])
    old = wide(register[SIZES + low % GENERATIONS])
    return young * _LEAST_GENERATIONS > total or old * (_LEAST_GENERATIONS + 2) < total


@kernel
def _age(pages: Pages, register: Register) -> None:
    """Add a generation; what live tasks map is young: try_to_inc_max_seq."""
    register[AGINGS] += 1
    register[MAX_SEQ] += 1
    which = wide(register[MAX_SEQ]) % GENERATIONS
    for folio in range(pages.shape[0] - GENERATIONS):
        if pages[folio, MAPS] > 0 and pages[folio, LIST] not in (ABSENT, which):
            leave(pages, register, folio)
            enter(pages, register, folio, which, True)
