"""What is known of policies already: from this run, or from an earlier one of any study."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from sweep.engine.rows import Evaluated, together
from sweep.engine.trials import Keys, Trial
from sweep.results import RUN_VALUES, SCENARIO_VALUES, RunStore

#: What the outcomes that are kept may take: of each policy 6 KB for each workload in each scenario.
#: To read others back takes 200 ms. Those that came by Ray stay in its object store, of 100 MB.
REMEMBERED_BYTES = 64 * 2**20


class Known:
    """The policies that need not be replayed.

    Parameters
    ----------
    store
        The database.
    code_digest
        Of all code that decides outcomes.
    keys
        The worlds of the study.
    """

    def __init__(self, store: RunStore, code_digest: str, keys: Keys) -> None:
        self._store, self._worlds, self._digests = store, keys.worlds, keys.digests
        self._keys = store.database.known(code_digest)
        self._remembered: dict[str, tuple[Evaluated, int]] = {}
        # What `_remembered` is part of, oldest first: a batch goes as a whole, or its memory stays.
        self._batches: deque[tuple[Evaluated, list[str]]] = deque()
        self._held_bytes = 0

    def __contains__(self, key: object) -> bool:
        return key in self._keys

    def add(self, trials: Sequence[Trial], evaluated: Evaluated) -> None:
        """Take in what became of trials.  # evaluated: [trial x world], worlds fastest"""
        for place, trial in enumerate(trials):
            if trial.row and trial.row["state"] == "complete":
                self._keys.add(trial.key)
                self._remembered[trial.key] = (evaluated, place)
        self._batches.append((evaluated, [trial.key for trial in trials]))
        self._held_bytes += _bytes(evaluated)
        while self._held_bytes > REMEMBERED_BYTES and len(self._batches) > 1:
            oldest, keys = self._batches.popleft()
            self._held_bytes -= _bytes(oldest)
            for key in keys:
                if key in self._remembered and self._remembered[key][0] is oldest:
                    del self._remembered[key]

    def evaluated(self, keys: Sequence[str]) -> tuple[list[str], Evaluated]:
        """Return what became of policies, and the keys of those that are known still, in order.

        All that was added must be acknowledged.
        """
        unread = sorted({key for key in keys if key not in self._remembered})
        read = self._read(unread) if unread else {}
        known = [key for key in dict.fromkeys(keys) if key in self._remembered or key in read]
        parts = []
        for key in known:
            of_key, place = self._remembered.get(key) or (read[key], 0)
            first = place * len(self._worlds)
            parts.append(of_key.take(range(first, first + len(self._worlds))))
        return known, together(parts)

    def _read(self, keys: Sequence[str]) -> dict[str, Evaluated]:
        found = self._store.database.evaluated(keys)
        outcomes = _rows_by(found.outcomes, "key", "scenario")
        runs = _rows_by(found.runs, "key", "scenario", "events_digest")
        all_outcomes, all_runs = (
            found.outcomes.select(SCENARIO_VALUES),
            found.runs.select(RUN_VALUES),
        )
        read = {}
        for key in dict.fromkeys(found.outcomes["key"].to_pylist()):
            worlds = list(zip(self._worlds, self._digests, strict=True))
            of_worlds = [outcomes[key, world.name] for world, _ in worlds]
            of_runs = [runs[key, world.name, each] for world, digests in worlds for each in digests]
            read[key] = Evaluated(
                all_outcomes.take(np.array(of_worlds)), all_runs.take(np.array(of_runs))
            )
        return read


def _bytes(evaluated: Evaluated) -> int:
    return int(evaluated.outcomes.nbytes + evaluated.runs.nbytes)


def _rows_by(table: pa.Table, *names: str) -> dict[tuple[str, ...], int]:
    """Return the place of each row, by the values of some columns."""
    columns = [table[name].to_pylist() for name in names]
    return {key: place for place, key in enumerate(zip(*columns, strict=True))}
