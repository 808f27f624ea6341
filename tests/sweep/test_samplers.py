"""A sampler is one row of a table: the study file, the checks and the search go by it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from sweep.study.samplers import SAMPLERS

TESTS = Path(__file__).parents[1]

SAMPLER = """
from optuna.samplers import RandomSampler

class Lowest(RandomSampler):
    def sample_independent(self, study, trial, name, distribution):
        low = getattr(distribution, "low", None)
        return distribution.choices[0] if low is None else low
"""
PROGRAM = """
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
path = small_study.write_study(folder, "lowest", n_trials=3)
path.write_text(path.read_text().replace("generation: 8", "generation: 9"))
small_study.run(path, folder / "lowest.duckdb")
sql = "SELECT restore, folio_order, headroom, state FROM trials WHERE role = 'trial'"
print(answer_query(folder / "lowest.duckdb", sql).rows)
"""


def run(program: str, *words: str | Path) -> list[str]:
    """Run a program in a process of its own; return the lines that it prints."""
    folders = [*map(str, words), str(TESTS / "inputs"), str(TESTS), str(TESTS.parent)]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(folders)}
    command = [sys.executable, "-c", program, *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=250, env=environment)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_a_row_of_the_table_is_all_that_a_sampler_takes(tmp_path: Path) -> None:
    (tmp_path / "lowest.py").write_text(SAMPLER)
    refused, rows = run(PROGRAM, tmp_path)
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
    assert run(program) == ["False"]


def test_each_sampler_is_a_class_of_optuna_and_has_a_line() -> None:
    from optuna import samplers

    for name, kind in SAMPLERS.items():
        module, _, class_name = kind.implementation.partition(":")
        assert (module, hasattr(samplers, class_name)) == ("optuna.samplers", True), name
        assert kind.summary
        assert "\n" not in kind.summary
