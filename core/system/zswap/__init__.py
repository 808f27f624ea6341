"""Zswap-like: evicted pages, compressed, several to a slot of tag storage."""

from core.costs import Int64
from core.machine import Machine
from core.policy import Policy
from core.policy_words import Anonymous
from core.system.contract import (
    ALL_TALLIES,
    MIGRATION_TALLIES,
    CostTable,
    System,
    Unmoved,
    Work,
    copies_ns,
    lookups_and_drops_ns,
    upkeep_ns,
)
from core.system.zswap.replay import replay_zswap
from core.system.zswap.slots import PARTS
from core.timeline.view import View, tagged_view

#: What is counted of a swap device alone.
_SWAP_TALLIES = ("written", "sampled_written", "failed_atomic")


def _view(policy: Policy, machine: Machine) -> View:
    return tagged_view(policy, machine)._replace(
        pages_per_slot=PARTS, with_swap=policy.anonymous is not Anonymous.NONE
    )


def _pays(work: Work, costs: CostTable) -> Int64:
    """Return the upkeep, ``compressed x compress_ns + decompressed x decompress_ns``, and writes.

    Without it every page that is swapped out is written: ``(written - offered to swap) x
    swap_write_ns`` is what it adds, or saves.
    """
    counted = work.counted
    paid: Int64 = (
        upkeep_ns(work, costs)
        + counted["compressed"] * costs["compress_ns"]
        + counted["decompressed"] * costs["decompress_ns"]
        + (counted["written"] - work.all_missed["written"]) * costs["swap_write_ns"]
    )
    return paid


def _waits(work: Work, costs: CostTable) -> Int64:
    """Return ``lookups x lookup_ns + restored x decompress_ns``, and a waited reclaim's part.

    That is ``waited_stored x compress_ns + waited_reclaimed x slot_drop_ns``.
    """
    copied = copies_ns(work, costs["compress_ns"], costs["decompress_ns"], waited=True)
    return lookups_and_drops_ns(work, costs) + copied


ZSWAP = System(
    meaning="compressed pages, several to a tag page; dropped for tags, or written back first",
    view=_view,
    replay=replay_zswap,
    pays=_pays,
    waits=_waits,
    counts=ALL_TALLIES - MIGRATION_TALLIES - {"collateral", "failed_pinned", "withheld_page_ns"},
    unmoved=(
        Unmoved("stale", (("admission", "all"),)),
        Unmoved("bypassed", (("lookup", "each"),)),
        *(Unmoved(tally, (("anonymous", "none"),)) for tally in _SWAP_TALLIES),
    ),
    draws=None,
)
