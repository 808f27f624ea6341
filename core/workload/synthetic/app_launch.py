"""A phone: apps that are launched cold or warm, used, cached, and killed when memory is short.

A cold launch faults in the app's code and resources in clustered runs, and shared libraries that
are hot; its heap, tagged, grows to its full size; a warm one touches a part again. What is launched
follows a Zipf law over the apps, as usage does. The app cached longest is killed as new ones come
(lmkd), and its whole heap goes. Now and then a camera takes a burst of tagged memory for a moment.
The `launch-mglru` capture: 70 launches over 224 MiB, 31,559 insertions of which 13 % are refaults,
27,556 distinct pages, 84,987 tagged allocations (2.7 for each insertion), at most 25 % of memory
tagged.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from core.accesses import ANONYMOUS, IN_FAULT, LARGE_FOLIOS, LOOKUP, UNMAP
from core.events import TAGGED
from core.workload.synthetic.asks import Asks, Random, ask, scattered, zipf_ranks
from core.workload.synthetic.heaps import Heaps

#: Apps that are cached beside the one in front, and what memory they share for their heaps.
_CACHED = 8
_LIBRARIES, _CAMERA = 1 << 16, 1 << 20
#: Of all files, the libraries that every app maps.
_LIBRARY_SHARE = 0.2
#: Pages of a clustered run, as fault-around and the linker's layout make them.
_RUN_PAGES = 8
#: What a launch reads of its app: cold, and warm.
_COLD_SHARE, _WARM_SHARE = 0.6, 0.15
#: Of them, what comes by faults; the rest is read by file descriptor (resources, databases).
_MAPPED_SHARE = 0.73
_STEPS_A_LAUNCH = 4


@dataclass(frozen=True)
class AppLaunch:
    """Launches over a population of apps; `anonymous_ratio` is untagged memory of apps."""

    launches: int = 300
    apps: int = 40
    file_ratio: float = 0.9
    skew: float = 0.8
    large_folio_ratio: float = 0.0
    anonymous_ratio: float = 0.15
    tagged_ratio: float = 0.12
    burstiness: float = 0.3

    def steps(self, random: Random, data_pages: int) -> Iterator[list[Asks]]:
        """Yield what each step asks for: a launch takes a few."""
        camera = Heaps(random, data_pages, self.tagged_ratio * self.burstiness, 1.0, _CAMERA)
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
                asks = [code, _library_faults(random, libraries, self.skew)]
                asks += _memory(random, app, int(tagged[app]), int(untagged[app]), step)
                if first and killed is not None:
                    for space, pages in ((2 * killed, tagged), (2 * killed + 1, untagged)):
                        if pages[killed]:
                            asks.append(ask(0.1, UNMAP, space, 0, int(pages[killed])))
                yield [*asks, *camera.step()]


def _faults(random: Random, app: int, pages: int, warm: bool, flags: int) -> Asks:
    """Return a step's share of what a launch reads, in runs that repeat from launch to launch."""
    runs = max(1, pages // _RUN_PAGES)
    share = (_WARM_SHARE if warm else _COLD_SHARE) / _STEPS_A_LAUNCH
    count = max(1, round(runs * share * 1.5))
    maps = np.where(random.random(count) < _MAPPED_SHARE, IN_FAULT, 0)
    run = scattered(zipf_ranks(random, count, runs, 0.4), runs, 2 * app + 1)
    return ask(random.random(count), LOOKUP, app, run * _RUN_PAGES, _RUN_PAGES, maps | flags)


def _library_faults(random: Random, pages: int, skew: float) -> Asks:
    rank = zipf_ranks(random, 400, pages, max(skew, 0.5))
    return ask(random.random(400), LOOKUP, _LIBRARIES, rank, 1, IN_FAULT)


def _memory(random: Random, app: int, tagged: int, untagged: int, step: int) -> list[Asks]:
    """Return the growth of an app's memory in one of its steps; what it has is touched again."""
    asks = []
    for space, pages, flags in ((2 * app, tagged, TAGGED), (2 * app + 1, untagged, 0)):
        begin, end = pages * step // _STEPS_A_LAUNCH, pages * (step + 1) // _STEPS_A_LAUNCH
        if end > begin:
            first = np.arange(begin, end, _RUN_PAGES)
            size = np.minimum(_RUN_PAGES, end - first)
            place = 0.2 + 0.7 * random.random(first.size)
            asks.append(ask(place, ANONYMOUS, space, first, size, flags))
    return asks
