"""What is counted on streams that a fixed seed gives, by compiled code and by plain Python."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from typing import NamedTuple

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from streams import as_events, machines, policies, policies_read_by, streams, with_swap_device
from system_runs import Case, run

from core.backend import replay
from core.eviction import EVICTIONS
from core.replayed import Outcomes
from core.system import SYSTEMS

#: Tallies and samples of each lane, by the word of what is counted.
Counts = dict[str, list[list[int]]]


def counts_of_evictions() -> Counts:
    """Return what lanes of every eviction count."""
    counts: Counts = {word: [] for word in EVICTIONS}

    @_fixed(examples=40)
    @given(st.data())
    def collect(data: st.DataObject) -> None:
        machine = data.draw(machines())
        events = as_events(data.draw(streams(machine.data_pages)), machine)
        batch = [data.draw(policies([word])) for word in EVICTIONS]
        outcomes = replay(events, machine, batch)
        for lane, word in enumerate(EVICTIONS):
            counts[word] += _counts_of(outcomes, lane)

    collect()
    return counts


def counts_of_systems() -> Counts:
    """Return what lanes of every system count."""
    counts: Counts = {word: [] for word in SYSTEMS}

    @_fixed(examples=15)
    @given(st.data())
    def collect(data: st.DataObject) -> None:
        machine = data.draw(machines())
        stream = with_swap_device(data.draw(streams(machine.data_pages)))
        case = Case(
            machine,
            as_events(stream, machine),
            data.draw(st.integers(0, 9)),
        )
        for word in SYSTEMS:
            outcomes = run(case, [data.draw(policies_read_by(word))])
            counts[word] += _counts_of(outcomes, 0)

    collect()
    return counts


class Modes(NamedTuple):
    """What the same code counts."""

    compiled: Counts
    plain: Counts


def counts_by_mode(function: str) -> Modes:
    """Return what a function of this module returns where code is compiled, and where it is not.

    Each has a process of its own: Hypothesis draws numbers that it saw in the modules loaded.
    """
    program = f"import fixed_streams, json; print(json.dumps(fixed_streams.{function}()))"
    modes = []
    for disabled in ("0", "1"):
        environment = os.environ | {
            "NUMBA_DISABLE_JIT": disabled,
            "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        }
        done = subprocess.run(
            [sys.executable, "-c", program],
            env=environment, capture_output=True, text=True, check=True,
        )  # fmt: skip
        modes.append(json.loads(done.stdout))
    return Modes(*modes)


def _fixed(examples: int) -> Callable[[Callable[[], None]], Callable[[], None]]:
    """Return the decorators of a property whose examples are the same in every process."""

    def decorate(collect: Callable[[], None]) -> Callable[[], None]:
        options = settings(
            max_examples=examples,
            database=None,
            deadline=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        return seed(20_261_123)(options(collect))

    return decorate


def _counts_of(outcomes: Outcomes, lane: int) -> list[list[int]]:
    lane_of = outcomes.lane(lane)
    counted = lane_of.counted
    marks = (counted.tallies[0].sum(axis=0), lane_of.totals[0], counted.samples[0])
    return [values.tolist() for values in marks]
