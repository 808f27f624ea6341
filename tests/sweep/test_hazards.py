"""The hazards of files, a few cases of each: `make soak` tries as many as there is time for."""

from __future__ import annotations

import errno
import shutil
import subprocess
import sys
from pathlib import Path

import kills
import lost_syncs
import machine
import operations
import pytest
from database_processes import numbers, trial
from hazard import Counts
from tiny_runs import leftovers, study_file, tables, undisturbed

from sweep.results import Store, StoreError
from sweep.results.file import rewrite

#: Where DuckDB can be made to break a checkpoint off.
CHECKPOINTS = ("before_truncate", "before_header", "after_free_list_write", "before_wal_finish")


@pytest.mark.parametrize("stays", [False, True], ids=["once", "from then on"])
@pytest.mark.parametrize("code", [errno.EIO, errno.ENOSPC], ids=errno.errorcode.get)
def test_a_run_whose_operation_fails_says_so_and_loses_nothing(code: int, stays: bool) -> None:
    counts = Counts()
    first = 2 + 5 * stays + 3 * (code == errno.EIO)  # other ones for each of the four
    for at in range(first, operations.MOST_OPERATIONS, 29):
        operations.fail_at(at, code, stays, "random", counts, at)
    assert counts.operations_failed >= 2
    assert counts.failures == []


def test_what_a_power_failure_leaves_has_all_that_was_told() -> None:
    counts, last = Counts(), len(lost_syncs.recording("random"))
    for after in range(last, 0, -last // 6):
        lost_syncs.lose_power("random", after, counts, after)
    assert counts.failures == []


def test_a_power_failure_tells_a_sync_that_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = lost_syncs.recording("random")
    without = [each for each in whole if not (each[0] == "sync" and "rows." in each[1][0].name)]
    monkeypatch.setattr(lost_syncs, "recording", lambda sampler: without)
    last = max(place for place, (name, _) in enumerate(without) if name == "told") + 1
    counts = Counts()
    for seed in range(8):
        if not counts.losses:
            lost_syncs.lose_power("random", last, counts, seed)
    assert counts.losses


def test_a_database_ends_as_if_nothing_had_happened_to_it() -> None:
    machine.run_machine(1, examples=3, steps=8)


def test_no_trial_is_shown_that_a_kill_takes_back() -> None:
    counts = Counts()
    kills.kill_often("random", "threads", [1, 9], counts, 0)
    assert (counts.kills, counts.failures) == (2, [])


def delete_trials(path: Path, point: str) -> None:
    with rewrite(path, 0.0) as connection:
        connection.execute("DELETE FROM trials")
        connection.execute(f"SET debug_checkpoint_abort = '{point}'")


@pytest.mark.parametrize("point", CHECKPOINTS)
def test_a_checkpoint_that_breaks_off_leaves_the_old_file(tmp_path: Path, point: str) -> None:
    path = tmp_path / "results.duckdb"
    store = Store(path)
    store.add("trials", trial(0))
    store.flush()
    before = path.read_bytes()
    with pytest.raises(StoreError, match="Checkpoint aborted"):
        delete_trials(path, point)
    assert path.read_bytes() == before
    assert not leftovers(path)
    store.add("trials", trial(1))
    store.flush()
    assert sorted(numbers(path)) == [0, 1]


#: Runs a study on a file system, fills that, runs the study on, reads, makes room, and runs again.
FULL_DISK = """
mount -t tmpfs -o size=16m tmpfs "$1" || exit 99
db=$1/results.duckdb
"$2" -m sweep run "$3" --db "$db" > /dev/null 2>&1 || exit 98
cat /dev/zero > "$1/fill" 2> /dev/null
"$2" -m sweep run "$4" --db "$db" 2>&1 > /dev/null
echo "ended with $?"
"$2" -m sweep query "SELECT count(*) AS kept FROM trials WHERE role = 'trial'" --db "$db" --csv 2>&1
for words in "status" "best random" "report random -o $6"; do
    "$2" -m sweep $words --db "$db" > /dev/null || exit 97
done
rm "$1/fill"
"$2" -m sweep run "$4" --db "$db" > /dev/null 2>&1 || exit 96
ls "$db.spool"
cp "$db" "$5"
"""


def can_mount() -> bool:
    """Return whether a file system can be mounted, for a child alone."""
    words = ["unshare", "-rm", "mount", "-t", "tmpfs", "tmpfs", "/mnt"]
    return bool(shutil.which("unshare")) and subprocess.run(words, check=False).returncode == 0


def test_a_full_disk_stops_a_run_with_one_line_and_reading_goes_on(tmp_path: Path) -> None:
    if not can_mount():
        pytest.skip("no file system can be mounted here")
    mounted, copy = tmp_path / "disk", tmp_path / "copy.duckdb"
    mounted.mkdir()
    words = ["unshare", "-rm", "sh", "-c", FULL_DISK, "sh", mounted, sys.executable]
    words += [study_file("random", 3), study_file("random"), copy, tmp_path / "report.html"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done
    said, _, read = done.stdout.partition("ended with 2\n")
    told = [line for line in said.splitlines() if not line.startswith(("warning:", "study "))]
    assert len(told) == 1, said
    assert "No space left on device" in told[0]
    assert "free some space, then run it again to go on: finished trials are kept" in told[0]
    assert read.split() == ["kept", "3", "random.lock"]
    assert tables(copy, "random") == undisturbed("random")
