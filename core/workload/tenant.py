"""Access traces with a tenant that has tagged memory."""

from __future__ import annotations

from typing import Any

import numpy as np

from core.accesses import ANONYMOUS, UNMAP, Accesses
from core.workload.synthetic.load import STEP_ACCESSES
from core.workload.synthetic.run_accesses import rows_of
from core.workload.synthetic.tagged_heaps import TaggedHeaps


def with_tenant(accesses: Accesses, tagged_ratio: float, burstiness: float, seed: int) -> Accesses:
    """Return the accesses with those of tagged heaps among them.

    The heaps are those of `core.workload.synthetic.tagged_heaps`. Their time is counted in accesses
    of the trace, a step for each 1000 rows, so that they live as long in a slow trace as in a fast
    one.

    Parameters
    ----------
    accesses
        An access trace of a machine.
    tagged_ratio
        The share of data memory that the heaps take while a burst is on; 0 for no heaps.
    burstiness
        The share of it that comes in bursts.
    seed
        Of what is random in them.
    """
    rows = accesses.op.size
    if tagged_ratio <= 0 or rows == 0:
        return accesses
    random = np.random.Generator(np.random.PCG64(seed))
    anonymous = (accesses.op == ANONYMOUS) | (accesses.op == UNMAP)
    space = int(accesses.inode[anonymous].max()) + 1 if anonymous.any() else 0
    heaps = TaggedHeaps(random, accesses.data_pages, tagged_ratio, burstiness, space)
    parts = []
    for first in range(0, rows, STEP_ACCESSES):
        begin_ns = int(accesses.time_ns[first])
        span_ns = int(accesses.time_ns[min(first + STEP_ACCESSES, rows) - 1]) - begin_ns
        heap_accesses = heaps.step()
        if heap_accesses:
            parts.append((first, rows_of(heap_accesses, begin_ns, span_ns)))
    if not parts:  # the trace ends before a heap has a page
        return accesses
    tenant = {name: np.concatenate([part[name] for _, part in parts]) for name in accesses.columns}
    # Many accesses may have one time, so rows are merged by their numbers and not by their times.
    positions = np.concatenate(
        [
            first + np.linspace(0, STEP_ACCESSES, part["op"].size, endpoint=False)
            for first, part in parts
        ]
    )
    order = np.argsort(np.concatenate([np.arange(rows), positions]), kind="stable")
    columns: dict[str, Any] = {
        name: np.concatenate([column, tenant[name]])[order]
        for name, column in accesses.columns.items()
    }
    columns["time_ns"] = np.maximum.accumulate(columns["time_ns"])
    return accesses._replace(**columns)
