"""The classic active and inactive lists of Linux, and refault distances.

It follows mm/vmscan.c, mm/swap.c and mm/workingset.c of 6.12, with ``lru_gen`` off and one memory
cgroup. A page enters the inactive list, and its second access there activates it. A page that
refaults enters the active list at once if its refault distance (how many pages aged since its
eviction) is not larger than the lists that could have held it (Johannes Weiner, "Refault
distance").

Reclaim makes passes. Each scans a share of each list, which doubles with each pass; whether enough
pages are free it looks after the pass. It scans an active list only while that is larger than the
inactive one or refaults are being activated. It scans anonymous lists only where file pages do not
suffice, and divides the scan between the kinds by the cost of their refaults.

There are no per-CPU batches (``lru_add``, ``lru_activate``): for them a list lacks at most
31 pages, and each scan drains them first.
"""

from __future__ import annotations

from core.frontend.lists import (
    ABSENT,
    ACTIVATIONS,
    ANON,
    DEACTIVATIONS,
    DIRTY,
    FILE,
    GOES_NEXT,
    MOST_SWAPPINESS,
    PROMOTIONS,
    RECLAIM_REGISTERS,
    REFERENCED,
    RESTORES,
    SIZES,
    SWAPPINESS,
    WORKINGSET,
    PageRecords,
    Register,
    can_swap,
    enter,
    kind_of,
    leave,
    look,
    oldest,
    size_of,
)
from core.jit import apart, kernel, loop, wide

#: A list has the number `2 * kind + INACTIVE` or `2 * kind + ACTIVE`.
INACTIVE, ACTIVE = 0, 1
_LISTS = 4
_FIRST_PRIORITY = 12
#: A run goes on until so many pages more than the high watermark are free.
EXTRA_PAGES = 0
#: SWAP_CLUSTER_MAX: so many pages of a list are scanned before the next list has its turn.
_CLUSTER_PAGES = 32
#: 2**18 pages of 4 KiB are a GiB: inactive_is_low.
_GIB_SHIFT = 18

# Registers: how many pages have aged; of a run of reclaim its priority, the pages that it is to
# free, and whose turn it is; of a pass, the pages that it has scanned and freed. Then of each kind
# the cost of its refaults and the pages that refaults activated, now and at the last run; and of
# each list the pages that the pass has left to scan.
_AGE, _PRIORITY, _TARGET, _TURN, _SCANNED, _FREED = range(RECLAIM_REGISTERS, RECLAIM_REGISTERS + 6)
_COST = RECLAIM_REGISTERS + 6
_ACTIVATED = _COST + 2
_LAST_ACTIVATED = _ACTIVATED + 2
_LEFT = _LAST_ACTIVATED + 2

# A shadow: 1 + (age << 1 | workingset), the age in 29 bits.
_AGE_BITS = (1 << 29) - 1


@kernel
def begin(pages: PageRecords, register: Register) -> None:
    """Do nothing: the lists begin empty."""


@kernel
def begin_run(pages: PageRecords, register: Register, target: int) -> None:
    """Start a run of reclaim that is to free `target` pages."""
    register[_PRIORITY] = _FIRST_PRIORITY + 1
    register[_TARGET] = target
    _end_pass(register)


@kernel
def _end_pass(register: Register) -> None:
    for which in range(_LISTS):
        register[_LEFT + which] = 0


@kernel
def is_amid(register: Register) -> bool:
    """Return whether a pass over the lists has more to scan; reclaim looks at its aim after it."""
    left = wide(0)
    for which in range(_LISTS):
        left += max(0, wide(register[_LEFT + which]))
    return left > 0


@kernel
def end_run(pages: PageRecords, register: Register) -> None:
    """End a run of reclaim; refaults from now on count for the next run."""
    for kind in range(FILE + 1):
        register[_LAST_ACTIVATED + kind] = register[_ACTIVATED + kind]


@kernel
def _note_cost(register: Register, kind: int, cost: int) -> None:
    """Add to the cost of a kind; when they grow large, both costs are halved: lru_note_cost."""
    register[_COST + kind] += cost
    pages = wide(0)
    for which in range(_LISTS):
        pages += wide(register[SIZES + which])
    if register[_COST] + register[_COST + 1] > pages // 4:
        register[_COST] //= 2
        register[_COST + 1] //= 2


@kernel
def _holding(register: Register, kind: int) -> int:
    """Return how many pages a refault of a kind competes with: workingset_test_recent."""
    pages = wide(register[SIZES + 2 * FILE + ACTIVE])
    if kind == ANON:
        pages += wide(register[SIZES + 2 * FILE + INACTIVE])
    if can_swap(register):
        pages += wide(register[SIZES + 2 * ANON + ACTIVE])
        if kind == FILE:
            pages += wide(register[SIZES + 2 * ANON + INACTIVE])
    return pages


@loop
def insert(pages: PageRecords, register: Register, folio: int, shadow: int, in_fault: bool) -> None:
    """Put a folio that came into memory on its list; its shadow tells its refault distance."""
    apart()
    pages[folio].refs = 0
    size = size_of(pages, folio)
    kind = kind_of(register, folio)
    which = INACTIVE
    if shadow > 0:
        distance = (wide(register[_AGE]) - (shadow - 1 >> 1)) & _AGE_BITS
        if distance <= _holding(register, kind):
            which = ACTIVE
            register[ACTIVATIONS] += size
            register[_ACTIVATED + kind] += size
            register[_AGE] += size
            if shadow - 1 & 1:
                pages[folio].refs = WORKINGSET
                register[RESTORES] += size
                _note_cost(register, kind, _CLUSTER_PAGES * size)
    enter(pages, register, folio, 2 * kind + which, True)


@kernel
def put_back(pages: PageRecords, register: Register, folio: int) -> None:
    """Keep a folio that is pinned: shrink_folio_list activates file folios and rotates others."""
    kind = kind_of(register, folio)
    size = size_of(pages, folio)
    register[_FREED] -= size
    enter(pages, register, folio, 2 * kind + (ACTIVE if kind == FILE else INACTIVE), True)
    if kind == FILE:
        register[_AGE] += size


@kernel
def move(pages: PageRecords, register: Register, folio: int) -> None:
    """Put a folio that compaction moved back on its list, where it is the newest."""
    which = wide(pages[folio].list)
    if which != ABSENT:
        leave(pages, register, folio)
        enter(pages, register, folio, which, True)


@kernel
def touch(pages: PageRecords, register: Register, folio: int) -> None:
    """Count an access: folio_mark_accessed."""
    refs = wide(pages[folio].refs)
    which = wide(pages[folio].list)
    if not refs & REFERENCED:
        pages[folio].refs = refs | REFERENCED
    elif which != ABSENT and which % 2 == INACTIVE:
        pages[folio].refs = refs & ~REFERENCED
        leave(pages, register, folio)
        _activate(pages, register, folio, which + 1)


@kernel
def _activate(pages: PageRecords, register: Register, folio: int, which: int) -> None:
    enter(pages, register, folio, which, True)
    register[PROMOTIONS] += size_of(pages, folio)
    register[_AGE] += size_of(pages, folio)


@kernel
def is_workingset(pages: PageRecords, folio: int) -> bool:
    """Return whether a folio that is evicted now counts as workingset."""
    return wide(pages[folio].refs) & WORKINGSET != 0


@kernel
def remember(pages: PageRecords, register: Register, folio: int) -> int:
    """Return the shadow of a folio that is evicted now."""
    age = wide(register[_AGE]) & _AGE_BITS
    register[_AGE] += size_of(pages, folio)
    if kind_of(register, folio) == ANON:
        _note_cost(register, ANON, _CLUSTER_PAGES)  # of the write to swap
    return 1 + (age << 1 | (1 if is_workingset(pages, folio) else 0))


@loop
def scan(pages: PageRecords, register: Register) -> int:
    """Look at one folio; take it off its list and return it if it is to be evicted, else ABSENT."""
    apart()
    if not is_amid(register):
        _begin_pass(register)
    # The lists take turns; a list that has nothing left to scan is passed over.
    turn = wide(register[_TURN])
    which = turn // _CLUSTER_PAGES
    if register[_LEFT + which] <= 0:
        which = (which + 1) % _LISTS
        register[_TURN] = which * _CLUSTER_PAGES
        if which == 0 and register[_FREED] >= register[_TARGET]:
            _end_pass(register)
        return ABSENT
    register[_TURN] = turn + 1
    if turn + 1 == _LISTS * _CLUSTER_PAGES:
        register[_TURN] = 0
        if register[_FREED] >= register[_TARGET]:
            _end_pass(register)
    if which % 2 == INACTIVE:
        return _scan_inactive(pages, register, which)
    _scan_active(pages, register, which)
    return ABSENT


@kernel
def _is_low(register: Register, kind: int) -> bool:
    """Return whether a kind has too few inactive pages: inactive_is_low."""
    inactive = wide(register[SIZES + 2 * kind + INACTIVE])
    active = wide(register[SIZES + 2 * kind + ACTIVE])
    ratio = wide(1)
    gib = (inactive + active) >> _GIB_SHIFT
    while gib > 0 and (ratio + 1) * (ratio + 1) <= 10 * gib:
        ratio += 1
    return inactive * ratio < active


@kernel
def _begin_pass(register: Register) -> None:
    """Choose how much of each list to scan: a larger share if the last pass was not enough.

    prepare_scan_count and get_scan_count, by the priority of balance_pgdat.
    """
    is_first = register[_PRIORITY] > _FIRST_PRIORITY
    if is_first or register[_SCANNED] < register[_TARGET] or register[_FREED] == 0:
        # kswapd ends at 1. What is left then, a folio a list, is for direct reclaim, at 0.
        least = 0 if register[_PRIORITY] == 1 and register[_SCANNED] == 0 else 1
        register[_PRIORITY] = max(least, register[_PRIORITY] - 1)
    register[_SCANNED] = register[_FREED] = register[_TURN] = 0
    priority = wide(register[_PRIORITY])
    deactivates_file = False
    for kind in range(FILE + 1):
        refaulted = register[_ACTIVATED + kind] != register[_LAST_ACTIVATED + kind]
        deactivates = refaulted or _is_low(register, kind)
        deactivates_file = deactivates
        active = wide(register[SIZES + 2 * kind + ACTIVE]) >> priority
        register[_LEFT + 2 * kind + INACTIVE] = register[SIZES + 2 * kind + INACTIVE] >> priority
        register[_LEFT + 2 * kind + ACTIVE] = active if deactivates else 0
    _balance(register, deactivates_file)
    if register[SWAPPINESS] > 0 and _is_low(register, ANON):
        # Before and after a pass: kswapd_age_node, shrink_lruvec.
        register[_LEFT + 2 * ANON + ACTIVE] += 2 * _CLUSTER_PAGES


@kernel
def _balance(register: Register, deactivates_file: bool) -> None:
    """Divide the scan between anonymous and file pages by the cost of their refaults."""
    if not can_swap(register) or (
        register[_LEFT + 2 * FILE + INACTIVE] > 0 and not deactivates_file
    ):
        # cache_trim_mode: there are enough file pages that are not in use.
        register[_LEFT + 2 * ANON + INACTIVE] = 0
        register[_LEFT + 2 * ANON + ACTIVE] = 0
        return
    if register[_PRIORITY] == 0:
        return  # close to the end both kinds are scanned whole: SCAN_EQUAL
    anon, file = wide(register[_COST + ANON]), wide(register[_COST + FILE])
    total = 3 * (anon + file) + 1
    swappiness = wide(register[SWAPPINESS])
    anon_share = swappiness * total // (2 * anon + file + 1)
    file_share = (MOST_SWAPPINESS - swappiness) * total // (anon + 2 * file + 1)
    whole = max(1, anon_share + file_share)
    for which in range(_LISTS):
        share = file_share if which // 2 == FILE else anon_share
        register[_LEFT + which] = register[_LEFT + which] * share // whole


@kernel
def _scan_inactive(pages: PageRecords, register: Register, which: int) -> int:
    """Evict the oldest folio, keep it or activate it: shrink_folio_list, folio_check_references."""
    folio = oldest(pages, which)
    if folio == ABSENT:
        register[_LEFT + which] = 0
        return ABSENT
    size = size_of(pages, folio)
    register[_LEFT + which] -= size
    register[_SCANNED] += size
    leave(pages, register, folio)
    refs = wide(pages[folio].refs)
    is_file = which // 2 == FILE
    if look(pages, register, folio):
        pages[folio].refs = refs | REFERENCED
        if refs & REFERENCED or is_file:
            # What files are mapped for is mostly code, which is activated at once (VM_EXEC).
            _activate(pages, register, folio, which + 1)
        else:
            enter(pages, register, folio, which, True)
        _note_cost(register, which // 2, size)
        return ABSENT
    pages[folio].refs = refs & ~REFERENCED
    if is_file and wide(pages[folio].bits) & DIRTY:
        # The flusher is to write it; then it is the next to be evicted.
        pages[folio].refs = refs & ~REFERENCED | GOES_NEXT
        _activate(pages, register, folio, which + 1)
        _note_cost(register, FILE, size)
        return ABSENT
    register[_FREED] += size
    return folio


@kernel
def _scan_active(pages: PageRecords, register: Register, which: int) -> None:
    """Deactivate the oldest folio, or keep it: shrink_active_list."""
    folio = oldest(pages, which)
    if folio == ABSENT:
        register[_LEFT + which] = 0
        return
    size = size_of(pages, folio)
    register[_LEFT + which] -= size
    leave(pages, register, folio)
    if look(pages, register, folio) and which // 2 == FILE:
        # What files are mapped for is mostly code, which stays (VM_EXEC). What is put back on an
        # active list ages the shadows: move_folios_to_lru.
        enter(pages, register, folio, which, True)
        register[_AGE] += size
        _note_cost(register, FILE, size)
        return
    pages[folio].refs = wide(pages[folio].refs) | WORKINGSET
    enter(pages, register, folio, which - 1, True)
    register[DEACTIVATIONS] += size
