"""A recipe: all that makes a table of mm events which is not a capture's own.

Accesses come from a generator or from an access trace, and run through the front end; or a tenant
is laid over a capture's table. A table is made once, and kept under the digest of its recipe.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from core.accesses import Accesses
from core.events import Events
from core.frontend.out_of_memory import OutOfMemory
from core.frontend.run import Fronted, FrontEnd, Reclaim, run_frontend
from core.frontend.tag_storage_as_memory import TagMemory
from core.workload.kept_tables import is_kept, kept_table
from core.workload.overlay import with_tenant_over
from core.workload.resized import on_machine
from core.workload.synthetic import synthesise
from core.workload.tenant import with_tenant


@dataclass(frozen=True)
class Recipe:
    """What makes a table of mm events.

    Parameters
    ----------
    name
        The name that a study gives it.
    parameters
        (name, value) of the generator's parameters, or of the tenant laid over an access trace.
    seed
        Seed of what is random in it.
    data_pages, page_size
        The machine: its pages of data memory, and the bytes of a page.
    front_end
        The settings of the front end.
    generator
        The name of a generator, or None for an access trace.
    accesses, accesses_digest
        The access trace, and its digest, which tells it from others.
    tag_memory
        Tag storage that is memory too, if there is any.
    every_frame
        Whether untagged allocations are in the table too.
    trace, trace_digest
        A table of mm events over which a tenant is laid, in place of accesses, and its digest. No
        setting of a kernel and no size changes it.
    """

    name: str
    parameters: tuple[tuple[str, float], ...]
    seed: int
    data_pages: int
    page_size: int
    front_end: FrontEnd
    generator: str | None = None
    accesses: Accesses | None = None
    accesses_digest: str = ""
    tag_memory: TagMemory | None = None
    every_frame: bool = False
    trace: Events | None = None
    trace_digest: str = ""

    @property
    def table(self) -> Events | Accesses | None:
        """What it is made from, unless a generator makes that too."""
        return self.accesses if self.trace is None else self.trace

    @property
    def _untouched(self) -> Events | None:
        """The capture's own table, where no tenant is laid over it: it need not be made."""
        return None if dict(self.parameters).get("tagged_ratio") else self.trace

    def changed(self, values: dict[str, Any]) -> Recipe:
        """Return the recipe with other values of its own parameters, settings and machine.

        Parameters
        ----------
        values
            By name; ``page_size`` and ``data_memory``, in bytes, are the machine's. What the recipe
            does not have is ignored.
        """
        parameters = tuple((name, values.get(name, old)) for name, old in self.parameters)
        if self.trace is not None:
            return replace(self, parameters=parameters)
        settings = {name: values[name] for name in vars(self.front_end) if name in values}
        if "reclaim" in settings:
            settings["reclaim"] = Reclaim(settings["reclaim"])
        front_end = replace(self.front_end, **settings)
        page_size = values.get("page_size", self.page_size)
        memory = values.get("data_memory", self.data_pages * self.page_size)
        return replace(
            self,
            parameters=parameters,
            front_end=front_end,
            page_size=page_size,
            data_pages=memory // page_size,
        )

    def digest(self) -> str:
        """Return the digest of the recipe, by which its table is kept."""
        if self._untouched is not None:
            return self.trace_digest
        if self.trace is not None:
            laid_over = [self.trace_digest, self.parameters, self.seed, self.data_pages]
            return hashlib.sha256(json.dumps(laid_over).encode()).hexdigest()[:32]
        content = [
            *(self.generator, self.accesses_digest),
            *(self.parameters, self.seed, self.data_pages, self.page_size, vars(self.front_end)),
            *(self.tag_memory, self.every_frame),
        ]
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:32]

    def cook(self, progress: Callable[[int, int], None] | None = None) -> Fronted:
        """Make the table, and return it with what the front end counted.

        Parameters
        ----------
        progress
            Called with the accesses read so far, and with how many there are.

        Raises
        ------
        OutOfMemory
            When the machine has too little memory.
        """
        parameters = dict(self.parameters)
        if self.trace is not None:
            laid_over = (parameters["tagged_ratio"], parameters["burstiness"], self.seed)
            return Fronted(with_tenant_over(self.trace, *laid_over, self.data_pages, self.name), {})
        if self.accesses is None:
            assert self.generator is not None
            accesses = synthesise(
                self.generator, parameters, self.seed, self.data_pages, self.page_size
            )
        else:
            accesses = with_tenant(
                on_machine(self.accesses, self.data_pages), **parameters, seed=self.seed
            )
        try:
            return run_frontend(
                accesses, self.front_end, self.tag_memory, self.every_frame, progress
            )
        except OutOfMemory as error:
            more = "more data_memory or swap, or less tagged_ratio and anonymous_ratio"
            raise OutOfMemory(f"{error.what}: {more}", file=self.name) from None

    def events(self, progress: Callable[[int, int], None] | None = None) -> Events:
        """Return the table that is kept on disk; make it first if it is not there."""
        return self.fronted(progress).events if self._untouched is None else self._untouched

    def _as_told(self, kept: Fronted) -> Fronted:
        """Return a kept table with what is told of the trace that this recipe has.

        The digest is of what makes rows, so that the table may have been made from the same rows
        under another name, or imported by a version that told less of them.
        """
        if self.table is None:
            return kept
        told: dict[str, Any] = {"source": self.table.source, "losses": self.table.losses}
        if self.trace is not None:
            told = self.trace.about
        return kept._replace(events=kept.events._replace(**told))

    def is_kept(self) -> bool:
        """Return whether the table is on disk, or need not be made."""
        return self._untouched is not None or is_kept(self.digest())

    def fronted(self, progress: Callable[[int, int], None] | None = None) -> Fronted:
        """Return the table that is kept on disk, with what the front end counted.

        If it is not there it is made. Processes that need the same table at the same time wait for
        the first one, which makes it.
        """
        return self._as_told(kept_table(self.digest(), self.name, partial(self.cook, progress)))
