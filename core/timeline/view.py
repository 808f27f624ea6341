"""A view: the part of a policy that decides which timeline it replays.

Policies of one view share a timeline. Most have the plain view of an event table, whose tag blocks
come and go as recorded; guests, other frames for tagged pages, or a region that is no tag storage
make other views. Each system says what view a policy of it has (`System.view`).
"""

from __future__ import annotations

from typing import NamedTuple

from core.events import Events, check_events
from core.frontend.tag_storage_as_memory import TagMemory
from core.machine import Machine
from core.policy import Policy, headroom_blocks
from core.policy_words import Guests, TaggedPlacement
from core.timeline.changes import Region
from core.timeline.guests import first_guest_block, with_guests
from core.timeline.prepare import Timeline, prepare
from core.timeline.tagged_placement import place_tagged


class View(NamedTuple):
    """What a timeline is made of, beside events and machine; the plain one by default.

    Parameters
    ----------
    tagged_placement
        Which frames tagged pages get.
    headroom_blocks
        The first tag blocks, which tagged pages are placed under first; 0 unless they are.
    guests, guest_ratio
        When guests' memory is tagged, and the share of the tag blocks that covers it.
    region
        A hypervisor's region in place of tag storage.
    pages_per_slot
        Pages that a slot holds at most.
    tag_memory
        Tag storage that is memory: such a view has a front end of its own.
    every_frame
        Whether free frames are followed.
    with_swap
        Whether the pages of a swap device are in it.
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


def guests_view(policy: Policy) -> View:
    """Return the view that the guests of a policy make."""
    if not policy.guest_ratio:
        return View()
    return View(guests=policy.guests, guest_ratio=policy.guest_ratio)


def tagged_view(policy: Policy, machine: Machine, *, static_headroom: bool = True) -> View:
    """Return the view that the guests and the tagged placement of a policy make.

    Parameters
    ----------
    policy
        The policy.
    machine
        Its machine.
    static_headroom
        Whether the headroom is the first blocks, which tagged pages may then be placed under first.
    """
    first = policy.tagged_placement is TaggedPlacement.HEADROOM_FIRST and static_headroom
    return guests_view(policy)._replace(
        tagged_placement=policy.tagged_placement,
        headroom_blocks=int(headroom_blocks(policy.headroom, machine.tag_blocks)) if first else 0,
    )


def prepare_view(events: Events, machine: Machine, view: View, warm_up_parts: int = 0) -> Timeline:
    """Return the timeline of `events` on `machine` that a view shows, with a warm-up.

    Raises
    ------
    EventsError
        When a frame falls outside the machine.
    """
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
        warm_up_parts=warm_up_parts,
    )
