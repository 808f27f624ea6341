"""Laws of the sampler that is picked for a study which names none."""

from __future__ import annotations

from pathlib import Path

import pytest
import small_study

from sweep.engine.register import StartAfresh, as_recorded
from sweep.results import Store
from sweep.study.model import Study
from sweep.study.read import load_study, validate_source
from sweep.study.yaml_source import SourceError, parse_source

TEXT = """\
study: s
workload: {synthetic: zipf}
parameters:
  folio_order: {type: int, low: 0, high: 3}
  headroom: {type: float, low: 0.0, high: 0.5, step: 0.125}
objectives: [{metric: time_saved_ns, direction: maximize}]
sampler: auto
n_trials: 19
generation: 8
"""
WITHOUT_END = (", step: 0.125", "")


def study_of(*changes: tuple[str, str]) -> Study:
    text = TEXT
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    return validate_source(parse_source(Path("s.yaml"), text), check_files=False)


@pytest.mark.parametrize(
    ("changes", "name", "why"),
    [
        ([("19", "20")], "grid", "no more than 20 points"),
        ([("n_trials: 19\n", "")], "grid", "no more than 20 points"),
        ([], "tpe", "a better value"),
        ([("19", "100"), WITHOUT_END], "tpe", "a better value"),
        ([("19", "8"), WITHOUT_END], "qmc", "8 trials, all asked for before one is told"),
        ([("19", "50000"), WITHOUT_END], "nsga2", "50,000 trials"),
    ],
)
def test_it_is_picked_by_points_and_trials(
    changes: list[tuple[str, str]], name: str, why: str
) -> None:
    sampler = study_of(*changes).sampler
    assert sampler.name == name
    assert why in sampler.why


@pytest.mark.parametrize("said", ["sampler: {name: auto}\n", "sampler: {}\n", ""])
def test_a_study_without_a_sampler_is_the_same_study(said: str) -> None:
    study = study_of(("sampler: auto\n", said))
    assert study.sampler.name == study_of().sampler.name
    assert study.identity() == study_of().identity()


def test_a_sampler_may_be_said_by_its_name_alone() -> None:
    study = study_of(("auto", "nsga2"))
    assert (study.sampler.name, study.sampler.why) == ("nsga2", "")
    assert study.identity()["sampler"] == {"name": "nsga2"}


def test_a_study_of_many_points_says_how_many_trials_it_has() -> None:
    text = TEXT.replace("n_trials: 19\n", "").replace(*WITHOUT_END)
    with pytest.raises(SourceError, match="key n_trials is missing"):
        validate_source(parse_source(Path("s.yaml"), text))


def test_what_was_picked_stays_when_there_are_more_trials(tmp_path: Path) -> None:
    small_study.write_trace(tmp_path, 5000)
    database = tmp_path / "s.duckdb"
    # A generation for itself is spread evenly; of more, what was told counts.
    path = small_study.write_study(tmp_path, "auto", n_trials=8)
    assert small_study.run(path, database).sampler.name == "qmc"
    small_study.write_study(tmp_path, "auto", n_trials=24)
    study, _ = load_study(path)
    assert study.sampler.name == "tpe"
    store = Store(database)
    again = as_recorded(store, study, StartAfresh.NEVER)
    assert (again.sampler.name, again.sampler.why[:8]) == ("qmc", "8 trials")
    assert again.identity() == study.identity()
    assert as_recorded(store, study, StartAfresh.ALWAYS).sampler.name == "tpe"
    row = store.rows("SELECT sampler, sampler_reason, stopped FROM studies")[0]
    assert (row["sampler"], row["sampler_reason"][:8], row["stopped"]) == ("qmc", "8 trials", None)
