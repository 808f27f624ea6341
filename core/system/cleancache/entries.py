"""The compiled entries of the cleancache: three an eviction, one for each form.

Each is compiled, and kept on disk, when it is first called: a study waits for those it needs alone.
Numba keeps no function on disk that was handed other functions, hence a plain one around each.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from core.eviction import clock, fifo, lru, none, random, s3fifo, sieve
from core.jit import entry
from core.policy import Eviction
from core.system.cleancache.loop import lanes_over
from core.system.cleancache.units import Form

_fifo_single = lanes_over(fifo, Form.SINGLE)
_fifo_general = lanes_over(fifo, Form.GENERAL)
_fifo_placed = lanes_over(fifo, Form.PLACED)
_lru_single = lanes_over(lru, Form.SINGLE)
_lru_general = lanes_over(lru, Form.GENERAL)
_lru_placed = lanes_over(lru, Form.PLACED)
_clock_single = lanes_over(clock, Form.SINGLE)
_clock_general = lanes_over(clock, Form.GENERAL)
_clock_placed = lanes_over(clock, Form.PLACED)
_sieve_single = lanes_over(sieve, Form.SINGLE)
_sieve_general = lanes_over(sieve, Form.GENERAL)
_sieve_placed = lanes_over(sieve, Form.PLACED)
_s3fifo_single = lanes_over(s3fifo, Form.SINGLE)
_s3fifo_general = lanes_over(s3fifo, Form.GENERAL)
_s3fifo_placed = lanes_over(s3fifo, Form.PLACED)
_random_single = lanes_over(random, Form.SINGLE)
_random_general = lanes_over(random, Form.GENERAL)
_random_placed = lanes_over(random, Form.PLACED)
_none_single = lanes_over(none, Form.SINGLE, evicts=False)
_none_general = lanes_over(none, Form.GENERAL, evicts=False)
_none_placed = lanes_over(none, Form.PLACED, evicts=False)


@entry
def fifo_single(*arguments: Any) -> None:
    _fifo_single(*arguments)


@entry
def fifo_general(*arguments: Any) -> None:
    _fifo_general(*arguments)


@entry
def fifo_placed(*arguments: Any) -> None:
    _fifo_placed(*arguments)


@entry
def lru_single(*arguments: Any) -> None:
    _lru_single(*arguments)


@entry
def lru_general(*arguments: Any) -> None:
    _lru_general(*arguments)


@entry
def lru_placed(*arguments: Any) -> None:
    _lru_placed(*arguments)


@entry
def clock_single(*arguments: Any) -> None:
    _clock_single(*arguments)


@entry
def clock_general(*arguments: Any) -> None:
    _clock_general(*arguments)


@entry
def clock_placed(*arguments: Any) -> None:
    _clock_placed(*arguments)


@entry
def sieve_single(*arguments: Any) -> None:
    _sieve_single(*arguments)


@entry
def sieve_general(*arguments: Any) -> None:
    _sieve_general(*arguments)


@entry
def sieve_placed(*arguments: Any) -> None:
    _sieve_placed(*arguments)


@entry
def s3fifo_single(*arguments: Any) -> None:
    _s3fifo_single(*arguments)


@entry
def s3fifo_general(*arguments: Any) -> None:
    _s3fifo_general(*arguments)


@entry
def s3fifo_placed(*arguments: Any) -> None:
    _s3fifo_placed(*arguments)


@entry
def random_single(*arguments: Any) -> None:
    _random_single(*arguments)


@entry
def random_general(*arguments: Any) -> None:
    _random_general(*arguments)


@entry
def random_placed(*arguments: Any) -> None:
    _random_placed(*arguments)


@entry
def none_single(*arguments: Any) -> None:
    _none_single(*arguments)


@entry
def none_general(*arguments: Any) -> None:
    _none_general(*arguments)


@entry
def none_placed(*arguments: Any) -> None:
    _none_placed(*arguments)


#: Entries by eviction and form.
ENTRIES: dict[tuple[Eviction, Form], Callable[..., None]] = {
    (Eviction.FIFO, Form.SINGLE): fifo_single,
    (Eviction.FIFO, Form.GENERAL): fifo_general,
    (Eviction.FIFO, Form.PLACED): fifo_placed,
    (Eviction.LRU, Form.SINGLE): lru_single,
    (Eviction.LRU, Form.GENERAL): lru_general,
    (Eviction.LRU, Form.PLACED): lru_placed,
    (Eviction.CLOCK, Form.SINGLE): clock_single,
    (Eviction.CLOCK, Form.GENERAL): clock_general,
    (Eviction.CLOCK, Form.PLACED): clock_placed,
    (Eviction.SIEVE, Form.SINGLE): sieve_single,
    (Eviction.SIEVE, Form.GENERAL): sieve_general,
    (Eviction.SIEVE, Form.PLACED): sieve_placed,
    (Eviction.S3FIFO, Form.SINGLE): s3fifo_single,
    (Eviction.S3FIFO, Form.GENERAL): s3fifo_general,
    (Eviction.S3FIFO, Form.PLACED): s3fifo_placed,
    (Eviction.RANDOM, Form.SINGLE): random_single,
    (Eviction.RANDOM, Form.GENERAL): random_general,
    (Eviction.RANDOM, Form.PLACED): random_placed,
    (Eviction.NONE, Form.SINGLE): none_single,
    (Eviction.NONE, Form.GENERAL): none_general,
    (Eviction.NONE, Form.PLACED): none_placed,
}
