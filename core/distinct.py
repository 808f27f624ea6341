"""Which policies are one: those that differ only in fields that do nothing beside the others.

`folio_order`, for example, does nothing where large folios are refused, and `drop` nothing where
every unit is a page. Only what docs/model.md decides is here, and for the systems that come with
the project: a user's own may read a field as it likes. tests/core/test_distinct.py replays both.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from core.events import INVALIDATE_INODE, Events
from core.policy import DECLARED, POLICY_FIELDS, reads
from core.policy_words import HeadroomMode, LargeFolios, SlotReclaim, TaggedPlacement
from core.system import SYSTEMS


def deciding(policy: Mapping[str, Any], single_pages: bool = False) -> tuple[Any, ...]:
    """Return the values that decide what a policy does, in the order of its fields.

    None stands for what its system does not read, and for what does nothing beside the rest.
    Policies that are equal in it have equal outcomes.

    Parameters
    ----------
    policy
        Its fields by name, such as ``vars(Policy(folio_order=2))``.
    single_pages
        Whether every folio that it will see is a page, as `has_single_pages` tells of a table.
    """
    system = policy["system"]
    read = _read(system)
    values = {name: policy[name] if name in read else None for name in POLICY_FIELDS}
    if system in DECLARED["folio_order"].read_by:
        _without_idle_units(values, single_pages)
    if system in DECLARED["tagged_placement"].read_by:
        _without_idle_headroom(values)
    return tuple(values.values())


@cache
def _read_by_known(system: str) -> frozenset[str]:
    return reads(system) | {"system"}


def _read(system: str) -> frozenset[str]:
    """Return what a system reads; asked once of each, but for one that is not loaded yet."""
    return reads(system) | {"system"} if SYSTEMS.known(system) is None else _read_by_known(system)


def _without_idle_units(values: dict[str, Any], single_pages: bool) -> None:
    """Take out what does nothing where units are single pages, or where none is evicted."""
    if single_pages:
        values["large_folios"] = None
    if single_pages or values["large_folios"] == LargeFolios.REFUSE:
        values["folio_order"] = 0
    if values["folio_order"] == 0:
        values["drop"] = None
    if values["eviction"] == "none":
        values["slot_reclaim"] = None
    if values["slot_reclaim"] != SlotReclaim.BACKGROUND:
        values["slot_reclaim_batch"] = None


def _without_idle_headroom(values: dict[str, Any]) -> None:
    """Take out how a headroom is kept or filled where there is none."""
    is_static = values["headroom_mode"] != HeadroomMode.DYNAMIC
    if not values["headroom"]:
        values["headroom_mode"] = None
    if values["tagged_placement"] == TaggedPlacement.HEADROOM_FIRST and not (
        values["headroom"] and is_static
    ):
        values["tagged_placement"] = TaggedPlacement.RESERVED_FIRST


def has_single_pages(events: Events) -> bool:
    """Return whether every folio that a table stores, looks up or drops is a page."""
    return not events.order[events.op < INVALIDATE_INODE].any()
