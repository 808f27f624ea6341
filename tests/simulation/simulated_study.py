"""Studies whose replay is a pure function, and a search that answers for what it is told."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Sequence
from functools import cache
from types import SimpleNamespace
from typing import Any

from simulated_world import LawBroken

from core.evaluator import Candidate
from core.policy import Policy
from sweep.engine.inputs import Inputs
from sweep.engine.rows import Evaluated, together
from sweep.results import OUTCOME_COLUMNS, RUN_VALUES, SCENARIO_VALUES, Row
from sweep.results.arrow import arrow_table
from sweep.study.model import IntRange, Study
from sweep.study.samplers import SAMPLERS

_RESTORES = {"type": "categorical", "choices": ["inclusive", "exclusive"]}
_ORDERS = {"type": "int", "low": 0, "high": 6}


def _study(sampler: str, n_trials: int, generation: int, **more: Any) -> Study:
    return Study.model_validate(
        {
            "study": "simulated",
            "workload": [{"synthetic": "zipf"}],
            "parameters": {"restore": _RESTORES, "folio_order": _ORDERS},
            "objectives": [
                {"metric": "time_saved_ns", "direction": "maximize"},
                {"metric": "stored", "direction": "minimize"},
            ],
            "sampler": {"name": sampler, "seed": 1},
            "n_trials": n_trials,
            "generation": generation,
            "baselines": [{"system": "carveout"}, {"folio_order": 2}],
        }
        | more
    )


_KINDS: dict[str, Any] = {
    "parameters": None,
    "policies": [
        {"policy": {"eviction": name}, "parameters": {"restore": _RESTORES, "folio_order": _ORDERS}}
        for name in ("lru", "fifo")
    ],
}
#: What is searched: by samplers that are asked ahead and by ones that are not, with generations
#: that are whole and with a last one that is not.
STUDIES = (
    _study("random", 16, 4),
    _study("nsga2", 14, 4),
    _study("tpe", 9, 3, baselines=[]),
    _study("random", 7, 3, **_KINDS),
    _study("nsga2", 6, 2, **_KINDS),
    _study("grid", 14, 5),
)
INPUTS = Inputs(
    workloads=SimpleNamespace(sources=(object(),)),  # type: ignore[arg-type]
    names=["zipf"],
    replicates=[0],
    digests=["0123"],
    warnings=[],
    code_digest="simulated",
)


def evaluate(candidates: Sequence[Candidate]) -> Evaluated:
    """Return what becomes of candidates, of which nothing but the policy decides."""
    return together([_evaluated(candidate.policy) for candidate in candidates])


@cache
def _evaluated(policy: Policy) -> Evaluated:
    digest = hashlib.sha256(repr(policy).encode()).digest()
    values: Row = {
        name: float(digest[i % 32]) if kind == "DOUBLE" else digest[i % 32]
        for i, (name, kind) in enumerate(OUTCOME_COLUMNS.items())
    }
    values |= {"time_saved_by_cost": {"copy_in_ns": digest[0]}, "phases": [], "page_size": 4096}
    return Evaluated(
        arrow_table("outcomes", [values]).select(SCENARIO_VALUES),
        arrow_table("runs", [values]).select(RUN_VALUES),
    )


class StubSearch:
    """A search that asks for what a digest of its seed, and of all that it is told, says.

    So whoever tells it something else, or in another order, or too late, gets other trials.

    Parameters
    ----------
    study
        The study within one subspace.
    """

    def __init__(self, study: Study) -> None:
        self._study = study
        self._asks_ahead = SAMPLERS[study.sampler.name].asks_ahead
        self._digest = hashlib.sha256()
        self._asked = 0
        self._told: set[int] = set()

    def ask(self, generation: int, number: int) -> list[tuple[int, Row]]:
        first, self._asked = self._asked, self._asked + number
        if first != generation * self._study.generation:
            raise LawBroken(f"generation {generation} begins with trial {first}")
        if len(self._told) < first and not self._asks_ahead:
            raise LawBroken(f"generation {generation} is asked before the one before is told")
        return [(k, self._parameters(k)) for k in range(first, self._asked)]

    def _parameters(self, number: int) -> Row:
        told = b"" if self._asks_ahead else self._digest.digest()
        chance = random.Random(told + f"{number} {self._study.subspaces}".encode())
        parameters: Row = {}
        for name, parameter in (self._study.parameters or {}).items():
            if isinstance(parameter, IntRange):
                parameters[name] = chance.randint(int(parameter.low), int(parameter.high))
            else:
                parameters[name] = chance.choice(parameter.choices)  # type: ignore[union-attr]
        return parameters

    def tell(self, number: int, outcome: Row | None) -> None:
        # Where nothing depends on what is told, one that was recorded may be told before others.
        in_order = self._asks_ahead or number == len(self._told)
        if not in_order or number in self._told or number >= self._asked:
            raise LawBroken(f"trial {number} of {self._asked} is told after {self._told}")
        self._told.add(number)
        worth = outcome and [outcome["objectives"], outcome["violations"]]
        self._digest.update(json.dumps([number, worth]).encode())

    def replay(self, generation: int, recorded: Sequence[tuple[int, Row, Row | None]]) -> None:
        asked = self.ask(generation, len(recorded))
        if asked != [(number, parameters) for number, parameters, _ in recorded]:
            raise LawBroken(f"generation {generation} is recorded with other trials than asked")
        for number, _, outcome in recorded:
            self.tell(number, outcome)
