"""Which sampler suits a study that names none, and why."""

from __future__ import annotations

from sweep.study.goals import goals_of
from sweep.study.model import Study, Subspace
from sweep.study.points import grid_size, value_count
from sweep.study.samplers import AUTO
from sweep.study.values import MAX_TRIALS

#: Trials past which tpe asks for fewer than 100 a second, so that replays wait for it.
MAX_TRIALS_OF_TPE = 30_000


def with_picked_sampler(study: Study, recorded: tuple[str, str] | None = None) -> Study:
    """Return a study with a sampler that suits it, if it names none.

    Parameters
    ----------
    study
        The study.
    recorded
        What was picked when it was run first, and why: that stays.
    """
    if study.sampler.name != AUTO and not (study.sampler.why and recorded):
        return study
    name, why = recorded or pick(study)
    return study.model_copy(update={"sampler": study.sampler.picked(name, why)})


def pick(study: Study) -> tuple[str, str]:
    """Return the name of the sampler that suits a study, and why in a few words."""
    searched = [subspace for subspace in study.subspaces if subspace.parameters]
    points = points_of_grids(study)
    most = study.n_trials or MAX_TRIALS
    if points is not None and points <= most:
        return "grid", f"it is no more than {points:,} points: all are tried"
    if searched and most <= study.generation:
        return "qmc", f"{most} trials, all asked for before one is told: evenly spread"
    if most > MAX_TRIALS_OF_TPE:
        return "nsga2", f"{most:,} trials, for which others would ask too slowly"
    several = len(goals_of(study)) > 1
    what = "a larger hypervolume" if several else "a better value"
    return "tpe", f"with {most:,} trials it finds {what} than others (benchmarks/search.py)"


def points_of_grids(study: Study) -> int | None:
    """Return the points of the largest grid of a study; None where one is without end."""
    sizes = [_points_of(study, subspace) for subspace in study.subspaces]
    known = [size for size in sizes if size is not None]
    return max(known, default=1) if len(known) == len(sizes) else None


def _points_of(study: Study, subspace: Subspace) -> int | None:
    counts = [value_count(parameter) for parameter in subspace.parameters.values()]
    if any(count is None or count > MAX_TRIALS for count in counts):
        return None
    return grid_size(study.within(subspace))
