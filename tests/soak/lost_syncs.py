"""Power failures after every operation of a run: what was not synced by then is gone, or torn.

The operations of a real run are recorded, and repeated in a simulated file system up to one of
them; what a power failure leaves of that is written to a real folder, where the real code goes on.
"""

from __future__ import annotations

import random
import tempfile
from functools import cache, partial
from pathlib import Path
from typing import Any

from hazard import Counts, Hazard, each_case
from simulated_files import SimulatedFiles
from simulated_world import World
from tiny_runs import SAMPLERS, Told, check_ending, run
from watched_disk import OPERATIONS, READS, watched

#: An operation of a run, with what it was given: paths in the folder of the database, and content;
#: or ``told`` and the place of a trial.
Operation = tuple[str, tuple[Any, ...]]
_CHANGES = {*OPERATIONS, "write to"} - {*READS}
_ROOT = Path("/simulated")


class _Recording(Told):
    """The operations of a run in a folder, in order, and which trials it told of in between."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._folder = folder
        self.operations: list[Operation] = []

    def __call__(self, name: str, given: tuple[Any, ...]) -> None:
        if name == "copy":
            name, given = "new", given[1:]  # what goes into it is known once it is synced
        places = [each for each in given if isinstance(each, Path)]
        if name not in _CHANGES or not places[0].is_relative_to(self._folder):
            return
        content = [each for each in given if isinstance(each, bytes)]
        if name == "sync" and places[0].is_file():
            content = [places[0].read_bytes()]
        here = [_ROOT / place.relative_to(self._folder) for place in places]
        self.operations.append((name, (*here, *content)))

    def finished(self, row: dict[str, Any]) -> None:
        super().finished(row)
        self.operations.append(("told", (row["role"], row["number"])))


@cache
def recording(sampler: str) -> list[Operation]:
    """Return the operations of a run of a study."""
    with tempfile.TemporaryDirectory(prefix="sweep-soak-") as folder:
        recorded = _Recording(Path(folder))
        with watched(recorded):
            run(sampler, Path(folder, "results.duckdb"), recorded)
        return recorded.operations


def repeated(operations: list[Operation], chance: random.Random) -> tuple[SimulatedFiles, Told]:
    """Return the files after operations, and which trials were told by then."""
    files, told = SimulatedFiles(World(chance)), Told()
    files.has_folder(_ROOT)
    for name, given in operations:
        if name == "told":
            told.places.add(given)  # type: ignore[arg-type]
        elif name == "new":
            files.write(*given, b"")
        elif name == "write to":
            files.has_content(given[0], files.content(given[0]) + given[1])
        else:
            if name == "sync" and len(given) == 2:
                files.write(*given)  # DuckDB may have made it
                given = given[:1]
            getattr(files, name)(*given)
    return files, told


def lose_power(sampler: str, after: int, counts: Counts, seed: int) -> None:
    """Let the power fail after so many operations of a run, and run the study to its end."""
    chance = random.Random(seed)
    files, told = repeated(recording(sampler)[:after], chance)
    files.lose_power()
    with tempfile.TemporaryDirectory(prefix="sweep-soak-") as folder:
        for place, content in sorted(files.files().items()):
            real = Path(folder) / place.relative_to(_ROOT)
            if content is None:
                real.mkdir(exist_ok=True)
            else:
                real.write_bytes(content)
        counts.operations_failed += 1
        check_ending(sampler, Path(folder, "results.duckdb"), told, counts, seed)


def _case(seed: int, counts: Counts) -> None:
    chance = random.Random(seed)
    sampler = chance.choice(SAMPLERS)
    lose_power(sampler, chance.randint(1, len(recording(sampler))), counts, seed)


HAZARD = Hazard("lost syncs", partial(each_case, _case))
