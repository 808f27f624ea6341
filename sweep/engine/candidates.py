"""Candidates: what a trial or a baseline of a study asks the simulator for."""

from __future__ import annotations

from typing import Any

from core.costs import COST_FIELDS
from core.evaluator import Candidate, Values
from core.policy import POLICY_FIELDS, PRESETS, Policy
from sweep.results import Row
from sweep.study.model import Baseline, FixedPolicy, Study
from sweep.study.values import size_in_bytes
from sweep.study.workloads import WORKLOAD_FIELDS, common_values

DEFAULT_TAG_BLOCK_BYTES = 4096


def candidate(study: Study, parameters: Row) -> Candidate:
    """Return the candidate of a trial.

    Parameters
    ----------
    study
        The study within one subspace.
    parameters
        What the sampler asks for, by name; the rest is what the study holds fixed.
    """
    searched = {name: value for name, value in parameters.items() if name in POLICY_FIELDS}
    costs = {name: value for name, value in parameters.items() if name in COST_FIELDS}
    default = study.machine.tag_block_size or DEFAULT_TAG_BLOCK_BYTES
    size = parameters.get("tag_block_size", default)
    size = size if isinstance(size, int) else size_in_bytes(size)
    workload = {name: parameters[name] for name in parameters if name in WORKLOAD_FIELDS}
    policy = Policy(**(_said(study.policy) | searched))
    return Candidate(policy, size, study.cost_table(costs), _common(study, workload))


def baseline(study: Study, policy: Baseline) -> Candidate:
    """Return the candidate of a baseline: its own fields alone, not the study's `policy`."""
    size = policy.tag_block_size or study.machine.tag_block_size or DEFAULT_TAG_BLOCK_BYTES
    return Candidate(Policy(**_said(policy)), size, study.cost_table(), _common(study, {}))


def _said(policy: FixedPolicy) -> dict[str, Any]:
    """Return the fields of a preset, and those that the study says, by name."""
    base = vars(PRESETS[policy.preset]) if policy.preset else {}
    said = policy.model_dump(exclude_unset=True, exclude={"preset", "tag_block_size"})
    return {**base, **said}


def _common(study: Study, searched: Row) -> Values:
    machine = study.machine.model_dump(mode="json")
    values = common_values([workload.given_fields for workload in study.workload], machine)
    return tuple((values | searched).items())
