"""A phone: apps that are launched cold or warm, used, cached, and killed when memory is short.

A cold launch faults in the app's code and resources in clustered runs, and shared libraries, which
are hot; the app's tagged heap grows to its full size. A warm launch touches a part of this again.
Which app is launched follows a Zipf law, as usage does. When a new app needs room, the app that was
cached longest is killed, as lmkd does, and its whole heap goes. Now and then a camera takes a burst
of tagged memory for a moment.

Its model is a kernel that was recorded under MGLRU: 70 launches over 224 MiB of memory had 31,559
insertions, of which 13 % were refaults, 27,556 distinct pages, 84,987 tagged allocations (2.7 for
each insertion), and never more than 25 % of memory tagged.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from core.accesses import ANONYMOUS, IN_FAULT, LARGE_FOLIOS, LOOKUP, UNMAP
from core.events import TAGGED
from core.workload.synthetic.load import Load, Reads, missed_reads
from core.workload.synthetic.popularity import scattered, zipf_ranks
from core.workload.synthetic.run_accesses import (
    Generator,
    Random,
    RunAccesses,
    begin_phase,
    run_accesses,
)
from core.workload.synthetic.tagged_heaps import TaggedHeaps, heaps_load

#: Apps that are cached beside the one in front.
_CACHED = 8
# The inode of the libraries, and the number of the camera's address space.
_LIBRARIES, _CAMERA = 1 << 16, 1 << 20
#: The size of the libraries that every app maps, as a share of all files.
_LIBRARY_SHARE = 0.2
#: Pages of a clustered run, as fault-around and the linker's layout make them.
_RUN_PAGES = 8
#: The share of its app that a launch reads: a cold one, and a warm one.
_COLD_SHARE, _WARM_SHARE = 0.6, 0.15
#: The share of it that comes by faults; the rest (resources, databases) is read by descriptor.
_MAPPED_SHARE = 0.73
#: Runs that a launch reads for each one of its share: those that are popular come again.
_RUNS_READ = 1.5
#: The skew of the runs of an app; and that of all apps' pages, about: apps have a skew too.
_RUN_SKEW, _PAGE_SKEW = 0.4, 0.5
#: Pages of libraries that are read in a step, and the least skew of them.
_LIBRARY_READS, _LIBRARY_SKEW = 400, 0.5
_STEPS_A_LAUNCH = 4
#: Aligned rows of a run that memory grows by: one where growth begins, and about 3 anywhere else.
_ROWS_GROWN = (1 + 3 * (_STEPS_A_LAUNCH - 1)) / _STEPS_A_LAUNCH
#: Pages that a fault of a file reads around it, as measured of the default readahead.
_READ_AROUND_PAGES = 16


@dataclass(frozen=True)
class AppLaunch(Generator):
    """Launches over a population of apps; `anonymous_ratio` is untagged memory of apps."""

    meaning: ClassVar[str] = (
        "a phone: apps with tagged heaps are launched, used, cached, killed when memory is short"
    )

    launches: int = 300
    apps: int = 40
    file_ratio: float = 0.9
    skew: float = 0.8
    large_folio_ratio: float = 0.0
    anonymous_ratio: float = 0.15
    tagged_ratio: float = 0.12
    burstiness: float = 0.3

    def phases(self) -> tuple[str, ...]:
        """Return a phase for each app: its launch, up to the last page that this reads."""
        return tuple(f"launch app {app}" for app in range(self.apps))

    def load(self, data_pages: int) -> Load:
        """Return how much it accesses."""
        camera = heaps_load(
            _STEPS_A_LAUNCH * self.launches, data_pages, self.tagged_ratio * self.burstiness, 1.0
        )
        # An app that is not among those that are cached starts cold.
        cold = missed_reads([Reads(self.launches, self.apps, self.skew)], _CACHED + 1)
        read = _RUNS_READ * (cold * _COLD_SHARE + (self.launches - cold) * _WARM_SHARE)
        app_pages = max(16, self.file_ratio * data_pages * (1 - _LIBRARY_SHARE) / self.apps)
        libraries = max(64, self.file_ratio * data_pages * _LIBRARY_SHARE)
        shared = _LIBRARY_READS * _STEPS_A_LAUNCH * self.launches
        share = data_pages / (_CACHED + 1)
        tagged = share * self.tagged_ratio * (1 - self.burstiness)
        grown = self.launches * (tagged + share * self.anonymous_ratio)
        return camera._replace(
            tagged=camera.tagged + cold * tagged,
            held_ratio=camera.held_ratio + self.tagged_ratio + self.anonymous_ratio,
        ).beside(
            read * app_pages / _RUN_PAGES + shared + _ROWS_GROWN / _RUN_PAGES * grown,
            Reads(read * app_pages, self.apps * app_pages, _PAGE_SKEW),
            Reads(shared, libraries, max(self.skew, _LIBRARY_SKEW), _READ_AROUND_PAGES),
        )

    def steps(self, random: Random, data_pages: int) -> Iterator[list[RunAccesses]]:
        """Yield the accesses of each step; a launch takes a few steps."""
        camera = TaggedHeaps(random, data_pages, self.tagged_ratio * self.burstiness, 1.0, _CAMERA)
        libraries = max(64, round(self.file_ratio * data_pages * _LIBRARY_SHARE))
        app_pages = self.file_ratio * data_pages * (1 - _LIBRARY_SHARE) / self.apps
        sizes = np.maximum(16, app_pages * random.lognormal(-0.18, 0.6, self.apps)).astype(int)
        share = data_pages / (_CACHED + 1)
        weights = sizes / app_pages
        tagged = (share * self.tagged_ratio * (1 - self.burstiness) * weights).astype(np.int64)
        untagged = (share * self.anonymous_ratio * weights).astype(np.int64)
        large = np.where(random.random(self.apps) < self.large_folio_ratio, LARGE_FOLIOS, 0)
        cached: list[int] = []
        for _ in range(self.launches):
            app = int(scattered(zipf_ranks(random, 1, self.apps, self.skew), self.apps, 5)[0])
            warm = app in cached
            cached = [other for other in cached if other != app] + [app]
            killed = cached.pop(0) if len(cached) > _CACHED + 1 else None
            for step in range(_STEPS_A_LAUNCH):
                first = step == 0
                code = _faults(random, app, int(sizes[app]), warm, int(large[app]))
                shared = _library_faults(random, libraries, self.skew)
                accesses = [begin_phase(0.0, app)] if first else []
                accesses += [code, shared]
                accesses += _memory(random, app, int(tagged[app]), int(untagged[app]), step)
                if first and killed is not None:
                    for space, pages in ((2 * killed, tagged), (2 * killed + 1, untagged)):
                        if pages[killed]:
                            accesses.append(run_accesses(0.1, UNMAP, space, 0, int(pages[killed])))
                if step == _STEPS_A_LAUNCH - 1:
                    accesses.append(begin_phase(max(code.moment.max(), shared.moment.max())))
                yield [*accesses, *camera.step()]


def _faults(random: Random, app: int, pages: int, warm: bool, flags: int) -> RunAccesses:
    """Return what a launch reads in one step, in runs that are the same in each launch."""
    runs = max(1, pages // _RUN_PAGES)
    share = (_WARM_SHARE if warm else _COLD_SHARE) / _STEPS_A_LAUNCH
    count = max(1, round(runs * share * _RUNS_READ))
    maps = np.where(random.random(count) < _MAPPED_SHARE, IN_FAULT, 0)
    run = scattered(zipf_ranks(random, count, runs, _RUN_SKEW), runs, 2 * app + 1)
    return run_accesses(
        random.random(count), LOOKUP, app, run * _RUN_PAGES, _RUN_PAGES, maps | flags
    )


def _library_faults(random: Random, pages: int, skew: float) -> RunAccesses:
    rank = zipf_ranks(random, _LIBRARY_READS, pages, max(skew, _LIBRARY_SKEW))
    return run_accesses(random.random(_LIBRARY_READS), LOOKUP, _LIBRARIES, rank, 1, IN_FAULT)


def _memory(random: Random, app: int, tagged: int, untagged: int, step: int) -> list[RunAccesses]:
    """Return how an app's memory grows in one step of a launch."""
    accesses = []
    for space, pages, flags in ((2 * app, tagged, TAGGED), (2 * app + 1, untagged, 0)):
        begin, end = pages * step // _STEPS_A_LAUNCH, pages * (step + 1) // _STEPS_A_LAUNCH
        if end > begin:
            first = np.arange(begin, end, _RUN_PAGES)
            size = np.minimum(_RUN_PAGES, end - first)
            moment = 0.2 + 0.7 * random.random(first.size)
            accesses.append(run_accesses(moment, ANONYMOUS, space, first, size, flags))
    return accesses
