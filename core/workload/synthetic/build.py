"""A build: compilers that read a source and its headers, grow a heap, write an object and end.

Headers are few and hot (a Zipf law over files), sources are read once a build, objects are written
and read again by the linker at its end, and then the next build begins: GCMA was measured beside a
kernel build (domain, "GCMA v2"). The compilers' heaps are the tagged memory, one a compile: they
live briefly and die whole, the load that scatters tagged pages most.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from core.accesses import ANONYMOUS, IN_FAULT, LARGE_FOLIOS, LOOKUP, UNMAP, WRITE
from core.events import TAGGED
from core.workload.synthetic.asks import Asks, Random, ask, zipf_ranks
from core.workload.synthetic.heaps import Heaps

# Headers at most; inodes of sources and objects, by their number, and of the compiler's own text.
_HEADERS = 4000
_SOURCES, _OBJECTS, _COMPILER = 1 << 16, 1 << 20, 1 << 24
#: Compiles in a step, and headers of a compile.
_COMPILES = 4
_INCLUDES = 120
#: Of all files, the shares of headers, of the compiler's text, and of objects; the rest is sources.
_HEADER_SHARE, _COMPILER_SHARE, _OBJECT_SHARE = 0.25, 0.15, 0.35
#: Of the tagged memory, what the compiles take; the rest is of programs that go on beside them.
_COMPILE_SHARE = 0.7
_SPACE = 1 << 20


@dataclass(frozen=True)
class Build:
    """Builds of one tree, one after the other."""

    compiles: int = 800
    file_ratio: float = 0.8
    skew: float = 0.9
    large_folio_ratio: float = 0.0
    tagged_ratio: float = 0.08
    burstiness: float = 0.3

    def steps(self, random: Random, data_pages: int) -> Iterator[list[Asks]]:
        """Yield what each step asks for."""
        heaps = Heaps(
            random, data_pages, self.tagged_ratio * (1 - _COMPILE_SHARE), self.burstiness, 0
        )
        tree = max(256, round(self.file_ratio * data_pages))
        header_pages = 1 + round(tree * _HEADER_SHARE) // _HEADERS
        headers = max(16, round(tree * _HEADER_SHARE / header_pages))
        files = max(64, self.compiles // 4)
        compiler_pages = max(16, round(tree * _COMPILER_SHARE))
        source_share = 1 - _HEADER_SHARE - _COMPILER_SHARE - _OBJECT_SHARE
        source_pages = max(1, round(tree * source_share / files))
        object_pages = max(1, round(tree * _OBJECT_SHARE / files))
        heap_pages = _COMPILE_SHARE * self.tagged_ratio * data_pages / _COMPILES
        large = np.where(random.random(files) < self.large_folio_ratio, LARGE_FOLIOS, 0)
        for first in range(0, self.compiles, _COMPILES):
            number = (first + np.arange(_COMPILES)) % files
            # One begins as another ends.
            place = (np.arange(_COMPILES) + random.random()) / _COMPILES * 0.6
            included = zipf_ranks(random, _COMPILES * _INCLUDES, headers, self.skew)
            when = np.repeat(place, _INCLUDES) + 0.2 * random.random(included.size)
            text = zipf_ranks(random, 200, compiler_pages, 0.9)
            heap = (heap_pages * random.lognormal(-0.3, 0.7, _COMPILES)).astype(np.int64)
            grown = heap > 0
            space = _SPACE + number
            asks = [
                ask(when, LOOKUP, included, 0, header_pages),
                ask(place, LOOKUP, _SOURCES + number, 0, source_pages, large[number]),
                ask(random.random(text.size) * 0.6, LOOKUP, _COMPILER, text, 1, IN_FAULT),
                _grow(random, space[grown], heap[grown], place[grown]),
                ask(place + 0.36, WRITE, _OBJECTS + number, 0, object_pages, large[number]),
                ask(place[grown] + 0.37, UNMAP, space[grown], 0, heap[grown]),
            ]
            if number[-1] >= files - _COMPILES:
                # The linker reads every object, and writes the image over an old one.
                every = np.arange(files)
                asks.append(
                    ask(0.99 + every / files / 200, LOOKUP, _OBJECTS + every, 0, object_pages)
                )
            yield [*asks, *heaps.step()]


def _grow(random: Random, space: np.ndarray, pages: np.ndarray, begin: np.ndarray) -> Asks:
    """Return the growth of heaps by runs of 8 pages."""
    runs = -(-pages // 8)
    owner = np.repeat(np.arange(space.size), runs)
    first = 8 * (np.arange(owner.size) - np.repeat(np.cumsum(runs) - runs, runs))
    size = np.minimum(8, pages[owner] - first)
    place = begin[owner] + 0.35 * (first / pages[owner]) + 0.01 * random.random(owner.size)
    return ask(place, ANONYMOUS, space[owner], first, size, TAGGED)
