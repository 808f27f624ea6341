"""The multi-generational LRU of Linux 6.12: generations, tiers and their feedback.

It follows mm/vmscan.c and mm/workingset.c, with ``CONFIG_LRU_GEN`` and one memory cgroup. Each kind
of pages (anonymous, file) has four lists, which hold its generations: the list of a generation is
its sequence number modulo four. A page that is read by file descriptor enters the oldest or second
oldest generation, and one that is read by a fault the youngest. Reclaim looks at the oldest folio
of the oldest generation, of the kind whose pages refault less for its share of swappiness. If that
folio is young or a live task maps it, it goes to the youngest generation. If its tier is above the
one that the feedback allows, it goes to the next generation: it is *protected*. Else it is evicted.
"""

from __future__ import annotations

from core.frontend.lists import (
    ABSENT,
    ACTIVATIONS,
    AGINGS,
    ANON,
    COUNT,
    DIRTY,
    FILE,
    HEADS,
    MOST_SWAPPINESS,
    PROMOTIONS,
    PROTECTIONS,
    RECLAIM_REGISTERS,
    REFERENCED,
    RESTORES,
    SIZES,
    SWAPPINESS,
    PageRecords,
    Register,
    can_swap,
    clean,
    enter,
    is_in_use,
    kind_of,
    leave,
    look,
    oldest,
    size_of,
)
from core.jit import apart, kernel, loop, wide

GENERATIONS = 4
_LEAST_GENERATIONS = 2
_TIERS = 4
#: MIN_LRU_BATCH and MAX_LRU_BATCH.
_BATCH_PAGES = 64
#: A run goes on until so many pages more than the high watermark are free: should_abort_scan.
EXTRA_PAGES = _BATCH_PAGES
#: The most accesses after the first that a folio's flags count: LRU_REFS_WIDTH is 2.
_MOST_REFS = 4

# Registers: the youngest generation's sequence number; what is left of a batch, the kind that it
# scans and the highest tier that it evicts; then the oldest generation's number of each kind, and
# pages refaulted, evicted and protected of each [kind, tier]: sums so far, and those of now.
_MAX_SEQ, _BATCH, _SCANNED_KIND, _TIER = range(RECLAIM_REGISTERS, RECLAIM_REGISTERS + 4)
_MIN_SEQ = RECLAIM_REGISTERS + 4
_AVERAGE_REFAULTED = _MIN_SEQ + 2
_AVERAGE_TOTAL = _AVERAGE_REFAULTED + 2 * _TIERS
_NOW_REFAULTED = _AVERAGE_TOTAL + 2 * _TIERS
_NOW_EVICTED = _NOW_REFAULTED + 2 * _TIERS
_NOW_PROTECTED = _NOW_EVICTED + 2 * _TIERS

# A shadow: 1 + (sequence << 3 | token << 1 | workingset).
_SHADOW_SHIFT = 3


@kernel
def _tier(refs: int) -> int:
    """Return order_base_2(refs + 1)."""
    if refs < 2:
        return refs
    return 2 if refs < 4 else 3


@kernel
def _list(kind: int, sequence: int) -> int:
    return wide(kind * GENERATIONS + sequence % GENERATIONS)


@kernel
def begin(pages: PageRecords, register: Register) -> None:
    """Start with as many generations as there are lists."""
    register[_MAX_SEQ] = _LEAST_GENERATIONS + 1


@kernel
def begin_run(pages: PageRecords, register: Register, target: int) -> None:
    """Start a run of reclaim."""
    register[_BATCH] = 0


@kernel
def is_amid(register: Register) -> bool:
    """Return whether reclaim is amid a batch, which it evicts whole: evict_folios."""
    return bool(register[_BATCH] > 0)


@kernel
def end_run(pages: PageRecords, register: Register) -> None:
    """End a run of reclaim."""


@loop
def insert(pages: PageRecords, register: Register, folio: int, shadow: int, in_fault: bool) -> None:
    """Put a folio that came into memory into its generation; its shadow tells if it refaults."""
    apart()
    pages[folio].refs = 0
    size = size_of(pages, folio)
    kind = kind_of(register, folio)
    # A shadow keeps 28 bits of the sequence number, more than any trace needs.
    if shadow > 0 and register[_MAX_SEQ] - (shadow - 1 >> _SHADOW_SHIFT) < GENERATIONS:
        register[ACTIVATIONS] += size
        refs = (shadow - 1 >> 1 & 3) + (shadow - 1 & 1)
        register[_NOW_REFAULTED + kind * _TIERS + _tier(refs)] += size
        if in_fault or refs >= _MOST_REFS - 1:
            pages[folio].refs = _MOST_REFS
            register[RESTORES] += size
    if in_fault:
        sequence = wide(register[_MAX_SEQ])
    elif register[_MIN_SEQ + kind] + _LEAST_GENERATIONS >= register[_MAX_SEQ]:
        sequence = wide(register[_MIN_SEQ + kind])
    else:
        sequence = wide(register[_MIN_SEQ + kind]) + 1
    enter(pages, register, folio, _list(kind, sequence), True)


@kernel
def move(pages: PageRecords, register: Register, folio: int) -> None:
    """Put a folio that compaction moved back on its lists: lru_gen_add_folio.

    One that was in one of the two youngest generations counts as active, and goes to the youngest.
    """
    kind = kind_of(register, folio)
    which = wide(pages[folio].list)
    if which == ABSENT:
        return
    low, high = wide(register[_MIN_SEQ + kind]), wide(register[_MAX_SEQ])
    leave(pages, register, folio)
    if which in (_list(kind, high), _list(kind, high - 1)):
        sequence = high
    elif low + _LEAST_GENERATIONS >= high:
        sequence = low
    else:
        sequence = low + 1
    enter(pages, register, folio, _list(kind, sequence), True)


@kernel
def touch(pages: PageRecords, register: Register, folio: int) -> None:
    """Count an access by file descriptor: folio_inc_refs."""
    refs = wide(pages[folio].refs)
    if not refs & REFERENCED:
        pages[folio].refs = refs | REFERENCED
    elif refs & COUNT < _MOST_REFS:
        pages[folio].refs = refs + 1


@kernel
def is_workingset(pages: PageRecords, folio: int) -> bool:
    """Return whether a folio that is evicted now counts as workingset."""
    refs = wide(pages[folio].refs)
    return bool(refs & REFERENCED and refs & COUNT > 0)


@kernel
def remember(pages: PageRecords, register: Register, folio: int) -> int:
    """Return the shadow of a folio that is evicted now."""
    refs = wide(pages[folio].refs)
    refs = refs & COUNT if refs & REFERENCED else 0
    kind = kind_of(register, folio)
    register[_NOW_EVICTED + kind * _TIERS + _tier(refs)] += size_of(pages, folio)
    token = max(0, refs - 1)
    sequence = wide(register[_MIN_SEQ + kind])
    return 1 + (sequence << _SHADOW_SHIFT | token << 1 | (1 if refs > 0 else 0))


@loop
def scan(pages: PageRecords, register: Register) -> int:
    """Look at the oldest folio; take it off its list and return it if it is to be evicted.

    Otherwise keep it, and return ABSENT.
    """
    apart()
    if register[_BATCH] <= 0:
        _next_generation(pages, register)
        while _is_due(register):
            _age(pages, register)
        _choose_kind(register)
        register[_BATCH] = _BATCH_PAGES
    kind = wide(register[_SCANNED_KIND])
    folio = oldest(pages, _list(kind, wide(register[_MIN_SEQ + kind])))
    if folio == ABSENT and can_swap(register):
        # This kind has no folio to look at, so the other kind is scanned.
        kind = 1 - kind
        register[_SCANNED_KIND] = kind
        register[_TIER] = _tier_allowed(register, kind)
        folio = oldest(pages, _list(kind, wide(register[_MIN_SEQ + kind])))
    if folio == ABSENT:
        register[_BATCH] = 0
        return ABSENT
    return _sort(pages, register, folio, kind)


@kernel
def put_back(pages: PageRecords, register: Register, folio: int) -> None:
    """Keep a folio that could not be evicted: evict_folios puts it into the youngest generation."""
    pages[folio].refs = 0
    kind = kind_of(register, folio)
    enter(pages, register, folio, _list(kind, wide(register[_MAX_SEQ])), True)


@kernel
def _sort(pages: PageRecords, register: Register, folio: int, kind: int) -> int:
    """Take a folio off its list and return it, or move it to where it is kept: sort_folio."""
    size = size_of(pages, folio)
    refs = wide(pages[folio].refs) & COUNT
    leave(pages, register, folio)
    if look(pages, register, folio):
        register[_BATCH] -= size
        pages[folio].refs = 0
        enter(pages, register, folio, _list(kind, wide(register[_MAX_SEQ])), True)
        register[PROMOTIONS] += size
        return ABSENT
    following = _list(kind, wide(register[_MIN_SEQ + kind]) + 1)
    if _tier(refs) > register[_TIER] or refs == _MOST_REFS:
        pages[folio].refs = 0
        enter(pages, register, folio, following, False)
        register[_NOW_PROTECTED + kind * _TIERS + _tier(refs)] += size
        register[PROTECTIONS] += size
        return ABSENT
    if wide(pages[folio].bits) & DIRTY and kind == FILE:
        # The folio stays for one generation more, while the flusher writes it.
        clean(pages, register, folio)
        enter(pages, register, folio, following, True)
        return ABSENT
    register[_BATCH] -= size
    return folio


@kernel
def _next_generation(pages: PageRecords, register: Register) -> None:
    """Retire the oldest generations while they are empty: try_to_inc_min_seq."""
    swaps = can_swap(register)
    for kind in range(FILE, ANON - 1 if swaps else ANON, -1):
        while (
            register[_MIN_SEQ + kind] + _LEAST_GENERATIONS <= register[_MAX_SEQ]
            and register[SIZES + _list(kind, wide(register[_MIN_SEQ + kind]))] == 0
            # The oldest generation of anonymous pages is never younger than that of file pages.
            and (kind == FILE or register[_MIN_SEQ] < register[_MIN_SEQ + FILE])
        ):
            register[_MIN_SEQ + kind] += 1
            _carry_over(register, kind)
    if swaps and register[_MIN_SEQ + FILE] < register[_MIN_SEQ]:
        register[_MIN_SEQ + FILE] = register[_MIN_SEQ]


@kernel
def _carry_over(register: Register, kind: int) -> None:
    """Start the counts of a new oldest generation from half of the sums so far: reset_ctrl_pos."""
    for tier in range(kind * _TIERS, (kind + 1) * _TIERS):
        refaulted = register[_AVERAGE_REFAULTED + tier] + register[_NOW_REFAULTED + tier]
        total = register[_AVERAGE_TOTAL + tier] + register[_NOW_EVICTED + tier]
        total += register[_NOW_PROTECTED + tier]
        register[_AVERAGE_REFAULTED + tier] = refaulted // 2
        register[_AVERAGE_TOTAL + tier] = total // 2
        register[_NOW_REFAULTED + tier] = 0
        register[_NOW_EVICTED + tier] = 0
        register[_NOW_PROTECTED + tier] = 0


@kernel
def _errs(register: Register, base: int, base_gain: int, tier: int, gain: int) -> bool:
    """Return whether a tier refaults less than the tier `base`: positive_ctrl_err.

    Both tiers are places in [kind, tier]. The gains weigh their refaults. Pages that were protected
    in the first tier of a kind do not count.
    """
    refaulted = register[_AVERAGE_REFAULTED + tier] + register[_NOW_REFAULTED + tier]
    total = register[_AVERAGE_TOTAL + tier] + register[_NOW_EVICTED + tier]
    if tier % _TIERS > 0:
        total += register[_NOW_PROTECTED + tier]
    base_refaulted = register[_AVERAGE_REFAULTED + base] + register[_NOW_REFAULTED + base]
    base_total = register[_AVERAGE_TOTAL + base] + register[_NOW_EVICTED + base] + _BATCH_PAGES
    few = refaulted < _BATCH_PAGES
    return bool(few or refaulted * base_total * base_gain <= (base_refaulted + 1) * total * gain)


@kernel
def _tier_allowed(register: Register, kind: int) -> int:
    """Return the highest tier of a kind that may be evicted: get_tier_idx, gains of 1 and 2."""
    first = kind * _TIERS
    for tier in range(1, _TIERS):
        if not _errs(register, first, 1, first + tier, 2):
            return tier - 1
    return _TIERS - 1


@kernel
def _choose_kind(register: Register) -> None:
    """Choose the kind to scan, and its tiers: isolate_folios and get_type_to_scan."""
    if not can_swap(register):
        register[_SCANNED_KIND] = FILE
        register[_TIER] = _tier_allowed(register, FILE)
        return
    if register[_MIN_SEQ] < register[_MIN_SEQ + FILE]:
        register[_SCANNED_KIND] = ANON
        register[_TIER] = _tier_allowed(register, ANON)
        return
    anon_gain = wide(register[SWAPPINESS])
    file_gain = MOST_SWAPPINESS - anon_gain
    kind = FILE if _errs(register, ANON, anon_gain, FILE * _TIERS, file_gain) else ANON
    gain, other = (file_gain, anon_gain) if kind == FILE else (anon_gain, file_gain)
    allowed = _TIERS - 1
    for tier in range(1, _TIERS):
        if not _errs(register, (1 - kind) * _TIERS, other, kind * _TIERS + tier, gain):
            allowed = tier - 1
            break
    register[_SCANNED_KIND] = kind
    register[_TIER] = allowed


@kernel
def _is_due(register: Register) -> bool:
    """Return whether a generation is to be added: should_run_aging."""
    first = ANON if can_swap(register) else FILE
    low, high = wide(register[_MIN_SEQ + first]), wide(register[_MAX_SEQ])
    if low + _LEAST_GENERATIONS != high:
        return low + _LEAST_GENERATIONS > high
    young, old, total = wide(0), wide(0), wide(0)
    for kind in range(first, FILE + 1):
        for sequence in range(wide(register[_MIN_SEQ + kind]), high + 1):
            size = wide(register[SIZES + _list(kind, sequence)])
            total += size
            if sequence == high:
                young += size
            elif sequence + _LEAST_GENERATIONS == high:
                old += size
    return young * _LEAST_GENERATIONS > total or old * (_LEAST_GENERATIONS + 2) < total


@loop
def _age(pages: PageRecords, register: Register) -> None:
    """Add a generation, and put folios that are in use by mappings into it: try_to_inc_max_seq."""
    apart()
    register[AGINGS] += 1
    for kind in range(FILE + 1):
        if register[_MAX_SEQ] - register[_MIN_SEQ + kind] == GENERATIONS - 1:
            # Without swap no anonymous page is evicted: their oldest list becomes the youngest.
            register[_MIN_SEQ + kind] += 1
            _carry_over(register, kind)
    register[_MAX_SEQ] += 1
    # The walk skips anonymous memory that cannot be swapped: should_skip_vma.
    for kind in range(ANON if can_swap(register) else FILE, FILE + 1):
        for sequence in range(wide(register[_MIN_SEQ + kind]), wide(register[_MAX_SEQ]) + 1):
            _make_younger(pages, register, kind, wide(sequence))


@kernel
def _make_younger(pages: PageRecords, register: Register, kind: int, sequence: int) -> None:
    """Put the folios of a generation that are in use into the youngest, from the oldest on."""
    youngest = _list(kind, wide(register[_MAX_SEQ]))
    folio = oldest(pages, _list(kind, sequence))
    end = wide(pages.shape[0]) - HEADS
    while 0 <= folio < end:
        newer = wide(pages[folio].prev)
        if is_in_use(pages, folio):
            look(pages, register, folio)
            if pages[folio].list != youngest:
                leave(pages, register, folio)
                enter(pages, register, folio, youngest, True)
        folio = newer
