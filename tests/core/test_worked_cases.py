"""Small tables worked by hand: what a policy counts and spends on each, and why.

A case holds for every implementation of the model. To hold another one to them, add its run to
`IMPLEMENTATIONS`: it takes a table and a policy, and returns the outcomes of section 5 of the model
by name, and beside them `cached` (pages at the end), and `NAME.wait_ns` and
`NAME.all_missed_wait_ns` of each phase. A policy's fields stand as in a study (`tmem_ratio` too),
and `COSTS` are those of all cases.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from typing import Any

import pytest
import reference
from reference import (
    ALLOC,
    FREE,
    INVALIDATE,
    PHASE,
    RESTORE,
    STORE,
    TAGGED,
    Event,
)
from streams import Stream, as_events, lane_columns, tallies_of
from worked_cases import CASES, COSTS, Case, Machine

from core.backend import replay
from core.costs import Costs, pack_costs
from core.machine import Machine as ReplayedOn
from core.policy import Policy
from core.times import phases_of, times_of

#: One implementation: (rows, machine, policy, requests, phases, mapped) to outcomes by name.
Run = Callable[
    [Sequence[Event], Machine, Mapping[str, str | int | float], bool, Sequence[str], bool],
    dict[str, int | float | None],
]


def by_oracle(
    rows: Sequence[Event],
    machine: Machine,
    policy: Mapping[str, str | int | float],
    requests: bool,
    phases: Sequence[str],
    mapped: bool,
) -> dict[str, int | float | None]:
    fields = dict(policy)
    if "tmem_ratio" in fields:
        fields["region"] = max(1, int(float(fields.pop("tmem_ratio")) * machine.data_pages))
    result = reference.replay(
        rows,
        page_size=machine.page_size,
        data_pages=machine.data_pages,
        tag_block_pages=machine.tag_block_pages,
        policy=reference.Policy(**fields),
        costs=reference.Costs(**COSTS),
        requests=requests,
        phases=phases,
        mapped=mapped,
    )
    values = dict(result.outcomes) | {"cached": result.cached}
    for name, wait_ns, all_missed_wait_ns in result.phases:
        values |= {f"{name}.wait_ns": wait_ns, f"{name}.all_missed_wait_ns": all_missed_wait_ns}
    return values


def by_simulator(
    rows: Sequence[Event],
    machine: Machine,
    policy: Mapping[str, str | int | float],
    requests: bool,
    phases: Sequence[str],
    mapped: bool,
) -> dict[str, int | float | None]:
    size = machine.page_size * machine.tag_block_pages
    replayed_on = ReplayedOn(machine.page_size, machine.data_pages, size)
    table = Stream(rows, requests, tuple(phases), mapped)
    fields: Any = dict(policy)
    outcomes = replay(as_events(table, replayed_on), replayed_on, Policy(**fields))
    costs = Costs(**COSTS)
    values = lane_columns(outcomes, costs, 0) | {"cached": tallies_of(outcomes)["cached"]}
    run = outcomes.lane(0)
    waits = phases_of(run, times_of(run, pack_costs(costs, 1)))
    for place, name in enumerate(waits.names):
        values[f"{name}.wait_ns"] = int(waits.wait_ns[0, place])
        values[f"{name}.all_missed_wait_ns"] = int(waits.all_missed_wait_ns[0, place])
    return values


#: An implementation a line.
IMPLEMENTATIONS: dict[str, Run] = {"oracle": by_oracle, "simulator": by_simulator}

every_implementation = pytest.mark.parametrize("run", IMPLEMENTATIONS.values(), ids=IMPLEMENTATIONS)
every_case = pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])


def values_of(run: Run, case: Case) -> dict[str, int | float | None]:
    rows = case.events()
    return run(rows, case.machine(), case.policy, case.requests, case.phases, case.mapped)


@every_implementation
@every_case
def test_a_table_counts_and_spends_what_was_worked_out_by_hand(run: Run, case: Case) -> None:
    values = values_of(run, case)
    for name, value in case.expected.items():
        if isinstance(value, Fraction):
            assert values[name] == pytest.approx(float(value), rel=1e-12), name
        else:
            assert values[name] == value, name


@every_implementation
@every_case
def test_pages_are_conserved_in_every_worked_case(run: Run, case: Case) -> None:
    values = values_of(run, case)
    counted = {name: int(value) for name, value in values.items() if isinstance(value, int)}
    pages = dict.fromkeys(range(PHASE + 1), 0)
    for event in case.events():
        if not event.is_anonymous():
            pages[event.op] += 1 << event.order
    assert counted["stored"] + counted["skipped"] + counted["stale"] == pages[STORE]
    assert counted["restored"] + counted["missed"] == pages[RESTORE]
    if case.policy.get("system") == "ideal":
        return  # its pages are no copies
    left = sum(counted[name] for name in ("reclaimed", "recalled", "collateral", "invalidated",
                                          "stale", "overwritten", "cached"))  # fmt: skip
    if case.policy.get("restore") == "exclusive":
        left += counted["restored"]
    assert counted["stored"] == left


@every_implementation
@every_case
def test_time_follows_from_counters_in_every_worked_case(run: Run, case: Case) -> None:
    values = values_of(run, case)
    commands, missed = values["read_commands"], values["missed"]
    assert isinstance(commands, int)
    assert isinstance(missed, int)
    # 900 = 1000 - 100 of the first command, for each request that a task waits for.
    waited = values["waited_requests"]
    assert isinstance(waited, int)
    assert values["read_ns"] == 900 * waited + 100 * commands + 10 * (missed - commands)


def test_the_cases_speak_of_every_operation_that_counts_pages() -> None:
    operations = {event.op for case in CASES for event in case.events()}
    assert operations >= {STORE, RESTORE, INVALIDATE, ALLOC, FREE, PHASE}
    assert any(event.flags & TAGGED for case in CASES for event in case.events())
