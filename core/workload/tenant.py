"""A tagged tenant beside an access trace that has no tagged memory, and a machine under it."""

from __future__ import annotations

from typing import Any

import numpy as np

from core.accesses import ANONYMOUS, UNMAP, Accesses
from core.workload.ftrace.memory import Memory
from core.workload.synthetic.asks import BOOT_RATIO, STEP_ASKS, rows_of
from core.workload.synthetic.heaps import Heaps
from core.workload.text import TraceError


def on_machine(accesses: Accesses, data_pages: int) -> Accesses:
    """Return the same accesses on a machine with so much memory.

    What was in use when the trace began still is; a trace of no machine meets one just started.

    Raises
    ------
    TraceError
        When less is left than the trace began with.
    """
    if data_pages == accesses.data_pages:
        return accesses
    in_use = accesses.data_pages - accesses.free_pages
    if not accesses.data_pages:
        in_use = round(data_pages * BOOT_RATIO)
    if data_pages <= in_use:
        raise TraceError(
            f"{accesses.source}: {data_pages * accesses.page_size} bytes of memory are not more "
            f"than the {in_use * accesses.page_size} that were in use when it began"
        )
    low, high = Memory(0, data_pages, accesses.page_size).watermarks()
    return accesses._replace(
        data_pages=data_pages,
        free_pages=data_pages - in_use,
        low_pages=low,
        high_pages=high,
        free_ranges=(),
    )


def with_tenant(accesses: Accesses, tagged_ratio: float, burstiness: float, seed: int) -> Accesses:
    """Return the accesses with tagged heaps laid over them, as `core.workload.synthetic.heaps`.

    The heaps live by accesses, a step for each 1000 rows, whatever the trace's clock says.
    """
    rows = accesses.op.size
    if tagged_ratio <= 0 or rows == 0:
        return accesses
    random = np.random.Generator(np.random.PCG64(seed))
    anonymous = (accesses.op == ANONYMOUS) | (accesses.op == UNMAP)
    space = int(accesses.inode[anonymous].max()) + 1 if anonymous.any() else 0
    heaps = Heaps(random, accesses.data_pages, tagged_ratio, burstiness, space)
    parts = []
    for first in range(0, rows, STEP_ASKS):
        begin_ns = int(accesses.time_ns[first])
        span_ns = int(accesses.time_ns[min(first + STEP_ASKS, rows) - 1]) - begin_ns
        asks = heaps.step()
        if asks:
            parts.append((first, rows_of(asks, begin_ns, span_ns)))
    tenant = {name: np.concatenate([part[name] for _, part in parts]) for name in accesses.columns}
    # Where many accesses have one time, a tenant's row stands among them as in their number.
    place = np.concatenate(
        [
            first + np.linspace(0, STEP_ASKS, part["op"].size, endpoint=False)
            for first, part in parts
        ]
    )
    order = np.argsort(np.concatenate([np.arange(rows), place]), kind="stable")
    columns: dict[str, Any] = {
        name: np.concatenate([column, tenant[name]])[order]
        for name, column in accesses.columns.items()
    }
    columns["time_ns"] = np.maximum.accumulate(columns["time_ns"])
    return accesses._replace(**columns)
