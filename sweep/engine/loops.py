"""Which compiled loops a study may call, so that they are compiled before they are waited for."""

from __future__ import annotations

from typing import Any

from core.policy import POLICY_FIELDS, Policy
from core.system import SYSTEMS
from core.system.contract import ReplayLoop
from sweep.engine.candidates import baseline, candidates
from sweep.study.model import Parameter, Study
from sweep.study.worlds import worlds_of


def loops_of(study: Study) -> list[ReplayLoop]:
    """Return the compiled loops that the trials and baselines of a study may call."""
    loops: set[ReplayLoop] = set()
    worlds = worlds_of(study)[:1]
    for subspace in study.subspaces:
        policy = candidates(study.within(subspace), {}, worlds)[0].policy
        loops |= _loops_of_policies(policy, subspace.parameters)
    for fields in study.baselines:
        loops |= _loops_of_policies(baseline(fields, worlds)[0].policy, {})
    return sorted(loops)


def _loops_of_policies(policy: Policy, searched: dict[str, Parameter]) -> set[ReplayLoop]:
    """Return the loops of a policy, some of whose fields are searched."""
    choices: dict[str, list[Any]] = {name: [getattr(policy, name)] for name in POLICY_FIELDS}
    for name in choices.keys() & searched.keys():
        parameter = searched[name]
        ends = [getattr(parameter, end, None) for end in ("low", "high")]
        choices[name] = getattr(parameter, "choices", ends)
    loops: set[ReplayLoop] = set()
    for system in choices["system"]:
        loops |= SYSTEMS[system].loops(choices)
    return loops
