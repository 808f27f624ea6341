"""The compiled entries of the cleancache: two an eviction, for units of one page and of any order.

Each is compiled, and kept on disk, when it is first called: a study waits for those it needs alone.
Numba keeps no function on disk that was handed other functions, hence a plain one around each.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from core.eviction import clock, fifo, lru, none, random, s3fifo, sieve
from core.jit import entry
from core.policy import Eviction
from core.system.cleancache import lanes_over

_fifo_single = lanes_over(fifo, single=True)
_fifo_general = lanes_over(fifo, single=False)
_lru_single = lanes_over(lru, single=True)
_lru_general = lanes_over(lru, single=False)
_clock_single = lanes_over(clock, single=True)
_clock_general = lanes_over(clock, single=False)
_sieve_single = lanes_over(sieve, single=True)
_sieve_general = lanes_over(sieve, single=False)
_s3fifo_single = lanes_over(s3fifo, single=True)
_s3fifo_general = lanes_over(s3fifo, single=False)
_random_single = lanes_over(random, single=True)
_random_general = lanes_over(random, single=False)
_none_single = lanes_over(none, single=True, evicts=False)
_none_general = lanes_over(none, single=False, evicts=False)


@entry
def fifo_single(*arguments: Any) -> None:
    _fifo_single(*arguments)


@entry
def fifo_general(*arguments: Any) -> None:
    _fifo_general(*arguments)


@entry
def lru_single(*arguments: Any) -> None:
    _lru_single(*arguments)


@entry
def lru_general(*arguments: Any) -> None:
    _lru_general(*arguments)


@entry
def clock_single(*arguments: Any) -> None:
    _clock_single(*arguments)


@entry
def clock_general(*arguments: Any) -> None:
    _clock_general(*arguments)


@entry
def sieve_single(*arguments: Any) -> None:
    _sieve_single(*arguments)


@entry
def sieve_general(*arguments: Any) -> None:
    _sieve_general(*arguments)


@entry
def s3fifo_single(*arguments: Any) -> None:
    _s3fifo_single(*arguments)


@entry
def s3fifo_general(*arguments: Any) -> None:
    _s3fifo_general(*arguments)


@entry
def random_single(*arguments: Any) -> None:
    _random_single(*arguments)


@entry
def random_general(*arguments: Any) -> None:
    _random_general(*arguments)


@entry
def none_single(*arguments: Any) -> None:
    _none_single(*arguments)


@entry
def none_general(*arguments: Any) -> None:
    _none_general(*arguments)


#: Entries by eviction, then by whether every unit is one page.
ENTRIES: dict[tuple[Eviction, bool], Callable[..., None]] = {
    (Eviction.FIFO, True): fifo_single,
    (Eviction.FIFO, False): fifo_general,
    (Eviction.LRU, True): lru_single,
    (Eviction.LRU, False): lru_general,
    (Eviction.CLOCK, True): clock_single,
    (Eviction.CLOCK, False): clock_general,
    (Eviction.SIEVE, True): sieve_single,
    (Eviction.SIEVE, False): sieve_general,
    (Eviction.S3FIFO, True): s3fifo_single,
    (Eviction.S3FIFO, False): s3fifo_general,
    (Eviction.RANDOM, True): random_single,
    (Eviction.RANDOM, False): random_general,
    (Eviction.NONE, True): none_single,
    (Eviction.NONE, False): none_general,
}
