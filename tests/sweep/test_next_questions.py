"""What a user is told to ask next is a query that has an answer."""

from __future__ import annotations

from pathlib import Path

import pytest
import small_study

from sweep.results import answer_query
from sweep.results.questions import next_questions


@pytest.mark.parametrize("scenarios", ["", "scenarios: {read_random_ns: [52000, 250000]}\n"])
@pytest.mark.parametrize("objectives", [small_study.ONE_OBJECTIVE, small_study.TWO_OBJECTIVES])
def test_each_question_that_is_suggested_has_an_answer(
    scenarios: str, objectives: str, tmp_path: Path
) -> None:
    small_study.write_trace(tmp_path, rows=20_000)
    path = small_study.write_study(tmp_path, n_trials=4, objectives=objectives)
    path.write_text(path.read_text() + scenarios)
    database = tmp_path / "results.duckdb"
    questions = next_questions(small_study.run(path, database), "small")
    assert any("scenario" in question for question in questions) == bool(scenarios)
    for question in questions:
        assert answer_query(database, question).rows
