"""The tables of a results database: their columns, under the names of docs/model.md, and keys."""

from __future__ import annotations

from typing import Any, NamedTuple

from core.costs import DECLARED_COSTS
from core.outcomes import UNITS, is_double
from core.policy import DECISIONS, DECLARED
from core.replayed import SERIES
from core.times import PARTS
from sweep.study.workloads import DECLARED_WORKLOAD
from sweep.study.worlds import AS_GIVEN, MACHINE_WORLD, POLICY_WORLD

#: A row of a table or of a query's answer: values by column name.
Row = dict[str, Any]


class Table(NamedTuple):
    """A table: the DuckDB type of each column, and the columns that identify a row."""

    columns: dict[str, str]
    key: tuple[str, ...]


#: The version of the model, docs/model.md, whose outcomes a run records. A study without one is of
#: version 1.
MODEL_VERSION = 2

#: The fields of each STRUCT of which a column holds lists, by the type of the column.
STRUCT_FIELDS: dict[str, dict[str, str]] = {}


def list_type(fields: dict[str, str]) -> str:
    """Return the DuckDB type of a list of structs with these fields and their types."""
    listed = ", ".join(f'"{name}" {type_name}' for name, type_name in fields.items())
    return f"STRUCT({listed})[]"


def _list_of(**fields: str) -> str:
    STRUCT_FIELDS[list_type(fields)] = fields
    return list_type(fields)


#: What a designer decides.
POLICY_COLUMNS: dict[str, str] = {name: DECLARED[name].sql_type for name in DECISIONS}
#: What the world is.
WORLD_COLUMNS: dict[str, str] = {
    **{name: DECLARED[name].sql_type for name in POLICY_WORLD},
    **dict.fromkeys(MACHINE_WORLD, "BIGINT"),
    **{name: declared.sql_type for name, declared in DECLARED_COSTS.items()},
    **{name: declared.sql_type for name, declared in DECLARED_WORKLOAD.items()},
}
OUTCOME_COLUMNS: dict[str, str] = {
    name: "DOUBLE" if is_double(name) else "BIGINT" for name in UNITS
}
#: What the trials of a study are ranked by.
GOALS = _list_of(
    name="VARCHAR", metric="VARCHAR", direction="VARCHAR", over="VARCHAR", scenario="VARCHAR"
)
#: What replayed a study's trials, in each way that it was run.
EXECUTORS = _list_of(executor="VARCHAR", nodes="BIGINT", workers="BIGINT")
STUDY_COLUMNS: dict[str, str] = {
    "study": "VARCHAR NOT NULL",
    "question": "VARCHAR",
    "n_trials": "BIGINT",
    "yaml": "VARCHAR NOT NULL",
    "identity": "VARCHAR NOT NULL",
    "workloads": "VARCHAR[]",
    "events_digests": "VARCHAR[]",
    "core_digest": "VARCHAR",
    "git_revision": "VARCHAR",
    "versions": "VARCHAR",
    "host": "VARCHAR",
    "hosts": "VARCHAR[]",
    "executors": EXECUTORS,
    "created_at": "TIMESTAMP",
    "model_version": "BIGINT",
    "goals": GOALS,
    "warnings": "VARCHAR[]",
    "sampler": "VARCHAR",
    "sampler_reason": "VARCHAR",
    "stopped": "VARCHAR",
}
SCENARIO_COLUMNS: dict[str, str] = {
    "study": "VARCHAR NOT NULL",
    "scenario": "VARCHAR NOT NULL",
    "place": "BIGINT",
    "warm_up": "DOUBLE",
    **WORLD_COLUMNS,
}
TRIAL_COLUMNS: dict[str, str] = {
    "study": "VARCHAR NOT NULL",
    "role": "VARCHAR NOT NULL",
    "number": "BIGINT NOT NULL",
    "state": "VARCHAR NOT NULL",
    "reason": "VARCHAR",
    "subspace": "BIGINT",
    "feasible": "BOOLEAN",
    "attainable": "BOOLEAN",
    "asked": "VARCHAR",
    **POLICY_COLUMNS,
    "objectives": "DOUBLE[]",
    "violations": "DOUBLE[]",
    **OUTCOME_COLUMNS,
    "policy_key": "VARCHAR NOT NULL",
    "core_digest": "VARCHAR",
    "attempts": "BIGINT",
    "retried": "BOOLEAN",
    "host": "VARCHAR",
    "finished_at": "TIMESTAMP",
}
#: How often each cost is in what is saved, which is the sum of each times its number.
BY_COST = "MAP(VARCHAR, BIGINT)"
SAVED_BY_COST: dict[str, str] = {"time_saved_by_cost": BY_COST, "wait_saved_by_cost": BY_COST}
SCENARIO = f"VARCHAR NOT NULL DEFAULT '{AS_GIVEN}'"
OUTCOMES_COLUMNS: dict[str, str] = {
    "study": "VARCHAR NOT NULL",
    "role": "VARCHAR NOT NULL",
    "number": "BIGINT NOT NULL",
    "scenario": SCENARIO,
    **OUTCOME_COLUMNS,
    **SAVED_BY_COST,
}
#: Reservations of one kind in a run, counted: what they needed and had to drop.
SAMPLES = _list_of(
    atomic="BOOLEAN",
    blocks="BIGINT",
    dropped="BIGINT",
    written="BIGINT",
    migrated="BIGINT",
    count="BIGINT",
)
#: The occurrences of a run's phases, in order: what tasks waited for in each.
PHASES = _list_of(name="VARCHAR", wait_ns="BIGINT", all_missed_wait_ns="BIGINT")
RUN_COLUMNS: dict[str, str] = {
    "study": "VARCHAR NOT NULL",
    "role": "VARCHAR NOT NULL",
    "number": "BIGINT NOT NULL",
    "scenario": SCENARIO,
    "workload": "VARCHAR NOT NULL",
    "replicate": "BIGINT NOT NULL",
    "events_digest": "VARCHAR",
    "page_size": "BIGINT",
    **OUTCOME_COLUMNS,
    **SAVED_BY_COST,
    "reservation_samples": SAMPLES,
    **dict.fromkeys(SERIES, "BIGINT[]"),
    # Of each of the equal parts that the series divides the time into.
    **{f"series_{name}": "BIGINT[]" for name in PARTS},
    "phases": PHASES,
    "requests": "VARCHAR",
    "workingset": "VARCHAR",
    "workingset_inferred_ratio": "DOUBLE",
    "mapped": "VARCHAR",
}
#: What a row of `runs` holds beside its place and the digest of its events, and one of `outcomes`
#: beside its place.
RUN_VALUES = tuple(
    name
    for name in RUN_COLUMNS
    if name not in ("study", "role", "number", "scenario", "workload", "replicate", "events_digest")
)
SCENARIO_VALUES = tuple(
    name for name in OUTCOMES_COLUMNS if name not in ("study", "role", "number", "scenario")
)
ATTEMPT_COLUMNS: dict[str, str] = {
    "study": "VARCHAR NOT NULL",
    "role": "VARCHAR NOT NULL",
    "number": "BIGINT NOT NULL",
    "attempt": "BIGINT NOT NULL DEFAULT 1",
    "cause": "VARCHAR",
    "error": "VARCHAR",
    "host": "VARCHAR",
    "node": "VARCHAR",
    "at": "TIMESTAMP",
}
#: Every table of a database, by name.
TABLES: dict[str, Table] = {
    "studies": Table(STUDY_COLUMNS, ("study",)),
    "scenarios": Table(SCENARIO_COLUMNS, ("study", "scenario")),
    "trials": Table(TRIAL_COLUMNS, ("study", "role", "number")),
    "outcomes": Table(OUTCOMES_COLUMNS, ("study", "role", "number", "scenario")),
    "runs": Table(RUN_COLUMNS, ("study", "role", "number", "scenario", "workload", "replicate")),
    "attempts": Table(ATTEMPT_COLUMNS, ("study", "role", "number", "attempt")),
}
