"""How an outcome is declared: once, with all that anybody asks of it but its value.

From a declaration come its column in the database, what a study may optimise, the texts that
explain it, and its row of the table in docs/model.md. core/outcomes.py works out the values; those
of an outcome that is a tally need no more than the declaration.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from core.declaration import Word


class Combined(Word):
    """How an outcome over several workloads comes from those of each."""

    ADDED = "added", "the sum over the workloads"
    LARGEST = "largest", "the largest of the workloads"
    ANEW = "anew", "worked out anew from the sums over the workloads"


@dataclass(frozen=True)
class OutcomeDeclaration:
    """What is declared of an outcome.

    Parameters
    ----------
    meaning
        One line: what it is.
    unit
        What it counts: pages, blocks, ns, ratio and so on.
    formula
        How it is worked out of tallies, costs and other outcomes; "" of what is counted.
    better
        What a study does with it that looks for good policies; "" if neither more nor less is
        better by itself.
    combined
        How it comes from those of several workloads.
    tally
        The tally of `core.lane.TALLIES` that it is; "" if it is worked out.
    is_double
        Whether it is a double rather than a whole number.
    """

    meaning: str
    unit: str
    formula: str = ""
    better: Literal["", "maximize", "minimize"] = ""
    combined: Combined = Combined.ADDED
    tally: str = ""
    is_double: bool = False


def _ratio(meaning: str, formula: str, better: Literal["", "maximize", "minimize"] = "") -> Any:
    return OutcomeDeclaration(meaning, "ratio", formula, better, Combined.ANEW, is_double=True)


def _time(meaning: str, formula: str, better: Literal["maximize", "minimize"]) -> Any:
    return OutcomeDeclaration(meaning, "ns", formula, better)


def _counted(
    meaning: str,
    unit: str = "pages",
    better: Literal["", "maximize", "minimize"] = "",
    tally: str = "",
) -> Any:
    return OutcomeDeclaration(meaning, unit, better=better, tally=tally)


_SAMPLE = (
    "a sample is reserve_base_ns + blocks x lines x cache_line_ns + dropped x slot_drop_ns + "
    "written x swap_write_ns + migrated x migrate_page_ns, and migrate_base_ns if any page "
    "migrated; lines = tag pages of a block x page size / 64"
)


def _latencies(prefix: str, of: str) -> dict[str, OutcomeDeclaration]:
    """Return the outcomes of the latency of some allocations that reserve tag blocks."""
    statistics = {
        "mean_ns": f"mean time that {of} take",
        "p50_ns": f"time in which half of the {of} are done (nearest rank)",
        "p99_ns": f"time in which 99 of 100 {of} are done (nearest rank)",
        "max_ns": f"longest time that one of the {of} takes",
    }
    return {
        f"{prefix}_{name}": OutcomeDeclaration(
            meaning, "ns", _SAMPLE, "minimize", Combined.ANEW, is_double=name == "mean_ns"
        )
        for name, meaning in statistics.items()
    }


#: Every outcome, in the order of the database's columns.
DECLARED_OUTCOMES: dict[str, OutcomeDeclaration] = {
    "stored": _counted("pages that stores put into tag storage", tally="stored"),
    "skipped": _counted(
        "pages that stores offered and that were not taken, those that are stale apart",
        tally="skipped",
    ),
    "stale": _counted(
        "cached pages that left because a store offered them anew and was not admitted",
        tally="stale",
    ),
    "restored": _counted(
        "pages that restores found in tag storage, so that nothing was read",
        "pages",
        "maximize",
        "restored",
    ),
    "missed": _counted(
        "pages that restores did not find, so that they were read from storage",
        "pages",
        "minimize",
        "missed",
    ),
    "reclaimed": _counted("cached pages that were dropped to make room", tally="reclaimed"),
    "recalled": _counted(
        "cached pages that were dropped because tags needed their block", tally="recalled"
    ),
    "collateral": _counted(
        "cached pages that were dropped since their unit lost a page to tags, outside the block",
        "pages",
        "minimize",
        "collateral",
    ),
    "invalidated": _counted(
        "cached pages that were dropped because their file was truncated or went away",
        tally="invalidated",
    ),
    "overwritten": _counted(
        "cached pages that a store offered again and replaced", tally="overwritten"
    ),
    "reservations": _counted("times that a tag block was reserved", "blocks", "minimize"),
    "releases": _counted("times that a tag block was released", "blocks"),
    "refaults": _counted(
        "pages of restores that a store had offered before, with no invalidate since: the same "
        "for every policy that sees the same events"
    ),
    "hit_ratio": _ratio(
        "share of the pages of restores that were found",
        "restored / (restored + missed)",
        "maximize",
    ),
    "refault_hit_ratio": _ratio(
        "share of the refaults that were found: a page that was never stored can be found nowhere",
        "restored / refaults",
        "maximize",
    ),
    "collateral_ratio": _ratio(
        "share of the pages dropped for tags that did not lie in the block",
        "collateral / (recalled + collateral)",
        "minimize",
    ),
    "reserved_share": _ratio(
        "share of tag storage that tags have reserved, on average over time",
        "mean over time of reserved slots / all slots",
        "minimize",
    ),
    "cached_share": _ratio(
        "share of tag storage that caches, on average over time",
        "mean over time of caching slots / all slots",
    ),
    "empty_share": _ratio(
        "share of tag storage that is free and could cache, on average over time",
        "mean over time of free slots / all slots",
    ),
    "headroom_share": _ratio(
        "share of tag storage that is kept empty as headroom, on average over time",
        "mean over time of unreserved headroom slots / all slots",
    ),
    "amplification": _ratio(
        "reserved blocks over those that the tagged pages would need side by side, on average",
        "mean of reserved blocks / ceil(tagged pages / (32 x tag pages of a block)), over the time "
        "with a tagged page",
        "minimize",
    ),
    "peak_reserved": OutcomeDeclaration(
        "the most tag blocks that were reserved at any time",
        "blocks",
        "",
        "minimize",
        Combined.LARGEST,
    ),
    **_latencies("reservation", "allocations that reserve tag blocks"),
    **_latencies("atomic_reservation", "atomic allocations that reserve tag blocks"),
    "failed_pinned": _counted(
        "reservations that failed because a page in the block was pinned",
        "allocs",
        "minimize",
        "failed_pinned",
    ),
    "failed_atomic": _counted(
        "reservations that failed because the allocation must not sleep",
        "allocs",
        "minimize",
        "failed_atomic",
    ),
    "copies_in": OutcomeDeclaration(
        "pages that were copied into tag storage", "pages", "stored, of a system that keeps copies"
    ),
    "copies_out": OutcomeDeclaration(
        "pages that were copied out of tag storage",
        "pages",
        "restored, of a system that keeps copies",
    ),
    "compressions": _counted(
        "pages that were compressed, those included for which there was no room",
        tally="compressed",
    ),
    "decompressions": _counted("pages that were decompressed", tally="decompressed"),
    "migrations": _counted("pages that were moved out of tag storage", tally="migrated"),
    "swap_writes": _counted(
        "pages that a compressed cache wrote to the swap device", "pages", "minimize", "written"
    ),
    "metadata_bytes": OutcomeDeclaration(
        "the most memory that described tag pages at any time",
        "bytes",
        "memmap: 64 x tag pages; compact: 16 x the most pages cached at any time; none: 0",
        "minimize",
        Combined.LARGEST,
    ),
    "lookups": _counted("pages that restores looked up", tally="lookups"),
    "bypassed": _counted(
        "cached pages that were read from storage since their run had missed before them",
        "pages",
        "minimize",
        "bypassed",
    ),
    "read_commands": _counted(
        "commands sent to the disk: pages of a request that were missed one after the other, next "
        "to each other in a file, are one",
        "commands",
        "minimize",
        "read_commands",
    ),
    "waited_requests": _counted(
        "read requests of which a page was missed that a task waits for",
        "requests",
        "minimize",
        "waited_requests",
    ),
    "waited_commands": _counted(
        "commands of the requests that a task waits for",
        "commands",
        "minimize",
        "waited_commands",
    ),
    "waited_pages": _counted(
        "missed pages of the requests that a task waits for", "pages", "minimize", "waited_pages"
    ),
    "waited_stored": _counted(
        "stored pages whose reclaim a task waits for (direct reclaim)", tally="waited_stored"
    ),
    "waited_reclaimed": _counted(
        "pages dropped to make room for a store whose reclaim a task waits for",
        tally="waited_reclaimed",
    ),
    "read_ns": _time(
        "time that the disk takes for what is read",
        "waited_requests x (read_random_ns - read_parallel_ns) + read_commands x read_parallel_ns "
        "+ (missed - read_commands) x read_sequential_ns",
        "minimize",
    ),
    "wait_ns": _time(
        "time that tasks wait: for reads, for reservations, and for what the system does meanwhile",
        "waited_requests x (read_random_ns - read_parallel_ns) + waited_commands x "
        "read_parallel_ns + (waited_pages - waited_commands) x read_sequential_ns + all samples of "
        "reservation latency + of a cache of copies: lookups x lookup_ns + restored x copy_out_ns "
        "+ waited_stored x copy_in_ns + waited_reclaimed x slot_drop_ns",
        "minimize",
    ),
    "cpu_ns": _time(
        "CPU time that the system takes, whoever waits for it",
        "of a cache of copies: stored x copy_in_ns + restored x copy_out_ns + lookups x lookup_ns "
        "+ (reclaimed + recalled + collateral) x slot_drop_ns + samples x reserve_base_ns + "
        "cache lines of reserved blocks and of freed tagged pages x cache_line_ns",
        "minimize",
    ),
    "time_saved_ns": _time(
        "disk time that is saved, less the CPU time that it takes: negative if it does not pay",
        "read_ns if all had missed - read_ns - cpu_ns",
        "maximize",
    ),
    "time_saved_ratio": _ratio(
        "disk time that is saved, less the CPU time that it takes, as a share of the disk time if "
        "all had missed",
        "time_saved_ns / read_ns if all had missed",
        "maximize",
    ),
    "wait_saved_ns": _time(
        "time that tasks wait less than if all had missed: negative if they wait longer",
        "the reads' part of wait_ns if all had missed - wait_ns",
        "maximize",
    ),
    "wait_saved_ratio": _ratio(
        "time that tasks wait less, as a share of what they would wait for reads if all had missed",
        "wait_saved_ns / the reads' part of wait_ns if all had missed",
        "maximize",
    ),
    "share_of_ideal": _ratio(
        "restored pages as a share of what a clairvoyant cache would restore: above 1 of a system "
        "that compresses or is ordinary memory",
        "restored / restored by the ideal",
        "maximize",
    ),
}
