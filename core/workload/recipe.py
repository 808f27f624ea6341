"""A recipe: all that makes a table of mm events, where it is not a capture's own.

Accesses come from a generator or from an access trace, run through a front end. A table is made
once: it is kept on disk under the digest of its recipe, and every process of the machine maps the
same pages of it.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import ipc

from core.accesses import Accesses
from core.events import SCHEMA, Events, EventsError
from core.frontend.run import Fronted, FrontEnd, Reclaim, run_frontend
from core.frontend.tag_storage_as_memory import TagMemory
from core.jit import CORE_DIGEST, KEPT_FOLDER
from core.workload.synthetic import synthesise
from core.workload.tenant import on_machine, with_tenant

#: Tables kept on disk, of all recipes together; the one used longest ago goes first.
KEPT_BYTES = 4 << 30


@dataclass(frozen=True)
class Recipe:
    """What makes a table of mm events.

    Parameters
    ----------
    name
        What a user calls it.
    parameters
        (name, value) of the generator's parameters, or of the tenant laid over an access trace.
    seed
        Of what is random in it.
    data_pages, page_size
        The machine.
    front_end
        The kernel's settings.
    generator
        The generator's name; none for an access trace.
    accesses, accesses_digest
        The access trace and what tells it from others.
    tag_memory
        Tag storage, where it is memory too.
    every_frame
        Whether untagged allocations are in the table.
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

    def changed(self, values: dict[str, Any]) -> Recipe:
        """Return the recipe with those of `values` that are its own parameters or settings."""
        parameters = tuple((name, values.get(name, old)) for name, old in self.parameters)
        settings = {name: values[name] for name in vars(self.front_end) if name in values}
        if "reclaim" in settings:
            settings["reclaim"] = Reclaim(settings["reclaim"])
        front_end = replace(self.front_end, **settings)
        return replace(self, parameters=parameters, front_end=front_end)

    def digest(self) -> str:
        """Return what tells the recipe's table from those of other recipes."""
        content = [
            *(self.generator, self.accesses_digest),
            *(self.parameters, self.seed, self.data_pages, self.page_size, vars(self.front_end)),
            *(self.tag_memory, self.every_frame),
        ]
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:32]

    def cook(self) -> Fronted:
        """Return the table and what the front end counted, made anew.

        Raises
        ------
        EventsError
            When the machine's memory does not do.
        """
        parameters = dict(self.parameters)
        if self.accesses is None:
            assert self.generator is not None
            accesses = synthesise(
                self.generator, parameters, self.seed, self.data_pages, self.page_size
            )
        else:
            accesses = with_tenant(
                on_machine(self.accesses, self.data_pages), **parameters, seed=self.seed
            )
        fronted = run_frontend(accesses, self.front_end, self.tag_memory, self.every_frame)
        failures = fronted.counts["failures"]
        if failures:
            raise EventsError(
                f"{self.name}: memory ran out {failures:,} times: more data_memory or swap, "
                "or less tagged_ratio and anonymous_ratio"
            )
        return fronted

    def events(self) -> Events:
        """Return the table as it is kept on disk, made if it is not there."""
        return self.fronted().events

    def fronted(self) -> Fronted:
        """Return the table and what the front end counted, as kept on disk; made if not there.

        Processes that want the same table at once wait for the one that makes it.
        """
        folder = Path(KEPT_FOLDER)
        path = folder / f"{CORE_DIGEST}-{self.digest()}.arrow"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            lock = (folder / f"{path.name}.lock").open("w")
        except OSError:
            return self.cook()
        with lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not path.exists():
                _keep(path, self.cook())
            os.utime(path)
            return _kept(path)


def _keep(path: Path, fronted: Fronted) -> None:
    events = fronted.events
    about: dict[str, Any] = {"page_size": events.page_size, "data_pages": events.data_pages}
    about |= {"source": events.source}
    samples = [[*sample, count] for sample, count in fronted.samples.items()]
    told = {"events": about, "counts": fronted.counts}
    metadata = json.dumps(told | {"samples": samples, "series": fronted.series}).encode()
    table = pa.table(
        [pa.array(column) for column in events.columns.values()],
        schema=SCHEMA.with_metadata({b"fronted": metadata}),
    )
    partial = path.with_name(f"{path.name}.partial")
    with ipc.new_file(str(partial), table.schema) as writer:
        # In one batch: its columns are then mapped, not copied.
        writer.write_table(table, max_chunksize=max(1, table.num_rows))
    _make_room(path.parent, partial.stat().st_size)
    partial.replace(path)


def _make_room(folder: Path, wanted_bytes: int) -> None:
    """Delete the tables used longest ago; who has one mapped keeps it."""
    tables = []
    for path in folder.glob("*.arrow"):
        with contextlib.suppress(OSError):
            tables.append((path.stat().st_mtime_ns, path.stat().st_size, path))
    left = sum(size for _, size, _ in tables) + wanted_bytes
    for _, size, path in sorted(tables):
        if left <= KEPT_BYTES:
            break
        path.unlink(missing_ok=True)
        path.with_name(f"{path.name}.lock").unlink(missing_ok=True)
        left -= size


def _kept(path: Path) -> Fronted:
    table = ipc.open_file(pa.memory_map(str(path))).read_all()
    told = json.loads(table.schema.metadata[b"fronted"])
    columns = {name: table.column(name).combine_chunks().to_numpy() for name in SCHEMA.names}
    samples = {(atomic, blocks, moved): count for atomic, blocks, moved, count in told["samples"]}
    events = Events(**columns, **told["events"])
    return Fronted(events, told["counts"], samples, [tuple(point) for point in told["series"]])
