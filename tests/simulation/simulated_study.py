"""Studies whose replay is a pure function, and a search that answers for what it is told."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from types import SimpleNamespace
from typing import Any
from unittest import mock

import pyarrow as pa
from simulated_world import LawBroken

from core.evaluator import Candidate
from core.policy import Policy
from sweep.engine import known, over_scenarios, recording
from sweep.engine.inputs import Inputs
from sweep.engine.rows import Evaluated, together
from sweep.results import OUTCOME_COLUMNS, RUN_VALUES, SCENARIO_VALUES, Row, arrow
from sweep.results.arrow import arrow_table, schema_of
from sweep.results.schema import POLICY_COLUMNS
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
    _study("nsga2", 16, 2, stop={"patience": 4}),
    _study("random", 16, 2, stop={"patience": 4}),
)
INPUTS = Inputs(
    workloads=SimpleNamespace(sources=(object(),)),  # type: ignore[arg-type]
    names=["zipf"],
    replicates=[0],
    digests=["0123"],
    warnings=[],
    code_digest="simulated",
)


#: The outcomes that tables in memory have.
_OUTCOMES = {name: OUTCOME_COLUMNS[name] for name in ("time_saved_ns", "stored", "hit_ratio")}
#: The other columns that they lack: most fields of policies, and what runs hold in lists.
_LACKS = {
    "trials": POLICY_COLUMNS.keys() - {"system", "eviction", "restore", "folio_order"},
    "outcomes": {"wait_saved_by_cost"},
    "runs": set(RUN_VALUES) - {"time_saved_by_cost", "phases", "page_size"},
}


@cache
def _narrow_schema(table: str) -> pa.Schema:
    """Return the columns of a table in memory."""
    lacks = (OUTCOME_COLUMNS.keys() | _LACKS.get(table, set())) - _OUTCOMES.keys()
    return pa.schema([field for field in schema_of(table) if field.name not in lacks])


@contextmanager
def narrow_tables() -> Iterator[None]:
    """Leave most columns out.

    The loop treats all columns alike, and 160 of them took four fifths of the time of a schedule.
    """
    outcomes, runs = (
        tuple(name for name in names if name in _narrow_schema(table).names)
        for table, names in (("outcomes", SCENARIO_VALUES), ("runs", RUN_VALUES))
    )
    with (
        mock.patch.multiple(known, SCENARIO_VALUES=outcomes, RUN_VALUES=runs),
        mock.patch.object(over_scenarios, "OUTCOME_COLUMNS", _OUTCOMES),
        mock.patch.multiple(recording, OUTCOME_COLUMNS=_OUTCOMES, schema_of=_narrow_schema),
        mock.patch.object(arrow, "schema_of", _narrow_schema),
    ):
        yield


def evaluate(candidates: Sequence[Candidate]) -> Evaluated:
    """Return what becomes of candidates, of which nothing but the policy decides."""
    columns = known.SCENARIO_VALUES, known.RUN_VALUES
    return together([_evaluated(candidate.policy, *columns) for candidate in candidates])


@cache
def _evaluated(policy: Policy, outcomes: tuple[str, ...], runs: tuple[str, ...]) -> Evaluated:
    digest = hashlib.sha256(repr(policy).encode()).digest()
    values: Row = {
        name: float(digest[i % 32]) if kind == "DOUBLE" else digest[i % 32]
        for i, (name, kind) in enumerate(OUTCOME_COLUMNS.items())
    }
    values |= {"time_saved_by_cost": {"copy_in_ns": digest[0]}, "phases": [], "page_size": 4096}
    return Evaluated(
        arrow_table("outcomes", [values]).select(outcomes),
        arrow_table("runs", [values]).select(runs),
    )


class StubSearch:
    """A search that asks for what a digest of its seed, and of all that it is told, says.

    So whoever tells it something else, or in another order, or too late, gets other trials.

    Parameters
    ----------
    study
        The study within one subspace.
    """

    def __init__(self, study: Study, single_pages: bool = False) -> None:
        self._study = study
        self._asks_ahead = SAMPLERS[study.sampler.name].asks_ahead
        self._digest = hashlib.sha256(str(study.policy.eviction).encode())
        self._asked = self._told = 0

    def ask(self, generation: int, number: int) -> list[tuple[int, Row]]:
        first, self._asked = self._asked, self._asked + number
        if first != generation * self._study.generation:
            raise LawBroken(f"generation {generation} begins with trial {first}")
        if self._told < first and not self._asks_ahead:
            raise LawBroken(f"generation {generation} is asked before the one before is told")
        return [(k, self._parameters(k)) for k in range(first, self._asked)]

    def _parameters(self, number: int) -> Row:
        chance = random.Random(self._digest.digest() + str(number).encode())
        parameters: Row = {}
        for name, parameter in (self._study.parameters or {}).items():
            if isinstance(parameter, IntRange):
                parameters[name] = chance.randint(int(parameter.low), int(parameter.high))
            else:
                parameters[name] = chance.choice(parameter.choices)  # type: ignore[union-attr]
        return parameters

    def tell(self, number: int, outcome: Row | None) -> None:
        if not self._told == number < self._asked:
            raise LawBroken(f"trial {number} of {self._asked} is told after {self._told}")
        self._told += 1
        if self._asks_ahead:
            return
        worth = outcome and [outcome["objectives"], outcome["violations"]]
        self._digest.update(json.dumps([number, worth]).encode())

    def replay(self, generation: int, recorded: Sequence[tuple[int, Row, Row | None]]) -> None:
        asked = self.ask(generation, len(recorded))
        if asked != [(number, parameters) for number, parameters, _ in recorded]:
            raise LawBroken(f"generation {generation} is recorded with other trials than asked")
        for number, _, outcome in recorded:
            self.tell(number, outcome)
