"""What is in flight, on disk: so a driver that follows knows what its forerunners died over.

A driver that is killed counts for no trial: it may have been the machine, the batch system, or the
user. A policy that was in flight at two deaths is suspected, and replayed where its own death
tells: also in a later trial that has it, so that it kills two drivers at most. Nothing here is
synced: a power failure may forget deaths, and suspects nobody.
"""

from __future__ import annotations

import json
from collections.abc import Container, Iterable
from pathlib import Path

from core.files import DISK, Files
from sweep.results.errors import told_errors

#: Deaths after which a policy is suspected.
SUSPECTED = 2


class InFlight:
    """The files beside a database that say which trials of one study are in flight, one a batch.

    Trials are named by their keys, which they have in common with those of the same policy.

    Parameters
    ----------
    folder
        The spool's folder.
    study
        The study.
    complete
        The keys of trials that are complete: whatever died while they were in flight, they did not.
    files
        The file system.
    """

    def __init__(
        self, folder: Path, study: str, complete: Container[str], files: Files = DISK
    ) -> None:
        self._folder, self._study, self._files = folder, study, files
        self._deaths_file = folder / f"{study}.deaths"
        self._deaths: dict[str, int] = {}
        with told_errors(folder):
            self._add(self._deaths_file, complete)
            left = list(self._batch_files())
            before = sum(self._deaths.values())
            for file in left:
                self._add(file, complete)
        #: How many policies were in flight when the last driver died.
        self.died_with = sum(self._deaths.values()) - before
        if left:
            # In one step: whoever is killed here forgets no death, but may count one twice.
            draft = folder / f"{study}.deaths.draft"
            self._write(draft, self._deaths)
            with told_errors(folder):
                self._files.rename(draft, self._deaths_file)
            self._remove(left)

    def _batch_files(self) -> Iterable[Path]:
        for name in self._files.names(self._folder):
            number = name.removeprefix(f"{self._study}.").removesuffix(".in-flight")
            if name == f"{self._study}.{number}.in-flight" and number.isdigit():
                yield self._folder / name

    def _add(self, file: Path, complete: Container[str]) -> None:
        """Count the deaths that a file tells of."""
        if file.name not in self._files.names(self._folder):
            return
        try:
            for key, deaths in json.loads(self._files.read(file)).items():
                if key not in complete:
                    self._deaths[key] = self._deaths.get(key, 0) + int(deaths)
        except (ValueError, TypeError, AttributeError):
            return  # a power failure left it torn

    def suspects(self, key: str) -> bool:
        """Return whether a policy was in flight at so many deaths that it may be to blame."""
        return self._deaths.get(key, 0) >= SUSPECTED

    def begin(self, batch: int, keys: Iterable[str]) -> None:
        """Say that the trials of a batch are in flight from now on."""
        self._write(self._batch_file(batch), dict.fromkeys(keys, 1))

    def end(self, batch: int) -> None:
        """Say that the trials of a batch are in flight no more."""
        self._remove([self._batch_file(batch)])

    def forget(self, keys: Iterable[str]) -> None:
        """Forget the deaths of policies that are complete: they were not to blame."""
        for key in keys:
            self._deaths.pop(key, None)

    def close(self) -> None:
        """Say that nothing is in flight: this driver stops of its own will."""
        self._remove(self._batch_files())
        if not self._deaths:
            self._remove([self._deaths_file])

    def _batch_file(self, batch: int) -> Path:
        return self._folder / f"{self._study}.{batch}.in-flight"

    def _remove(self, files: Iterable[Path]) -> None:
        with told_errors(self._folder):
            for file in list(files):
                self._files.remove(file)

    def _write(self, file: Path, deaths: dict[str, int]) -> None:
        with told_errors(self._folder):
            self._files.make_folder(self._folder)
            self._files.write(file, json.dumps(deaths).encode())
