"""What is declared of outcomes is what they are: their formulas, and how workloads add up."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from streams import as_events, costs, machines, policies, streams

from core.backend import replay
from core.costs import COST_FIELDS, Costs
from core.eviction import EVICTIONS
from core.lane import TALLIES
from core.outcome_declarations import DECLARED_OUTCOMES, Combined
from core.outcomes import UNITS, Columns, is_double, measure
from core.replayed import Outcomes

#: Those whose formula is of costs and other outcomes alone, and can be worked out.
ARITHMETIC = [
    name
    for name, declared in DECLARED_OUTCOMES.items()
    if declared.formula and set(re.findall(r"\w+", declared.formula)) <= {*UNITS, *COST_FIELDS, "x"}
]


@st.composite
def two_workloads(draw: st.DrawFn) -> list[Outcomes]:
    """Return what a policy counts on two workloads of a machine."""
    machine, policy = draw(machines()), draw(policies(list(EVICTIONS)))
    return [
        replay(as_events(draw(streams(machine.data_pages)), machine), machine, [policy])
        for _ in range(2)
    ]


@pytest.mark.parametrize("name", list(DECLARED_OUTCOMES))
def test_an_outcome_is_declared_whole(name: str) -> None:
    declared = DECLARED_OUTCOMES[name]
    assert declared.meaning
    assert not declared.meaning.endswith(".")
    assert UNITS[name] == declared.unit
    assert declared.unit in (
        "pages",
        "blocks",
        "allocs",
        "bytes",
        "commands",
        "requests",
        "ns",
        "ratio",
    )
    assert not declared.tally or declared.tally in TALLIES
    # What is a double is worked out anew, and what has no sum says how it is worked out.
    assert not is_double(name) or declared.combined is Combined.ANEW
    assert declared.formula or declared.combined is not Combined.ANEW


def test_formulas_that_can_be_worked_out_are_some() -> None:
    assert {"hit_ratio", "refault_hit_ratio", "collateral_ratio", "read_ns"} <= set(ARITHMETIC)


# Workloads are replayed as they are drawn, by loops that may have to be compiled first.
@settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow])
@given(two_workloads(), costs)
def test_a_formula_gives_the_outcome(workloads: list[Outcomes], table: Costs) -> None:
    columns = measure(workloads, table)
    values = {name: int(columns[name][0]) for name in UNITS if not is_double(name)
              and not np.ma.is_masked(columns[name][0])}  # fmt: skip
    for name in ARITHMETIC:
        formula = re.sub(r"\bx\b", "*", DECLARED_OUTCOMES[name].formula)
        if np.ma.is_masked(columns[name][0]):
            with pytest.raises(ZeroDivisionError):
                eval(formula, {}, values | vars(table))
        else:
            assert eval(formula, {}, values | vars(table)) == columns[name][0], name


# Workloads are replayed as they are drawn, by loops that may have to be compiled first.
@settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow])
@given(two_workloads(), costs)
def test_outcomes_of_workloads_are_combined_as_declared(
    workloads: list[Outcomes], table: Costs
) -> None:
    together = measure(workloads, table)
    apart: list[Columns] = [measure(workload, table) for workload in workloads]
    for name, declared in DECLARED_OUTCOMES.items():
        parts = [int(columns[name][0]) for columns in apart if not columns[name].mask.any()]
        if declared.combined is Combined.ADDED:
            assert int(together[name][0]) == sum(parts), name
        elif declared.combined is Combined.LARGEST:
            assert int(together[name][0]) == max(parts), name
