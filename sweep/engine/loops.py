"""Which compiled loops a study may call, so that they are compiled before they are waited for."""

from __future__ import annotations

from functools import lru_cache

from core.policy import POLICY_FIELDS, Policy
from core.system import SYSTEMS
from core.system.contract import ReplayLoop
from sweep.study.model import Study
from sweep.study.points import choices_of


def loops_of(study: Study) -> list[ReplayLoop]:
    """Return the compiled loops that the trials and baselines of a study may call."""
    spaces = [choices_of(subspace.policy, subspace.parameters) for subspace in study.subspaces]
    spaces += [choices_of(baseline, {}) for baseline in study.baselines]
    loops: set[ReplayLoop] = set()
    for choices in spaces:
        for system in choices["system"]:
            loops |= SYSTEMS[system].loops(choices)
    return sorted(loops)


@lru_cache(maxsize=4096)
def loops_of_policy(policy: Policy) -> frozenset[ReplayLoop]:
    """Return the compiled loops that the replay of a policy may call, whatever the timeline."""
    choices = {name: [getattr(policy, name)] for name in POLICY_FIELDS}
    return frozenset(SYSTEMS[policy.system].loops(choices))
