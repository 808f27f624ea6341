"""What a system declares of its outcomes is held against what its replays measure."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from streams import (
    as_events,
    lane_columns,
    machines,
    policies_read_by,
    streams,
    tallies_of,
    with_swap_device,
)
from system_runs import Case, run

from core.costs import Costs
from core.events import without_anonymous
from core.lane import TALLIES
from core.outcomes import UNITS
from core.policy import POLICY_FIELDS, Policy, reads
from core.possible_outcomes import cannot_differ, has_no_value, without_value_on
from core.system import SYSTEMS

every_system = pytest.mark.parametrize("system", list(SYSTEMS))
REPLAYED = [word for word in SYSTEMS if SYSTEMS[word].replay is not None]


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """Return a workload as mm events, some with a swap device, and another as accesses."""
    machine = draw(machines())
    stream = draw(streams(machine.data_pages))
    if draw(st.booleans()):
        stream = with_swap_device(stream)
    return Case(machine, as_events(stream, machine), draw(st.integers(0, 9)))


@st.composite
def relatives(draw: st.DrawFn, system: str) -> list[Policy]:
    """Return two policies that differ in some of what a designer decides, and all between them."""
    first, second = draw(policies_read_by(system)), draw(policies_read_by(system))
    names = draw(st.lists(st.sampled_from(POLICY_FIELDS), max_size=3, unique=True))
    second = replace(first, **{name: getattr(second, name) for name in names})
    changed = [replace(first, **{name: getattr(second, name)}) for name in names]
    return [first, second, *changed]


def choices_of(policies: list[Policy]) -> dict[str, list[Any]]:
    return {
        name: list(dict.fromkeys(getattr(policy, name) for policy in policies))
        for name in POLICY_FIELDS
    }


def outcomes_of(case: Case, policies: list[Policy]) -> list[dict[str, int | float | None]]:
    lanes = run(case, policies)
    return [lane_columns(lanes, Costs(), lane) for lane in range(len(policies))]


@every_system
def test_it_declares_tallies_and_fields_that_there_are(system: str) -> None:
    traits = SYSTEMS[system]
    assert traits.counts <= set(TALLIES)
    for tally, values in traits.unmoved:
        assert tally in traits.counts
        for field, value in values:
            assert field in reads(system)
            replace(Policy(system=system), **{field: value})


@every_system
@settings(max_examples=25)
@given(cases(), st.data())
def test_what_it_does_not_count_is_as_where_every_restore_misses(
    system: str, case: Case, data: st.DataObject
) -> None:
    lanes = run(case, [data.draw(policies_read_by(system))])
    all_missed = lanes.lane(0).timeline.all_missed[-1].tolist()
    counted, missed = tallies_of(lanes), dict(zip(TALLIES, all_missed, strict=True))
    for tally in set(TALLIES) - SYSTEMS[system].counts:
        assert counted[tally] == missed[tally], tally


@every_system
@settings(max_examples=25)
@given(cases(), st.data())
def test_an_outcome_that_it_never_has_is_masked(
    system: str, case: Case, data: st.DataObject
) -> None:
    (values,) = outcomes_of(case, [data.draw(policies_read_by(system))])
    assert all(values[name] is None for name in UNITS if has_no_value(system, name))


@pytest.mark.parametrize("system", REPLAYED)
@settings(max_examples=60)
@given(cases(), st.data())
def test_an_outcome_that_events_cannot_give_is_masked(
    system: str, case: Case, data: st.DataObject
) -> None:
    policy = replace(data.draw(policies_read_by(system)), guest_ratio=0.0, discard_ratio=0.0)
    policy = replace(policy, tmem_swing=0.0)
    (values,) = outcomes_of(case, [policy])
    assert all(values[name] is None for name in without_value_on([case.events]))


@every_system
@settings(max_examples=60)
@given(cases(), st.data())
def test_outcomes_that_cannot_differ_are_equal(
    system: str, case: Case, data: st.DataObject
) -> None:
    policies = data.draw(relatives(system))
    rows = outcomes_of(case, policies)
    for name in UNITS:
        if cannot_differ(name, [choices_of(policies)]):
            # A policy that drops nothing has no share of drops.
            assert len({row[name] for row in rows} - {None}) <= 1, name


@settings(max_examples=60)
@given(cases(), st.data())
def test_outcomes_that_cannot_differ_between_systems_are_equal(
    case: Case, data: st.DataObject
) -> None:
    case = case._replace(events=without_anonymous(case.events))
    words = data.draw(st.lists(st.sampled_from(REPLAYED), min_size=2, max_size=2, unique=True))
    policies = [
        replace(data.draw(policies_read_by(word)), guest_ratio=0.0, anonymous="none")
        for word in words
    ]
    rows = [values for policy in policies for values in outcomes_of(case, [policy])]
    spaces = [choices_of([policy]) for policy in policies]
    for name in UNITS:
        if cannot_differ(name, spaces):
            assert len({row[name] for row in rows} - {None}) <= 1, name


@pytest.mark.parametrize("system", REPLAYED)
def test_an_outcome_that_only_others_never_have_is_had(system: str) -> None:
    lacked = {name for name in UNITS for word in SYSTEMS if has_no_value(word, name)}
    left = {name for name in lacked if not has_no_value(system, name)}

    @seed(1)
    @settings(
        max_examples=80,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(cases(), st.data())
    def collect(case: Case, data: st.DataObject) -> None:
        (values,) = outcomes_of(case, [data.draw(policies_read_by(system))])
        left.difference_update(name for name, value in values.items() if value is not None)

    collect()
    assert lacked
    assert not left


@pytest.mark.parametrize(
    ("fixed", "same"),
    [
        ({"drop": ["page"]}, {"collateral", "collateral_ratio"}),
        ({"lookup": ["each"]}, {"lookups", "bypassed"}),
        ({"admission": ["all"]}, {"stale"}),
        ({"metadata": ["memmap"]}, {"metadata_bytes"}),
        ({"tagged_placement": ["recorded"]}, {"reservations", "peak_reserved", "amplification"}),
        ({"headroom": [0.0], "headroom_mode": ["static"]}, {"headroom_share"}),
    ],
)
def test_what_is_fixed_tells_what_cannot_differ(
    fixed: dict[str, list[Any]], same: set[str]
) -> None:
    searched: dict[str, list[Any]] = {
        "restore": ["inclusive", "exclusive"],
        "drop": ["page", "folio"],
        "folio_order": [0, 3],
        "lookup": ["each", "prefix"],
        "admission": ["all", "workingset"],
        "metadata": ["memmap", "none"],
        "tagged_placement": ["recorded", "reserved_first"],
        "headroom": [0.0, 0.5],
    }
    if "headroom" in fixed:
        # An allocator that knows reserves other blocks, the headroom's among them.
        searched["tagged_placement"] = ["recorded"]
    space = {name: [getattr(Policy, name)] for name in POLICY_FIELDS} | searched
    assert not any(cannot_differ(name, [space]) for name in same)
    assert all(cannot_differ(name, [space | fixed]) for name in same)
    assert all(cannot_differ(name, [space]) for name in ("migrations", "refaults"))
    assert not cannot_differ("wait_ns", [space | fixed])


def test_latencies_differ_between_systems_that_have_them() -> None:
    space = {name: [getattr(Policy, name)] for name in POLICY_FIELDS}
    spaces = [space | {"system": [word]} for word in ("cleancache", "migrate_cma")]
    assert not cannot_differ("reservation_p99_ns", spaces)
    assert cannot_differ("collateral", spaces)
