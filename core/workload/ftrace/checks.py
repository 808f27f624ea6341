"""What an import of a trace counts that the recording's archive, or samples in it, count as well.

The archive has /proc/vmstat as it was just before and just after the trace, and the counters of a
cleancache if that is built into the kernel: what they grew by is the kernel's count.
docs/evidence.md says of each check how far both count the same. ``pgmajfault`` and ``pgpgin`` of
/proc/vmstat are not compared, for no count of an import is the same: the first counts swap as well,
the second swap and direct I/O, but no hole in a file.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from core.import_checks import COMPARISONS, ImportCheck
from core.workload.ftrace import frames

#: The archive's files that are compared. ``vmstat.start`` was read later than ``vmstat.before``.
VMSTAT_FILES = ("vmstat.start", "vmstat.before", "vmstat.after")
CACHE_FILES = ("cc.start", "cc.after")
# Kernels before 5.9 have no refaults of anonymous pages, and one counter.
_VMSTAT_COUNTERS = {
    "reclaimed_pages": re.compile(r"pgsteal_file"),
    "kernel_refaults": re.compile(r"workingset_refault(_file)?"),
    "allocated_pages": re.compile(r"pgalloc_\w+"),
    "freed_pages": re.compile(r"pgfree"),
}
_CACHE_COUNTERS = {name: re.compile(name) for name in ("reservations", "releases")}
#: What such a kernel has counted when it starts.
_NOTHING_YET = "reservations 0\nreleases 0"
_OURS = {
    "reclaimed_pages": frames.RECLAIMED_PAGES,
    "allocated_pages": frames.ALLOCATED_PAGES,
    "freed_pages": frames.FREED_PAGES,
    "reservations": frames.RESERVED_GROUPS,
    "releases": frames.RELEASED_GROUPS,
}


def kernel_counts(texts: Mapping[str, str]) -> tuple[tuple[str, int], ...]:
    """Return what the traced kernel counted itself, by the name of the check.

    Parameters
    ----------
    texts
        Files of the recording's archive by name, of which any may be missing.
    """
    begin = texts.get("vmstat.start", texts.get("vmstat.before", ""))
    counts = _grown(begin, texts.get("vmstat.after", ""), _VMSTAT_COUNTERS)
    in_cache = _grown(
        texts.get("cc.start", _NOTHING_YET), texts.get("cc.after", ""), _CACHE_COUNTERS
    )
    # A kernel with a cleancache, whose tag storage no tagged page reserves, counts none of these.
    return (*counts, *(in_cache if any(count for _, count in in_cache) else ()))


def counters_of(text: str) -> dict[str, int]:
    """Return the counters that a text has a line each of, by name: those of a kernel have 64 bits.

    They have 20 digits at most, and `int` takes no more than 4,300.
    """
    found = re.findall(r"^(\w+) +(\d{1,20})$", text, re.MULTILINE)
    return {name: int(digits) for name, digits in found if int(digits) < 2**64}


def _grown(begin: str, end: str, counters: Mapping[str, re.Pattern[str]]) -> list[tuple[str, int]]:
    """Return what each counter grew by from one text to another, if both texts have it."""
    before, after = counters_of(begin), counters_of(end)
    grown = []
    for name, pattern in counters.items():
        found = [counter for counter in after if pattern.fullmatch(counter)]
        if found and begin:
            grown.append((name, sum(after[one] - before.get(one, 0) for one in found)))
    return grown


def check_import(
    numbers: NDArray[np.int64], theirs: Sequence[tuple[str, int]], has_refaults: bool
) -> tuple[ImportCheck, ...]:
    """Return every count of an import of which the kernel's own is known.

    Parameters
    ----------
    numbers
        The counts of `core.workload.ftrace.state.KernelState`.
    theirs
        What `kernel_counts` returns.
    has_refaults
        Whether the trace has ``workingset_refault``.
    """
    kernel = dict(theirs)
    ours = {name: int(numbers[place]) for name, place in _OURS.items()}
    if "kernel_refaults" in kernel:
        kernel["returned_pages"] = kernel["kernel_refaults"]
        # The kernel takes no page that a write makes for a refault.
        ours["returned_pages"] = int(
            numbers[frames.RETURNED_PAGES] - numbers[frames.WRITE_RETURNED]
        )
    if has_refaults:
        refaults = frames.ROW_REFAULTS, frames.METADATA_REFAULTS, frames.WRITE_REFAULTS
        ours["kernel_refaults"] = sum(int(numbers[place]) for place in refaults)
    if numbers[frames.SAMPLES]:
        kernel |= {
            "tagged_pages": int(numbers[frames.TAGGED_SAMPLED]),
            "tagged_groups": int(numbers[frames.GROUPS_SAMPLED]),
        }
        ours |= {
            "tagged_pages": int(numbers[frames.TAGGED_AT_SAMPLES]),
            "tagged_groups": int(numbers[frames.GROUPS_AT_SAMPLES]),
        }
    order = [name for name in COMPARISONS if name in kernel and name in ours]
    return tuple(ImportCheck(name, kernel[name], ours[name]) for name in order)
