"""Possible outcomes: which have no value under a system, and which its policies cannot tell apart.

They follow from what a system declares that it counts (`System.counts`, `System.unmoved`), and from
what each outcome is made of. What is not known to be impossible is possible: so nothing is said of
a user's own system that declares nothing, or that is not imported.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from core.events import ALLOC, ATOMIC, RESTORE, STORE, TAGGED, Events
from core.lane import TALLIES
from core.machine import Machine
from core.outcome_declarations import DECLARED_OUTCOMES
from core.policy import Policy, reads
from core.policy_words import Metadata
from core.system import SYSTEMS
from core.system.contract import ALL_TALLIES, Choices, Holding, System, nothing_paid
from core.timeline.view import View

_LATENCIES = ("mean_ns", "p50_ns", "p99_ns", "max_ns")
_ATOMIC_LATENCIES = tuple(f"atomic_reservation_{name}" for name in _LATENCIES)
_ALL_LATENCIES = (*(f"reservation_{name}" for name in _LATENCIES), *_ATOMIC_LATENCIES)
#: Of outcomes that may have no value: the tallies of which it takes one.
_TAKES: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(_ALL_LATENCIES, ("sampled",)),
    "collateral_ratio": ("recalled", "collateral"),
}


class _Made(NamedTuple):
    """What can make an outcome differ between two policies of a system.

    Parameters
    ----------
    tallies
        Tallies of which one differs.
    fields
        Policy fields that the system reads and of which one differs.
    view
        Fields of the policies' views of the event table of which one differs.
    """

    tallies: frozenset[str] = frozenset()
    fields: tuple[str, ...] = ()
    view: tuple[str, ...] = ()


#: Outcomes that are a tally, or a share of what no policy changes.
_TALLIED: dict[str, str] = {
    **{name: declared.tally for name, declared in DECLARED_OUTCOMES.items() if declared.tally},
    "collateral_ratio": "collateral",
    "cached_share": "cached_page_ns",
}
_OF_VIEW = _Made(view=View._fields)
_HEADROOM = ("headroom", "headroom_mode")
_MADE: dict[str, _Made] = {
    **{name: _Made(frozenset((tally,))) for name, tally in _TALLIED.items()},
    **dict.fromkeys(("reservations", "releases", "peak_reserved"), _OF_VIEW),
    **dict.fromkeys(("reserved_share", "amplification"), _OF_VIEW),
    "refaults": _Made(view=("with_swap",)),
    "headroom_share": _OF_VIEW._replace(fields=_HEADROOM),
    "empty_share": _OF_VIEW._replace(fields=_HEADROOM, tallies=frozenset(("cached_page_ns",))),
    # Tag pages are as many, whichever hold tags; those of a region are not.
    "metadata_bytes": _Made(fields=("metadata",), view=("region",)),
    "copies_in": _Made(frozenset(("stored",))),
    "copies_out": _Made(frozenset(("restored",))),
}
#: What else there is may differ as soon as anything is counted.
_MADE_OF_ANY = _Made(ALL_TALLIES, view=View._fields)


def has_no_value(system: str, outcome: str) -> bool:
    """Return whether an outcome has no value under a system, whatever its policies and events."""
    traits = SYSTEMS.known(system)
    if traits is None:
        return False
    if outcome == "amplification":
        # A hypervisor's region has no tag blocks.
        return traits.holding is Holding.AS_COUNTED
    taken = _TAKES.get(outcome)
    return taken is not None and traits.counts.isdisjoint(taken)


def without_value_on(tables: Sequence[Events]) -> dict[str, str]:
    """Return the outcomes that have no value on tables of events together, and why of each.

    It is so under any system whose reservations are those of the tables: guests make others, and a
    hypervisor's region is not reserved at all.
    """
    reasons: dict[str, str] = {}
    if not any((table.op == RESTORE).any() for table in tables):
        of_reads = ("hit_ratio", "time_saved_ratio", "wait_saved_ratio", "share_of_ideal")
        reasons |= dict.fromkeys(of_reads, "nothing is read")
    if not any((table.op == RESTORE).any() and (table.op == STORE).any() for table in tables):
        reasons["refault_hit_ratio"] = "nothing is read that was evicted before"
    reserving = [(table.op == ALLOC) & (table.flags & TAGGED != 0) for table in tables]
    if not any(rows.any() for rows in reserving):
        of_tags = (*_ALL_LATENCIES, "collateral_ratio", "amplification")
        reasons |= dict.fromkeys(of_tags, "no allocation is tagged, so nothing is reserved")
    elif not any((rows & (table.flags & ATOMIC != 0)).any()
                 for rows, table in zip(reserving, tables, strict=True)):  # fmt: skip
        reasons |= dict.fromkeys(_ATOMIC_LATENCIES, "no tagged allocation is atomic")
    return reasons


def cannot_differ(outcome: str, spaces: Sequence[Choices]) -> bool:
    """Return whether an outcome is the same for all policies of some spaces, on the same events.

    Parameters
    ----------
    outcome
        The outcome. What has a value for some policies alone may differ in that.
    spaces
        Of each space of policies the values that each field may have; of a range, its two ends.
    """
    of_systems = [(str(system), space) for space in spaces for system in space["system"]]
    if any(SYSTEMS.known(system) is None for system, _ in of_systems):
        return False
    if all(_is_as_without(outcome, system, space) for system, space in of_systems):
        return True
    return len(of_systems) == 1 and not _differs(outcome, *of_systems[0])


def _is_as_without(outcome: str, system: str, choices: Choices) -> bool:
    """Return whether an outcome is what it is where nothing is cached, whatever the policy."""
    if outcome not in _TALLIED or has_no_value(system, outcome):
        return False
    if outcome == "lookups" and "lookups" in SYSTEMS[system].counts:
        return False  # It may be one number for all policies, but another than without a cache.
    return _TALLIED[outcome] not in _moved(SYSTEMS[system], choices)


def _differs(outcome: str, system: str, choices: Choices) -> bool:
    """Return whether two policies of one system may differ in an outcome."""
    varied = [name for name in reads(system) if len(set(choices[name])) > 1]
    traits: System = SYSTEMS[system]
    if not varied or not traits.counts:
        return False
    made = _made_under(traits, outcome, choices)
    if not made.tallies.isdisjoint(_moved(traits, choices)) or set(made.fields) & set(varied):
        return True
    views = _views(system, choices, varied)
    return any(len({getattr(view, name) for view in views}) > 1 for name in made.view)


def _made_under(traits: System, outcome: str, choices: Choices) -> _Made:
    """Return what can make an outcome differ under one system."""
    made = _MADE.get(outcome, _MADE_OF_ANY)
    if outcome == "cpu_ns" and traits.pays is nothing_paid:
        return _Made()
    if outcome in ("copies_in", "copies_out") and not traits.caches_copies:
        return _Made()
    if outcome == "metadata_bytes" and traits.metadata is not None:
        return made._replace(fields=())
    if outcome == "metadata_bytes" and Metadata.COMPACT in choices["metadata"]:
        return _MADE_OF_ANY  # It is that of the pages that are cached.
    return made


def _moved(traits: System, choices: Choices) -> set[str]:
    """Return the tallies that may differ between policies of one system."""
    unmoved = {
        tally
        for tally, values in traits.unmoved
        if all(choice == value for name, value in values for choice in choices[name])
    }
    return set(TALLIES) & traits.counts - unmoved


def _views(system: str, choices: Choices, varied: Sequence[str]) -> set[View]:
    """Return the views of the event table that policies have which differ in one field."""
    machine = Machine(4096, 2**18)
    first: dict[str, Any] = {name: choices[name][0] for name in reads(system)} | {"system": system}
    policies = [Policy(**first)]
    policies += [
        Policy(**first | {name: choice}) for name in varied for choice in choices[name][1:]
    ]
    return {SYSTEMS[system].view(policy, machine) for policy in policies}
