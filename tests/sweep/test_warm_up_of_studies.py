"""A study's warm-up: what is replayed first counts in no outcome, and is no unit of doubt."""

from __future__ import annotations

from pathlib import Path

import pytest
import small_study

import core
from core.event_files import read_events
from sweep.results import open_for_reading, read_rows
from sweep.verdict.pairs import PolicyKey, saved_pairs_of

SHARE = 0.25


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study with a warm-up, run."""
    folder = tmp_path_factory.mktemp("warm")
    small_study.write_trace(folder)
    path = small_study.write_study(folder, n_trials=4)
    path.write_text(path.read_text() + f"warm_up: {SHARE}\n")
    small_study.run(path, folder / "r.duckdb")
    return folder / "r.duckdb"


@pytest.mark.parametrize("metric", ["wait_saved_ns", "time_saved_ns", "wait_saved_ratio"])
def test_the_parts_after_it_add_up_to_what_is_counted(database: Path, metric: str) -> None:
    study = small_study.load_study(database.parent / "small.yaml")[0]
    with open_for_reading(database) as connection:
        (pair,) = saved_pairs_of(connection, study, PolicyKey("small", "trial", 0), metric)
    assert pair.differences.size == 64 * (1 - SHARE)
    assert pair.a == pytest.approx(pair.differences.mean())


def test_the_row_of_a_baseline_is_what_a_replay_with_it_gives(database: Path) -> None:
    events = read_events(database.parent / "small.parquet")
    machine = core.Machine(events.page_size, events.data_pages)
    replayed = core.measure(core.replay(events, machine, core.PRESETS["gcma"], warm_up=SHARE))
    sql = "SELECT * FROM trials JOIN scenarios USING (study) WHERE role = 'baseline' AND number = 1"
    with open_for_reading(database) as connection:
        (row,) = read_rows(connection, sql)
    assert row["warm_up"] == SHARE
    for name in ("stored", "restored", "missed", "refaults", "time_saved_ns", "peak_reserved"):
        assert row[name] == int(replayed[name][0]), name


@pytest.mark.parametrize(("share", "told"), [("0.3", "0.296875 or 0.3125"), ("1.0", "below 1")])
def test_a_share_that_is_no_part_of_64_is_refused(tmp_path: Path, share: str, told: str) -> None:
    small_study.write_trace(tmp_path, rows=100)
    path = small_study.write_study(tmp_path)
    path.write_text(path.read_text() + f"warm_up: {share}\n")
    with pytest.raises(Exception, match=told):
        small_study.load_study(path)
