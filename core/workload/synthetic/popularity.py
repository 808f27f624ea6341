"""How often the items of a workload are used: ranks by a Zipf law, and where they lie."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def zipf_ranks(
    random: np.random.Generator, count: int, items: int, skew: float
) -> NDArray[np.int64]:
    """Return `count` ranks from 0 to `items` - 1, drawn in proportion to 1 / (rank + 1)**skew.

    The continuous distribution is inverted. Beyond the first ranks it is within a few percent of
    the discrete one, and it needs no table of `items`.
    """
    uniform = random.random(count)
    if abs(skew - 1) < 1e-6:
        ranks = np.exp(uniform * np.log(items + 1.0))
    else:
        end = (items + 1.0) ** (1 - skew)
        ranks = (uniform * (end - 1) + 1) ** (1 / (1 - skew))
    whole: NDArray[np.int64] = np.clip(ranks.astype(np.int64) - 1, 0, items - 1)
    return whole


def scattered(rank: NDArray[np.int64], items: int, salt: int) -> NDArray[np.int64]:
    """Return the item of each rank: a fixed permutation, which puts popular items far apart.

    Parameters
    ----------
    rank
        From 0, the most popular, to ``items - 1``.
    items
        How many there are.
    salt
        Another one gives another permutation.
    """
    step = _coprime(items, 0x9E3779B1 + 2 * salt)
    return (rank * step + salt) % items


def _coprime(items: int, near: int) -> int:
    step = near % items or 1
    while np.gcd(step, items) != 1:
        step += 1
    return step
