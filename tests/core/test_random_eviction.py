"""Random eviction is fair."""

from __future__ import annotations

import numpy as np
import reference
from streams import as_events

from core.backend import replay
from core.events import RESTORE, STORE
from core.machine import Machine
from core.policy import Policy


def test_random_eviction_takes_every_unit_about_as_often() -> None:
    # 8 pages fill 8 slots; a ninth is stored: who of the eight is missed then?
    machine = Machine(4096, 32 * 8)
    stream = [reference.Event(0, STORE, 1, page, 0, 0, 1) for page in range(9)]
    seeds = 2000
    gone = np.zeros(8)
    for page in range(8):
        probe = [*stream, reference.Event(0, RESTORE, 1, page, 0, 0, 0)]
        batch = [Policy(eviction="random", seed=seed) for seed in range(seeds)]
        gone[page] = replay(as_events(probe, machine), machine, batch).tallies[:, 4].sum()
    assert gone.sum() == seeds
    # Chi-square with 7 degrees of freedom: below 24.3 in 999 of 1000.
    assert ((gone - seeds / 8) ** 2 / (seeds / 8)).sum() < 24.3
