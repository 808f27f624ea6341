"""Synthetic workloads: one generator a file, seeded, with parameters that a study can search.

A parameter means the same in all of them:

* `file_ratio`: the pages of all files; `tagged_ratio`: tagged pages while a burst is on;
  `anonymous_ratio`: untagged anonymous pages. Each is divided by the pages of data memory.
* `burstiness`: the share of tagged memory that comes in bursts.
* `skew`: the exponent of the Zipf law of popularity.
* `asks`: the accesses of the main load; `write_ratio`: the share of them that write.
* `large_folio_ratio`: the share of files that may have large folios.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, fields
from typing import Any, Protocol

import numpy as np

from core.accesses import Accesses
from core.workload.synthetic.app_launch import AppLaunch
from core.workload.synthetic.build import Build
from core.workload.synthetic.database import Database
from core.workload.synthetic.kasan import Kasan
from core.workload.synthetic.run_accesses import Random, RunAccesses, accesses_of_steps
from core.workload.synthetic.scan_loop import ScanLoop
from core.workload.synthetic.zipf import Zipf


class Generator(Protocol):
    """A synthetic workload: a frozen dataclass of its parameters."""

    def steps(self, random: Random, data_pages: int) -> Iterator[list[RunAccesses]]:
        """Yield the accesses of each step."""


GENERATORS: dict[str, type[Any]] = {
    "app_launch": AppLaunch,
    "build": Build,
    "database": Database,
    "kasan": Kasan,
    "scan_loop": ScanLoop,
    "zipf": Zipf,
}

#: Every parameter of a generator, with its (least, most); it is whole where these are integers.
PARAMETERS: dict[str, tuple[float, float]] = {
    "asks": (1, 100_000_000),
    "compiles": (1, 1_000_000),
    "launches": (1, 1_000_000),
    "apps": (1, 10_000),
    "file_ratio": (0.01, 100.0),
    "skew": (0.0, 3.0),
    "write_ratio": (0.0, 1.0),
    "large_folio_ratio": (0.0, 1.0),
    "anonymous_ratio": (0.0, 0.9),
    "tagged_ratio": (0.0, 0.9),
    "atomic_ratio": (0.0, 1.0),
    "burstiness": (0.0, 1.0),
}


def parameters_of(name: str) -> dict[str, float]:
    """Return the parameters of a generator and their defaults."""
    parameters: dict[str, float] = {}
    for field in fields(GENERATORS[name]):
        parameters[field.name] = field.default  # type: ignore[assignment]
    return parameters


def synthesise(
    name: str, parameters: dict[str, float], seed: int, data_pages: int, page_size: int
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
    """
    generator = GENERATORS[name](**parameters)
    random = np.random.Generator(np.random.PCG64(seed))
    source = f"{name} {asdict(generator)} seed {seed}"
    return accesses_of_steps(generator.steps(random, data_pages), data_pages, page_size, source)
