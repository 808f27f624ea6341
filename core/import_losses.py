"""What a table lacks, or what had to be guessed in it: counts by name, which stay with the table.

A result on lost or guessed information says so on its face: ``sweep trace info``, ``sweep
validate`` and the report show a sentence for each loss of a table.
"""

from __future__ import annotations

import re
from typing import NamedTuple

#: The sentence of each loss by its name; ``{count}`` stands for how often.
SENTENCES = {
    "lost_events": "{count} events were lost while recording: every count is too low by them",
    "uncounted_losses": "{count} times an unknown number of events was lost while recording",
    "overwritten_events": (
        "{count} events were overwritten in the ring buffer before they were read: every count is "
        "too low by them"
    ),
    "missing_events": (
        "{count} events are missing of those that the text's header counts: was it cut or filtered?"
    ),
    "cut_off_flags": "{count} files end within the gfp_flags of an event, as if cut off",
    "missing_buffers": "the buffers of {count} CPUs are not in it: their events lack",
    "garbage_lines": "{count} lines are no events",
    "raw_lines": "{count} lines are raw or hexadecimal (options raw and hex of tracefs): left out",
    "counted_times": (
        "{count} events have a time that counts (trace clock x86-tsc, counter or uptime) and "
        "tells no seconds: left out"
    ),
    "late_times": "{count} events have a time of more than 64 bits: left out",
    "events_without_time": "{count} events have no time that can be read: left out",
    "events_without_name": "{count} events have no name: left out",
    "function_graph_events": (
        "{count} events in lines of function_graph have no time or no task: left out"
    ),
    "unknown_tasks": (
        "{count} events do not tell their task: reclaim and requests of tasks are taken together"
    ),
    "missing_orders": (
        "{count} folios lack the order that others have: taken as single pages (cut lines?)"
    ),
    "allocations_without_flags": (
        "{count} page allocations have no gfp_flags that can be read: taken as untagged (cut "
        "lines?)"
    ),
    "guessed_gfp_numbers": (
        "{count} page allocations have gfp_flags as numbers, and nothing tells the kernel's "
        "version: a first line such as `# os release : 6.12.5` (uname -r) does"
    ),
    "undecoded_gfp_numbers": (
        "{count} page allocations have gfp_flags as numbers that fit no known kernel: taken as "
        "untagged"
    ),
    "unclear_gfp_numbers": (
        "{count} page allocations have bit 0x800000 of gfp_flags and are of no zeroed user page: "
        "taken as untagged (__GFP_NOLOCKDEP before Linux 5.14?)"
    ),
    "no_tagged_allocations": (
        "of {count} page allocations none asks for tags: were MTE and a program that uses it on?"
    ),
    "incomplete_events": (
        "{count} events lack a field, or have one that cannot be, and are left out"
    ),
    "clock_steps": (
        "{count} times the clock stepped back by more than 1 ms: time goes on there, and what lay "
        "in memory stays (of two recordings in one file, import each by itself; of the files of "
        "CPUs one behind the other, give them singly)"
    ),
    "events_before_first": (
        "{count} events are no later than the first one, up to 1 ms: was the trace written twice, "
        "or the newest first?"
    ),
    "misaligned_folios": "{count} folios lie at no multiple of their size: left out",
    "frames_outside": "{count} events are of frames outside the memory: left out",
    "missed_frees": "{count} tagged frames were allocated anew and their free not seen",
    "unknown_orders": (
        "orders: unknown: {count} insertions and deletions do not tell the size of their folio: "
        "taken as single pages"
    ),
    "lost_packets": "{count} times packets were lost while recording: every count is too low",
    "overwritten_chunks": (
        "{count} chunks of the recorder's buffer were overwritten: what they held is missing"
    ),
    "discarded_chunks": (
        "{count} chunks came when the recorder's buffer was full: what they held is missing"
    ),
    "unreadable_ftrace": "{count} times the recorder could not read the kernel's buffer",
    "unreadable_bundles": "{count} bundles of events are damaged: the rest of each is missing",
    "unreadable_packets": "{count} packets cannot be read: what they held is missing",
    "cut_off_packets": "{count} files end inside a packet: what came after it is missing",
    "unread_bytes": "{count} bytes are no packets, and are not read",
    "other_machines": "{count} bundles of events are of another machine, and are left out",
    "unknown_clocks": (
        "{count} events have times of a clock that nothing ties to the others: left out"
    ),
    "garbled_events": "{count} events are damaged, and are left out",
    "undescribed_events": (
        "{count} events are of a kind that the trace does not describe, and are left out"
    ),
    "empty_probes": (
        "{count} events of probes have no arguments, and are left out: define the probes in tracefs"
    ),
    "partial_events": (
        "{count} events are of a time of which other CPUs' events are already overwritten"
    ),
    "repeated_events": "{count} events are in the trace twice, and count once",
    "reclaim_or_truncation": (
        "{count} deletions are taken for truncation, but may be reclaim: kswapd's wake and sleep, "
        "begins of reclaim or the names of tasks would tell (sweep trace record records them)"
    ),
    "lost_reclaim_begins": (
        "{count} reclaims have no begin: what their task deleted before is taken for reclaim, as "
        "far back as it did nothing else"
    ),
    "lost_reclaim_ends": (
        "{count} reclaims have no end: each is taken to end where its task does something else"
    ),
    "shared_pids": (
        "{count} pids have several names by turns, or begin a reclaim within another: if they are "
        "of processes, reclaim and requests of their threads are taken together (perf script -F "
        "comm,tid,cpu,time,event,trace tells threads)"
    ),
    "unnumbered_tasks": (
        "{count} events are of tasks with pids that no kernel has: taken as one task"
    ),
    "guessed_page_size": "the size of a page is a guess by {count} folios, for nothing tells it",
    "guessed_memory": (
        "{count} frames of memory are a guess: nothing beside the trace tells the memory; give "
        "--memory and --memory-start, or the recording's archive (--meta)"
    ),
    "guessed_memory_start": (
        "{count} frames of memory, and where they begin is a guess: give --memory-start"
    ),
    "memory_holes": "{count} frames within the range of the memory are none: they count as memory",
    "no_page_alloc": (
        "file events only ({count} of the page cache, none of the page allocator): every tag block "
        "stays as the study's tagged tenant says (tagged_ratio), and free where it has none"
    ),
    "no_page_free": (
        "{count} tagged allocations, and no event of a page that is freed: tagged pages stay"
    ),
    "no_tag_probes": (
        "{count} tagged allocations, and no probe on what moves or maps tagged pages: those that "
        "are moved or are mapped as huge pages are not seen as tagged"
    ),
    "no_file_events": (
        "{count} events are of the page allocator, and none of the page cache: nothing can be "
        "cached, and only tagged pages are told"
    ),
    "no_insertions": (
        "{count} folios leave the page cache, and no event tells of one that enters it: nothing is "
        "ever restored"
    ),
    "no_deletions": (
        "{count} folios enter the page cache, and no event tells of one that leaves it: nothing is "
        "ever stored"
    ),
    "unflagged_stores": (
        "{count} stores have no flags of the folio: MAPPED is not taken as recorded"
    ),
    "guessed_flag_bits": (
        "{count} stores have flags of the folio, but nothing beside the trace tells the bits of "
        "folio->flags: taken as those of Linux 6.12"
    ),
    "contradicted_flags": (
        "{count} stores have another workingset bit in their flags than in the shadow of their "
        "refault: are the bits those of this kernel?"
    ),
    "requests_by_readahead": (
        "{count} requests: no mm_filemap_get_pages in it, readahead:page_cache_ events tell "
        "requests"
    ),
    "requests_by_device": (
        "{count} requests: no mm_filemap_get_pages in it, requests end where block_rq_issue sends "
        "them to the device, and each page of them is taken as waited for"
    ),
    "guessed_requests": (
        "{count} requests are guessed: neither mm_filemap_get_pages nor readahead:page_cache_ "
        "events nor block_rq_issue is in it"
    ),
    "modelled_accessed_bits": (
        "accessed bits: modelled: {count} faults are known to map a page, and no probe tells what "
        "reclaim saw of accessed bits: when mapped pages were accessed again is not known"
    ),
    "cut": "it is a part of a longer trace, of which {count} lines or rows were left out",
    "carried_frames": (
        "{count} frames were in use where it was cut: they are allocated at its first row"
    ),
    "dropped_rows": "{count} rows that no kernel could have produced were dropped by a repair",
    "copies_before_base": (
        "{count} page copies came before the first tagged allocation: taken as untagged"
    ),
    "guessed_time_unit": "the unit of times is guessed from how large they are",
    "doubtful_time_unit": "times are taken as seconds, which no one says",
    "doubtful_offset_unit": "offsets are taken as bytes, which is doubtful",
    "doubtful_size_unit": "sizes are taken as bytes, which is doubtful",
    "guessed_format": "the format is guessed: another one looks the same",
    "skipped_operations": "{count} requests neither read nor write, and are left out",
    "requests_without_file": "{count} requests name no file: taken as for one file",
    "columns_left_out": "columns that may say more are not used",
    "requests_are_issues": (
        "no request is there as it was queued (Q): the {count} issued to the device (D) are taken, "
        "in which merged requests count once"
    ),
    "requests_are_completions": (
        "no request is there as it was queued (Q) or issued (D): the {count} completed (C) are "
        "taken, at the time when they ended, and merged ones count once"
    ),
    "stacked_devices": (
        "{count} requests were passed on from a device that is in the trace too: both count"
    ),
    "requests_without_time": "{count} requests have no time",
    "operations_not_named": "{count} requests name no operation: taken as reads",
    "missing_requests": "{count} requests are missing of those that the file's header counts",
}


class Loss(NamedTuple):
    """Something that a table lacks, or that was guessed.

    Parameters
    ----------
    name
        One of `SENTENCES`.
    count
        How often.
    where
        What else helps to find it, such as ``the first in line 12``; empty where nothing does.
    """

    name: str
    count: int  # type: ignore[assignment]  # hides tuple.count
    where: str = ""

    @property
    def warning(self) -> str:
        """The loss as a sentence."""
        said, where = SENTENCES.get(self.name), f" ({self.where})" if self.where else ""
        if said is None:  # of another version, or of a stranger's: its name may hold anything
            return f"{self.count:,} {self.name.replace('_', ' ')}{where}"
        said = _of_one(said) if self.count == 1 else said
        return said.format(count=f"{self.count:,}") + where


#: Verbs of several things, and of one.
_VERBS = {"cannot": "cannot", "are": "is", "were": "was", "have": "has", "do": "does"} | {
    verb: f"{verb}s"
    for verb in ("lack", "tell", "end", "leave", "enter", "name", "begin", "come", "lie")
}
#: What follows the number in a sentence: at most three words, of which the last is a plural, and
#: its verb.
_PLURAL = re.compile(
    r"\{count\} ((?:(?!and |or |times )[a-z]+ ){0,2}?)(\w+s)\b((?: (?:of|in) [a-z_ ]+?)?),? ("
    + "|".join(_VERBS)
    + r")\b"
)
#: What is counted where no such verb follows.
_OTHERWISE = re.compile(
    r"\{count\} (time|frame|chunk|packet|row|folio|request|tagged allocation)s\b"
)
#: What stands behind the first verb, of several things and of a single one.
_AFTERWARDS = {
    " neither read nor write": " neither reads nor writes",
    " low by them": " low by it",
    " and are ": " and is ",
    " or have one ": " or has one ",
    "or begin a": "or begins a",
    " is no events": " is no event",
    " is no packets": " is no packet",
    " and count once": " and counts once",
    "before they were": "before it was",
    "what they held": "what it held",
    "each is taken": "it is taken",
    "where its task": "where the task",
    "what their task": "what its task",
    "tell their task": "tell its task",
    "and their free": "and its free",
    "in their flags": "in its flags",
    "of their refault": "of its refault",
    "of their size": "of its size",
    "of their folio": "of its folio",
    "where they begin": "where it begins",
    "if they are of processes": "if it is of a process",
    "of their threads": "of its threads",
}


def _of_one(sentence: str) -> str:
    """Return a sentence on several things as one on a single thing."""

    def single(found: re.Match[str]) -> str:
        kind, noun, more, verb = found.groups()
        noun = f"{noun[:-3]}y" if noun.endswith("ies") else noun[:-1]
        return f"{{count}} {kind}{noun}{more} {_VERBS.get(verb, verb)}"

    said = _PLURAL.sub(single, sentence, count=1)
    if said == sentence:
        said = _OTHERWISE.sub(r"{count} \1", sentence)
    if said == sentence:
        return said
    for several, one in _AFTERWARDS.items():
        said = said.replace(several, one)
    return said


def losses_of(counted: dict[str, tuple[int, str]]) -> tuple[Loss, ...]:
    """Return the losses among (count, where) by name: those of which there is at least one."""
    return tuple(Loss(name, int(count), where) for name, (count, where) in counted.items() if count)
