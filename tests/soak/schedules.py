"""Schedules: the deterministic driver, stopped and started in a simulated world."""

from __future__ import annotations

from functools import partial

from hazard import Counts, Hazard, each_case
from schedule import run_seed


def _case(seed: int, counts: Counts) -> None:
    run_seed(seed)


HAZARD = Hazard("schedules", partial(each_case, _case), share=2.0)
