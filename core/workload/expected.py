"""What a recipe's table takes to make and to hold, told before it is made."""

from __future__ import annotations

from typing import NamedTuple

from core.accesses import ANONYMOUS, LOOKUP, READ, TAKE, WRITE, Accesses
from core.events import SCHEMA, TAGGED
from core.workload.recipe import Recipe
from core.workload.synthetic import GENERATORS
from core.workload.synthetic.load import STEP_ACCESSES
from core.workload.synthetic.tagged_heaps import heaps_load

#: Bytes of an event in a table.
EVENT_BYTES: int = sum(field.type.byte_width for field in SCHEMA)
# What making a table takes at most at one time, as measured over all generators and two captures:
# bytes of a row of accesses, of an event, and of a page of data memory.
_ROW_BYTES, _MAKING_BYTES, _PAGE_BYTES = 56, 62, 60
#: Nanoseconds that a row of accesses takes to make and to read, and an event to write.
_ROW_NS, _EVENT_NS = 1500, 400


class Expected(NamedTuple):
    """What making a table comes to.

    Of a generator, rows are within a quarter and events within 2x in tests.

    Parameters
    ----------
    rows
        Rows of the access trace, or of the capture under a tenant.
    events
        Events of the table: about; of an access trace, at most about twice as many as there are.
    making_bytes
        Memory that making it takes.
    making_s
        The seconds that this takes.
    """

    rows: int
    events: int
    making_bytes: int
    making_s: float

    @property
    def table_bytes(self) -> int:
        """The bytes of the table, on disk and in memory."""
        return EVENT_BYTES * self.events


class Touched(NamedTuple):
    """What of an access trace becomes events, in any memory."""

    rows: int
    reads: int  # pages that are read or written
    tagged: int  # tagged allocations


def touched_by(accesses: Accesses | None) -> Touched | None:
    """Return what of an access trace becomes events; None of what has none."""
    if accesses is None:
        return None
    op, order = accesses.op, accesses.order.astype("int64")
    reads = (op == READ) | (op == LOOKUP) | (op == WRITE)
    tagged = ((op == TAKE) | (op == ANONYMOUS)) & (accesses.flags & TAGGED != 0)
    return Touched(op.size, int((1 << order[reads]).sum()), int((1 << order[tagged]).sum()))


def expect(recipe: Recipe, touched: Touched | None) -> Expected:
    """Return what making a recipe's table comes to; nothing is made.

    Parameters
    ----------
    recipe
        The recipe.
    touched
        What `touched_by` returns of its accesses.
    """
    parameters, data_pages = dict(recipe.parameters), recipe.data_pages
    if recipe.generator is not None:
        load = GENERATORS[recipe.generator](**parameters).load(data_pages)
        return _expected(load.rows, load.events(data_pages), data_pages)
    rows = touched.rows if touched else recipe.trace.op.size if recipe.trace else 0
    heaps = heaps_load(
        rows / STEP_ACCESSES, data_pages, parameters["tagged_ratio"], parameters["burstiness"]
    )
    own = 2 * (touched.reads + touched.tagged) if touched else rows
    return _expected(rows + heaps.rows, own + 2 * heaps.tagged, data_pages)


def _expected(rows: float, events: float, data_pages: int) -> Expected:
    return Expected(
        round(rows),
        round(events),
        round(_ROW_BYTES * rows + _MAKING_BYTES * events + _PAGE_BYTES * data_pages),
        (_ROW_NS * rows + _EVENT_NS * events) / 1e9,
    )
