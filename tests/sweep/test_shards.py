"""Shares of a study: every trial is of one of them, and together they give what one run gives."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import pytest
import small_study
from commands import CommandInThisProcess
from hypothesis import given
from hypothesis import strategies as st

from sweep.engine.generations import number_of_trials
from sweep.engine.shards import Shard, ShardError, check_shard, parse_shard
from sweep.results.merging import merge_databases
from sweep.study.read import load_study
from sweep.study.samplers import SAMPLERS

#: What is written of the parameters, so that a grid has 20 points and random draws repeat some.
RANGES = {
    "grid": {"headroom": "{type: categorical, choices: [0.0]}"},
    "random": {"headroom": "{type: categorical, choices: [0.0, 0.125]}"},
    "qmc": {},
}
#: A study whose trials are of two systems in turn.
TWO_SPACES = """\
policies:
  - {policy: {preset: gcma}, parameters: {restore: {type: categorical, choices: [inclusive]}}}
  - policy: {eviction: lru}
    parameters"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shards")
    small_study.write_trace(folder)
    return folder


@given(st.integers(1, 40), st.integers(0, 500))
def test_a_trial_is_of_one_share_and_shares_are_equally_large(count: int, trials: int) -> None:
    shares = [Shard(index, count) for index in range(1, count + 1)]
    owners = [[share for share in shares if share.has(number)] for number in range(trials)]
    assert all(len(owner) == 1 for owner in owners)
    sizes = [owners.count([share]) for share in shares]
    assert max(sizes) - min(sizes) <= 1


@pytest.mark.parametrize("count", [2, 3, 4, 8])
def test_what_returns_every_so_many_trials_is_dealt_to_all_shares(count: int) -> None:
    """Hold for what subspaces and grids do: every p-th trial is of one system, and so costs alike.

    Where a share is drawn at random, 3000 / count trials stray by 4 standard deviations at most.
    """
    trials = 3000
    fair = trials / count
    for period in range(1, 13):
        mine = [Shard(1, count).has(number) for number in range(0, trials * period, period)]
        assert abs(sum(mine) - fair) < 4 * (fair * (1 - 1 / count)) ** 0.5


@pytest.mark.parametrize("sampler", ["grid", "random", "qmc"])
def test_shares_that_are_merged_are_the_table_of_one_run(
    folder: Path, tmp_path: Path, sampler: str
) -> None:
    path = small_study.write_study(folder, sampler, 20, **RANGES[sampler])
    if sampler == "random":
        path.write_text(path.read_text().replace("policy: {eviction: lru}\nparameters", TWO_SPACES))
    study, _ = load_study(path)
    whole = tmp_path / "whole.duckdb"
    small_study.run(path, whole)
    shares = [tmp_path / f"share-{index}.duckdb" for index in (1, 2, 3)]
    for index, database in enumerate(shares, 1):
        small_study.run(path, database, shard=Shard(index, 3))
    rows = [small_study.tables(database)["trials"] for database in shares]
    numbers = [{row["number"] for row in each if row["role"] == "trial"} for each in rows]
    assert all(one.isdisjoint(other) for one, other in combinations(numbers, 2))
    assert sum(map(len, numbers)) == number_of_trials(study)
    assert all(sum(row["role"] == "baseline" for row in each) == 2 for each in rows)
    merged = tmp_path / "merged.duckdb"
    merge_databases(merged, shares[::-1], lambda each: None)
    assert small_study.tables(merged) == small_study.tables(whole)
    before = small_study.tables(merged, varying=())
    small_study.run(path, merged)  # a merged table can be run on
    assert small_study.tables(merged, varying=()) == before


def test_a_study_whose_shares_were_merged_in_part_is_completed(
    folder: Path, tmp_path: Path
) -> None:
    path = small_study.write_study(folder, "qmc", 20)
    whole, first, merged = (tmp_path / f"{name}.duckdb" for name in ("whole", "first", "merged"))
    small_study.run(path, whole)
    small_study.run(path, first, shard=Shard(1, 3))
    merge_databases(merged, [first], lambda each: None)
    small_study.run(path, merged, shard=Shard(2, 2))
    small_study.run(path, merged)
    assert small_study.tables(merged) == small_study.tables(whole)


@pytest.mark.parametrize("sampler", sorted(SAMPLERS.keys() - {"grid", "random", "qmc", "cmaes"}))
def test_a_sampler_that_asks_by_outcomes_has_no_shares(folder: Path, sampler: str) -> None:
    study, _ = load_study(small_study.write_study(folder, sampler))
    with pytest.raises(ShardError, match=f"{sampler} asks for what earlier trials make likely"):
        check_shard(study)


@pytest.mark.parametrize("text", ["", "2", "0/8", "9/8", "1/0", "-1/8", "a/b", "1/8/2", "1.5/2"])
def test_what_is_no_share_is_told(text: str) -> None:
    with pytest.raises(ShardError, match="of eight"):
        parse_shard(text)


def test_the_command_refuses_in_one_line_and_makes_nothing(
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    sweep = CommandInThisProcess(monkeypatch, capsys)
    path = small_study.write_study(folder, "tpe")
    database = tmp_path / "results.duckdb"
    for words, told in (
        (["--shard", "3/2"], "there is no share 3/2"),
        (["--shard="], "no share"),
        (["--shard", "1/2"], "grid, random, qmc"),
        (["--shard", "1/2", "--dry-run"], "not with --dry-run"),
    ):
        code, out, err = sweep("run", path, "--db", database, *words)
        assert (code, out) == (2, "")
        assert told in err
        assert "Traceback" not in err
    assert not list(tmp_path.iterdir())


def test_a_study_whose_sampler_was_picked_has_shares_where_the_one_that_is_stored_allows_it(
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    sweep = CommandInThisProcess(monkeypatch, capsys)
    # Of 8 trials qmc would be picked, of 24 tpe.
    for first, then, code in ((8, 24, 0), (24, 8, 2)):
        database = tmp_path / f"{first}.duckdb"
        words = ("run", small_study.write_study(folder, "auto", first), "--db", database)
        assert sweep(*words)[0] == 0
        small_study.write_study(folder, "auto", then)
        ended, _, err = sweep(*words, "--shard", "1/2")
        assert ended == code, err
        assert ("tpe asks for what earlier trials make likely" in err) == (code == 2)
