"""Random event streams, machines and policies, and both simulators' view of them."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import fields
from typing import Any

import numpy as np
import pytest
import reference
from hypothesis import strategies as st

from core.costs import COST_FIELDS, Costs
from core.declaration import Declaration
from core.events import (
    ANONYMOUS,
    INVALIDATE,
    INVALIDATE_INODE,
    JOIN,
    MAPPED,
    NO_PHASE,
    PHASE,
    RESTORE,
    SCHEMA,
    STORE,
    WANTED,
    WORKINGSET,
    Events,
    make_events,
)
from core.lane import TALLIES
from core.machine import Machine
from core.outcomes import measure
from core.policy import DECLARED, Policy, reads
from core.policy_words import (
    Admission,
    Drop,
    HeadroomMode,
    LargeFolios,
    Lookup,
    Metadata,
    Offer,
    Placement,
    Restore,
    SlotReclaim,
)
from core.replayed import Outcomes, samples_of

#: For tests of whole captures: plain Python is held to the same laws on the random streams.
compiled = pytest.mark.skipif("NUMBA_DISABLE_JIT" in os.environ, reason="takes compiled code")

#: Evictions that tests/reference.py has in plain form.
EXACT_EVICTIONS = ["fifo", "lru", "clock", "sieve", "none"]


@st.composite
def machines(draw: st.DrawFn) -> Machine:
    page_size = draw(st.sampled_from([4096, 4096, 16384, 65536]))
    blocks = draw(st.integers(1, 6))
    pages = draw(st.sampled_from([1, 1, 2, 3, 4]))
    covered = 32 * pages
    data_pages = covered * blocks - draw(st.integers(0, covered - 1))
    tag_block_size = page_size * pages if draw(st.booleans()) else pages * 4096
    return Machine(page_size, data_pages, tag_block_size)


class Stream(list[reference.Event]):
    """Rows of a table, and what its metadata says of them."""

    def __init__(
        self,
        rows: Iterable[reference.Event],
        requests: bool = False,
        phases: tuple[str, ...] = (),
        mapped: bool = False,
    ) -> None:
        super().__init__(rows)
        self.requests, self.phases, self.mapped = requests, phases, mapped

    @property
    def about(self) -> dict[str, Any]:
        return {"requests": self.requests, "phases": self.phases, "mapped": self.mapped}

    def changed(self, rows: Iterable[reference.Event]) -> Stream:
        """Return a stream of other rows, in which each request has a first row."""
        rows = list(rows)
        joins: list[reference.Event] = []
        kind = None
        for row in rows:
            if row.op == RESTORE:
                if kind is None or row.flags & ANONYMOUS != kind:
                    row = row._replace(flags=row.flags & ~JOIN)
                kind = row.flags & ANONYMOUS
            joins.append(row)
        return Stream(joins, **self.about)


@st.composite
def streams(draw: st.DrawFn, data_pages: int, length: int = 120) -> Stream:
    """Return a valid stream: few files and frames, so that everything meets everything."""
    largest = draw(st.sampled_from([0, 0, 2, 3, 5]))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    tag_rate = draw(st.sampled_from([0.0, 0.1, 0.4]))
    phases = draw(st.sampled_from([(), ("launch",), ("launch", "scan")]))
    frames = np.zeros(data_pages, dtype=np.uint8)
    events: list[reference.Event] = []
    time_ns = 0
    after = (0, 0)  # the page behind the restore before
    for _ in range(draw(st.integers(0, length))):
        time_ns += int(rng.integers(0, 4))
        event: tuple[int, ...] | None
        if phases and rng.random() < 0.05:
            number = int(rng.integers(0, len(phases) + 1))
            event = (time_ns, PHASE, 0, number if number < len(phases) else NO_PHASE, 0, 0, 0)
        elif rng.random() < tag_rate:
            event = frame_event(rng, frames, time_ns)
        else:
            op = int(rng.choice(4, p=[0.5, 0.38, 0.1, 0.02]))
            order = int(rng.integers(0, largest + 1))
            inode, index = int(rng.integers(0, 3)), int(rng.integers(0, 48)) >> order << order
            if op == RESTORE and rng.random() < 0.6:
                inode, index = after
                order = 0 if index % (1 << order) else order
            after = (inode, index + (1 << order)) if op == RESTORE else after
            event = (time_ns, op, inode, index, order, 0, _file_flags(rng, op))
        if event is not None:
            events.append(reference.Event(*event))
    about = (draw(st.booleans()), phases, draw(st.booleans()))
    return Stream([], *about).changed(events)


def _file_flags(rng: np.random.Generator, op: int) -> int:
    """Return flags of a file event: of each that the op may have, a draw."""
    drawn = {STORE: (WORKINGSET, MAPPED, WANTED), RESTORE: (JOIN, JOIN, WANTED)}.get(op, ())
    return sum(bit for bit in set(drawn) if rng.random() < (0.7 if bit == JOIN else 0.5))


def frame_event(
    rng: np.random.Generator, frames: np.ndarray[Any, np.dtype[np.uint8]], time_ns: int
) -> tuple[int, ...] | None:
    order = int(rng.choice([0, 0, 0, 1, 3, 6]))
    size = 1 << order
    if size > frames.size:
        return None
    first = int(rng.integers(0, frames.size - size + 1))
    part = frames[first : first + size]
    if rng.random() < 0.5 and part.all():
        part[:] = 0
        return (time_ns, 5, 0, 0, order, first, 0)
    tagged = rng.random() < 0.8
    if not tagged and part.any():
        return None
    part[:] = 1
    flags = (2 if tagged else 0) | (4 if rng.random() < 0.3 else 0)
    return (time_ns, 4, 0, 0, order, first, flags)


def with_swap_device(stream: Stream) -> Stream:
    """Return a stream whose inode 2 is an address space, with a swap device."""
    return stream.changed(
        event._replace(flags=event.flags | ANONYMOUS)
        if event.op <= INVALIDATE and event.inode == 2
        else event
        for event in stream
        if not (event.op == INVALIDATE_INODE and event.inode == 2)
    )


def policies(evictions: list[str] | None = None) -> st.SearchStrategy[Policy]:
    return st.builds(
        Policy,
        system=st.sampled_from(["cleancache"] * 9 + ["carveout"]),
        eviction=st.sampled_from(evictions or EXACT_EVICTIONS),
        admission=st.sampled_from(Admission),
        restore=st.sampled_from(Restore),
        drop=st.sampled_from(Drop),
        folio_order=st.integers(0, 9),
        large_folios=st.sampled_from([LargeFolios.CUT] * 3 + [LargeFolios.REFUSE]),
        offer=st.sampled_from(Offer),
        lookup=st.sampled_from(Lookup),
        slot_reclaim=st.sampled_from([SlotReclaim.DIRECT] * 3 + [SlotReclaim.BACKGROUND]),
        slot_reclaim_batch=st.sampled_from([1, 2, 5, 32]),
        headroom=st.sampled_from([0.0, 0.0, 0.0, 0.2, 0.5, 0.9]),
        headroom_mode=st.sampled_from(HeadroomMode),
        # `far` sees another timeline: tests/core/test_tagged_placement.py.
        placement=st.sampled_from([word for word in Placement if word is not Placement.FAR]),
        metadata=st.sampled_from(Metadata),
        seed=st.integers(0, 5),
    )


def policies_read_by(system: str) -> st.SearchStrategy[Policy]:
    """Return policies of a system; what it reads is drawn from the domains that are declared."""
    drawn = {name: _values_of(DECLARED[name], name) for name in sorted(reads(system))}
    return st.builds(Policy, system=st.just(system), **drawn)


def _values_of(declared: Declaration, name: str) -> st.SearchStrategy[Any]:
    default = st.just(getattr(Policy, name))
    if declared.words is not None:
        return default | st.sampled_from(list(declared.words))
    assert declared.bounds is not None
    least, most = declared.bounds
    if declared.is_whole:
        return default | st.integers(int(least), int(most))
    return default | st.floats(least, most)


costs = st.fixed_dictionaries({name: st.integers(0, 1000) for name in COST_FIELDS}).map(
    # A command in parallel is no slower than the first one.
    lambda drawn: Costs(
        **drawn | {"read_parallel_ns": min(drawn["read_parallel_ns"], drawn["read_random_ns"])}
    )
)


def as_events(stream: list[reference.Event], machine: Machine) -> Events:
    columns = {
        field.name: np.array(
            [getattr(event, field.name) for event in stream], dtype=field.type.to_pandas_dtype()
        )
        for field in SCHEMA
    }
    about = stream.about if isinstance(stream, Stream) else {}
    machine_is = {"page_size": machine.page_size, "data_pages": machine.data_pages}
    return make_events(columns, **machine_is, source="random", **about)


def tallies_of(outcomes: Outcomes, lane: int = 0) -> dict[str, int]:
    """Return what a lane counted, by name."""
    return dict(zip(TALLIES, outcomes.tallies[lane].tolist(), strict=True))


def samples_counted(outcomes: Outcomes, lane: int = 0) -> dict[tuple[int, ...], int]:
    """Return how often each sample (atomic, blocks, dropped, written) came in a lane."""
    samples = samples_of(outcomes.lane(lane))
    keys = zip(*(column.tolist() for column in samples[:4]), strict=True)
    return dict(zip(keys, samples.counts[0].tolist(), strict=True))


def pages_of(stream: list[reference.Event], op: int) -> int:
    """Return the pages that the events of one kind name."""
    return sum(1 << event.order for event in stream if event.op == op)


def lane_columns(outcomes: Outcomes, table: Costs, lane: int) -> dict[str, int | float | None]:
    """Return the outcomes of a lane by name; None is no value."""
    columns = measure(outcomes, table)
    return {name: column[lane : lane + 1].tolist()[0] for name, column in columns.items()}


def by_reference(
    stream: list[reference.Event],
    machine: Machine,
    policy: Policy,
    table: Costs,
    region: int = 0,
    warm_up_parts: int = 0,
) -> reference.Result:
    return reference.replay(
        stream,
        page_size=machine.page_size,
        data_pages=machine.data_pages,
        tag_block_pages=machine.tag_block_pages,
        policy=reference.Policy(
            system=policy.system,
            eviction=policy.eviction,
            admission=policy.admission.value,
            restore=policy.restore.value,
            drop=policy.drop.value,
            folio_order=policy.folio_order,
            large_folios=policy.large_folios.value,
            offer=policy.offer.value,
            lookup=policy.lookup.value,
            slot_reclaim=policy.slot_reclaim.value,
            slot_reclaim_batch=policy.slot_reclaim_batch,
            headroom=policy.headroom,
            headroom_mode=policy.headroom_mode.value,
            placement=policy.placement.value,
            region=region,
            metadata=policy.metadata.value,
        ),
        costs=reference.Costs(
            **{cost.name: getattr(table, cost.name) for cost in fields(reference.Costs)}
        ),
        **(stream.about if isinstance(stream, Stream) else {}),
        warm_up=warm_up_parts,
    )
