"""Laws of every executor: what comes back of batches does not depend on who replays them."""

from __future__ import annotations

import socket
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
import small_study

from core.costs import Costs
from core.evaluator import Candidate, Evaluator, Workloads
from core.event_files import read_events
from core.policy import Policy
from sweep.engine.executor import Cause, Executor, Failure, Replays, Result
from sweep.engine.inputs import load_inputs
from sweep.engine.plugins import NO_PLUGINS
from sweep.engine.rows import evaluate
from sweep.engine.study_run import EXECUTORS, Replaying, Where
from sweep.study.read import load_study

#: Of a user's own system that no process has imported.
UNKNOWN = Candidate(Policy(system="nobody:HAS_IT"), 4096, Costs())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("study")
    small_study.write_trace(made)
    return made


@pytest.fixture(scope="module")
def workloads(folder: Path) -> Workloads:
    events = read_events(folder / "small.parquet")
    return Workloads((events,), (events.page_size,), (events.data_pages,))


@pytest.fixture(scope="module", params=EXECUTORS)
def executor(request: pytest.FixtureRequest, folder: Path) -> Iterator[Executor]:
    study, source = load_study(small_study.write_study(folder))
    where = Where(request.param, workers=2)
    inputs = load_inputs(study, source)
    of = Replaying(where, study, inputs, NO_PLUGINS, lambda candidate: True, print)
    started = EXECUTORS[request.param](of)
    yield started
    started.close()


def batches_of(sizes: Sequence[int]) -> list[list[Candidate]]:
    """Return batches of so many candidates each, all of them different."""
    seeds = iter(range(sum(sizes)))
    return [
        [Candidate(Policy(folio_order=next(seeds) % 10), 4096, Costs()) for _ in range(size)]
        for size in sizes
    ]


def test_every_batch_comes_back_once_with_what_one_process_makes_of_it(
    executor: Executor, workloads: Workloads
) -> None:
    batches = batches_of([1, 3, 0, 2, 1, 1, 1])
    ended = results_of(executor, batches)
    evaluator = Evaluator(workloads)
    for number, batch in enumerate(batches):
        result = ended[number]
        assert isinstance(result, Replays)
        assert result.evaluated == evaluate(evaluator, batch)
        assert result.host == socket.gethostname()
        assert len(result.evaluated.outcomes) == len(batch)


def results_of(executor: Executor, batches: Sequence[Sequence[Candidate]]) -> dict[int, Result]:
    """Return what comes back of batches, by number; each comes back once."""
    for number, batch in enumerate(batches):
        executor.submit(number, batch)
    ended: dict[int, Result] = {}
    while len(ended) < len(batches):
        for number, result in executor.finished(30.0):
            assert number not in ended
            ended[number] = result
    return ended


def test_nothing_handed_over_is_nothing_finished(executor: Executor) -> None:
    assert executor.finished(0.01) == []
    assert executor.workers >= 1


def test_a_batch_that_fails_comes_back_as_text_and_the_others_live(executor: Executor) -> None:
    batches = batches_of([2, 1, 1, 2, 1])
    batches[1] = [UNKNOWN]
    batches[3][1] = UNKNOWN
    for number, result in results_of(executor, batches).items():
        if number in (1, 3):
            assert isinstance(result, Failure)
            assert "nobody:HAS_IT" in result.error
            assert "\n" not in result.error
            assert result.cause is Cause.EXCEPTION
            assert result.host == socket.gethostname()
        else:
            assert isinstance(result, Replays)
            assert len(result.evaluated.outcomes) == len(batches[number])
    assert len(results_of(executor, batches_of([1] * 5))) == 5


class StaysOpen:
    """An executor that a run does not stop."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor
        self.isolates = executor.isolates
        self.takes, self.submit, self.finished, self.running, self.stop, self.limit = (
            *(executor.takes, executor.submit, executor.finished),
            *(executor.running, executor.stop, executor.limit),
        )

    @property
    def workers(self) -> int:
        return self._executor.workers

    @property
    def size(self) -> tuple[int, int]:
        return self._executor.size

    def close(self) -> None:
        """Leave the executor to the next run."""


def test_tables_equal_those_of_one_process(
    executor: Executor, folder: Path, tmp_path: Path
) -> None:
    objectives = small_study.TWO_OBJECTIVES
    path = small_study.write_study(folder, "nsga2", objectives=objectives)
    small_study.run(path, tmp_path / "expected.duckdb")
    small_study.run(path, tmp_path / "made.duckdb", lambda _: StaysOpen(executor))
    expected = small_study.tables(tmp_path / "expected.duckdb")
    assert len(expected["trials"]) == 32
    assert [phase["name"] for phase in expected["runs"][0]["phases"]] == [*small_study.PHASES]
    assert small_study.tables(tmp_path / "made.duckdb") == expected


def test_an_executor_is_closed_as_often_as_one_likes(executor: Executor) -> None:
    # The last law of the file: no other one comes after it.
    executor.close()
    executor.close()
