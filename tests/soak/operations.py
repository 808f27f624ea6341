"""Operations on files that fail: the N-th of a whole run, or all from the N-th on, for any N."""

from __future__ import annotations

import errno
import os
import random
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

from hazard import Counts, Hazard, each_case
from tiny_runs import SAMPLERS, Told, check_ending, run, study_file
from watched_disk import READS, watched

from core.errors import InputError

#: More than a run has.
MOST_OPERATIONS = 110


class Failing:
    """Makes the operation of a number fail, and those after it if the disk stays broken.

    Parameters
    ----------
    at
        The number, from 1.
    code
        Of the error: no space left, or one of input and output.
    stays
        Whether all that follow fail too.
    """

    def __init__(self, at: int, code: int, stays: bool) -> None:
        self._at, self._code, self._stays = at, code, stays
        self.count = 0
        self.failed: list[str] = []

    def __call__(self, name: str, given: tuple[Any, ...]) -> None:
        if self._code == errno.ENOSPC and name in (*READS, "remove"):
            return
        self.count += 1
        if self.count == self._at or (self._stays and self.count > self._at):
            place = given[-1] if name in ("copy", "link") else given[0]
            self.failed.append(f"{name} {place.name}")
            raise OSError(self._code, os.strerror(self._code), str(place))


def fail_at(at: int, code: int, stays: bool, sampler: str, counts: Counts, seed: int) -> None:
    """Run a study whose N-th operation fails, if it has so many, and again."""
    study_file(sampler)  # whose operations are not the run's
    with tempfile.TemporaryDirectory(prefix="sweep-soak-") as folder:
        database, told = Path(folder, "results.duckdb"), Told()
        failing = Failing(at, code, stays)
        where = f"operation {at}, {errno.errorcode[code]}"
        try:
            with watched(failing):
                run(sampler, database, told)
        except InputError as error:
            text, full = str(error), code == errno.ENOSPC
            has_advice = "free some space" in text and "finished trials are kept" in text
            if os.strerror(code) not in text or "\n" in text or full != has_advice:
                counts.fault(seed, f"{where}, {failing.failed[:1]}: said {text!r}")
        except Exception as error:
            counts.fault(seed, f"{where}, {failing.failed[:1]}: {error!r}", "tracebacks")
        counts.operations_failed += len(failing.failed)
        check_ending(sampler, database, told, counts, seed)


def _case(seed: int, counts: Counts) -> None:
    chance = random.Random(seed)
    code, stays = chance.choice([errno.EIO, errno.ENOSPC]), chance.random() < 0.5
    at = 1 + seed % MOST_OPERATIONS  # one after the other
    fail_at(at, code, stays, chance.choice(SAMPLERS), counts, seed)


HAZARD = Hazard("operations", partial(each_case, _case))
