"""Slow, plain oracle of the back end, written in the order of `model.md` and from it alone."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from reference_events import (
    ALLOC,
    ANONYMOUS,
    ATOMIC,
    FREE,
    INVALIDATE,
    INVALIDATE_INODE,
    JOIN,
    MAPPED,
    NO_PHASE,
    PHASE,
    RESIZE,
    RESTORE,
    STORE,
    TAGGED,
    WANTED,
    WORKINGSET,
    Event,
    Page,
    Reads,
    Requests,
    check,
)
from reference_ideal import ideal, ideal_restored
from reference_spending import SPENT, Costs, Spending, read_ns, waited_read_ns

__all__ = [
    "ALLOC", "ANONYMOUS", "ATOMIC", "FREE", "INVALIDATE", "INVALIDATE_INODE", "JOIN", "MAPPED",
    "NO_PHASE", "PHASE", "RESIZE", "RESTORE", "STORE", "TAGGED", "WANTED", "WORKINGSET", "Costs",
    "Event", "Page", "Policy", "Result", "check", "ideal_restored", "replay",
]  # fmt: skip
Unit = tuple[int, int, int]  # (inode, first index, order): sorts as section 2 wants
COUNTERS = """stored skipped stale restored missed reclaimed recalled collateral invalidated
    overwritten reservations releases refaults lookups bypassed waited_stored waited_reclaimed"""
WORDS = """cleancache carveout tmem ideal queue contiguous spread cold_block far static dynamic
    fifo lru clock sieve none all mapped workingset inclusive exclusive each prefix direct
    background page folio cut refuse memmap compact"""  # all that the fields of a policy may say


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
    offer: str = "all"
    lookup: str = "each"
    slot_reclaim: str = "direct"
    slot_reclaim_batch: int = 32
    discard_ratio: float = 0.0  # of tmem; nothing is drawn here: all, or none

    def __post_init__(self) -> None:
        unknown = {word for word in vars(self).values() if isinstance(word, str)}
        wrong = unknown - set(WORDS.split()) or not 0 <= self.headroom < 1 or self.folio_order < 0
        if wrong or self.slot_reclaim_batch < 1 or self.discard_ratio not in (0.0, 1.0):
            raise ValueError(f"no such policy: {self}")


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
    phases: list[tuple[str, int, int]]  # (name, wait_ns, all_missed_wait_ns) of each occurrence
    parts: dict[str, list[int]]  # what was spent in each of the 64 equal parts of the time


def _ratio(above: int | Fraction, below: int) -> float | None:
    """Exact quotient, rounded once, or None (NULL) if the denominator is 0."""
    return float(Fraction(above) / below) if below else None


class _Replay:
    """State of one replay of one policy."""

    def __init__(
        self,
        page_size: int,
        data_pages: int,
        tag_block_pages: int,
        policy: Policy,
        costs: Costs,
        requests: Requests,
    ) -> None:
        self.page_size, self.policy, self.costs, self.requests = page_size, policy, costs, requests
        # 3. Tag storage
        self.b = tag_block_pages
        self.B = -(-data_pages // (32 * self.b))
        self.tagged: set[int] = set()
        self.count = dict.fromkeys(range(self.B), 0)  # tagged pages of each block
        self.reserved = set(range(self.B if policy.system == "carveout" else 0))
        # 4. Cleancache back end
        spared = 0 if policy.system in ("tmem", "ideal") else policy.headroom
        blocks = set(range(int(spared * self.B)))  # int() is floor here
        self.headroom = blocks if policy.headroom_mode == "static" else set()
        self.kept = blocks - self.headroom  # empty, if the headroom is dynamic
        self.keep = len(self.kept)
        self.released: list[int] = []  # blocks, in the order of their last release
        self.cursor = -1  # the block that the page before was put in
        self.queue: list[int] = []  # of free slots, front first
        for block in self.caching_blocks():
            self.queue.extend(range(block * self.b, (block + 1) * self.b))
        self.region = policy.region
        self.handed_back: list[int] = []  # slots, the last one first
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
        self.slot_time = {"reserved": 0, "cached": 0, "empty": 0, "headroom": 0}
        self.amplification_time = Fraction(0)
        self.ideal_hits: set[tuple[int, Page]] = set()  # (row, page) that the ideal restores
        self.ideal_kept = 0  # pages that it keeps now
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
        if blocks >= 1 and self.policy.system != "ideal":
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
        n, before = self.n, dict(self.n)
        self.offered += len(event.pages())
        self.offered_before.update(event.pages())
        if self.policy.system in ("carveout", "ideal"):
            n["skipped"] += len(event.pages())
        elif self.policy.offer == "mapped" and not event.flags & MAPPED:
            self.drop(event.pages(), "invalidated")
            n["skipped"] += len(event.pages())
        elif self.policy.large_folios == "refuse" and event.order > 0:
            n["skipped"] += len(event.pages())
        else:
            order = min(event.order, self.policy.folio_order)
            for first in range(event.index, event.index + (1 << event.order), 1 << order):
                self.store_unit((event.inode, first, order), bool(event.flags & WORKINGSET))
        if self.requests.is_waited_for(event):
            n["waited_stored"] += n["stored"] - before["stored"]
            if not self.reclaims_in_background():
                n["waited_reclaimed"] += n["reclaimed"] - before["reclaimed"]

    def reclaims_in_background(self) -> bool:
        return self.policy.slot_reclaim == "background" and self.policy.system == "cleancache"

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
        if self.reclaims_in_background():
            if len(self.queue) < len(need):
                self.n["skipped"] += len(pages)
                self.reclaim_a_batch()
                return
        elif len(self.queue) + others < len(need):
            self.n["skipped"] += len(pages)
            return
        while len(self.queue) < len(need):
            self.drop_unit(self.victim(this), "reclaimed")
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

    def reclaim_a_batch(self) -> None:
        for _ in range(self.policy.slot_reclaim_batch):
            if not self.units or self.policy.eviction == "none":
                return
            self.drop_unit(self.victim(None), "reclaimed")

    # -- 4. restore, invalidate, invalidate_inode
    def restore(self, row: int, event: Event) -> None:
        self.requests.begin_row(row)
        for page in event.pages():
            if page in self.offered_before:
                self.n["refaults"] += 1
            is_found = self.finds(row, event, page)
            self.n["restored" if is_found else "missed"] += 1
            self.requests.take(page, not is_found, self.requests.is_waited_for(event))
        self.requests.end_row(row)

    def finds(self, row: int, event: Event, page: Page) -> bool:
        """Whether a page of a restore is restored; it is looked up for that, or not at all."""
        if self.policy.system in ("carveout", "ideal"):
            return (row, page) in self.ideal_hits
        if self.policy.large_folios == "refuse" and event.order > 0:
            return False
        if self.policy.lookup == "prefix" and self.requests.run_has_missed(*page):
            self.n["bypassed"] += page in self.unit_of
            return False
        self.n["lookups"] += 1
        if page not in self.unit_of:
            return False
        if self.policy.system == "tmem" and self.policy.discard_ratio == 1:
            self.leave(page, "recalled")
            return False
        if self.policy.restore == "inclusive":
            self.touch(self.unit_of[page])
        else:
            self.leave(page, None)
        return True

    def invalidate(self, event: Event) -> None:
        if event.op == INVALIDATE:
            pages = event.pages()
        else:  # the whole inode; every cached page was offered before, with no invalidate since
            pages = sorted(page for page in self.offered_before if page[0] == event.inode)
        self.drop(pages, "invalidated")
        self.offered_before.difference_update(pages)

    def drop(self, pages: Sequence[Page], counter: str) -> None:
        for page in pages:
            if page in self.unit_of:
                self.leave(page, counter)

    def drop_unit(self, unit: Unit, counter: str) -> None:
        self.drop([(unit[0], index) for index in sorted(self.held.get(unit, {}))], counter)

    def leave(self, page: Page, counter: str | None, to_queue: bool = True) -> None:
        if counter is not None:
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
                self.drop_unit(unit, "collateral")

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
        before, shrinks = self.n["recalled"], event.pfn < self.region
        while self.region > event.pfn:
            if not self.queue:
                victim = self.units[0] if self.policy.eviction == "none" else self.victim(None)
                self.drop_unit(victim, "recalled")
            self.handed_back.insert(0, self.queue.pop(0))
            self.region -= 1
        while self.region < event.pfn:
            self.queue.append(self.handed_back.pop(0) if self.handed_back else self.region)
            self.region += 1
        if shrinks:
            sample = (False, 0, self.n["recalled"] - before)
            self.samples[sample] = self.samples.get(sample, 0) + 1

    # -- 5. Outcomes
    def cached(self) -> int:
        return self.ideal_kept if self.policy.system == "ideal" else len(self.unit_of)

    def free_slots(self) -> int:
        return len(self.queue) - self.ideal_kept

    def hold(self, ns: int) -> None:
        self.time += ns
        self.slot_time["reserved"] += len(self.reserved) * self.b * ns
        self.slot_time["cached"] += self.cached() * ns
        self.slot_time["empty"] += self.free_slots() * ns
        self.slot_time["headroom"] += len((self.headroom | self.kept) - self.reserved) * self.b * ns
        if self.tagged:
            at_best = -(-len(self.tagged) // (32 * self.b))
            self.time_tagged += ns
            self.amplification_time += Fraction(len(self.reserved) * ns, at_best)

    def forget(self) -> None:
        """End the warm-up: what was counted so far does not count, the state is what it is."""
        self.n = dict.fromkeys(self.n, 0)
        self.offered = self.tagged_freed = self.time = self.time_tagged = 0
        self.peak_cached, self.peak_reserved = self.cached(), len(self.reserved)
        self.samples = {}
        self.slot_time = dict.fromkeys(self.slot_time, 0)
        self.amplification_time = Fraction(0)
        self.requests.missed, self.requests.all_missed = Reads(), Reads()

    def sample_ns(self, blocks: int, dropped: int) -> int:
        costs, lines = self.costs, self.b * self.page_size // 64
        return (
            costs.reserve_base_ns
            + blocks * lines * costs.cache_line_ns
            + dropped * costs.slot_drop_ns
        )

    def spent(self) -> dict[str, int]:
        """Nanoseconds up to now, of requests that have ended and of all that rows do themselves."""
        n, costs = self.n, self.costs
        missed, all_missed = self.requests.missed, self.requests.all_missed
        spent = {
            "read_ns": read_ns(missed, costs),
            "wait_ns": waited_read_ns(missed, costs),
            "cpu_ns": 0,
            "all_missed_read_ns": read_ns(all_missed, costs),
            "all_missed_wait_ns": waited_read_ns(all_missed, costs),
        }
        if self.policy.system in ("carveout", "ideal"):
            return spent
        is_tmem = self.policy.system == "tmem"
        copy_in_ns = costs.tmem_copy_in_ns if is_tmem else costs.copy_in_ns
        copy_out_ns = costs.tmem_copy_out_ns if is_tmem else costs.copy_out_ns
        found_ns = n["lookups"] * costs.lookup_ns + n["restored"] * copy_out_ns
        dropped = n["reclaimed"] + n["recalled"] + n["collateral"]
        lines = n["reservations"] * (self.b * self.page_size // 64)
        lines += self.tagged_freed * (self.page_size // 2048)
        spent["wait_ns"] += found_ns
        spent["wait_ns"] += sum(
            self.sample_ns(*key[1:]) * count for key, count in self.samples.items()
        )
        spent["wait_ns"] += n["waited_stored"] * copy_in_ns
        spent["wait_ns"] += n["waited_reclaimed"] * costs.slot_drop_ns
        spent["cpu_ns"] += found_ns + n["stored"] * copy_in_ns + dropped * costs.slot_drop_ns
        spent["cpu_ns"] += sum(self.samples.values()) * costs.reserve_base_ns
        spent["cpu_ns"] += lines * costs.cache_line_ns
        return spent

    def outcomes(self) -> dict[str, int | float | None]:
        n, reads, spent = self.n, self.requests.missed, self.spent()
        out: dict[str, int | float | None] = dict(n)
        out["hit_ratio"] = _ratio(n["restored"], n["restored"] + n["missed"])
        out["refault_hit_ratio"] = _ratio(n["restored"], n["refaults"])
        out["collateral_ratio"] = _ratio(n["collateral"], n["recalled"] + n["collateral"])
        schemes = {"memmap": 64 * self.B * self.b, "compact": 16 * self.peak_cached, "none": 0}
        scheme = "none" if self.policy.system in ("carveout", "ideal") else self.policy.metadata
        if self.policy.system != "tmem":  # neither page says what shares of a region are of
            for name, slot_time in self.slot_time.items():
                out[name + "_share"] = _ratio(slot_time, self.B * self.b * self.time)
            out["metadata_bytes"] = schemes[scheme]
            out["amplification"] = _ratio(self.amplification_time, self.time_tagged)
        out["peak_reserved"] = self.peak_reserved
        for prefix in ("", "atomic_"):
            latencies: list[int] = []
            for (atomic, blocks, dropped), count in self.samples.items():
                latencies += [self.sample_ns(blocks, dropped)] * (
                    count if atomic or not prefix else 0
                )
            latencies.sort()
            out[prefix + "reservation_mean_ns"] = _ratio(sum(latencies), len(latencies))
            for name, percent in (("p50", 50), ("p99", 99), ("max", 100)):
                rank = -(-percent * len(latencies) // 100)  # nearest rank, from 1
                out[f"{prefix}reservation_{name}_ns"] = latencies[rank - 1] if latencies else None
        out["failed_pinned"] = out["failed_atomic"] = 0
        out["copies_in"] = n["stored"]
        out["copies_out"] = 0 if self.policy.system == "ideal" else n["restored"]
        out["compressions"] = out["decompressions"] = out["migrations"] = 0
        out["swap_writes"] = 0
        out["read_commands"], out["waited_requests"] = reads.commands, reads.waited_requests
        out["waited_commands"], out["waited_pages"] = reads.waited_commands, reads.waited_pages
        for name in ("read_ns", "wait_ns", "cpu_ns"):
            out[name] = spent[name]
        all_read_ns, all_wait_ns = spent["all_missed_read_ns"], spent["all_missed_wait_ns"]
        time_saved_ns = all_read_ns - spent["read_ns"] - spent["cpu_ns"]
        out["time_saved_ns"] = time_saved_ns
        out["time_saved_ratio"] = _ratio(time_saved_ns, all_read_ns)
        out["wait_saved_ns"] = all_wait_ns - spent["wait_ns"]
        out["wait_saved_ratio"] = _ratio(all_wait_ns - spent["wait_ns"], all_wait_ns)
        return out


def _do(state: _Replay, row: int, event: Event) -> None:
    """Replay a row; one that the system leaves out changes nothing."""
    is_tmem = state.policy.system == "tmem"
    if event.is_anonymous() or (is_tmem and event.op in (ALLOC, FREE)):
        return
    if event.op == STORE:
        state.store(event)
    elif event.op == RESTORE:
        state.restore(row, event)
    elif event.op in (INVALIDATE, INVALIDATE_INODE):
        state.invalidate(event)
    elif event.op == ALLOC:
        state.alloc(event)
    elif event.op == FREE:
        state.free(event)
    elif is_tmem:
        state.resize(event)


def replay(
    events: Sequence[Event],
    *,
    page_size: int,
    data_pages: int,
    tag_block_pages: int,
    policy: Policy,
    costs: Costs,
    requests: bool = False,
    phases: Sequence[str] = (),
    mapped: bool = False,
    warm_up: int = 0,
) -> Result:
    """Outcomes, and state at the end, of a table of mm events replayed under one policy.

    `requests`, `phases` and `mapped` are what the table's metadata says: that requests are
    recorded, the names of phases, and that MAPPED is recorded. The first `warm_up` of the 64 parts
    of its time count in no outcome; parts are those of the whole.
    """
    if fault := check(events, data_pages, requests, phases):
        raise ValueError(f"row {fault[0]}, column {fault[1]}")
    if not mapped:
        events = [e._replace(flags=e.flags | MAPPED) if e.op == STORE else e for e in events]
    state = _Replay(
        page_size, data_pages, tag_block_pages, policy, costs, Requests(events, requests)
    )
    spending, spent = Spending(events, phases), dict.fromkeys(SPENT, 0)
    warm_up_end_ns = spending.moments[warm_up - 1] if warm_up else -math.inf
    ideal_hits, ideal_kept = ideal(events, data_pages, tag_block_pages, warm_up_end_ns)
    is_ideal = policy.system == "ideal"
    if is_ideal:
        state.ideal_hits = ideal_hits
    time_ns: int | None = None  # of the last event of the clock, or of the end of the warm-up
    is_warm = not warm_up
    for row, event in enumerate(events):
        if not is_warm and event.time_ns > warm_up_end_ns:
            time_ns, is_warm = spending.moments[warm_up - 1], True
            state.forget()
            spending.forget()
            spent = state.spent()
        if event.op == PHASE:
            spending.mark(event)
            continue
        state.hold(0 if time_ns is None else event.time_ns - time_ns)
        time_ns = event.time_ns
        _do(state, row, event)
        if is_ideal:
            state.ideal_kept = ideal_kept[row]
        before, spent = spent, state.spent()
        spending.add(time_ns, {name: spent[name] - before[name] for name in SPENT})
    if not is_warm:
        state.forget()
        spending.forget()
    outcomes = state.outcomes()
    outcomes["share_of_ideal"] = _ratio(state.n["restored"], len(ideal_hits))
    units = [(*unit, tuple(sorted(state.held[unit])), unit in state.bit) for unit in state.units]
    return Result(
        outcomes,
        state.samples,
        state.cached(),
        state.offered,
        state.free_slots(),
        len(state.caching_blocks()) * tag_block_pages,
        units,
        spending.phases,
        spending.parts,
    )
