"""Imports the text that blkparse prints: requests of block devices."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from core.workload.requests.collector import Collector, ImportedRequests, TextKeys
from core.workload.requests.text_lines import (
    OTHER_FORM,
    Beginning,
    Matches,
    UnusedLines,
    places,
    read_matches,
    whole,
)
from core.workload.text import Progress

#: The unit of blkparse's offsets and sizes, whatever the device's own sectors are.
SECTOR_BYTES = 512
#: A line of blkparse, ``8,0 3 11 0.009507758 697 Q WS 223490 + 8 [proc]``, be it quoted in a mail;
#: a flush has no sector.
BLKPARSE = (
    r"^[\s>|]*(?P<file>\d{1,7},\d{1,7})\s+\d+\s+\d+\s+(?P<seconds>\d{1,9})\.(?P<fraction>\d{9})\s+\d+"
    r"\s+(?P<action>[A-Za-z]+)\s+(?P<rwbs>[A-Z]+)(?:\s+(?P<offset>\d+)\s+\+\s+(?P<size>\d+))?"
)
# Sought only in the lines of remapped requests (A), and in those without sectors.
_REMAPPED = re.compile(rb"<- *\((\d+,\d+)\)")
_PACKET = re.compile(rb"\d+,\d+\s.*\s[A-Z]+\s+(?:\d+ )?\([0-9a-f]{2} ")
_FIRST_LINE = re.compile(
    rb"^[ \t>|]*\d+,\d+[ \t]+\d+[ \t]+\d+[ \t]+\d+\.\d{9}[ \t]+\d+[ \t]+[A-Za-z]{1,2}[ \t]+[A-Z]+\b"
    rb"|^[ \t>|]*Input file \S+ added[ \t\r]*$",
    re.MULTILINE,
)
#: The actions of which one is used, the best first, each with the loss of using it.
_ACTIONS = {"Q": "", "D": "requests_are_issues", "C": "requests_are_completions"}
_OTHERS = {"Q": "queued", "D": "issued", "C": "completed"}
_AROUND, _NO_SECTORS = "lines around the requests", "requests of no sectors"
# What blkparse and blktrace print before and after the lines of requests.
_SUMMARY = (
    r"^[\s>|]*(?:Input file .* added|CPU *\d+ \(.*\):|Total(?: \(.*\))?:.*|Throughput \(R/W\): .*"
    r"|Events \(.*\): .*|Skips: .*|=== .* ===|CPU +\d+: .*|You have [\d,]+ dropped events.*"
    r"|Consider using a larger buffer .*|[^:]+ \(\d+(?:, \.\.\.)?\)"
    r"|(?:PC )?(?:Reads?|Writes?) [A-Z][a-z]+:.*|Read depth:.*|(?:IO|Timer) unplugs:.*|)\s*$"
)
# The sequence numbers that are missing, as blkparse sums up, and what blktrace dropped.
_SKIPPED = re.compile(rb"Skips: [\d,']+ forward \( *([\d,']+)")
_DROPPED = re.compile(rb"\(dropped ([\d,]+)\)|You have ([\d,]+) dropped events")
# A file is recognised by this much of its beginning.
_RECOGNISED_BYTES = 1 << 16


def is_blkparse(content: bytes) -> bool:
    """Return whether text begins as that of blkparse does, be it with other programs' lines."""
    return _FIRST_LINE.search(content[:_RECOGNISED_BYTES]) is not None


def import_blkparse(
    paths: Sequence[str | os.PathLike[str]],
    page_size: int = 4096,
    ignore_size: bool = False,
    source: str = "",
    progress: Progress | None = None,
) -> ImportedRequests:
    """Return the requests that were queued (Q), from the text that blkparse prints by default.

    Each device becomes a file. Discards, and flushes without data, are no requests for pages. In a
    trace of which no request was queued, those that were issued to the device (D) are taken, and
    without these the completed ones (C); a loss says so.

    Parameters
    ----------
    paths
        The parts in the order of time, each plain or compressed.
    page_size
        Bytes of a page.
    ignore_size
        Whether each request is taken as the one page that it begins in.
    source
        What the trace says of itself.
    progress
        Called with the bytes read of all files, and their size.

    Raises
    ------
    TraceError
        When a file cannot be read, or no line of the trace can be used.
    """
    unused, keys = UnusedLines(), TextKeys()
    collectors = {action: Collector(page_size, ignore_size) for action in _ACTIONS}
    there: Counter[str] = Counter()  # the lines of each action, and those that ask for pages
    asking: Counter[str] = Counter()
    remapped: Counter[bytes] = Counter()  # by the device that requests were remapped from
    devices: set[bytes] = set()
    lost_events = [0, 0]  # as blkparse sums up, and as blktrace says
    for matches in read_matches(paths, lambda name, text: Beginning(BLKPARSE, text, 1), progress):
        action, kinds = matches.fields["action"], _kinds(matches)
        asks = pc.equal(kinds, "")
        for name in _ACTIONS:
            is_one = pc.equal(action, name)
            there[name] += pc.sum(is_one).as_py() or 0
            rows = places(pc.and_(is_one, asks)) if there[name] else places(is_one)
            asking[name] += rows.size
            if name in collectors and rows.size:
                _add(collectors[name], keys, matches, rows)
        if there["Q"]:  # then the others are not needed, nor is the room that they take
            collectors = {"Q": collectors["Q"]}
        foreign = _foreign(matches)
        unused.add(matches, _labels(action, kinds), foreign)
        for at in matches.rows[places(pc.equal(action, "A"))].tolist():
            remapped.update(_REMAPPED.findall(matches.line(at))[:1])
        devices.update(pc.unique(matches.fields["file"]).to_pylist())
        around = np.setdiff1d(matches.others, foreign).tolist()
        unused.counts[_AROUND] += len(around)
        for at in around:
            for place, pattern in enumerate((_SKIPPED, _DROPPED)):
                lost_events[place] += _sum(pattern, matches.line(at))
    used = next((action for action in collectors if there[action]), "Q")
    counts = _counts(unused.counts, asking, used)
    if not asking[used]:
        seen = "; ".join(f"{kind} {count:,}" for kind, count in counts.items())
        raise unused.error(
            "no line is a read or a write that blkparse prints in its own form, such as "
            f"'8,0 3 11 0.009507758 697 Q WS 223490 + 8 [cat]'{' (' if seen else ''}{seen}"
            f"{')' if seen else ''}"
        )
    others = ", ".join(f"{what} ({name}): {asking[name]:,}" for name, what in _OTHERS.items())
    twice = sum(count for device, count in remapped.items() if device in devices)
    collector = collectors[used]
    collector.losses.update(
        {
            _ACTIONS[used]: (asking[used] if _ACTIONS[used] else 0, others),
            "lost_events": (max(lost_events), ""),
            "stacked_devices": (twice, b", ".join(sorted(devices & remapped.keys())).decode()),
            "garbage_lines": unused.of_another_form,
        }
    )
    imported = collector.finish(source)
    return imported._replace(counts={"lines": unused.lines} | imported.counts, unused=counts)


def _kinds(matches: Matches) -> pa.StringArray:
    """Return why each line asks for no page, whatever its action; empty where it asks for some."""
    fields = matches.fields
    offset, size = fields["offset"], fields["size"]
    words = fields["rwbs"].dictionary_encode()
    meanings = [_meaning(word) for word in words.dictionary.to_pylist()]
    has_data = pc.and_(pc.not_equal(size, ""), pc.not_equal(size, "0"))
    kinds = pc.if_else(
        has_data,
        pa.array([with_data for with_data, _ in meanings], pa.string()).take(words.indices),
        pa.array([without for _, without in meanings], pa.string()).take(words.indices),
    )
    bare = places(pc.equal(kinds, _NO_SECTORS))
    packets = [at for at in bare.tolist() if _PACKET.match(matches.line(int(matches.rows[at])))]
    kinds = _replace(kinds, np.array(packets, dtype=np.int64), ["packet commands"] * len(packets))
    is_far = pc.or_(pc.greater(pc.binary_length(offset), 15), pc.greater(pc.binary_length(size), 9))
    return pc.if_else(is_far, OTHER_FORM, kinds)


def _meaning(rwbs: str) -> tuple[str, str]:
    """Return why a request asks for no page, with sectors and without, by the word for its way."""
    if "D" in rwbs:
        return "discards", "discards"
    if "Z" in rwbs:  # a zone append (ZA) writes; the other commands for zones move no data
        commands = "commands for zones"
        return ("" if "ZA" in rwbs else commands), commands
    moves = "R" in rwbs or "W" in rwbs
    neither = "neither reads nor writes"
    return ("" if moves else neither), (
        "flushes" if "F" in rwbs else _NO_SECTORS if moves else neither
    )


def _labels(action: pa.StringArray, kinds: pa.StringArray) -> pa.StringArray:
    """Return what each line is counted as: its kind, of which action, or only its action."""
    is_request = pc.is_in(action, value_set=pa.array(list(_ACTIONS)))
    plain = pc.is_in(kinds, value_set=pa.array(["", OTHER_FORM]))
    told = places(pc.and_(is_request, pc.invert(plain)))
    names, whys = action.take(pa.array(told)), kinds.take(pa.array(told))
    joined = pc.binary_join_element_wise(names, whys, "\t").to_pylist()
    return _replace(pc.if_else(is_request, kinds, action), told, joined)


def _replace(words: pa.StringArray, at: NDArray[np.int64], new: list[str]) -> pa.StringArray:
    """Return words with some replaced by new ones."""
    if not at.size:
        return words
    chosen = np.zeros(len(words), dtype=np.bool_)
    chosen[at] = True
    return pc.replace_with_mask(words, pa.array(chosen), pa.array(new, pa.string()))


def _counts(labels: Counter[str], asking: Counter[str], used: str) -> dict[str, int]:
    """Return how many lines are unused, by kind; those of an action that is not used by it."""
    counts: Counter[str] = Counter()
    for label, count in labels.items():
        action, tab, kind = label.partition("\t")
        if tab:
            counts[kind if action == used else f"action {action}"] += count
        else:
            counts[label if label in (OTHER_FORM, _AROUND) else f"action {label}"] += count
    for action in _ACTIONS:
        if action != used:
            counts[f"action {action}"] += asking[action]
    return dict(+counts)


def _add(collector: Collector, keys: TextKeys, matches: Matches, rows: NDArray[np.int64]) -> None:
    """Add the requests of some of the lines that match."""
    chosen = pa.array(rows)
    fields = {
        key: matches.fields[key].take(chosen)
        for key in ("file", "seconds", "fraction", "rwbs", "offset", "size")
    }
    collector.add(
        whole(fields["seconds"]) * 1_000_000_000 + whole(fields["fraction"]),
        keys.keys(fields["file"]),
        whole(fields["offset"]) * SECTOR_BYTES,
        whole(fields["size"]) * SECTOR_BYTES,
        pc.match_substring_regex(fields["rwbs"], "W|ZA").to_numpy(zero_copy_only=False),
        matches.error_at(rows),
    )


def _foreign(matches: Matches) -> NDArray[np.int64]:
    """Return the lines of a chunk that neither match nor are among what is printed around them."""
    if not matches.others.size:
        return matches.others
    lines = pa.array([matches.line(at) for at in matches.others.tolist()], pa.binary())
    known = pc.match_substring_regex(lines, _SUMMARY).to_numpy(zero_copy_only=False)
    foreign: NDArray[np.int64] = matches.others[~known]
    return foreign


def _sum(pattern: re.Pattern[bytes], line: bytes) -> int:
    """Return the number in a line that a pattern finds, or 0."""
    found = pattern.search(line)
    digits = next((group for group in found.groups() if group), b"0") if found else b"0"
    return int(re.sub(rb"\D", b"", digits))
