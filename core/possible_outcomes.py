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
from core.outcomes import PAGE_COUNTERS, READ_COUNTERS
from core.policy import Policy, reads
from core.policy_words import Metadata
from core.system import SYSTEMS
from core.system.contract import ALL_TALLIES, Choices, Holding, System, nothing_paid

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
        Tallies: one that differs.
    fields
        Policy fields: one that the system reads and that differs.
    of_view
        Whether another view of the event table does.
    """

    tallies: frozenset[str] = frozenset()
    fields: tuple[str, ...] = ()
    of_view: bool = False


_OF_VIEW = _Made(of_view=True)
_OF_TALLIES: dict[str, _Made] = {
    **{name: _Made(frozenset((name,))) for name in (*PAGE_COUNTERS, *READ_COUNTERS)},
    **{name: _Made(frozenset((name,))) for name in ("failed_pinned", "failed_atomic")},
    "compressions": _Made(frozenset(("compressed",))),
    "decompressions": _Made(frozenset(("decompressed",))),
    "migrations": _Made(frozenset(("migrated",))),
    "swap_writes": _Made(frozenset(("written",))),
    "collateral_ratio": _Made(frozenset(("collateral",))),
    "cached_share": _Made(frozenset(("cached_page_ns",))),
}
_MADE: dict[str, _Made] = {
    **_OF_TALLIES,
    **dict.fromkeys(("reservations", "releases", "peak_reserved", "refaults"), _OF_VIEW),
    **dict.fromkeys(("reserved_share", "amplification"), _OF_VIEW),
    "headroom_share": _Made(fields=("headroom", "headroom_mode"), of_view=True),
    "empty_share": _Made(frozenset(("cached_page_ns",)), ("headroom", "headroom_mode"), True),
    "metadata_bytes": _Made(fields=("metadata",), of_view=True),
}
#: What else there is may differ as soon as anything is counted.
_MADE_OF_ANY = _Made(ALL_TALLIES, of_view=True)


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
    if outcome not in _OF_TALLIES or has_no_value(system, outcome):
        return False
    moved = _moved(SYSTEMS[system], choices)
    if outcome == "lookups" and "lookups" in SYSTEMS[system].counts:
        return False  # It may be one number for all policies, but another than without a cache.
    return moved.isdisjoint(_OF_TALLIES[outcome].tallies)


def _differs(outcome: str, system: str, choices: Choices) -> bool:
    """Return whether two policies of one system may differ in an outcome."""
    traits: System = SYSTEMS[system]
    varied = [name for name in reads(system) if len(set(choices[name])) > 1]
    if not varied or not traits.counts:
        return False
    made = _MADE.get(outcome, _MADE_OF_ANY)
    if outcome == "metadata_bytes":
        if traits.metadata is not None:
            made = _OF_VIEW
        elif Metadata.COMPACT in choices["metadata"]:
            made = _MADE_OF_ANY
    if outcome == "cpu_ns" and traits.pays is nothing_paid:
        return False
    if not made.tallies.isdisjoint(_moved(traits, choices)):
        return True
    return any(name in varied for name in made.fields) or (
        made.of_view and _sees_otherwise(system, choices, varied)
    )


def _moved(traits: System, choices: Choices) -> set[str]:
    """Return the tallies that may differ between policies of one system."""
    unmoved = {
        tally
        for tally, values in traits.unmoved
        if all(choice == value for name, value in values for choice in choices[name])
    }
    return set(TALLIES) & traits.counts - unmoved


def _sees_otherwise(system: str, choices: Choices, varied: Sequence[str]) -> bool:
    """Return whether what varies makes another view of the event table."""
    machine = Machine(4096, 2**18)
    first: dict[str, Any] = {name: choices[name][0] for name in (*reads(system), *varied)}
    policies = [Policy(**first | {"system": system})]
    policies += [
        Policy(**first | {"system": system, name: choice})
        for name in varied
        for choice in choices[name][1:]
    ]
    view = SYSTEMS[system].view
    return len({view(policy, machine) for policy in policies}) > 1
