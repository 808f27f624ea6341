"""Laws of every sampler; a new row of `SAMPLERS` is under them at once."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import small_study
from inline_executors import Interrupted, Shuffled
from optuna.samplers import BaseSampler, RandomSampler

from core.distinct import deciding
from sweep.engine.over_scenarios import bounds_of
from sweep.engine.samplers.generation_sampler import MAX_DRAWS, GenerationSampler
from sweep.engine.samplers.one_by_one import OneByOne
from sweep.engine.search import Search
from sweep.study.goals import goals_of
from sweep.study.model import Categorical, Study
from sweep.study.points import distinct_points, fields_of, grid_size
from sweep.study.read import load_study
from sweep.study.samplers import SAMPLERS
from sweep.study.yaml_source import SourceError

TESTS = Path(__file__).parents[1]
#: Trials of a generation that every sampler takes.
GENERATION = 12
Row = dict[str, Any]


def is_installed(name: str) -> bool:
    package = SAMPLERS[name].package
    return package is None or find_spec(package) is not None


every_sampler = pytest.mark.parametrize(
    "sampler",
    [
        pytest.param(
            name, marks=pytest.mark.skipif(not is_installed(name), reason="its package is missing")
        )
        for name in SAMPLERS
    ],
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("study")
    small_study.write_trace(made)
    return made


def write(folder: Path, sampler: str, **changed: Any) -> Path:
    """Write a study that asks of a sampler all that its row says it can do."""
    kind = SAMPLERS[sampler]
    options: Row = {"n_trials": 30, "generation": max(8, kind.min_generation)}
    if kind.takes_several_objectives:
        options["objectives"] = small_study.TWO_OBJECTIVES
    if kind.takes_constraints:
        options["constraints"] = small_study.RESTORED_BOUND
    if kind.needs_two_ranges:
        options["without"] = ("restore", "drop")
    return small_study.write_study(folder, sampler, **(options | changed))


def study_of(folder: Path, sampler: str, **changed: Any) -> Study:
    study, _ = load_study(write(folder, sampler, **changed))
    (subspace,) = study.subspaces
    return study.within(subspace)


def outcome_of(study: Study, parameters: Row) -> Row | None:
    """Return what parameters alone decide of a trial; None of one that failed."""
    digest = hashlib.sha256(repr(sorted(parameters.items())).encode()).digest()
    if digest[0] < 16:
        return None
    stored = 100 * parameters["folio_order"] + digest[1]
    outcomes = {
        "time_saved_ns": 1000 * stored - digest[2],
        "refault_hit_ratio": digest[3] / 256,
        "stored": stored,
        "restored": 200 + digest[4],
    }
    return {
        "objectives": [float(outcomes[goal.metric]) for goal in goals_of(study)],
        "violations": [float(bound - outcomes[metric]) for metric, _, bound in bounds_of(study)],
    }


def ask_and_tell(search: Search, study: Study, generation: int) -> list[tuple[int, Row]]:
    """Return the trials of a generation; their outcomes are told."""
    asked = search.ask(generation, GENERATION)
    for number, parameters in asked:
        search.tell(number, outcome_of(study, parameters))
    return asked


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_it_is_a_class_of_optuna_or_asks_for_generations_and_has_a_line(sampler: str) -> None:
    kind = SAMPLERS[sampler]
    module, _, class_name = kind.implementation.partition(":")
    assert issubclass(getattr(import_module(module), class_name), (BaseSampler, GenerationSampler))
    assert kind.summary
    assert "\n" not in kind.summary


@every_sampler
def test_equal_seeds_give_equal_trials_and_others_give_others(sampler: str, folder: Path) -> None:
    studies = [study_of(folder, sampler, seed=seed) for seed in (5, 5, 6)]
    trials = []
    for study in studies:
        search = Search(study)
        trials.append([ask_and_tell(search, study, generation) for generation in range(3)])
    assert trials[0] == trials[1]
    assert (trials[0] == trials[2]) == SAMPLERS[sampler].enumerates


@every_sampler
def test_a_resumed_search_asks_as_an_uninterrupted_one(sampler: str, folder: Path) -> None:
    study = study_of(folder, sampler)
    whole, resumed = Search(study), Search(study)
    generations = [ask_and_tell(whole, study, generation) for generation in range(3)]
    for generation, asked in enumerate(generations[:2]):
        recorded = [(number, row, outcome_of(study, row)) for number, row in asked]
        resumed.replay(generation, recorded)
    assert ask_and_tell(resumed, study, 2) == generations[2]


@every_sampler
def test_a_shorter_search_asks_for_the_beginning_of_a_longer_one(
    sampler: str, folder: Path
) -> None:
    study = study_of(folder, sampler, generation=GENERATION)
    whole, cut = Search(study), Search(study)
    expected = [ask_and_tell(whole, study, generation) for generation in range(2)]
    assert ask_and_tell(cut, study, 0) == expected[0]
    assert cut.ask(1, 5) == expected[1][:5]


@pytest.mark.parametrize("sampler", [name for name in SAMPLERS if SAMPLERS[name].asks_ahead])
def test_one_that_asks_ahead_asks_the_same_whatever_is_told(sampler: str, folder: Path) -> None:
    study = study_of(folder, sampler)
    told, ahead = Search(study), Search(study)
    expected = [ask_and_tell(told, study, generation) for generation in range(3)]
    assert [ahead.ask(generation, GENERATION) for generation in range(3)] == expected


@every_sampler
def test_no_policy_is_asked_for_twice_while_there_are_others(sampler: str, folder: Path) -> None:
    if sampler == "gp":
        pytest.skip("it takes seconds for a generation")
    study = study_of(folder, sampler)
    search = Search(study)
    asked = [row for place in range(3) for _, row in ask_and_tell(search, study, place)]
    if SAMPLERS[sampler].enumerates:
        return
    points = distinct_points(study.subspaces[0])
    assert points is not None
    keys = {deciding(fields_of(study.policy) | row) for row in asked}
    # What is asked again is asked a bounded number of times: of the last points some are missed.
    assert len(keys) >= min(len(asked), 0.9 * points)


def test_what_a_sampler_of_optuna_asks_for_counts_as_seen_also_after_the_last_draw(
    folder: Path,
) -> None:
    # Else a resumed search, which counts all that is recorded, would go on otherwise.
    study, _ = load_study(write(folder, "random"))
    shown: list[Row] = []

    def is_new(parameters: Row) -> bool:
        shown.append(dict(parameters))
        return False

    asked = OneByOne(study, RandomSampler).ask(0, 2, is_new)
    assert len(shown) == 2 * MAX_DRAWS
    assert asked == shown[MAX_DRAWS - 1 :: MAX_DRAWS]


@every_sampler
def test_what_it_asks_lies_within_the_parameters(sampler: str, folder: Path) -> None:
    study = study_of(folder, sampler)
    search = Search(study)
    assert study.parameters
    for _, asked in [
        trial for generation in range(3) for trial in ask_and_tell(search, study, generation)
    ]:
        assert set(asked) == set(study.parameters)
        for name, parameter in study.parameters.items():
            if isinstance(parameter, Categorical):
                assert asked[name] in parameter.choices
            else:
                assert parameter.low <= asked[name] <= parameter.high
                assert parameter.step is not None
                steps = (asked[name] - parameter.low) / parameter.step
                assert steps == pytest.approx(round(steps))


@pytest.mark.parametrize("sampler", [name for name in SAMPLERS if SAMPLERS[name].enumerates])
def test_one_that_enumerates_visits_each_point_once(sampler: str, folder: Path) -> None:
    study = study_of(folder, sampler)
    search, points = Search(study), grid_size(study)
    asked = [repr(parameters) for _, parameters in search.ask(0, points)]
    assert len(set(asked)) == points


@every_sampler
def test_a_continued_run_equals_an_uninterrupted_one_with_any_number_of_workers(
    sampler: str, folder: Path, tmp_path: Path
) -> None:
    path = write(folder, sampler)
    small_study.run(path, tmp_path / "whole.duckdb")
    expected = small_study.tables(tmp_path / "whole.duckdb")
    small_study.run(path, tmp_path / "shuffled.duckdb", Shuffled)
    assert small_study.tables(tmp_path / "shuffled.duckdb") == expected
    stopped = tmp_path / "stopped.duckdb"
    # A shorter study first, then one that is stopped in the middle, then the rest.
    write(folder, sampler, n_trials=11)
    small_study.run(path, stopped)
    write(folder, sampler)
    with pytest.raises(KeyboardInterrupt):
        small_study.run(path, stopped, lambda workloads: Interrupted(workloads, 1))
    small_study.run(path, stopped)
    assert small_study.tables(stopped) == expected


def mistakes_of(folder: Path, sampler: str, **changed: Any) -> list[str]:
    """Return what validation says of a study, or nothing."""
    try:
        load_study(write(folder, sampler, **changed))
    except SourceError as error:
        return [mistake.what for mistake in error.mistakes]
    return []


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_what_its_row_says_that_it_cannot_do_is_refused_at_validation(
    sampler: str, folder: Path
) -> None:
    kind = SAMPLERS[sampler]
    assert mistakes_of(folder, sampler) == []
    several = mistakes_of(folder, sampler, objectives=small_study.TWO_OBJECTIVES)
    refused = f"{sampler} takes one objective, did you mean nsga2?"
    assert several == [refused] * (not kind.takes_several_objectives)
    bounded = mistakes_of(folder, sampler, constraints=small_study.RESTORED_BOUND)
    refused = f"{sampler} does not see constraints, did you mean tpe?"
    assert bounded == [refused] * (not kind.takes_constraints)
    with_one_range = mistakes_of(folder, sampler, without=("headroom",), n_trials=20)
    refused = f"{sampler} needs two parameters of type int or float, did you mean tpe?"
    assert with_one_range == [refused] * kind.needs_two_ranges
    if kind.min_generation > 2:
        small = mistakes_of(folder, sampler, generation=kind.min_generation - 1)
        assert small == [f"{sampler} needs a generation of at least {kind.min_generation}"]
    without_end = "{type: float, low: 0.0, high: 0.5}"
    refused = f"{sampler}: headroom needs a step, or it has points without end"
    assert mistakes_of(folder, sampler, headroom=without_end) == [refused] * kind.enumerates


LOWEST = """
from optuna.samplers import RandomSampler

class Lowest(RandomSampler):
    def sample_independent(self, study, trial, name, distribution):
        low = getattr(distribution, "low", None)
        return distribution.choices[0] if low is None else low
"""
ADDS_LOWEST = """
import sys
from pathlib import Path
from sweep.study.samplers import SAMPLERS, SamplerKind

SAMPLERS["lowest"] = SamplerKind(
    "the first value of each parameter", "lowest:Lowest", lambda seed, _: {"seed": seed},
    takes_several_objectives=False, min_generation=9,
)
import small_study
from sweep.results import answer_query
from sweep.study.read import load_study
from sweep.study.yaml_source import SourceError

folder = Path(sys.argv[1])
small_study.write_trace(folder, 5000)
small_study.run(small_study.write_study(folder, "random", n_trials=2), folder / "random.duckdb")
two = small_study.TWO_OBJECTIVES
try:
    load_study(small_study.write_study(folder, "lowest", n_trials=3, objectives=two))
except SourceError as error:
    print([mistake.what for mistake in error.mistakes])
path = small_study.write_study(folder, "lowest", n_trials=3, generation=9)
small_study.run(path, folder / "lowest.duckdb")
sql = "SELECT restore, folio_order, headroom, state FROM trials WHERE role = 'trial'"
print(answer_query(folder / "lowest.duckdb", sql).rows)
"""


def run_program(program: str, *words: str | Path) -> list[str]:
    """Run a program in a process of its own; return the lines that it prints."""
    folders = [*map(str, words), str(TESTS / "inputs"), str(TESTS), str(TESTS.parent)]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(folders)}
    command = [sys.executable, "-c", program, *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=250, env=environment)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_a_row_of_the_table_is_all_that_a_sampler_takes(tmp_path: Path) -> None:
    (tmp_path / "lowest.py").write_text(LOWEST)
    refused, rows = run_program(ADDS_LOWEST, tmp_path)
    assert refused == str(
        ["lowest takes one objective, did you mean nsga2?",
         "lowest needs a generation of at least 9"]
    )  # fmt: skip
    assert rows == str([("inclusive", 0, 0.0, "complete")] * 3)


def test_what_a_study_may_say_is_known_without_optuna() -> None:
    program = (
        "import pkgutil, sys, sweep.study\n"
        "for module in pkgutil.iter_modules(sweep.study.__path__, 'sweep.study.'):\n"
        "    __import__(module.name)\n"
        "print('optuna' in sys.modules)"
    )
    assert run_program(program) == ["False"]
