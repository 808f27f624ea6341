"""A dry run: what a study would replay, and about what that takes, without a result of it."""

from __future__ import annotations

import random
from collections.abc import Sequence
from itertools import islice
from math import exp, log
from time import monotonic
from typing import Any, NamedTuple

from core.backend import compile_loop
from core.distinct import deciding
from core.evaluator import Candidate, Evaluator
from core.events import Events
from core.policy import read_alone
from sweep.engine.batching import MOST_TRIALS
from sweep.engine.candidates import baseline, candidates
from sweep.engine.generations import trials_within
from sweep.engine.inputs import Inputs
from sweep.engine.loops import loops_of
from sweep.engine.rows import evaluate
from sweep.results import Row
from sweep.study.model import Categorical, IntRange, Parameter, Study
from sweep.study.points import distinct_points, fields_of, grid_points, points_by_system
from sweep.study.samplers import SAMPLERS
from sweep.study.worlds import World, worlds_of

#: Policies of a subspace that are replayed to measure what one takes, at most; no other is begun
#: after so many seconds.
SAMPLED_POLICIES = 8
SAMPLE_S = 4.0


class Space(NamedTuple):
    """What a subspace of a study comes to.

    Parameters
    ----------
    trials
        Its trials.
    points
        Its distinct policies; None if they are without end.
    distinct
        How many of the trials are distinct, at most.
    is_exact
        Whether they are that many.
    lanes
        What is replayed of a trial on each workload, at most: scenarios that differ in costs alone
        are one.
    """

    trials: int
    points: int | None
    distinct: int
    is_exact: bool
    lanes: int


class Measured(NamedTuple):
    """What a sample of policies took.

    Parameters
    ----------
    policies
        How many they were.
    seconds
        What one of them took, in all scenarios, on all workloads.
    memory_bytes
        What the timelines take that they replay, and a batch of policies.
    """

    policies: int
    seconds: float
    memory_bytes: int


def dry_run(study: Study, inputs: Inputs, workers: int) -> Row:
    """Return what a run of a study on an empty database comes to.

    Parameters
    ----------
    study, inputs
        The study, whose plug-ins are imported, and its workloads.
    workers
        Processes that replay.
    """
    worlds = worlds_of(study)
    within = [study.within(subspace) for subspace in study.subspaces]
    spaces = [_space(each, worlds) for each in within]
    baselines = [baseline(fields, worlds) for fields in study.baselines]
    for loop in loops_of(study):
        compile_loop(loop)
    sampled = _measure(within, baselines, inputs, worlds)
    works = [
        *(space.distinct * measured.seconds
          for space, measured in zip(spaces, sampled, strict=False)),
        *(measured.seconds for measured in sampled[len(spaces) :]),
    ]  # fmt: skip
    points = [space.points for space in spaces if space.points is not None]
    lanes = [space.distinct * space.lanes for space in spaces] + [*map(_lanes, baselines)]
    trials, distinct = sum(each.trials for each in spaces), sum(each.distinct for each in spaces)
    return {
        "study": study.study,
        "trials": trials,
        "distinct_points": sum(points) if len(points) == len(spaces) else None,
        "distinct_trials": distinct,
        "distinct_trials_are": "exact" if all(each.is_exact for each in spaces) else "at most",
        "repeated_trials": trials - distinct,
        "baselines": len(baselines),
        "scenarios": [world.name for world in worlds],
        "workloads": _workload_rows(inputs, worlds),
        "replays": sum(lanes) * len(inputs.names),
        "memory_bytes": max(measured.memory_bytes for measured in sampled),
        "workers": workers,
        "expected_seconds": sum(works) / workers,
        "sampled_policies": sum(measured.policies for measured in sampled),
    }


def _space(study: Study, worlds: Sequence[World]) -> Space:
    """Return what a study comes to that searches one subspace alone."""
    (subspace,) = study.subspaces
    trials, points = trials_within(study), distinct_points(subspace)
    lanes = max(
        _lanes(candidates(study, {"system": system}, worlds))
        for system in points_by_system(subspace)
    )
    if subspace.parameters and SAMPLERS[study.sampler.name].enumerates:
        fixed = fields_of(subspace.policy)
        points_tried = islice(grid_points(study), trials)
        seen = {deciding(fixed | point) for point in points_tried}
        return Space(trials, points, len(seen), True, lanes)
    distinct = trials if points is None else min(trials, points)
    return Space(trials, points, distinct, not subspace.parameters, lanes)


def _lanes(of_policy: Sequence[Candidate]) -> int:
    """Return how many replays of each workload a policy takes in all scenarios."""
    return len(
        {(each.tag_block_size, each.workload, read_alone(each.policy)) for each in of_policy}
    )


def _workload_rows(inputs: Inputs, worlds: Sequence[World]) -> list[Row]:
    rows = []
    for name, replicate, source in zip(
        *(inputs.names, inputs.replicates, inputs.workloads.sources), strict=True
    ):
        counts = [
            int(source.op.size)
            if isinstance(source, Events)
            else int(source.changed(dict(values)).events().op.size)
            for values in dict.fromkeys(world.workload for world in worlds)
        ]
        least, most = min(counts), max(counts)
        rows.append({"workload": name, "replicate": replicate, "events": most})
        if least < most:
            rows[-1]["events_at_least"] = least
    return rows


def _measure(
    within: Sequence[Study],
    baselines: Sequence[list[Candidate]],
    inputs: Inputs,
    worlds: Sequence[World],
) -> list[Measured]:
    """Return what a few policies of each subspace took, and each of the baselines."""
    evaluator, start = Evaluator(inputs.workloads), monotonic()
    measured = []
    for place, study in enumerate(within):
        end = start + SAMPLE_S * (place + 1) / len(within)
        measured.append(_sample(evaluator, _drawn(study, worlds), end))
    return measured + [_sample(evaluator, [of_policy], end) for of_policy in baselines]


def _drawn(study: Study, worlds: Sequence[World]) -> list[list[Candidate]]:
    """Return some policies of a subspace that differ, in every scenario."""
    chance = random.Random(study.sampler.seed)
    drawn: dict[Any, list[Candidate]] = {}
    for _ in range(SAMPLED_POLICIES):
        parameters = study.parameters or {}
        asked = {name: _value(parameter, chance) for name, parameter in parameters.items()}
        of_policy = candidates(study, asked, worlds)
        drawn.setdefault(read_alone(of_policy[0].policy), of_policy)
    return list(drawn.values())


def _value(parameter: Parameter, chance: random.Random) -> Any:
    """Return one of the values of a parameter, each as likely; of a log range by its logarithm."""
    if isinstance(parameter, Categorical):
        return chance.choice(parameter.choices)
    low, high, step = parameter.low, parameter.high, parameter.step
    value = exp(chance.uniform(log(low), log(high))) if parameter.log else chance.uniform(low, high)
    if step is not None and not parameter.log:
        value = low + step * chance.randrange(int((high - low) / step + 1e-9) + 1)
    value = min(max(value, low), high)
    return round(value) if isinstance(parameter, IntRange) else value


def _sample(evaluator: Evaluator, drawn: Sequence[list[Candidate]], end: float) -> Measured:
    """Return what policies take; each is replayed once before, so that nothing is compiled then."""
    ready: list[list[Candidate]] = []
    for of_policy in drawn:
        if ready and monotonic() > end:
            break
        evaluate(evaluator, of_policy)
        ready.append(of_policy)
    start = monotonic()
    evaluate(evaluator, [candidate for of_policy in ready for candidate in of_policy])
    seconds = (monotonic() - start) / len(ready)
    memory = evaluator.timeline_bytes() + evaluator.batch_bytes(ready[0][0], MOST_TRIALS)
    return Measured(len(ready), seconds, memory)
