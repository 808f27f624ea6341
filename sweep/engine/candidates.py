"""Candidates: what a trial or a baseline of a study asks the simulator for, one in each world."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from core.evaluator import Candidate
from core.policy import PRESETS, Policy
from sweep.results import Row
from sweep.study.model import Baseline, FixedPolicy, Study
from sweep.study.worlds import World


def candidates(study: Study, parameters: Row, worlds: Sequence[World]) -> list[Candidate]:
    """Return the candidates of a trial.  # [world]

    Parameters
    ----------
    study
        The study within one subspace.
    parameters
        What the sampler asks for, by name; the rest is what the study holds fixed.
    worlds
        What the trial is tried in.
    """
    return _in_worlds(_said(study.policy) | parameters, worlds)


def baseline(policy: Baseline, worlds: Sequence[World]) -> list[Candidate]:
    """Return the candidates of a baseline: its own fields, not the study's `policy`.  # [world]"""
    return _in_worlds(_said(policy), worlds)


def _in_worlds(fields: dict[str, Any], worlds: Sequence[World]) -> list[Candidate]:
    return [
        Candidate(
            Policy(**(fields | world.policy)), world.tag_block_size, world.costs, world.workload
        )
        for world in worlds
    ]


def _said(policy: FixedPolicy) -> dict[str, Any]:
    """Return the fields of a preset, and those that the study says, by name."""
    base = vars(PRESETS[policy.preset]) if policy.preset else {}
    said = policy.model_dump(exclude_unset=True, exclude={"preset", "tag_block_size"})
    return {**base, **said}
