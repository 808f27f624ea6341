"""Policies: what to do with unused tag storage, one at a time by name or many as arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from enum import StrEnum
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray


class System(StrEnum):
    """What holds the unused tag storage."""

    CARVEOUT = "carveout"
    CLEANCACHE = "cleancache"


class Eviction(StrEnum):
    """Which unit is reclaimed when the cache needs room."""

    FIFO = "fifo"
    LRU = "lru"
    CLOCK = "clock"
    SIEVE = "sieve"
    S3FIFO = "s3fifo"
    RANDOM = "random"
    NONE = "none"


class Admission(StrEnum):
    """Which stores are let in."""

    ALL = "all"
    WORKINGSET = "workingset"


class Restore(StrEnum):
    """Whether a restored page keeps its copy."""

    INCLUSIVE = "inclusive"
    EXCLUSIVE = "exclusive"


class Drop(StrEnum):
    """What goes when a reservation hits a unit: the pages hit, or the whole unit."""

    PAGE = "page"
    FOLIO = "folio"


class LargeFolios(StrEnum):
    """What happens to folios of an order above 0."""

    CUT = "cut"
    REFUSE = "refuse"


class Metadata(StrEnum):
    """What describes tag pages: a ``struct page`` each, 16 bytes a cached page, or nothing."""

    MEMMAP = "memmap"
    COMPACT = "compact"
    NONE = "none"


MAX_FOLIO_ORDER = 9

#: Policy fields that hold a word, with their words.
WORDS: dict[str, type[StrEnum]] = {
    "system": System,
    "eviction": Eviction,
    "admission": Admission,
    "restore": Restore,
    "drop": Drop,
    "large_folios": LargeFolios,
    "metadata": Metadata,
}


def code(word: StrEnum) -> int:
    """Return the number that stands for `word` in kernels: its place in its enum."""
    return list(type(word)).index(word)


@dataclass(frozen=True)
class Policy:
    """One policy by its named fields (docs/model.md says what each does).

    Raises
    ------
    ValueError
        When a field is outside its domain.
    """

    system: System = System.CLEANCACHE
    eviction: Eviction = Eviction.LRU
    admission: Admission = Admission.ALL
    restore: Restore = Restore.INCLUSIVE
    drop: Drop = Drop.PAGE
    folio_order: int = 0
    large_folios: LargeFolios = LargeFolios.CUT
    headroom: float = 0.0
    metadata: Metadata = Metadata.MEMMAP
    seed: int = 0

    def __post_init__(self) -> None:
        for name, words in WORDS.items():
            object.__setattr__(self, name, words(getattr(self, name)))
        object.__setattr__(self, "headroom", float(self.headroom))
        if not 0 <= self.folio_order <= MAX_FOLIO_ORDER:
            raise ValueError(f"folio_order {self.folio_order} is not between 0 and 9")
        if not 0.0 <= self.headroom < 1.0:
            raise ValueError(f"headroom {self.headroom} is not in [0, 1)")
        if not 0 <= self.seed < 2**31:
            raise ValueError(f"seed {self.seed} is not between 0 and 2**31 - 1")


POLICY_FIELDS: tuple[str, ...] = tuple(field.name for field in fields(Policy))

PRESETS: dict[str, Policy] = {
    # "Guaranteed CMA" v2, 20251026203611.1608903-1
    "gcma": Policy(admission=Admission.WORKINGSET, large_folios=LargeFolios.REFUSE),
    # mm/cleancache.c of Linux 3.0 to 5.16
    "classic": Policy(eviction=Eviction.FIFO, restore=Restore.EXCLUSIVE),
}


class Policies(NamedTuple):
    """B policies as arrays, one element a lane; words are codes.  # each [lane]"""

    system: NDArray[np.uint8]
    eviction: NDArray[np.uint8]
    admission: NDArray[np.uint8]
    restore: NDArray[np.uint8]
    drop: NDArray[np.uint8]
    folio_order: NDArray[np.int64]
    large_folios: NDArray[np.uint8]
    headroom: NDArray[np.float64]
    metadata: NDArray[np.uint8]
    seed: NDArray[np.int64]

    @property
    def lanes(self) -> int:
        """Number of policies."""
        return int(self.system.size)


def pack(policies: Sequence[Policy]) -> Policies:
    """Return `policies` as arrays, lane by lane."""
    types: dict[str, type[np.generic]] = {
        "folio_order": np.int64,
        "headroom": np.float64,
        "seed": np.int64,
    }
    columns: dict[str, NDArray[Any]] = {}
    for name in POLICY_FIELDS:
        values = [getattr(policy, name) for policy in policies]
        if name in WORDS:
            codes = {word: code(word) for word in WORDS[name]}
            columns[name] = np.array([codes[word] for word in values], dtype=np.uint8)
        else:
            columns[name] = np.array(values, dtype=types[name])
    return Policies(**columns)
