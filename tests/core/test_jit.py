"""Compiled code equals the same code as plain Python."""

from __future__ import annotations

import json
import os
import subprocess
import sys

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from streams import as_events, compiled, machines, policies, streams

from core.backend import replay
from core.eviction import EVICTIONS


def outcomes_of_fixed_streams() -> list[list[int]]:
    """Return the tallies of every eviction on streams that a fixed seed gives."""
    found: list[list[int]] = []

    @seed(20_261_123)
    @settings(
        max_examples=40,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(st.data())
    def collect(data: st.DataObject) -> None:
        machine = data.draw(machines())
        events = as_events(data.draw(streams(machine.data_pages)), machine)
        batch = [data.draw(policies([eviction])) for eviction in EVICTIONS]
        outcomes = replay(events, machine, batch)
        found.extend(outcomes.tallies.tolist())
        lanes = range(len(batch))
        found.extend(outcomes.lane(lane).counted.samples[0].tolist() for lane in lanes)

    collect()
    return found


@compiled
def test_jit_equals_plain_python() -> None:
    program = "import test_jit, json; print(json.dumps(test_jit.outcomes_of_fixed_streams()))"
    command = [sys.executable, "-c", program]
    environment = os.environ | {
        "NUMBA_DISABLE_JIT": "1",
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
    }
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    plain = json.loads(done.stdout)
    assert len(plain) > 100
    assert plain == outcomes_of_fixed_streams()
