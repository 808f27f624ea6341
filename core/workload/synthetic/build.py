"""A build: compilers that read a source and its headers, grow a heap, write an object and end.

Headers are few and hot, by a Zipf law over files. Sources are read once in a build. Objects are
written, and read again by the linker at the end of the build; then the next build begins. The
patches of GCMA were measured beside such a build of a kernel ("GCMA v2"). Tagged memory is the heap
of each compile, which lives briefly and dies whole: no other load scatters tagged pages as much.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from core.accesses import ANONYMOUS, IN_FAULT, LARGE_FOLIOS, LOOKUP, UNMAP, WRITE
from core.events import TAGGED
from core.workload.synthetic.load import Load, Reads, rows_of_run
from core.workload.synthetic.popularity import zipf_ranks
from core.workload.synthetic.run_accesses import (
    Generator,
    Random,
    RunAccesses,
    begin_phase,
    run_accesses,
)
from core.workload.synthetic.tagged_heaps import TaggedHeaps, heaps_load

# The most headers there are; then the inodes of the first source, of the first object, and of the
# compiler's own text.
_HEADERS = 4000
_SOURCES, _OBJECTS, _COMPILER = 1 << 16, 1 << 20, 1 << 24
#: Compiles in a step, and headers that a compile reads.
_COMPILES = 4
_INCLUDES = 120
#: Pages of the compiler's text that are read in a step, and the skew of their popularity.
_TEXT_READS, _TEXT_SKEW = 200, 0.9
#: Pages of the runs that a compile's heap grows by.
_RUN_PAGES = 8
#: Shares of headers, of the compiler's text and of objects in all files; the rest is sources.
_HEADER_SHARE, _COMPILER_SHARE, _OBJECT_SHARE = 0.25, 0.15, 0.35
#: The share of tagged memory that compiles take; other programs, which run on, take the rest.
_COMPILE_SHARE = 0.7
_SPACE = 1 << 20
# The phases of each build.
_COMPILING, _LINKING = 0, 1


@dataclass(frozen=True)
class Build(Generator):
    """Builds of one tree, one after the other."""

    meaning: ClassVar[str] = (
        "builds of one tree, one after the other, by compilers with short-lived tagged heaps"
    )

    compiles: int = 800
    file_ratio: float = 0.8
    skew: float = 0.9
    large_folio_ratio: float = 0.0
    tagged_ratio: float = 0.08
    burstiness: float = 0.3

    def phases(self) -> tuple[str, ...]:
        """Return the phases of each build."""
        return ("compile", "link")

    def load(self, data_pages: int) -> Load:
        """Return how much it accesses."""
        heaps = heaps_load(
            self.compiles / _COMPILES,
            data_pages,
            self.tagged_ratio * (1 - _COMPILE_SHARE),
            self.burstiness,
        )
        tree = max(256, self.file_ratio * data_pages)
        header_pages = 1 + tree * _HEADER_SHARE // _HEADERS
        text = self.compiles / _COMPILES * _TEXT_READS
        files = max(64, self.compiles // 4)
        builds = self.compiles / files
        objects = max(files, tree * _OBJECT_SHARE)
        sources = max(files, tree * (1 - _HEADER_SHARE - _COMPILER_SHARE - _OBJECT_SHARE))
        # A compile's heap is 0.95 times the mean size on average.
        grown = 0.95 * self.compiles * _COMPILE_SHARE * self.tagged_ratio * data_pages / _COMPILES
        # A compile reads its headers and its source, writes its object, and gives its heap back.
        each = _INCLUDES * rows_of_run(header_pages) + rows_of_run(sources / files)
        each += rows_of_run(objects / files) + rows_of_run(grown / self.compiles)
        linked = builds * files * rows_of_run(objects / files)
        rows = self.compiles * each + text + grown / _RUN_PAGES + linked
        return heaps._replace(tagged=heaps.tagged + grown).beside(
            rows,
            Reads(self.compiles * _INCLUDES * header_pages, tree * _HEADER_SHARE, self.skew),
            Reads(text, max(16, tree * _COMPILER_SHARE), _TEXT_SKEW),
            Reads(builds * sources, sources, None),
            Reads(int(builds) * objects, objects, None),
        )

    def steps(self, random: Random, data_pages: int) -> Iterator[list[RunAccesses]]:
        """Yield the accesses of each step."""
        heaps = TaggedHeaps(
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
        begins = True
        for first in range(0, self.compiles, _COMPILES):
            number = (first + np.arange(_COMPILES)) % files
            # One compile begins as another ends.
            moment = (np.arange(_COMPILES) + random.random()) / _COMPILES * 0.6
            included = zipf_ranks(random, _COMPILES * _INCLUDES, headers, self.skew)
            when = np.repeat(moment, _INCLUDES) + 0.2 * random.random(included.size)
            text = zipf_ranks(random, _TEXT_READS, compiler_pages, _TEXT_SKEW)
            heap = (heap_pages * random.lognormal(-0.3, 0.7, _COMPILES)).astype(np.int64)
            grown = heap > 0
            space = _SPACE + number
            accesses = [begin_phase(0.0, _COMPILING)] if begins else []
            accesses += [
                run_accesses(when, LOOKUP, included, 0, header_pages),
                run_accesses(moment, LOOKUP, _SOURCES + number, 0, source_pages, large[number]),
                run_accesses(random.random(text.size) * 0.6, LOOKUP, _COMPILER, text, 1, IN_FAULT),
                _grow(random, space[grown], heap[grown], moment[grown]),
                run_accesses(
                    moment + 0.36, WRITE, _OBJECTS + number, 0, object_pages, large[number]
                ),
                run_accesses(moment[grown] + 0.37, UNMAP, space[grown], 0, heap[grown]),
            ]
            begins = bool(number[-1] >= files - _COMPILES)
            if begins:
                # The linker reads every object.
                every = np.arange(files)
                accesses += [
                    begin_phase(0.99, _LINKING),
                    run_accesses(
                        0.99 + every / files / 200, LOOKUP, _OBJECTS + every, 0, object_pages
                    ),
                ]
            yield [*accesses, *heaps.step()]


def _grow(random: Random, space: np.ndarray, pages: np.ndarray, begin: np.ndarray) -> RunAccesses:
    """Return the growth of heaps by runs."""
    runs = -(-pages // _RUN_PAGES)
    owner = np.repeat(np.arange(space.size), runs)
    first = _RUN_PAGES * (np.arange(owner.size) - np.repeat(np.cumsum(runs) - runs, runs))
    size = np.minimum(_RUN_PAGES, pages[owner] - first)
    moment = begin[owner] + 0.35 * (first / pages[owner]) + 0.01 * random.random(owner.size)
    return run_accesses(moment, ANONYMOUS, space[owner], first, size, TAGGED)
