"""Compressed pages equal the plain oracle, those of a swap device too."""

from __future__ import annotations

import numpy as np
import pytest
import reference
from hypothesis import given, settings
from hypothesis import strategies as st
from reference_zswap import replay_zswap
from streams import (
    as_events,
    lane_columns,
    machines,
    samples_counted,
    streams,
    tallies_of,
    with_swap_device,
)

from core.backend import replay, replay_timeline, view_of
from core.costs import Costs
from core.events import ANONYMOUS, RESTORE, STORE, without_anonymous
from core.machine import Machine
from core.policy import Policy, pack
from core.policy_words import Admission, Anonymous, Lookup, Offer, Packing, Restore
from core.system.zswap.replay import compressed_sizes
from core.timeline.view import View, prepare_view


@settings(max_examples=200)
@given(st.data())
def test_compressed_pages_equal_the_reference(data: st.DataObject) -> None:
    machine = data.draw(machines())
    stream = data.draw(streams(machine.data_pages))
    if data.draw(st.booleans()):
        stream = with_swap_device(stream)
    policy = Policy(
        system="zswap",
        anonymous=data.draw(st.sampled_from(Anonymous)),
        admission=data.draw(st.sampled_from(Admission)),
        restore=data.draw(st.sampled_from(Restore)),
        offer=data.draw(st.sampled_from(Offer)),
        lookup=data.draw(st.sampled_from(Lookup)),
        headroom=data.draw(st.sampled_from([0.0, 0.0, 0.3])),
        packing=data.draw(st.sampled_from(Packing)),
        compression_ratio=data.draw(st.sampled_from([1.0, 1.5, 3.0, 8.0])),
        seed=data.draw(st.integers(0, 3)),
    )
    events, warm_up = as_events(stream, machine), data.draw(st.integers(0, 63))
    timeline = prepare_view(events, machine, view_of(policy, machine))
    sizes = compressed_sizes(timeline.page_keys, policy.compression_ratio, policy.seed).tolist()
    pages = [(int(key >> np.uint64(32)), int(key & np.uint64(0xFFFFFFFF)))
             for key in timeline.page_keys]  # fmt: skip
    expected, samples = replay_zswap(
        stream,
        machine.data_pages,
        machine.tag_block_pages,
        dict(zip(pages, sizes, strict=True)).__getitem__,
        workingset=policy.admission is Admission.WORKINGSET,
        exclusive=policy.restore is Restore.EXCLUSIVE,
        in_pairs=policy.packing is Packing.ZBUD,
        headroom=policy.headroom,
        anonymous=policy.anonymous.value,
        offer=policy.offer.value,
        lookup=policy.lookup.value,
        requests=stream.requests,
        mapped=stream.mapped,
        warm_up=warm_up,
    )
    outcomes = replay(events, machine, policy, warm_up=warm_up / 64)
    counts = tallies_of(outcomes)
    assert {name: counts[name] for name in expected} == expected
    columns = lane_columns(outcomes, Costs(), 0)
    assert 0 <= (columns["cached_share"] or 0) <= 1
    assert samples_counted(outcomes) == samples


def test_the_ends_of_a_table_keep_its_time_without_their_pages() -> None:
    rows = [(3, STORE, ANONYMOUS), (4, STORE, 0), (9, RESTORE, ANONYMOUS)]
    stream = [reference.Event(ns, op, 5 if flags else 1, 0, 0, 0, flags) for ns, op, flags in rows]
    machine = Machine(4096, 32)
    timeline = prepare_view(as_events(stream, machine), machine, View())
    assert (timeline.start_ns, timeline.span_ns, timeline.word.size) == (3, 6, 1)
    # Whatever other bits say, a page with this one is of a swap device.
    odd = as_events([event._replace(flags=0xFE) for event in stream], machine)
    assert without_anonymous(odd).op.size == 0


def test_only_a_zswap_is_replayed_with_the_pages_of_a_swap_device() -> None:
    machine = Machine(4096, 32)
    view = View(pages_per_slot=16, with_swap=True)
    timeline = prepare_view(as_events([], machine), machine, view)
    with pytest.raises(ValueError, match="leaves anonymous pages out"):
        replay_timeline(timeline, machine, pack([Policy()]))


def test_a_timeline_that_a_system_cannot_be_replayed_on_is_refused() -> None:
    machine = Machine(4096, 32)
    timeline = prepare_view(as_events([], machine), machine, View())
    for word, why in (("zswap", "a view of its own"), ("migrate_cma", "a front end of its own")):
        with pytest.raises(ValueError, match=why):
            replay_timeline(timeline, machine, pack([Policy(system=word)]))


def test_pages_compress_as_far_as_the_ratio_says() -> None:
    keys = np.arange(100_000, dtype=np.uint64) * np.uint64((1 << 32) + 7)
    for ratio in (2.0, 3.0, 5.0):
        sixteenths = compressed_sizes(keys, ratio, 1)
        # Half a sixteenth more on average: sizes are rounded up; those of 16 are cut off.
        assert np.minimum(sixteenths, 16).mean() == pytest.approx(16 / ratio + 0.5, rel=0.03)
