"""What reads cost on a recorded device, estimated from when each was issued and completed.

A read is *alone* if nothing else is in flight on the device from its issue to its completion, and
*contiguous* if it begins at the sector where the request issued before it ends. Of reads alone that
are not contiguous:

* `read_random_ns` is the median time of reads of one page, from issue to completion.
* `read_sequential_ns` is the slope of that time over the number of pages: the median of the slopes
  between pairs of reads, each counted as often as its two differ in pages (a Theil-Sen estimate).

Of reads in parallel, the time between one completion and the next is a *gap*. It counts if nothing
but reads is in flight throughout it, and at least 24 of them (or 12, 6, 3: the most of which there
are enough gaps):

* `read_parallel_ns` is the median of what a command takes in each group of 16 gaps, one after the
  other: their time, less `read_sequential_ns` for each further page, divided by 16. Groups, since
  devices report completions in bursts.

The interval of 95 % is that of the order statistics of a median; of the slope, it is by a bootstrap
with a fixed seed.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from core.workload.ftrace.block_lines import SECTOR_BYTES, BlockRequests

#: Reads alone of one page, and reads alone of more pages, without which nothing is estimated.
NEEDED_READS = 30
#: Gaps of a group, and groups without which nothing is estimated.
GROUP_GAPS = 16
NEEDED_GROUPS = 20
#: Reads in flight throughout a gap: the most of these that has enough gaps.
DEPTHS = (24, 12, 6, 3)
_PAIRS, _RESAMPLES, _MOST_READS, _SEED = 20_000, 200, 10_000, 0

Int64 = NDArray[np.int64]
Float64 = NDArray[np.float64]


class Estimate(NamedTuple):
    """A cost as measured, with its interval of 95 %, and the samples that it is from."""

    cost_ns: int
    low_ns: int
    high_ns: int
    samples: int


class Lack(NamedTuple):
    """A cost that cannot be estimated: of what there is too little, found and needed."""

    what: str
    found: int
    needed: int


class ReadCosts(NamedTuple):
    """What reads of one device cost; the depth is that of the gaps, 0 without any."""

    costs: dict[str, Estimate | Lack]
    depth: int


def estimate_read_costs(requests: BlockRequests, page_size: int) -> ReadCosts:
    """Return the three costs of reading, as this module's text defines them.

    Parameters
    ----------
    requests
        The requests of one device, in the order of issue.
    page_size
        Bytes of a page.
    """
    latency_ns, pages = _alone(requests, page_size)
    sequential = _sequential(latency_ns, pages)
    further_ns = sequential.cost_ns if isinstance(sequential, Estimate) else 0
    parallel, depth = _parallel(requests, page_size, further_ns)
    one_page = latency_ns[pages == 1]
    costs: dict[str, Estimate | Lack] = {
        "read_random_ns": _median(one_page, one_page.size)
        if one_page.size >= NEEDED_READS
        else Lack("reads of one page that are alone on the device", one_page.size, NEEDED_READS),
        "read_parallel_ns": parallel,
        "read_sequential_ns": sequential,
    }
    return ReadCosts(costs, depth)


def _alone(requests: BlockRequests, page_size: int) -> tuple[Int64, Int64]:
    """Return (time, pages) of the reads that are alone and not contiguous.  # each [read]"""
    issued_ns, completed_ns = requests.issued_ns, requests.completed_ns
    size = issued_ns.size
    in_flight = np.arange(size) - np.searchsorted(np.sort(completed_ns), issued_ns, side="right")
    next_issue_ns = np.append(issued_ns[1:], np.iinfo(np.int64).max)
    ends = requests.sector + requests.sectors
    follows = np.zeros(size, dtype=np.bool_)
    follows[1:] = requests.sector[1:] == ends[:-1]
    pages, odd_bytes = np.divmod(requests.sectors * SECTOR_BYTES, page_size)
    chosen = requests.is_read & (in_flight == 0) & (next_issue_ns >= completed_ns)
    chosen &= ~follows & (pages > 0) & (odd_bytes == 0)
    return (completed_ns - issued_ns)[chosen], pages[chosen]


def _median(values: NDArray[np.int64] | Float64, samples: int) -> Estimate:
    """Return a median, and the order statistics that enclose that of the population."""
    ordered = np.sort(values)
    half_width = 0.98 * np.sqrt(ordered.size)
    low = max(0, int(np.floor(ordered.size / 2 - half_width)))
    high = min(ordered.size - 1, int(np.ceil(ordered.size / 2 + half_width)))
    return _estimate(float(np.median(ordered)), float(ordered[low]), float(ordered[high]), samples)


def _estimate(cost_ns: float, low_ns: float, high_ns: float, samples: int) -> Estimate:
    """Return an estimate in whole nanoseconds; a cost is not below 0, whatever noise says."""
    cost, low, high = (max(0, round(value)) for value in (cost_ns, low_ns, high_ns))
    return Estimate(cost, low, high, samples)


def _sequential(latency_ns: Int64, pages: Int64) -> Estimate | Lack:
    fewest = int((pages == pages.min()).sum()) if pages.size else 0
    found = min(fewest, pages.size - fewest)
    if found < NEEDED_READS:
        what = "reads of several pages, and as many of the fewest, that are alone on the device"
        return Lack(what, found, NEEDED_READS)
    draws = np.random.default_rng(_SEED)
    slope_ns = _slope(latency_ns, pages, draws)
    drawn = min(pages.size, _MOST_READS)
    slopes = []
    for _ in range(_RESAMPLES):
        rows = draws.integers(pages.size, size=drawn)
        slopes.append(_slope(latency_ns[rows], pages[rows], draws))
    # A bootstrap of fewer reads than there are shows too wide an interval, by a known factor.
    spread = np.sqrt(drawn / pages.size) * (np.percentile(slopes, (2.5, 97.5)) - slope_ns)
    low_ns, high_ns = (float(slope_ns + end) for end in spread)
    return _estimate(slope_ns, low_ns, high_ns, pages.size)


def _slope(latency_ns: Int64, pages: Int64, draws: np.random.Generator) -> float:
    """Return the median of the slopes of drawn pairs, each counted by its difference in pages."""
    # One read of the fewest pages and one of more in each pair: else most pairs would say nothing.
    fewest = pages == pages.min()
    first = draws.choice(np.flatnonzero(fewest), _PAIRS)
    second = draws.choice(np.flatnonzero(~fewest), _PAIRS) if not fewest.all() else first
    further = pages[second] - pages[first]
    slopes = (latency_ns[second] - latency_ns[first]) / np.maximum(further, 1)
    order = np.argsort(slopes)
    weight = np.cumsum(further[order])
    return float(slopes[order][np.searchsorted(weight, weight[-1] / 2)])


def _parallel(
    requests: BlockRequests, page_size: int, further_ns: int
) -> tuple[Estimate | Lack, int]:
    """Return what a command takes in parallel, and how many reads are in flight meanwhile."""
    gap_ns, depth, pages = _gaps(requests, page_size)
    needed = NEEDED_GROUPS * GROUP_GAPS
    enough = [least for least in DEPTHS if int((depth >= least).sum()) >= needed]
    if not enough:
        what = f"completions with {DEPTHS[-1]} more reads in flight, and nothing else"
        return Lack(what, int((depth >= DEPTHS[-1]).sum()), needed), 0
    deep = depth >= enough[0]
    groups = int(deep.sum()) // GROUP_GAPS
    command_ns = (gap_ns - (pages - 1) * further_ns)[deep][: groups * GROUP_GAPS]
    mean_ns = command_ns.reshape(groups, GROUP_GAPS).mean(axis=1)
    return _median(mean_ns, groups * GROUP_GAPS), enough[0]


def _gaps(requests: BlockRequests, page_size: int) -> tuple[Int64, Int64, Int64]:
    """Return (time, reads in flight, pages of the read that ends it) of the gaps between reads.

    A gap in which something else than reads is in flight is left out.  # each [gap]
    """
    order = np.argsort(requests.completed_ns, kind="stable")
    completed_ns, is_read = requests.completed_ns[order], requests.is_read[order]
    reads = _in_flight(requests, requests.is_read, completed_ns)
    others = _in_flight(requests, ~requests.is_read, completed_ns)
    # Issues only add to what is in flight until the gap ends, at the next completion.
    chosen = is_read[1:] & is_read[:-1] & (others[:-1] == 0)
    pages = np.maximum(1, requests.sectors[order] * SECTOR_BYTES // page_size)
    return np.diff(completed_ns)[chosen], reads[:-1][chosen], pages[1:][chosen]


def _in_flight(requests: BlockRequests, kind: NDArray[np.bool_], times_ns: Int64) -> Int64:
    """Return how many requests of a kind are in flight just after each time.  # [time]"""
    issued = np.searchsorted(np.sort(requests.issued_ns[kind]), times_ns, side="right")
    completed = np.searchsorted(np.sort(requests.completed_ns[kind]), times_ns, side="right")
    return (issued - completed).astype(np.int64)
