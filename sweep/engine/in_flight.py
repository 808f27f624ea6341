"""What is in flight, on disk: so a driver that follows knows what its forerunners died over.

A driver that is killed counts for no trial: it may have been the machine, the batch system, or the
user. A trial that was in flight at two deaths is suspected, and replayed where its own death tells.
Nothing here is synced: a power failure may forget deaths, and suspects nobody.
"""

from __future__ import annotations

import json
from collections.abc import Container, Iterable
from pathlib import Path

from sweep.results.errors import told_errors
from sweep.results.files import DISK, Files

#: A role and a number.
Place = tuple[str, int]
#: Deaths after which a trial is suspected.
SUSPECTED = 2


class InFlight:
    """The files beside a database that say which trials of one study are in flight, one a batch.

    Parameters
    ----------
    folder
        The spool's folder.
    study
        The study.
    recorded
        The trials that have their rows: whatever died while they were in flight, they did not.
    files
        The file system.
    """

    def __init__(
        self, folder: Path, study: str, recorded: Container[Place], files: Files = DISK
    ) -> None:
        self._folder, self._study, self._files = folder, study, files
        self._deaths_file = folder / f"{study}.deaths"
        self._deaths: dict[Place, int] = {}
        self._add(self._deaths_file, recorded)
        left = list(self._batch_files())
        for file in left:
            self._add(file, recorded)
        if left:
            self._write(self._deaths_file, self._deaths)
            self._remove(left)

    def _batch_files(self) -> Iterable[Path]:
        for name in self._files.names(self._folder):
            number = name.removeprefix(f"{self._study}.").removesuffix(".in-flight")
            if name == f"{self._study}.{number}.in-flight" and number.isdigit():
                yield self._folder / name

    def _add(self, file: Path, recorded: Container[Place]) -> None:
        """Count the deaths that a file tells of."""
        if file.name not in self._files.names(self._folder):
            return
        try:
            for role, number, deaths in json.loads(self._files.read(file)):
                place = (str(role), int(number))
                if place not in recorded:
                    self._deaths[place] = self._deaths.get(place, 0) + int(deaths)
        except (ValueError, TypeError):
            return  # a power failure left it torn

    def suspects(self, place: Place) -> bool:
        """Return whether a trial was in flight at so many deaths that it may have been to blame."""
        return self._deaths.get(place, 0) >= SUSPECTED

    def begin(self, batch: int, places: Iterable[Place]) -> None:
        """Say that the trials of a batch are in flight from now on."""
        self._write(self._batch_file(batch), dict.fromkeys(places, 1))

    def end(self, batch: int) -> None:
        """Say that the trials of a batch are in flight no more."""
        self._remove([self._batch_file(batch)])

    def close(self) -> None:
        """Say that nothing is in flight: this driver stops of its own will."""
        self._remove(self._batch_files())

    def _batch_file(self, batch: int) -> Path:
        return self._folder / f"{self._study}.{batch}.in-flight"

    def _remove(self, files: Iterable[Path]) -> None:
        with told_errors(self._folder):
            for file in list(files):
                self._files.remove(file)

    def _write(self, file: Path, deaths: dict[Place, int]) -> None:
        rows = [(role, number, count) for (role, number), count in deaths.items()]
        with told_errors(self._folder):
            self._files.make_folder(self._folder)
            self._files.write(file, json.dumps(rows).encode())
