"""Shards: the trials of a study dealt out to machines that do not know of each other."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

from core.errors import InputError
from sweep.study.model import Study
from sweep.study.samplers import SAMPLERS


class ShardError(InputError):
    """A share of a study that cannot be run by itself."""


@dataclass(frozen=True)
class Shard:
    """One of the equal shares of a study's trials.

    Every share has all baselines, so that each can be reported by itself, and so that merging holds
    the machines against each other.

    Parameters
    ----------
    index
        Which one, from 1.
    count
        How many there are.
    """

    index: int
    count: int

    def __str__(self) -> str:
        return f"{self.index}/{self.count}"

    def has(self, number: int) -> bool:
        """Return whether a trial is of this share; `number` is the trial's in the whole study.

        Of every `count` consecutive trials each share has one, and which one is drawn. Were it
        always the same one, a grid of two systems in two shards would give each share one system,
        and the cheaper one would be done in a fraction of the time. It hangs on nothing but the
        number, so a study that gets more trials keeps those that a share has.
        """
        round_number, place = divmod(number, self.count)
        digest = hashlib.sha256(f"{self.count} {round_number}".encode()).digest()
        return (place + int.from_bytes(digest[:8], "big")) % self.count == self.index - 1


def parse_shard(text: str) -> Shard:
    """Return the share that ``2/8`` means: the second of eight.

    Raises
    ------
    ShardError
        When it means none.
    """
    written = re.fullmatch(r"([0-9]{1,9})/([0-9]{1,9})", text)
    if written is None:
        raise ShardError(f"{text} is no share: 2/8 is the second of eight")
    shard = Shard(int(written[1]), int(written[2]))
    if not 1 <= shard.index <= shard.count:
        raise ShardError(f"there is no share {text}: the first of eight is 1/8, the last is 8/8")
    return shard


def check_shard(study: Study) -> None:
    """Raise `ShardError` if what a study asks for hangs on what was found before."""
    if study.stop.time is not None or study.stop.patience is not None:
        raise ShardError(
            f"study {study.study}: stop is of a whole study, and a share sees a part of its "
            "trials: leave stop or --shard out"
        )
    name = study.sampler.name
    if study.searched and not SAMPLERS[name].asks_ahead:
        ahead = ", ".join(each for each, kind in SAMPLERS.items() if kind.asks_ahead)
        raise ShardError(
            f"study {study.study}: --shard is for samplers that ask whatever was found ({ahead}); "
            f"{name} asks for what earlier trials make likely, so it needs all of them: run the "
            "study on a Ray cluster (--address), or give it another sampler"
        )
