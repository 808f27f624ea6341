"""Samplers beside Optuna's own, asked in the same generations: how fast they ask, what they find.

Usage: python benchmarks/search.py [--seeds N] [--short]

What they find is the hypervolume of the quickstart's goals, in its own units between the worst and
the best values of all that was tried, replayed for real; and the least value of a function of four
parameters, which needs no replay. Both are means over seeds with 95 % intervals. How fast they ask
is CPU time, told with what was found by chance.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from time import process_time
from typing import Any

import numpy as np
import optuna

from core.distinct import deciding
from core.evaluator import Evaluator
from sweep.engine.candidates import candidates
from sweep.engine.inputs import load_inputs
from sweep.engine.over_scenarios import Judge
from sweep.engine.rows import evaluate
from sweep.engine.samplers.optuna_space import distributions_of, quiet_study
from sweep.engine.search import Search
from sweep.study.goals import goals_of
from sweep.study.model import Study
from sweep.study.points import fields_of
from sweep.study.read import load_study
from sweep.study.worlds import worlds_of

QUICKSTART = Path(__file__).parent.parent / "studies" / "quickstart.yaml"
#: Trials of the long search, and of the short one, a third of them.
TRIALS, THIRD = 640, 213
Row = dict[str, Any]
Values = Callable[[list[Row]], list[list[float]]]
OPTUNA: dict[str, Callable[[int, int], Any]] = {
    "nsga2": lambda seed, size: optuna.samplers.NSGAIISampler(seed=seed, population_size=size),
    "tpe": lambda seed, _: optuna.samplers.TPESampler(seed=seed),
    "random": lambda seed, _: optuna.samplers.RandomSampler(seed=seed),
}


class Replays:
    """The goals of the quickstart's policies, each policy replayed once."""

    def __init__(self, study: Study, source: Any) -> None:
        self.study, self.worlds, self.judge = study, worlds_of(study), Judge(study)
        self.evaluator = Evaluator(load_inputs(study, source).workloads)
        self.known: dict[Any, list[float]] = {}

    def __call__(self, asked: list[Row]) -> list[list[float]]:
        fixed = fields_of(self.study.policy)
        keys = [deciding(fixed | row) for row in asked]
        new = {key: row for key, row in zip(keys, asked, strict=True) if key not in self.known}
        lanes = [each for row in new.values() for each in candidates(self.study, row, self.worlds)]
        outcomes = evaluate(self.evaluator, lanes).outcomes.select(self.judge.metrics).to_pylist()
        for place, key in enumerate(new):
            first = place * len(self.worlds)
            objectives = self.judge(outcomes[first : first + len(self.worlds)]).objectives
            self.known[key] = [float(value or 0.0) for value in objectives]
        return [self.known[key] for key in keys]


def bowl(asked: list[Row]) -> list[list[float]]:
    """Return a value with its largest at one corner of choices, and between the ends of ranges."""
    return [
        [
            -((row["headroom"] - 0.2) ** 2) * 10
            - abs(row["folio_order"] - 3) / 5
            - (row["eviction"] != "sieve") * (0.1 + row["headroom"])
            - (row["drop"] != "folio") * 0.2
        ]
        for row in asked
    ]


def ours(study: Study, name: str, seed: int, trials: int, values: Values) -> tuple[Any, float, int]:
    """Return the goals of each trial, CPU seconds of asking, and how many policies differ."""
    sampler = study.sampler.model_copy(update={"name": name, "seed": seed})
    study = study.model_copy(update={"sampler": sampler})
    search, size, got, spent = Search(study), study.generation, [], 0.0
    keys, fixed = set(), fields_of(study.policy)
    for generation, first in enumerate(range(0, trials, size)):
        start = process_time()
        asked = search.ask(generation, min(size, trials - first))
        spent += process_time() - start
        found = values([row for _, row in asked])
        start = process_time()
        for (number, row), objectives in zip(asked, found, strict=True):
            search.tell(number, {"objectives": objectives, "violations": []})
            keys.add(deciding(fixed | row))
        spent += process_time() - start
        got += found
    return np.array(got), spent, len(keys)


def optunas(
    study: Study, name: str, seed: int, trials: int, values: Values
) -> tuple[Any, float, int]:
    """Return the same of a study of Optuna, asked in the same generations."""
    plain = quiet_study(study, OPTUNA[name](seed, study.generation))
    space, fixed, got, spent = distributions_of(study), fields_of(study.policy), [], 0.0
    keys = set()
    for first in range(0, trials, study.generation):
        start = process_time()
        asked = [plain.ask(space) for _ in range(min(study.generation, trials - first))]
        spent += process_time() - start
        found = values([trial.params for trial in asked])
        keys |= {deciding(fixed | trial.params) for trial in asked}
        start = process_time()
        for trial, objectives in zip(asked, found, strict=True):
            plain.tell(trial, objectives)
        spent += process_time() - start
        got += found
    return np.array(got), spent, len(keys)


def hypervolume(losses: Any) -> float:
    """Return the area that losses from 0 to 1 leave behind them."""
    area, lowest = 0.0, 1.0
    for first, second in losses[np.lexsort((losses[:, 1], losses[:, 0]))]:
        area += max(0.0, lowest - second) * (1 - first)
        lowest = min(lowest, second)
    return area


def told(values: list[float]) -> str:
    """Return a mean and half its 95 % interval."""
    half = 1.96 * np.std(values) / np.sqrt(len(values))
    return f"{np.mean(values):.4f} ± {half:.4f}"


def quickstart(seeds: int, trials: int, third: int) -> None:
    """Print what samplers find of the quickstart after a third of the trials, and after all."""
    study, source = load_study(QUICKSTART)
    study = study.within(study.subspaces[0])
    replays, signs = Replays(study, source), [goal.sign for goal in goals_of(study)]
    runs = {
        f"{whose} {name}": [
            ask(study, name, seed, trials if name == "nsga2" else third, replays)
            for seed in range(seeds)
        ]
        for name in ("nsga2", "tpe")
        for whose, ask in (("optuna's", optunas), ("ours", ours))
    }
    losses = {who: [got * signs for got, _, _ in each] for who, each in runs.items()}
    every = np.vstack([part for each in losses.values() for part in each])
    least, span = every.min(0), np.ptp(every, axis=0)
    best = hypervolume((every - least) / span)
    print(f"quickstart, {seeds} seeds: share of the hypervolume of all {len(every)} trials")
    for who, each in losses.items():
        for number in sorted({third, len(each[0])}):
            share = [hypervolume((part[:number] - least) / span) / best for part in each]
            print(f"  {who:15} {number:4} trials {told(share)}")
        distinct = np.mean([count / len(got) for got, _, count in runs[who]])
        print(f"  {who:15} {100 * distinct:.1f} % of its trials are distinct policies")


def one_goal(seeds: int, trials: int) -> None:
    """Print what samplers find of one goal."""
    study, _ = load_study(QUICKSTART)
    study = study.within(study.subspaces[0])
    study = study.model_copy(update={"objectives": study.objectives[:1]})
    print(f"one goal of the function, best after {trials} trials: 0 is the best there is")
    for whose, ask in (("optuna's", optunas), ("ours", ours)):
        for name in ("random", "tpe"):
            best = [float(ask(study, name, seed, trials, bowl)[0].max()) for seed in range(seeds)]
            print(f"  {whose:9} {name:7} {told(best)}")


def speed(trials: int) -> None:
    """Print how many trials a second each sampler asks and is told."""
    study, _ = load_study(QUICKSTART)
    study = study.within(study.subspaces[0])

    def chance(asked: list[Row]) -> list[list[float]]:
        return np.random.default_rng(len(asked)).random((len(asked), 2)).tolist()

    print("asking and telling, CPU time a trial")
    for name in ("random", "qmc", "nsga2", "nsga3", "tpe"):
        _, spent, _ = ours(study, name, 1, trials, chance)
        print(f"  ours      {name:7} {spent / trials * 1000:7.3f} ms over {trials} trials")
    few = min(trials, 640)
    for name in OPTUNA:
        _, spent, _ = optunas(study, name, 1, few, chance)
        print(f"  optuna's  {name:7} {spent / few * 1000:7.3f} ms over {few} trials")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--short", action="store_true", help="a few seconds, to see that it runs")
    options = parser.parse_args()
    if options.short:
        speed(256)
        one_goal(2, 128)
        quickstart(1, 128, 64)
        return
    speed(10_000)
    one_goal(options.seeds, 256)
    quickstart(options.seeds, TRIALS, THIRD)


if __name__ == "__main__":
    main()
