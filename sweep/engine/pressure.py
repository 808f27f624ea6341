"""Memory pressure: how far batches shrink, and how few of them run side by side, where memory ends.

A death for want of memory says little about what was replayed: whoever kills looks for the largest
process, or the newest. So what died is tried again with less beside it.
"""

from __future__ import annotations

from collections.abc import Callable

from sweep.engine.batching import MOST_TRIALS

#: So many batches come back, one after the other, before twice as much is tried again.
RECOVERED_AFTER = 16


class Pressure:
    """How many batches run side by side, and how many trials one has, by the deaths for memory.

    Parameters
    ----------
    note
        Called with a line, once, when it is the first time.
    """

    def __init__(self, note: Callable[[str], None]) -> None:
        self._note, self._told = note, False
        self._well = 0
        #: Batches that run side by side at most (None: as many as one likes), and trials of one.
        self.workers: int | None = None
        self.trials = MOST_TRIALS

    def rise(self, workers: int, trials: int) -> None:
        """Take in that a batch of so many trials died for memory, beside others or alone.

        Parameters
        ----------
        workers
            How many batches ran side by side.
        trials
            How many trials the batch had.
        """
        self._well = 0
        fewer = max(1, min(workers, self.workers or workers) // 2)
        # Where one trial alone is too much, nothing is beside it: idle workers hold memory, too.
        self.workers = fewer if trials > 1 else 1
        self.trials = max(1, min(trials, self.trials) // 2)
        if not self._told:
            self._told = True
            self._note(
                f"memory ran out while {workers} batches were replayed side by side: the batches "
                "that died are tried again, smaller and fewer at a time, which counts for no trial"
            )

    def fall(self) -> bool:
        """Take in that a batch came back; return whether more is tried from now on."""
        if self.workers is None:
            return False
        self._well += 1
        if self._well < RECOVERED_AFTER:
            return False
        self._well = 0
        self.workers, self.trials = 2 * self.workers, min(2 * self.trials, MOST_TRIALS)
        return True
