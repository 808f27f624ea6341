"""The plain oracle keeps the laws that the model states, on random tables of version 2."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import pytest
import reference
from hypothesis import given, settings
from hypothesis import strategies as st
from recorded_streams import Recorded, recorded_streams
from reference import (
    ALLOC,
    ANONYMOUS,
    INVALIDATE,
    INVALIDATE_INODE,
    JOIN,
    NO_PHASE,
    PHASE,
    RESIZE,
    RESTORE,
    STORE,
    TAGGED,
    WANTED,
    Event,
    Policy,
)
from reference_events import requests_of
from reference_zswap import replay_zswap
from worked_cases import COSTS

SPENT = ("read_ns", "wait_ns", "cpu_ns")
OF_READS = ("read_commands", "waited_requests", "waited_commands", "waited_pages", "read_ns")

policies = st.builds(
    Policy,
    system=st.sampled_from(["cleancache"] * 6 + ["tmem", "carveout", "ideal"]),
    eviction=st.sampled_from(["fifo", "lru", "clock", "sieve", "none"]),
    admission=st.sampled_from(["all", "all", "workingset"]),
    restore=st.sampled_from(["inclusive", "exclusive"]),
    drop=st.sampled_from(["page", "folio"]),
    folio_order=st.integers(0, 3),
    large_folios=st.sampled_from(["cut", "cut", "refuse"]),
    headroom=st.sampled_from([0.0, 0.0, 0.3]),
    headroom_mode=st.sampled_from(["static", "dynamic"]),
    region=st.integers(1, 6),
    offer=st.sampled_from(["all", "mapped"]),
    lookup=st.sampled_from(["each", "prefix"]),
    slot_reclaim=st.sampled_from(["direct", "background"]),
    slot_reclaim_batch=st.sampled_from([1, 2, 32]),
    discard_ratio=st.sampled_from([0.0, 0.0, 1.0]),
)


class Drawn(NamedTuple):
    """A table, a machine and what of the table's metadata is read."""

    table: Recorded
    data_pages: int
    tag_block_pages: int
    requests: bool
    mapped: bool

    def replay(self, policy: Policy, table: Recorded | None = None) -> reference.Result:
        events, phases = self.table if table is None else table
        return reference.replay(
            events,
            page_size=4096,
            data_pages=self.data_pages,
            tag_block_pages=self.tag_block_pages,
            policy=policy,
            costs=reference.Costs(**COSTS),
            requests=self.requests,
            phases=phases,
            mapped=self.mapped,
        )

    def pages(self, op: int) -> int:
        rows = [event for event in self.table.events if event.op == op]
        return sum(1 << event.order for event in rows if not event.is_anonymous())


@st.composite
def drawn_tables(draw: st.DrawFn) -> Drawn:
    block = draw(st.integers(1, 2))
    data_pages = 32 * block * draw(st.integers(1, 5))
    table = draw(recorded_streams(data_pages))
    return Drawn(table, data_pages, block, draw(st.booleans()), draw(st.booleans()))


def whole(result: reference.Result, name: str) -> int:
    value = result.outcomes[name]
    assert isinstance(value, int)
    return value


@settings(max_examples=150)
@given(drawn_tables(), policies)
def test_pages_and_slots_are_conserved(drawn: Drawn, policy: Policy) -> None:
    result = drawn.replay(policy)
    n = {name: value for name, value in result.outcomes.items() if isinstance(value, int)}
    assert n["stored"] + n["skipped"] + n["stale"] == result.offered == drawn.pages(STORE)
    assert n["restored"] + n["missed"] == drawn.pages(RESTORE)
    assert n["bypassed"] <= drawn.pages(RESTORE) - n["lookups"]
    assert n["waited_stored"] <= n["stored"]
    assert n["waited_reclaimed"] <= n["reclaimed"]
    if policy.system != "tmem":
        assert result.cached + result.free == result.capacity
    if policy.system != "ideal":
        left = sum(n[name] for name in ("reclaimed", "recalled", "collateral", "invalidated",
                                        "stale", "overwritten"))  # fmt: skip
        left += n["restored"] if policy.restore == "exclusive" else 0
        assert n["stored"] == left + result.cached


@settings(max_examples=150)
@given(drawn_tables(), policies)
def test_parts_of_the_time_add_up_to_the_whole(drawn: Drawn, policy: Policy) -> None:
    result = drawn.replay(policy)
    assert all(len(parts) == 64 for parts in result.parts.values())
    for name in SPENT:
        assert sum(result.parts[name]) == result.outcomes[name]
    all_read_ns = sum(result.parts["all_missed_read_ns"])
    all_wait_ns = sum(result.parts["all_missed_wait_ns"])
    saved_ns = all_read_ns - whole(result, "read_ns") - whole(result, "cpu_ns")
    assert result.outcomes["time_saved_ns"] == saved_ns
    assert result.outcomes["wait_saved_ns"] == all_wait_ns - whole(result, "wait_ns")
    assert all(ns >= 0 for parts in result.parts.values() for ns in parts)


@settings(max_examples=100)
@given(drawn_tables(), policies)
def test_phases_and_what_lies_outside_add_up_to_the_whole(drawn: Drawn, policy: Policy) -> None:
    result = drawn.replay(policy)
    events = drawn.table.events
    marks = [event.index for event in events if event.op == PHASE and event.index != NO_PHASE]
    assert [name for name, *_ in result.phases] == [drawn.table.phases[mark] for mark in marks]
    # What lies outside of every phase is in one, if each mark of none names a phase instead.
    rest = (*drawn.table.phases, "rest")
    number = len(rest) - 1
    marked = [
        event._replace(index=number) if event.op == PHASE and event.index == NO_PHASE else event
        for event in events
    ]
    start = events[0].time_ns if events else 0
    marked = [Event(start, PHASE, 0, number, 0, 0, 0), *marked]
    within = drawn.replay(policy, Recorded(marked, rest))
    assert [one for one in within.phases if one[0] != "rest"] == result.phases
    assert sum(wait_ns for _, wait_ns, _ in within.phases) == result.outcomes["wait_ns"]
    all_missed_ns = sum(ns for *_, ns in within.phases)
    assert all_missed_ns == sum(result.parts["all_missed_wait_ns"])


@settings(max_examples=100)
@given(drawn_tables(), policies)
def test_a_phase_mark_changes_no_outcome(drawn: Drawn, policy: Policy) -> None:
    unmarked = [event for event in drawn.table.events if event.op != PHASE]
    without = drawn.replay(policy, Recorded(unmarked, ()))
    marked = drawn.replay(policy)
    assert marked.outcomes == without.outcomes
    assert marked.parts == without.parts


@settings(max_examples=100)
@given(drawn_tables(), policies)
def test_rows_of_a_swap_device_change_no_counter(drawn: Drawn, policy: Policy) -> None:
    drawn = drawn._replace(requests=True)  # guessed ones are made of the whole table
    # The time of a table is that of its ends, so these rows stay, as ones that change nothing.
    kept = [
        event._replace(op=INVALIDATE_INODE, inode=99, flags=0) if event.is_anonymous() else event
        for event in drawn.table.events
    ]
    without = drawn.replay(policy, Recorded(kept, drawn.table.phases))
    assert drawn.replay(policy) == without


@settings(max_examples=100)
@given(drawn_tables(), policies)
def test_prefix_looks_up_and_restores_no_more_pages_of_a_fixed_content(
    drawn: Drawn, policy: Policy
) -> None:
    # With nothing stored after the first restore, no touch and no miss changes what is cached.
    events = drawn.table.events
    first = next((row for row, event in enumerate(events) if event.op == RESTORE), len(events))
    kept = events[:first] + [event for event in events[first:] if event.op in (RESTORE, PHASE)]
    table = Recorded(kept, drawn.table.phases)
    policy = replace(policy, restore="inclusive", discard_ratio=0.0)
    each = drawn.replay(replace(policy, lookup="each"), table)
    prefix = drawn.replay(replace(policy, lookup="prefix"), table)
    for name in ("restored", "lookups"):
        assert whole(prefix, name) <= whole(each, name)
    restored = whole(prefix, "restored") + whole(prefix, "bypassed")
    assert restored == whole(each, "restored")


@settings(max_examples=100)
@given(drawn_tables(), policies)
def test_each_looks_every_page_up_and_prefix_no_more(drawn: Drawn, policy: Policy) -> None:
    policy = replace(policy, system="cleancache", large_folios="cut")
    each = drawn.replay(replace(policy, lookup="each"))
    assert each.outcomes["lookups"] == drawn.pages(RESTORE)
    assert each.outcomes["bypassed"] == 0
    prefix = drawn.replay(replace(policy, lookup="prefix"))
    assert whole(prefix, "restored") <= whole(prefix, "lookups") <= whole(each, "lookups")


@settings(max_examples=100)
@given(drawn_tables())
def test_a_carveout_is_the_machine_in_which_all_is_missed(drawn: Drawn) -> None:
    carveout = drawn.replay(Policy(system="carveout"))
    # So is a cleancache that nothing is offered to, but for its lookups and reservations.
    unoffered = [
        event._replace(op=RESIZE, flags=0) if event.op == STORE else event
        for event in drawn.table.events
    ]
    empty = drawn.replay(Policy(), Recorded(unoffered, drawn.table.phases))
    assert carveout.outcomes["time_saved_ns"] == carveout.outcomes["wait_saved_ns"] == 0
    assert carveout.outcomes["cpu_ns"] == carveout.outcomes["lookups"] == 0
    for name in ("all_missed_read_ns", "all_missed_wait_ns"):
        assert carveout.parts[name] == empty.parts[name]
    assert carveout.parts["read_ns"] == carveout.parts["all_missed_read_ns"]
    assert carveout.parts["wait_ns"] == carveout.parts["all_missed_wait_ns"]
    for name in OF_READS:
        assert carveout.outcomes[name] == empty.outcomes[name]


@settings(max_examples=60)
@given(drawn_tables(), policies)
def test_refaults_are_the_same_under_every_policy(drawn: Drawn, policy: Policy) -> None:
    assert drawn.replay(policy).outcomes["refaults"] == drawn.replay(Policy()).outcomes["refaults"]


@settings(max_examples=60)
@given(drawn_tables(), policies)
def test_no_slot_for_each_page_restores_more_than_the_ideal(drawn: Drawn, policy: Policy) -> None:
    bound = drawn.replay(replace(policy, system="ideal"))
    assert bound.outcomes["share_of_ideal"] in (1.0, None)
    if policy.system != "tmem":  # which may be larger
        assert whole(drawn.replay(policy), "restored") <= whole(bound, "restored")


@given(drawn_tables())
def test_every_restore_is_of_one_request(drawn: Drawn) -> None:
    events = drawn.table.events
    requests = requests_of(events, drawn.requests)
    rows = [row for request in requests for row in request]
    assert rows == [row for row, event in enumerate(events) if event.op == RESTORE]
    for request in requests:
        assert len({events[row].is_anonymous() for row in request}) == 1
        pages = sum(1 << events[row].order for row in request)
        assert drawn.requests or len(request) == 1 or pages <= 32


@settings(max_examples=100)
@given(drawn_tables(), policies)
def test_pages_that_fill_a_slot_each_are_a_cleancache_of_lru(drawn: Drawn, policy: Policy) -> None:
    policy = replace(policy, system="cleancache", eviction="lru", folio_order=0, drop="page",
                     large_folios="cut", headroom_mode="static", slot_reclaim="direct")  # fmt: skip
    expected = drawn.replay(policy)
    counters, samples = replay_zswap(
        drawn.table.events,
        drawn.data_pages,
        drawn.tag_block_pages,
        lambda page: 9,
        workingset=policy.admission == "workingset",
        exclusive=policy.restore == "exclusive",
        in_pairs=False,
        headroom=policy.headroom,
        anonymous="none",
        offer=policy.offer,
        lookup=policy.lookup,
        requests=drawn.requests,
        mapped=drawn.mapped,
    )
    shared = set(counters) & set(expected.outcomes)
    assert shared >= {"lookups", "bypassed", "waited_stored", "waited_reclaimed", *OF_READS[:-1]}
    assert {name: counters[name] for name in shared} == {
        name: expected.outcomes[name] for name in shared
    }
    assert {key[:3]: count for key, count in samples.items()} == expected.samples


def test_every_page_of_a_swap_device_is_looked_up() -> None:
    rows = [row(STORE, ANONYMOUS, 1), row(RESTORE, ANONYMOUS | WANTED)]
    rows += [row(RESTORE, ANONYMOUS | JOIN, 1), row(RESTORE, ANONYMOUS | JOIN, 2)]
    counters, _ = replay_zswap(
        rows, 64, 1, lambda page: 9, workingset=False, exclusive=False, in_pairs=False,
        headroom=0.0, anonymous="write_back", offer="mapped", lookup="prefix", requests=True,
        mapped=True,
    )  # fmt: skip
    # Page 1 comes back, though page 0 before it was missed, and PG_mappedtodisk is of files alone.
    assert counters["stored"] == counters["restored"] == 1
    assert (counters["lookups"], counters["bypassed"], counters["missed"]) == (3, 0, 2)
    assert (counters["read_commands"], counters["waited_pages"]) == (2, 2)


def parts_of(times: list[int]) -> list[int]:
    """Return how many restores of a machine that misses all lie in each part of the time."""
    rows = [Event(time_ns, RESTORE, 1, 10 * time_ns, 0, 0, 0) for time_ns in times]
    drawn = Drawn(Recorded(rows, ()), 32, 1, requests=False, mapped=False)
    read_ns = drawn.replay(Policy(system="carveout")).parts["read_ns"]
    return [ns // COSTS["read_random_ns"] for ns in read_ns]


def test_a_row_lies_in_the_first_part_that_ends_no_earlier() -> None:
    # From 100 to 164 parts end at 101, 102 … 164; the row at the start lies in the first.
    assert parts_of([100, 101, 102, 164]) == [2, 1, *[0] * 61, 1]
    # Of 3 ns, the parts that end at 101, 102 and 103 first are numbers 21, 42 and 63.
    assert [part for part, rows in enumerate(parts_of([100, 101, 102, 103])) if rows] == [
        0,
        21,
        42,
        63,
    ]
    assert parts_of([100, 100]) == [2, *[0] * 63]


def row(op: int, flags: int = 0, index: int = 0) -> Event:
    return Event(0, op, 1, index, 0, 0, flags)


@pytest.mark.parametrize(("rows", "fault"), [
    ([row(RESTORE, WANTED), row(RESTORE, JOIN | WANTED), row(STORE, WANTED)], None),
    ([row(RESTORE), row(STORE, JOIN)], (1, "flags")),
    ([row(STORE), row(RESTORE, JOIN)], (1, "flags")),
    ([row(RESTORE), row(INVALIDATE, WANTED)], (1, "flags")),
    ([row(ALLOC, TAGGED | WANTED)], (0, "flags")),
    ([row(RESTORE), row(STORE, ANONYMOUS), row(RESTORE, JOIN | ANONYMOUS)], (2, "flags")),
    ([row(RESTORE, ANONYMOUS), row(RESTORE, JOIN)], (1, "flags")),
])  # fmt: skip
def test_bits_of_requests_are_refused_where_they_say_nothing(
    rows: list[Event], fault: tuple[int, str] | None
) -> None:
    assert reference.check(rows, 32, requests=True) == fault
    # Where requests are guessed, these bits are not looked at.
    assert reference.check(rows, 32) is None


def test_a_phase_without_a_name_is_refused() -> None:
    rows = [row(PHASE, index=0), row(PHASE, index=NO_PHASE), row(PHASE, index=1)]
    assert reference.check(rows, 32, phases=("boot", "launch")) is None
    assert reference.check(rows, 32, phases=("boot",)) == (2, "index")
    assert reference.check(rows, 32) == (0, "index")
    assert reference.check([row(PHASE + 1)], 32) == (0, "op")
