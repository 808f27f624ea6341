"""The search: a sampler asks for parameters and is told outcomes, a generation at a time.

A resumed search reaches the state of an uninterrupted one in one of two ways. Most samplers are
asked again from the seed and told what was recorded. Of those whose asking is dear
(`SamplerKind.seeded_each_generation`) what was recorded is told alone, and each generation has a
seed of its own.
"""

from __future__ import annotations

import warnings
from collections import deque
from collections.abc import Sequence
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Protocol

from core.distinct import deciding
from core.errors import InputError
from sweep.engine.over_scenarios import bounds_of
from sweep.engine.samplers.draws import Random
from sweep.engine.samplers.generation_sampler import GenerationSampler, IsNew, Told
from sweep.results import Row
from sweep.study.goals import goals_of
from sweep.study.model import Study
from sweep.study.points import fields_of
from sweep.study.samplers import SAMPLERS

#: Trials of a subspace below which no parameter is called important: their best tenth is too few.
MIN_TRIALS_OF_IMPORTANCE = 20


class SearchError(InputError):
    """A search that cannot go on as it began."""


class Asker(Protocol):
    """What asks for trials: one of our own samplers, or any of Optuna's."""

    def ask(self, generation: int, count: int, is_new: IsNew) -> list[Row]:
        """Return the parameters of the trials of a generation."""

    def tell(self, generation: Sequence[Told]) -> None:
        """Take note of a finished generation, whether it was asked for here or before."""


class Search:
    """One sampler, asked and told in trial order: it is the same with any number of workers.

    Parameters
    ----------
    study
        The study within one subspace.
    single_pages
        Whether every folio of its workloads is a page: then some policies that differ are one.
    """

    def __init__(self, study: Study, single_pages: bool = False) -> None:
        self._study = study
        self._seeded = SAMPLERS[study.sampler.name].seeded_each_generation
        self._asker = _make_asker(study)
        self._is_new = _Seen(study, single_pages)
        self._bounds = [f"{metric} {sign} {bound}" for metric, sign, bound in bounds_of(study)]
        self._trials = 0
        # What was asked and not told yet: numbers and parameters of each generation, in order.
        self._open: deque[list[tuple[int, Row]]] = deque()
        self._told: dict[int, Row | None] = {}

    def ask(self, generation: int, number: int) -> list[tuple[int, Row]]:
        """Return the numbers and parameters of the next trials, in order.

        Parameters
        ----------
        generation
            The number of the generation that they are, from 0.
        number
            How many trials it has.
        """
        rows = self._asker.ask(generation, number, self._is_new)
        asked = list(enumerate(rows, self._trials))
        self._trials += number
        self._open.append(asked)
        return asked

    def tell(self, number: int, outcome: Row | None) -> None:
        """Tell the outcome of a trial that was asked for; generations are told in their order.

        Parameters
        ----------
        number
            The trial's number, as `ask` returned it.
        outcome
            Its `objectives` and `violations`; None if it has none.
        """
        self._told[number] = outcome
        while self._open and all(number in self._told for number, _ in self._open[0]):
            finished = self._open.popleft()
            self._asker.tell(
                [self._made(asked, self._told.pop(number)) for number, asked in finished]
            )

    def replay(self, generation: int, recorded: Sequence[tuple[int, Row, Row | None]]) -> None:
        """Bring in a generation that was finished before.

        Parameters
        ----------
        generation
            Its number, from 0.
        recorded
            (number, parameters, outcome) of each trial, in order.

        Raises
        ------
        SearchError
            When the sampler asks for other parameters than are recorded.
        """
        if self._seeded:
            for _, parameters, _ in recorded:
                self._is_new(parameters)
            self._trials += len(recorded)
            self._asker.tell([self._made(asked, outcome) for _, asked, outcome in recorded])
            return
        for (number, asked), (_, parameters, _) in zip(
            self.ask(generation, len(recorded)), recorded, strict=True
        ):
            if asked != parameters:
                raise SearchError(
                    f"trial {number}: the sampler asks for {asked} now, and asked for {parameters} "
                    "when the study was run: another version of it? --new starts afresh"
                )
        for number, _, outcome in recorded:
            self.tell(number, outcome)

    def _made(self, asked: Row, outcome: Row | None) -> Told:
        """Return what a sampler is told of a trial."""
        if outcome is None:
            return Told(asked, None, {})
        violations = dict(zip(self._bounds, outcome["violations"], strict=True))
        return Told(asked, outcome["objectives"], violations)


class _Seen:
    """The policies of a search so far; called with parameters, it tells whether theirs is new."""

    def __init__(self, study: Study, single_pages: bool) -> None:
        self._fields = fields_of(study.policy)
        self._single_pages = single_pages
        self._seen: set[tuple[Any, ...]] = set()

    def __call__(self, parameters: Row) -> bool:
        key = deciding(self._fields | parameters, self._single_pages)
        before = len(self._seen)
        self._seen.add(key)
        return len(self._seen) > before


def _make_asker(study: Study) -> Asker:
    """Return what asks for the trials of a study."""
    if not study.parameters:
        return Random(study)
    module, _, class_name = SAMPLERS[study.sampler.name].implementation.partition(":")
    sampler = getattr(import_module(module), class_name)
    if issubclass(sampler, GenerationSampler):
        asker: GenerationSampler = sampler(study)
        return asker
    from sweep.engine.samplers.one_by_one import OneByOne

    return OneByOne(study, sampler)


def importances(study: Study, goal: int, rows: Sequence[Row]) -> dict[str, float]:
    """Return how far each parameter decides which trials of a subspace are its best tenth.

    The shares sum to 1; they are all 0 where all trials are equal, so that none is best. They come
    from Optuna's PED-ANOVA, which unlike its other evaluators needs no scikit-learn.

    Parameters
    ----------
    study
        The study within one subspace.
    goal
        The place of one of its goals.
    rows
        The complete trials: what was asked, and their objectives.
    """
    import optuna
    from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances

    from sweep.engine.samplers.optuna_space import distributions_of

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    distributions = distributions_of(study)
    finished = [
        optuna.trial.create_trial(
            params={name: row["asked"][name] for name in distributions},
            distributions=distributions,
            value=row["objectives"][goal],
        )
        for row in rows
    ]
    single = optuna.create_study(direction=goals_of(study)[goal].direction)
    single.add_trials(finished)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        evaluator = PedAnovaImportanceEvaluator()
        weights = get_param_importances(single, evaluator=evaluator, normalize=False)
    # Normalized by Optuna, all would be equally important where none is.
    total = sum(weights.values())
    return {name: weight / total if total else 0.0 for name, weight in weights.items()}


def check_sampler(study: Study) -> None:
    """Raise `SearchError` if the study's sampler cannot run here."""
    name = study.sampler.name
    package, extra = SAMPLERS[name].package, SAMPLERS[name].extra
    if package is not None and find_spec(package) is None:
        install = f"'tag-storage-sweep[{extra}]'" if extra else package
        raise SearchError(f"sampler {name} needs {package}: pip install {install}")
