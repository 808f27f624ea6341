"""Slow, plain oracle of the back end, written in the order of `model.md` and from it alone."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import NamedTuple

STORE, RESTORE, INVALIDATE, INVALIDATE_INODE, ALLOC, FREE, RESIZE = range(7)
WORKINGSET, TAGGED, ATOMIC = 1, 2, 4  # bits of `flags`; pinned and movable matter to no system here
Page = tuple[int, int]  # (inode, index)
Unit = tuple[int, int, int]  # (inode, first index, order): sorts as section 2 wants
COUNTERS = """stored skipped stale restored missed reclaimed recalled collateral invalidated
    overwritten reservations releases refaults"""
WORDS = """cleancache carveout tmem queue contiguous spread cold_block far static dynamic
    fifo lru clock sieve none all workingset inclusive exclusive
    page folio cut refuse memmap compact"""  # all that the fields of a policy may say


# ---- 2. The mm event table
class Event(NamedTuple):
    """One row of the mm event table."""

    time_ns: int
    op: int
    inode: int
    index: int  # type: ignore[assignment]  # hides tuple.index, which nobody needs here
    order: int
    pfn: int
    flags: int

    def pages(self) -> list[Page]:
        """File pages of the folio (ops 0-2), ascending."""
        return [(self.inode, self.index + i) for i in range(1 << self.order)]


def check(events: Sequence[Event], data_pages: int) -> tuple[int, str] | None:
    """First faulty row of a table by section 2: (number from 0, column), or None if it is fine."""
    allocated: set[int] = set()
    for row, event in enumerate(events):
        if not STORE <= event.op <= RESIZE:
            return row, "op"
        if row > 0 and event.time_ns < events[row - 1].time_ns:
            return row, "time_ns"
        if event.op in (STORE, RESTORE, INVALIDATE) and event.index % (1 << event.order) != 0:
            return row, "index"
        if event.op in (ALLOC, FREE):
            if event.pfn < 0 or event.pfn + (1 << event.order) > data_pages:
                return row, "pfn"
            frames = set(range(event.pfn, event.pfn + (1 << event.order)))
            untagged = event.op == ALLOC and not event.flags & TAGGED
            if (untagged and frames & allocated) or (event.op == FREE and frames - allocated):
                return row, "pfn"
            allocated -= frames
            if event.op == ALLOC:
                allocated |= frames
    return None


# ---- Policies, costs (section 6) and results
@dataclass(frozen=True)
class Policy:
    """What a back end does, in the words of section 4."""

    system: str = "cleancache"
    eviction: str = "lru"
    admission: str = "all"
    restore: str = "inclusive"
    drop: str = "page"
    folio_order: int = 0
    large_folios: str = "cut"
    headroom: float = 0.0
    headroom_mode: str = "static"
    placement: str = "queue"
    region: int = 0  # of tmem, until an event resizes it
    metadata: str = "memmap"

    def __post_init__(self) -> None:
        unknown = {word for word in vars(self).values() if isinstance(word, str)}
        if unknown - set(WORDS.split()) or not 0 <= self.headroom < 1 or self.folio_order < 0:
            raise ValueError(f"no such policy: {self}")


@dataclass(frozen=True)
class Costs:
    """Prices of the back end's work, integers in nanoseconds."""

    reserve_base_ns: int
    cache_line_ns: int
    slot_drop_ns: int
    read_sequential_ns: int
    read_random_ns: int
    copy_in_ns: int
    copy_out_ns: int
    lookup_ns: int
    tmem_copy_in_ns: int
    tmem_copy_out_ns: int


@dataclass(frozen=True)
class Result:
    """Everything a replay says: the outcomes of section 5 and the state at the end."""

    outcomes: dict[str, int | float | None]
    samples: dict[tuple[bool, int, int], int]  # (atomic, blocks, dropped) -> count
    cached: int
    offered: int
    free: int
    capacity: int
    units: list[tuple[int, int, int, tuple[int, ...], bool]]


def _ratio(above: int | Fraction, below: int) -> float | None:
    """Exact quotient, rounded once, or None (NULL) if the denominator is 0."""
    return float(Fraction(above) / below) if below else None


def _read_ns(missed: list[Page], costs: Costs) -> int:
    """Storage time of pages missed one after the other."""
    ns = 0
    for i, (inode, index) in enumerate(missed):
        follows = i > 0 and missed[i - 1] == (inode, index - 1)
        ns += costs.read_sequential_ns if follows else costs.read_random_ns
    return ns


class _Replay:
    """State of one replay of one policy."""

    def __init__(
        self, page_size: int, data_pages: int, tag_block_pages: int, policy: Policy, costs: Costs
    ) -> None:
        self.page_size, self.policy, self.costs = page_size, policy, costs
        # 3. Tag storage
        self.b = tag_block_pages
        self.B = -(-data_pages // (32 * self.b))
        self.tagged: set[int] = set()
        self.count = dict.fromkeys(range(self.B), 0)  # tagged pages of each block
        self.reserved = set(range(self.B if policy.system == "carveout" else 0))
        # 4. Cleancache back end
        blocks = set(range(int(policy.headroom * self.B)))  # int() is floor here
        self.headroom = blocks if policy.headroom_mode == "static" else set()
        self.kept = blocks - self.headroom  # empty, if the headroom is dynamic
        self.keep = len(self.kept)
        self.released: list[int] = []  # blocks, in the order of their last release
        self.cursor = -1  # the block that the page before was put in
        self.queue: list[int] = []  # of free slots, front first
        for block in self.caching_blocks():
            self.queue.extend(range(block * self.b, (block + 1) * self.b))
        self.region, self.handed_back = policy.region, []  # slots, the last one first
        if policy.system == "tmem":
            self.queue = list(range(self.region))
        self.slot_page: dict[int, Page] = {}  # what each caching slot holds
        self.units: list[Unit] = []  # from the old end to the new end
        self.bit: set[Unit] = set()  # units whose bit is set
        self.held: dict[Unit, dict[int, int]] = {}  # unit -> index -> slot
        self.unit_of: dict[Page, Unit] = {}  # every cached page
        self.hand: Unit | None = None
        # 5. Outcomes
        self.n = dict.fromkeys(COUNTERS.split(), 0)
        self.offered = self.tagged_freed = self.peak_cached = self.time = self.time_tagged = 0
        self.peak_reserved = len(self.reserved)
        self.offered_before: set[Page] = set()  # by a store, with no invalidate since
        self.samples: dict[tuple[bool, int, int], int] = {}
        self.wanted: list[Page] = []  # every page of every restore
        self.missed: list[Page] = []  # those of them that were missed
        self.slot_time = {"reserved": 0, "cached": 0, "empty": 0, "headroom": 0}
        self.amplification_time = Fraction(0)
        self.ideal = 0
        self.allocated: set[int] = set()  # frames, tagged or not

    def caching_blocks(self) -> list[int]:
        return sorted(set(range(self.B)) - self.headroom - self.kept - self.reserved)

    # -- 3. Tag storage
    def alloc(self, event: Event) -> None:
        self.allocated.update(range(event.pfn, event.pfn + (1 << event.order)))
        if not event.flags & TAGGED:
            return
        n, before = self.n, dict(self.n)
        for page in range(event.pfn, event.pfn + (1 << event.order)):
            if page not in self.tagged:
                block = (page // 32) // self.b
                if self.count[block] == 0 and self.policy.system != "carveout":
                    self.reserve(block)
                self.count[block] += 1
                self.tagged.add(page)
        blocks = n["reservations"] - before["reservations"]
        dropped = n["recalled"] + n["collateral"] - before["recalled"] - before["collateral"]
        if blocks >= 1:
            sample = (bool(event.flags & ATOMIC), blocks, dropped)
            self.samples[sample] = self.samples.get(sample, 0) + 1
            self.empty_blocks()

    def free(self, event: Event) -> None:
        self.allocated.difference_update(range(event.pfn, event.pfn + (1 << event.order)))
        for page in range(event.pfn, event.pfn + (1 << event.order)):
            if page in self.tagged:
                block = (page // 32) // self.b
                self.tagged.remove(page)
                self.tagged_freed += 1
                self.count[block] -= 1
                if self.count[block] == 0 and self.policy.system != "carveout":
                    self.release(block)

    # -- 4. Cleancache back end: store
    def store(self, event: Event) -> None:
        self.offered += len(event.pages())
        self.offered_before.update(event.pages())
        refused = self.policy.large_folios == "refuse" and event.order > 0
        if refused or self.policy.system == "carveout":
            self.n["skipped"] += len(event.pages())
            return
        order = min(event.order, self.policy.folio_order)
        for first in range(event.index, event.index + (1 << event.order), 1 << order):
            self.store_unit((event.inode, first, order), bool(event.flags & WORKINGSET))

    def store_unit(self, this: Unit, workingset: bool) -> None:
        pages = [(this[0], this[1] + i) for i in range(1 << this[2])]
        # 1. admission
        if self.policy.admission == "workingset" and not workingset:
            for page in pages:
                if page in self.unit_of:
                    self.leave(page, "stale")
                else:
                    self.n["skipped"] += 1
            return
        # 2. pages cached in another unit leave it
        for page in pages:
            if page in self.unit_of and self.unit_of[page] != this:
                self.leave(page, "overwritten")
        # 3. room
        need = [page for page in pages if page not in self.unit_of]
        had = len(pages) - len(need)
        others = 0 if self.policy.eviction == "none" else len(self.unit_of) - had
        if len(self.queue) + others < len(need):
            self.n["skipped"] += len(pages)
            return
        while len(self.queue) < len(need):
            victim = self.victim(this)
            for index in sorted(self.held[victim]):
                self.leave((victim[0], index), "reclaimed")
        # 4. the pages take slots
        if this in self.held:
            self.touch(this)
        else:
            self.units.append(this)
            self.held[this] = {}
        for page, slot in zip(need, self.choose(len(need)), strict=True):
            self.queue.remove(slot)
            self.slot_page[slot] = page
            self.held[this][page[1]] = slot
            self.unit_of[page] = this
        self.peak_cached = max(self.peak_cached, len(self.unit_of))
        self.n["stored"] += len(pages)
        self.n["overwritten"] += had

    # -- 4. restore, invalidate, invalidate_inode
    def restore(self, event: Event) -> None:
        refused = self.policy.large_folios == "refuse" and event.order > 0
        for page in event.pages():
            if page in self.offered_before:
                self.n["refaults"] += 1
            self.wanted.append(page)
            if page not in self.unit_of or refused:
                self.n["missed"] += 1
                self.missed.append(page)
            elif self.policy.restore == "inclusive":
                self.n["restored"] += 1
                self.touch(self.unit_of[page])
            else:
                self.leave(page, "restored")

    def invalidate(self, event: Event) -> None:
        if event.op == INVALIDATE:
            pages = event.pages()
        else:  # the whole inode; every cached page was offered before, with no invalidate since
            pages = sorted(page for page in self.offered_before if page[0] == event.inode)
        for page in pages:
            if page in self.unit_of:
                self.leave(page, "invalidated")
        self.offered_before.difference_update(pages)

    def leave(self, page: Page, counter: str, to_queue: bool = True) -> None:
        self.n[counter] += 1
        unit = self.unit_of.pop(page)
        slot = self.held[unit].pop(page[1])
        del self.slot_page[slot]
        if to_queue:
            self.queue.append(slot)
        if not self.held[unit]:  # a unit without pages ceases to exist
            if self.hand == unit:
                self.hand = self.next_newer(unit)
            self.units.remove(unit)
            self.bit.discard(unit)
            del self.held[unit]

    def next_newer(self, unit: Unit) -> Unit | None:
        place = self.units.index(unit) + 1
        return self.units[place] if place < len(self.units) else None

    # -- 4. eviction
    def touch(self, unit: Unit) -> None:
        if self.policy.eviction == "lru":
            self.units.remove(unit)
            self.units.append(unit)
        elif self.policy.eviction in ("clock", "sieve"):
            self.bit.add(unit)

    def victim(self, this: Unit | None) -> Unit:
        if self.policy.eviction in ("fifo", "lru"):
            return next(unit for unit in self.units if unit != this)
        if self.policy.eviction == "clock":
            while (oldest := self.units[0]) == this or oldest in self.bit:
                self.units.append(self.units.pop(0))
                if oldest != this:
                    self.bit.remove(oldest)
            return oldest
        at = self.units[0] if self.hand is None else self.hand  # sieve
        while at == this or at in self.bit:
            if at != this:
                self.bit.remove(at)
            at = self.next_newer(at) or self.units[0]
        self.hand = self.next_newer(at)
        return at

    def reserve(self, block: int) -> None:
        self.n["reservations"] += 1
        self.reserved.add(block)
        self.peak_reserved = max(self.peak_reserved, len(self.reserved))
        if block in self.headroom | self.kept:
            self.kept.discard(block)
            return
        self.take_slots(block)

    def take_slots(self, block: int) -> None:
        slots = range(block * self.b, (block + 1) * self.b)
        lost = {self.unit_of[self.slot_page[slot]] for slot in slots if slot in self.slot_page}
        for slot in slots:
            if slot in self.slot_page:
                self.leave(self.slot_page[slot], "recalled", to_queue=False)
            else:
                self.queue.remove(slot)
        if self.policy.drop == "folio":
            for unit in sorted(lost):
                for index in sorted(self.held.get(unit, {})):
                    self.leave((unit[0], index), "collateral")

    def release(self, block: int) -> None:
        self.n["releases"] += 1
        self.reserved.remove(block)
        self.released = [one for one in self.released if one != block] + [block]
        if len(self.kept) < self.keep:
            self.kept.add(block)
        elif block not in self.headroom:
            self.queue.extend(range(block * self.b, (block + 1) * self.b))

    # -- placement and dynamic headroom
    def choose(self, need: int) -> list[int]:
        """Free slots for the pages of a unit, in order."""
        free = sorted(self.queue)
        if self.policy.placement == "queue" or need == 0:
            return self.queue[:need]
        if self.policy.placement == "contiguous":
            runs = [range(s, s + need) for s in free if set(range(s, s + need)) <= set(free)]
            spans = [run[-1] // self.b - run[0] // self.b for run in runs]
            fewest = -(-need // self.b) - 1
            runs = [run for run, span in zip(runs, spans, strict=True) if span == fewest] or runs
            return list(runs[0]) if runs else free[:need]
        chosen: list[int] = []
        for _ in range(need):
            blocks = sorted({slot // self.b for slot in free})
            if self.policy.placement == "far":
                below = {one: 32 * self.b - self.used_under(one) for one in blocks}
                block = min(blocks, key=lambda one: (below[one], one))
                slot = next(slot for slot in free if slot // self.b == block)
                free.remove(slot)
                chosen.append(slot)
                continue
            if self.policy.placement == "spread":
                block = next((one for one in blocks if one > self.cursor), blocks[0])
                self.cursor = block
            else:  # cold_block: those never released first
                block = min(blocks, key=lambda one: (self.age(one), one))
            slot = next(slot for slot in free if slot // self.b == block)
            free.remove(slot)
            chosen.append(slot)
        return chosen

    def used_under(self, block: int) -> int:
        return sum(frame // 32 // self.b == block for frame in self.allocated)

    def age(self, block: int) -> int:
        return self.released.index(block) + 1 if block in self.released else 0

    def empty_blocks(self) -> None:
        """Keep the emptiest blocks empty, until there are enough of them."""
        n = self.n
        while len(self.kept) < self.keep and self.caching_blocks():
            cached = dict.fromkeys(self.caching_blocks(), 0)
            for slot in self.slot_page:
                cached[slot // self.b] += 1
            block = min(cached, key=lambda one: (cached[one], one))
            before = n["recalled"], n["collateral"]
            self.take_slots(block)
            n["reclaimed"] += n["recalled"] + n["collateral"] - sum(before)
            n["recalled"], n["collateral"] = before
            self.kept.add(block)

    # -- tmem
    def resize(self, event: Event) -> None:
        if self.policy.system != "tmem":
            return
        before, shrinks = self.n["recalled"], event.pfn < self.region
        while self.region > event.pfn:
            if not self.queue:
                victim = self.units[0] if self.policy.eviction == "none" else self.victim(None)
                for index in sorted(self.held[victim]):
                    self.leave((victim[0], index), "recalled")
            self.handed_back.insert(0, self.queue.pop(0))
            self.region -= 1
        while self.region < event.pfn:
            self.queue.append(self.handed_back.pop(0) if self.handed_back else self.region)
            self.region += 1
        if shrinks:
            sample = (False, 0, self.n["recalled"] - before)
            self.samples[sample] = self.samples.get(sample, 0) + 1

    # -- 5. Outcomes
    def hold(self, ns: int) -> None:
        self.time += ns
        self.slot_time["reserved"] += len(self.reserved) * self.b * ns
        self.slot_time["cached"] += len(self.unit_of) * ns
        self.slot_time["empty"] += len(self.queue) * ns
        self.slot_time["headroom"] += len((self.headroom | self.kept) - self.reserved) * self.b * ns
        if self.tagged:
            at_best = -(-len(self.tagged) // (32 * self.b))
            self.time_tagged += ns
            self.amplification_time += Fraction(len(self.reserved) * ns, at_best)

    def outcomes(self) -> dict[str, int | float | None]:
        n, costs, line_ns = self.n, self.costs, self.costs.cache_line_ns
        lines, tag_lines = self.b * self.page_size // 64, max(1, self.page_size // 32 // 64)
        out: dict[str, int | float | None] = dict(n)
        out["hit_ratio"] = _ratio(n["restored"], n["restored"] + n["missed"])
        out["refault_hit_ratio"] = _ratio(n["restored"], n["refaults"])
        out["collateral_ratio"] = _ratio(n["collateral"], n["recalled"] + n["collateral"])
        for name, slot_time in self.slot_time.items():
            out[name + "_share"] = _ratio(slot_time, self.B * self.b * self.time)
        out["amplification"] = _ratio(self.amplification_time, self.time_tagged)
        out["peak_reserved"] = self.peak_reserved
        for prefix in ("", "atomic_"):
            latencies: list[int] = []
            for (atomic, blocks, dropped), count in self.samples.items():
                ns = costs.reserve_base_ns + blocks * lines * line_ns + dropped * costs.slot_drop_ns
                latencies += [ns] * (count if atomic or not prefix else 0)
            latencies.sort()
            out[prefix + "reservation_mean_ns"] = _ratio(sum(latencies), len(latencies))
            for name, percent in (("p50", 50), ("p99", 99), ("max", 100)):
                rank = -(-percent * len(latencies) // 100)  # nearest rank, from 1
                out[f"{prefix}reservation_{name}_ns"] = latencies[rank - 1] if latencies else None
        out["failed_pinned"] = out["failed_atomic"] = 0
        out["copies_in"], out["copies_out"] = n["stored"], n["restored"]
        out["compressions"] = out["decompressions"] = out["migrations"] = 0
        out["swap_writes"] = 0
        paid = n["stored"] * costs.copy_in_ns + n["restored"] * costs.copy_out_ns
        paid += (n["restored"] + n["missed"]) * costs.lookup_ns
        paid += (n["reclaimed"] + n["recalled"] + n["collateral"]) * costs.slot_drop_ns
        paid += (n["reservations"] * lines + self.tagged_freed * tag_lines) * line_ns
        schemes = {"memmap": 64 * self.B * self.b, "compact": 16 * self.peak_cached, "none": 0}
        carveout = self.policy.system == "carveout"
        out["metadata_bytes"] = 0 if carveout else schemes[self.policy.metadata]
        out["read_ns"] = read_ns = _read_ns(self.missed, costs)
        out["time_saved_ns"] = _read_ns(self.wanted, costs) - read_ns - (0 if carveout else paid)
        out["share_of_ideal"] = _ratio(n["restored"], self.ideal)
        return out


def ideal_restored(events: Sequence[Event], data_pages: int, tag_block_pages: int) -> int:
    """Pages restored by the bound: it gives up the page that is restored last, when it must."""
    later: list[dict[Page, int]] = []  # of each row: its pages' next events, if they are restores
    upcoming: dict[Page, int] = {}
    for row in reversed(range(len(events))):
        event = events[row]
        later.append(dict(upcoming) if event.op in (STORE, RESTORE) else {})
        if event.op == INVALIDATE_INODE:
            upcoming = {page: at for page, at in upcoming.items() if page[0] != event.inode}
        elif event.op in (STORE, RESTORE, INVALIDATE):
            for page in event.pages():
                upcoming.pop(page, None)
                if event.op == RESTORE:
                    upcoming[page] = row
    later.reverse()
    slots = -(-data_pages // (32 * tag_block_pages)) * tag_block_pages
    tagged: set[int] = set()
    kept: dict[Page, int] = {}
    restored = 0
    for row, event in enumerate(events):
        frames = set(range(event.pfn, event.pfn + (1 << event.order)))
        if event.op in (STORE, RESTORE):
            for page in event.pages():
                restored += event.op == RESTORE and kept.pop(page, None) is not None
                if page in later[row]:
                    kept[page] = later[row][page]
        elif event.op == ALLOC and event.flags & TAGGED:
            tagged |= frames
        elif event.op == FREE:
            tagged -= frames
        reserved = {frame // 32 // tag_block_pages for frame in tagged}
        while len(kept) > slots - len(reserved) * tag_block_pages:
            del kept[max(kept, key=lambda page: (kept[page], page))]
    return restored


def replay(
    events: Sequence[Event],
    *,
    page_size: int,
    data_pages: int,
    tag_block_pages: int,
    policy: Policy,
    costs: Costs,
) -> Result:
    """Outcomes, and state at the end, of a table of mm events replayed under one policy."""
    if fault := check(events, data_pages):
        raise ValueError(f"row {fault[0]}, column {fault[1]}")
    state = _Replay(page_size, data_pages, tag_block_pages, policy, costs)
    state.ideal = ideal_restored(events, data_pages, tag_block_pages)
    tagless = policy.system == "tmem"
    does = (state.store, state.restore, state.invalidate, state.invalidate, state.alloc, state.free)
    for row, event in enumerate(events):
        state.hold(event.time_ns - events[max(row - 1, 0)].time_ns)  # 0 ns before the first
        if event.op == RESIZE:
            state.resize(event)
        elif not (tagless and event.op in (ALLOC, FREE)):
            does[event.op](event)
    units = [(*unit, tuple(sorted(state.held[unit])), unit in state.bit) for unit in state.units]
    capacity = len(state.caching_blocks()) * tag_block_pages
    cached, free = len(state.unit_of), len(state.queue)
    return Result(state.outcomes(), state.samples, cached, state.offered, free, capacity, units)
