"""Whatever happens to a driver, its study ends as if nothing had; and the simulation can tell."""

from __future__ import annotations

import itertools
import os
import re
import time
from collections.abc import Callable
from contextlib import nullcontext, suppress
from typing import Any

import pytest
from schedule import POISONS, run_seed, undisturbed
from simulated_study import STUDIES
from simulated_world import LawBroken

from core.files import Files
from sweep.engine import generations, in_flight
from sweep.engine.driver import Driver
from sweep.engine.executor import Cause, Executor, Failure
from sweep.engine.handed_out import HandedOut, Out
from sweep.engine.in_flight import InFlight
from sweep.engine.lateness import Lateness
from sweep.engine.trials import Trial
from sweep.results import RunStore, told_errors
from sweep.results.spool import Spool, content_of

#: Schedules of one run of the tests: each takes some 50 ms, on a real database 1 s.
SCHEDULES, REAL_SCHEDULES = 1000, 4
#: Schedules in which a mistake is seen.
SEEN_WITHIN = 300


def test_every_law_holds_in_every_schedule() -> None:
    first = 0 if os.environ.get("CI") else int(time.time())
    for seed in range(first, first + SCHEDULES):
        run_seed(seed, real=False)


def test_every_law_holds_on_a_real_database_and_real_files() -> None:
    for seed in range(REAL_SCHEDULES):
        run_seed(seed, real=True)


def test_a_seed_is_one_schedule(monkeypatch: pytest.MonkeyPatch) -> None:
    break_deaths(monkeypatch)
    broken = first_broken()
    with pytest.raises(LawBroken) as again:
        run_seed(int(re.findall(r"seed (\d+)", str(broken))[-1]), real=False)
    assert str(again.value) == str(broken)


def first_broken() -> LawBroken:
    """Return how the first schedule breaks a law that does."""
    for seed in range(SEEN_WITHIN):
        try:
            run_seed(seed, real=False)
        except LawBroken as broken:
            return broken
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
        spool.files.write(partial, content_of(rows))
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
            with told_errors(store.path):
                store.spool.write(rows)

    patch.setattr(RunStore, "acknowledge", acknowledge)


def break_deaths(patch: pytest.MonkeyPatch) -> None:
    """Suspect nobody of the deaths of drivers."""
    patch.setattr(InFlight, "suspects", lambda self, key: False)


def break_blame(patch: pytest.MonkeyPatch) -> None:
    """Charge each trial of a batch that failed."""
    fail = Driver._fail

    def blame_all(driver: Driver, out: Out, failure: Failure) -> None:
        for trial in out.batch if len(out.batch) > 1 else ():
            trial.attempts += 1
        fail(driver, out, failure)

    patch.setattr(Driver, "_fail", blame_all)


def break_lost(patch: pytest.MonkeyPatch) -> None:
    """Charge a trial whose node is lost."""
    fail = Driver._fail

    def blame(driver: Driver, out: Out, failure: Failure) -> None:
        for trial in out.batch if failure.cause is Cause.LOST else ():
            trial.attempts += 1
        fail(driver, out, failure)

    patch.setattr(Driver, "_fail", blame)


def break_memory(patch: pytest.MonkeyPatch) -> None:
    """Charge a trial for the memory that others took."""
    fail = Driver._fail
    patch.setattr(
        Driver, "_fail", lambda driver, out, why: fail(driver, out._replace(solo=True), why)
    )


def break_child(patch: pytest.MonkeyPatch) -> None:
    """Give a trial up for the deaths of workers that anybody may have killed."""

    def in_workers(driver: Driver, batch: list[Trial]) -> Executor:
        handed = driver._handed
        return handed.usual if handed.usual.isolates else handed.alone

    patch.setattr(Driver, "_executor_of", in_workers)


def break_time(patch: pytest.MonkeyPatch) -> None:
    """Let trials take as long as they like."""
    patch.setattr(Lateness, "look", lambda lateness, executor, batch_of: None)


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

    def advance(space: Any) -> None:
        for trials in space._asked:
            for k in [k for k, trial in trials.items() if trial.row is not None]:
                space._search.tell(k, generations._told(trials.pop(k).row))
        while space._asked and not space._asked[0]:
            space._asked.popleft()
        if space._asked:
            space._driver.advance()

    patch.setattr(generations._Subspace, "_advance", advance)


def break_share(patch: pytest.MonkeyPatch) -> None:
    """Hand out all that waits."""
    patch.setattr(HandedOut, "has_room", lambda handed, executor: True)


def break_closing(patch: pytest.MonkeyPatch) -> None:
    """End without bringing rows into the database, and without saying that nothing is in flight."""
    patch.setattr(Driver, "close", Driver.acknowledge)


def break_errors(patch: pytest.MonkeyPatch) -> None:
    """Let an error of the file system through as it is."""
    patch.setattr(in_flight, "told_errors", nullcontext)


def break_interrupts(patch: pytest.MonkeyPatch) -> None:
    """Go on after Ctrl-C."""
    advance = Driver.advance

    def go_on(driver: Driver) -> None:
        with suppress(KeyboardInterrupt):
            advance(driver)

    patch.setattr(Driver, "advance", go_on)


@pytest.mark.parametrize(
    ("mistake", "law"),
    [
        (break_content_sync, "told before it is safe"),
        (break_name_sync, "told before it is safe"),
        (break_telling, "told before it is safe"),
        (break_pending, "told before it is safe"),
        (break_deaths, "kills one driver after the other|drivers die for ever"),
        (break_blame, "to blame is recorded as|differs"),
        (break_lost, "not to blame"),
        (break_memory, "not to blame"),
        (break_child, "not to blame"),
        (break_time, "waits for ever|drivers die for ever"),
        (break_counting, "a trial that is to blame is recorded as"),
        (break_twins, "waits for ever"),
        (break_order, "is told after"),
        (break_share, "more than its share"),
        (break_closing, "an executor is not closed|left beside"),
        (break_errors, "OSError"),
        (break_interrupts, "goes on after Ctrl-C|waits for ever"),
    ],
    ids=lambda each: each.__name__ if callable(each) else "",
)
def test_a_mistake_breaks_a_law(
    mistake: Callable[[pytest.MonkeyPatch], None], law: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    mistake(monkeypatch)
    broken = str(first_broken()).splitlines()[-1]
    assert re.search(law, broken)


@pytest.fixture(scope="module", autouse=True)
def ends() -> None:
    """Run every study undisturbed, without a mistake."""
    for study, poison in itertools.product(range(len(STUDIES)), range(len(POISONS))):
        undisturbed(study, poison, False)
