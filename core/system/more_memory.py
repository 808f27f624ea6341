"""More memory: what the same memory would do if it were ordinary, at no cost.

The front end's memory is larger by the slots that no tag block has reserved. Where pages lie plays
no part, and nothing is paid: a bound in practice on what tag storage can do as memory.
"""

from __future__ import annotations

from core.machine import Machine
from core.policy import Policy
from core.policy_words import Metadata
from core.system.contract import READ_TALLIES, System, nothing_paid
from core.system.larger_memory import NEEDS_ACCESSES, count_larger, tag_memory
from core.timeline.view import View, guests_view


def _view(policy: Policy, machine: Machine) -> View:
    memory = tag_memory(machine, policy.guests, policy.guest_ratio)._replace(only_enlarges=True)
    return guests_view(policy)._replace(tag_memory=memory)


MORE_MEMORY = System(
    meaning="ordinary memory, larger by what tags leave: where pages lie plays no part, at no cost",
    view=_view,
    count=count_larger,
    pays=nothing_paid,
    metadata=Metadata.NONE,
    counts=READ_TALLIES | {"cached_page_ns"},
    needs_accesses=NEEDS_ACCESSES,
    beyond="it is ordinary memory of other hardware, at no cost",
)
