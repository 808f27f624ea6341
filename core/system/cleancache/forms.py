"""The forms in which the loop over lanes is compiled, and what all of its kernels are made for."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from core.eviction.queue import Eviction
from core.jit import Kernel, kernel, naming, wide

#: How restores leave a page: it stays, or it goes.
INCLUSIVE, EXCLUSIVE = range(2)


class Form(StrEnum):
    """What the kernels of a lane are made for.

    `single` knows that every unit is one page, whose number is then its slot's
    (benchmarks/kernels.py: twice as fast); `general` takes units of any order; `placed` besides
    places pages by more than the queue of free slots.
    """

    SINGLE = "single"
    GENERAL = "general"
    PLACED = "placed"


class Options(NamedTuple):
    """A policy as numbers; `replay` makes them of its fields, a row of int64 a lane."""

    workingset_only: int
    restore_mode: int  # INCLUSIVE or EXCLUSIVE
    drops_whole_units: int
    refuses_large: int
    folio_order: int
    headroom_slots: int
    seed: int
    placement: int  # a code of core.policy.Placement
    kept_blocks: int  # of a dynamic headroom
    discard_bits: int  # of 2**32 draws, those for which a hypervisor has discarded a page
    mapped_only: int
    looks_up_prefix: int
    background_units: int  # reclaimed where no slot is free; 0: a store makes room itself


@kernel
def read_options(options: NDArray[np.int64], lane: int) -> Options:
    """Return the options of a lane: a row, whose columns are the fields of `Options`."""
    return Options(
        wide(options[lane, 0]),
        wide(options[lane, 1]),
        wide(options[lane, 2]),
        wide(options[lane, 3]),
        wide(options[lane, 4]),
        wide(options[lane, 5]),
        wide(options[lane, 6]),
        wide(options[lane, 7]),
        wide(options[lane, 8]),
        wide(options[lane, 9]),
        wide(options[lane, 10]),
        wide(options[lane, 11]),
        wide(options[lane, 12]),
    )


class Specialised(NamedTuple):
    """What the kernels of one loop are made for: an eviction and a form.

    `name` tells their symbols from those of another loop.
    """

    name: str
    eviction: Eviction
    form: Form

    def named(self, function: Kernel) -> Kernel:
        """Decorate a kernel of this loop."""
        return naming(f"{self.name}_{self.form}")(function)

    @property
    def is_single(self) -> bool:
        """Whether every unit is one page."""
        return self.form is Form.SINGLE

    @property
    def is_placed(self) -> bool:
        """Whether more than the queue places pages."""
        return self.form is Form.PLACED
