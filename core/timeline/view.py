"""A view: what of a policy changes the timeline that it replays, and so is shared by its likes.

Most policies see one view of an event table, whose tag blocks come and go as recorded. Other frames
for tagged pages, guests, or a region that is no tag storage make others.
"""

from __future__ import annotations

from math import floor
from typing import NamedTuple

from core.events import Events, check_events
from core.frontend.tag_storage_as_memory import TagMemory
from core.machine import Machine
from core.policy import Anonymous, Guests, HeadroomMode, Placement, Policy, System, TaggedPlacement
from core.system.migrate_cma import tag_memory_of
from core.system.zswap.slots import PARTS
from core.timeline.guests import first_guest_block, with_guests
from core.timeline.prepare import Region, Timeline, prepare
from core.timeline.tagged_placement import place_tagged


class View(NamedTuple):
    """What a timeline is made of, beside events and machine; the plain one by default.

    `headroom_blocks` is 0 unless tagged pages are placed under the headroom first.
    """

    tagged_placement: TaggedPlacement = TaggedPlacement.RECORDED
    headroom_blocks: int = 0
    guests: Guests = Guests.KVM
    guest_ratio: float = 0.0
    region: Region | None = None
    pages_per_slot: int = 1
    tag_memory: TagMemory | None = None
    every_frame: bool = False
    with_swap: bool = False

    @property
    def wants_every_frame(self) -> bool:
        """Whether a table should have untagged allocations too, if it is made for the view.

        An allocator that knows can use free frames alone; where they are not told, all that are
        not tagged count as free.
        """
        return self.every_frame or self.tagged_placement is not TaggedPlacement.RECORDED


def view_of(policy: Policy, machine: Machine) -> View:
    """Return the view of a policy."""
    if policy.system is System.TMEM:
        most = max(1, floor(policy.tmem_ratio * machine.data_pages))
        least = most - floor(policy.tmem_swing * most)
        return View(region=Region(most, least, policy.tmem_period_ns if least < most else 0))
    guests = policy.guest_ratio > 0 and policy.system is not System.CARVEOUT
    whose = View(
        guests=policy.guests if guests else Guests.KVM,
        guest_ratio=policy.guest_ratio if guests else 0.0,
    )
    if policy.system is System.MIGRATE_CMA:
        return whose._replace(tag_memory=tag_memory_of(policy, machine))
    placed = policy.tagged_placement if policy.system is not System.CARVEOUT else None
    first = placed is TaggedPlacement.HEADROOM_FIRST
    dynamic = policy.headroom_mode is HeadroomMode.DYNAMIC
    if policy.system is System.IDEAL or (policy.system is System.CLEANCACHE and dynamic):
        first = False
    return whose._replace(
        tagged_placement=placed or TaggedPlacement.RECORDED,
        headroom_blocks=floor(policy.headroom * machine.tag_blocks) if first else 0,
        pages_per_slot=PARTS if policy.system is System.ZSWAP else 1,
        with_swap=policy.system is System.ZSWAP and policy.anonymous is not Anonymous.NONE,
        every_frame=policy.system is System.CLEANCACHE and policy.placement is Placement.FAR,
    )


def prepare_view(events: Events, machine: Machine, view: View) -> Timeline:
    """Return the timeline of `events` on `machine` that a view shows."""
    if events.data_pages > machine.data_pages:
        check_events(events, machine.data_pages, events.source)
    if view.tagged_placement is not TaggedPlacement.RECORDED:
        hosts = first_guest_block(machine, view.guest_ratio)
        events = place_tagged(events, machine, view.headroom_blocks, hosts)
    if view.guest_ratio > 0:
        events = with_guests(events, machine, view.guest_ratio, view.guests)
    return prepare(
        events,
        machine,
        view.region,
        view.pages_per_slot,
        every_frame=view.every_frame,
        with_swap=view.with_swap,
    )
