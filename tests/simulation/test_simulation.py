"""Whatever happens to a driver, its study ends as if nothing had; and the simulation can tell."""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Callable
from typing import Any

import pytest
from schedule import REAL_ONE_IN, run_seed
from simulated_world import LawBroken

from sweep.engine import generations
from sweep.engine.driver import Driver
from sweep.engine.executor import Failure
from sweep.engine.in_flight import InFlight
from sweep.results import RunStore
from sweep.results.files import Files
from sweep.results.spool import Spool, _streams

#: Seconds for schedules, of which each takes 10 to 20 ms.
SECONDS = 20.0
#: Schedules in which a mistake is seen.
SEEN_WITHIN = 300


def test_every_law_holds_in_thousands_of_schedules() -> None:
    first = 0 if os.environ.get("CI") else int(time.time())
    for seed in range(first, first + 1200):
        if seed % REAL_ONE_IN:
            run_seed(seed, real=False)


def test_every_law_holds_on_a_real_database_and_real_files() -> None:
    for seed in range(8):
        run_seed(seed, real=True)


def test_a_seed_is_one_schedule() -> None:
    with pytest.raises(LawBroken) as first, pytest.MonkeyPatch.context() as patch:
        break_telling(patch)
        seed = first_seen()
        run_seed(seed, real=False)
    with pytest.raises(LawBroken) as second, pytest.MonkeyPatch.context() as patch:
        break_telling(patch)
        run_seed(seed, real=False)
    assert str(first.value) == str(second.value)


def first_seen() -> int:
    """Return the first seed whose schedule breaks a law."""
    for seed in range(SEEN_WITHIN):
        try:
            run_seed(seed, real=False)
        except LawBroken:
            return seed
    raise AssertionError(f"no law is broken in {SEEN_WITHIN} schedules")


def break_content_sync(patch: pytest.MonkeyPatch) -> None:
    """Write spooled rows without syncing them."""
    break_spool(patch, lambda files, partial, folder: files.sync(folder))


def break_name_sync(patch: pytest.MonkeyPatch) -> None:
    """Rename a file of the spool without syncing its name."""
    break_spool(patch, lambda files, partial, folder: None)


def break_spool(patch: pytest.MonkeyPatch, sync: Callable[[Files, Any, Any], None]) -> None:
    counter = itertools.count(1)

    def write(spool: Spool, rows: Any) -> None:
        spool.files.make_folder(spool.folder)
        partial = spool.folder / "1.partial"
        spool.files.write(partial, _streams(rows))
        spool.files.rename(partial, spool.folder / f"{next(counter):020d}-1.arrows")
        sync(spool.files, partial, spool.folder)

    patch.setattr(Spool, "write", write)


def break_telling(patch: pytest.MonkeyPatch) -> None:
    """Tell of trials before their rows are written."""
    acknowledge = Driver.acknowledge

    def tell_first(driver: Driver) -> None:
        told, driver._untold = driver._untold, []
        for trial in told:
            assert trial.row is not None
            driver._finished(trial.row)
        acknowledge(driver)

    patch.setattr(Driver, "acknowledge", tell_first)


def break_pending(patch: pytest.MonkeyPatch) -> None:
    """Forget rows that could not be written."""

    def acknowledge(store: RunStore) -> None:
        rows, store._pending = store._pending, []
        if rows:
            store.spool.write(rows)

    patch.setattr(RunStore, "acknowledge", acknowledge)


def break_deaths(patch: pytest.MonkeyPatch) -> None:
    """Suspect nobody of the deaths of drivers."""
    patch.setattr(InFlight, "suspects", lambda in_flight, place: False)


def break_blame(patch: pytest.MonkeyPatch) -> None:
    """Charge each trial of a batch that failed."""
    fail = Driver._fail

    def blame_all(driver: Driver, batch: Any, failure: Failure) -> None:
        for trial in batch if len(batch) > 1 else ():
            trial.attempts += 1
        fail(driver, batch, failure)

    patch.setattr(Driver, "_fail", blame_all)


def break_lost(patch: pytest.MonkeyPatch) -> None:
    """Charge a trial whose node is lost."""
    fail = Driver._fail
    patch.setattr(
        Driver, "_fail", lambda driver, batch, failure: fail(driver, batch, failure._replace(lost=False))
    )


def break_counting(patch: pytest.MonkeyPatch) -> None:
    """Give a trial up at its second failure."""
    patch.setattr("sweep.engine.driver.MAX_ATTEMPTS", 2)


def break_twins(patch: pytest.MonkeyPatch) -> None:
    """Forget trials that have the policy of another one that is replayed."""
    add = Driver.add

    def add_first(driver: Driver, trials: Any) -> None:
        add(driver, [trial for trial in trials if trial.key not in driver._alike])

    patch.setattr(Driver, "add", add_first)


def break_order(patch: pytest.MonkeyPatch) -> None:
    """Tell a sampler of trials as they come back."""

    def tell(search: Any, asked: Any) -> None:
        for trials in asked:
            for k in [k for k, trial in trials.items() if trial.row is not None]:
                search.tell(k, generations._told(trials.pop(k).row))
        while asked and not asked[0]:
            asked.popleft()

    patch.setattr(generations, "_tell_settled", tell)


def break_share(patch: pytest.MonkeyPatch) -> None:
    """Hand out all that waits."""
    patch.setattr(Driver, "_has_room", lambda driver, executor: True)


def break_closing(patch: pytest.MonkeyPatch) -> None:
    """End without bringing rows into the database, and without saying that nothing is in flight."""
    patch.setattr(Driver, "close", Driver.acknowledge)


BROKEN = [each for name, each in sorted(globals().items()) if name.startswith("break_")]


@pytest.mark.parametrize(
    "mistake", [each for each in BROKEN if each is not break_spool], ids=lambda each: each.__name__
)
def test_a_mistake_breaks_a_law(
    mistake: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    mistake(monkeypatch)
    print("SEED", first_seen())
