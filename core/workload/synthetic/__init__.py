"""Synthetic workloads: one generator a file, seeded, with parameters that a study can search."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, fields
from typing import Any

import numpy as np

from core.accesses import Accesses
from core.declaration import Declaration, world
from core.workload.synthetic.app_launch import AppLaunch
from core.workload.synthetic.build import Build
from core.workload.synthetic.database import Database
from core.workload.synthetic.kasan import Kasan
from core.workload.synthetic.run_accesses import accesses_of_steps
from core.workload.synthetic.scan_loop import ScanLoop
from core.workload.synthetic.zipf import Zipf

GENERATORS: dict[str, type[Any]] = {
    "app_launch": AppLaunch,
    "build": Build,
    "database": Database,
    "kasan": Kasan,
    "scan_loop": ScanLoop,
    "zipf": Zipf,
}

#: Every parameter of a generator; it means the same in all of them.
PARAMETERS: dict[str, Declaration] = {
    "asks": world("accesses of the main load", bounds=(1, 100_000_000), unit="accesses"),
    "compiles": world("files that are compiled", bounds=(1, 1_000_000), unit="files"),
    "launches": world(
        "programs launched, one after the other", bounds=(1, 1_000_000), unit="launches"
    ),
    "apps": world("programs that there are to launch", bounds=(1, 10_000), unit="programs"),
    "file_ratio": world(
        "pages of all files over those of data memory", bounds=(0.01, 100.0), unit="ratio"
    ),
    "skew": world("exponent of the Zipf law of popularity", bounds=(0.0, 3.0)),
    "write_ratio": world("share of the accesses that write", bounds=(0.0, 1.0), unit="ratio"),
    "large_folio_ratio": world("share of files with large folios", bounds=(0.0, 1.0), unit="ratio"),
    "anonymous_ratio": world(
        "untagged anonymous pages over those of data memory", bounds=(0.0, 0.9), unit="ratio"
    ),
    "tagged_ratio": world(
        "tagged pages, while a burst is on, over those of data memory",
        bounds=(0.0, 0.9),
        unit="ratio",
    ),
    "atomic_ratio": world(
        "share of tagged allocations in atomic context", bounds=(0.0, 1.0), unit="ratio"
    ),
    "burstiness": world(
        "share of tagged memory that comes in bursts", bounds=(0.0, 1.0), unit="ratio"
    ),
}


def parameters_of(name: str) -> dict[str, float]:
    """Return the parameters of a generator and their defaults."""
    parameters: dict[str, float] = {}
    for field in fields(GENERATORS[name]):
        parameters[field.name] = field.default  # type: ignore[assignment]
    return parameters


def synthesise(
    name: str,
    parameters: dict[str, float],
    seed: int,
    data_pages: int,
    page_size: int,
    progress: Callable[[int], None] | None = None,
) -> Accesses:
    """Return the access trace of the generator `name`.

    Parameters
    ----------
    name
        A name in `GENERATORS`.
    parameters
        Its parameters; those that are missing have their defaults.
    seed
        Seed of what is random in it.
    data_pages, page_size
        The machine: its pages of data memory, and the bytes of a page.
    progress
        Called with the rows so far.
    """
    generator = GENERATORS[name](**parameters)
    random = np.random.Generator(np.random.PCG64(seed))
    source = f"{name} {asdict(generator)} seed {seed}"
    steps = generator.steps(random, data_pages)
    return accesses_of_steps(steps, data_pages, page_size, source, generator.phases(), progress)
