"""What the columns of the database mean, for the comments on them and for `sweep explain`.

Those that policy fields, costs, workload parameters, settings and outcomes have are told by the
glossary, from their declarations; here stand those of the bookkeeping.
"""

from __future__ import annotations

from sweep.results.schema import TABLES
from sweep.study.glossary import Entry, short_meaning

#: What identifies a row, alike in every table.
_PLACE = {
    "study": "the study's name",
    "role": "trial, for what the search asked for, or baseline",
    "number": "of a trial its place in the search, of a baseline its place in the study, from 0",
    "scenario": "the scenario's name: costs and a world that policies are tried in",
    "workload": "the workload: its file or generator, and a number where two are called the same",
    "replicate": "which seed of a random workload, from 0",
}
_CORE_DIGEST = "digest of the simulator's source, and of the systems and evictions of a user's own"
_PART = "in each of the 64 equal parts of the time (ns)"
_BY_COST = {
    "time_saved_by_cost": "how many times each cost is in time_saved_ns, which is their sum",
    "wait_saved_by_cost": "how many times each cost is in wait_saved_ns, which is their sum",
}
_MOMENT = "at the end of each of the 64 equal parts of the time"

#: The meaning of each column that no declaration tells, by table.
COLUMN_MEANINGS: dict[str, dict[str, str]] = {
    "studies": {
        "study": _PLACE["study"],
        "question": "what the study is to answer",
        "n_trials": "how many trials the study has",
        "yaml": "the study's file, as it was when the study was run last",
        "identity": "what must stay the same for the study to go on, as JSON",
        "workloads": "the study's workloads, in its order",
        "events_digests": "digests of the events of each workload, or of the recipe that makes it",
        "core_digest": _CORE_DIGEST,
        "git_revision": "revision of the Git repository that the study's file is in; -dirty at its "
        "end: with changes that were not committed",
        "versions": "versions of Python and of the packages that results hang on, as JSON",
        "host": "the machine that the study was run on last",
        "hosts": "all machines that replayed trials of it",
        "executors": "what replayed its trials, one entry for each way that it was run: the "
        "executor, nodes of its cluster, and workers, as many as there were at one time",
        "created_at": "when the study was first run (UTC)",
        "model_version": "version of docs/model.md that the outcomes are of; NULL: the first",
        "warnings": "what was told of the study's traces when it was run",
        "sampler": "which sampler asks for the trials",
        "sampler_reason": "why it was picked, where the study names none",
        "stopped": "why the search ended before its last trial, if it did",
        "goals": "what trials are ranked by, in order: an objective over the scenarios each",
    },
    "scenarios": {
        "study": _PLACE["study"],
        "scenario": _PLACE["scenario"],
        "place": "the scenario's place in the study, from 0",
        "warm_up": "share of a workload's time that is replayed first and counts in no outcome",
    },
    "trials": {
        **_PLACE,
        "state": "complete, or fail",
        "reason": "why a trial failed",
        "subspace": "which of the study's policies it is of, from 0",
        "feasible": "whether it keeps every constraint",
        "attainable": "whether a kernel could do it: a bound, or other hardware, is no answer",
        "asked": "what the sampler asked for, as JSON",
        "objectives": "the values of the study's goals, in their order",
        "violations": "how far the worst scenario is beyond each bound of the constraints, in the "
        "study's order: above 0 it breaks the bound",
        "policy_key": "digest of all that decides the outcomes: equal keys have equal outcomes",
        "core_digest": _CORE_DIGEST,
        "attempts": "how often it was tried; above 1, all but the last are failures of its own",
        "retried": "whether it had failed and was tried again later: the search knows it as failed",
        "host": "the machine that replayed it",
        "finished_at": "when it was finished (UTC)",
    },
    "outcomes": {**_PLACE, **_BY_COST},
    "runs": {
        **_PLACE,
        **_BY_COST,
        "events_digest": "digest of the events that were replayed",
        "page_size": "bytes of a page",
        "reservation_samples": "allocations that reserved tag blocks, counted by what they had to "
        "do: whether in atomic context, blocks reserved, pages dropped, written and migrated",
        "series_time_ns": f"time since the first event {_MOMENT} (ns)",
        "series_reserved_pages": f"tag pages that are reserved {_MOMENT} (pages)",
        "series_cached_pages": f"tag pages that cache {_MOMENT} (pages)",
        "series_empty_pages": f"tag pages that are free or headroom {_MOMENT} (pages)",
        "series_read_ns": f"time that the disk takes {_PART}",
        "series_wait_ns": f"time that tasks wait {_PART}",
        "series_cpu_ns": f"CPU time that the system takes {_PART}",
        "series_all_missed_read_ns": f"time that the disk would take if all had missed {_PART}",
        "series_all_missed_wait_ns": f"time that tasks would wait for reads if all had missed "
        f"{_PART}",
        "phases": "the occurrences of phases, in order: name, what tasks waited for in it, and "
        "what they would have waited for reads if all had missed (ns)",
        "requests": "whether the trace tells its read requests: recorded, or guessed",
        "workingset": "whether the trace tells the workingset flag of stores: recorded, or "
        "inferred",
        "workingset_inferred_ratio": "share of the stores whose workingset flag was inferred "
        "(ratio)",
        "mapped": "whether the trace tells which stores are mapped to disk: recorded, or unknown",
    },
    "attempts": {
        **_PLACE,
        "attempt": "which failure of the trial it is, from 1; only failures of its own count",
        "cause": "what it failed by: exception, signal, exit, memory, or time",
        "error": "what ended it, in words",
        "host": "the machine where it failed",
        "node": "the node of the Ray cluster where it failed",
        "at": "when it failed (UTC)",
    },
}


def meaning_of_column(table: str, column: str) -> str:
    """Return what a column of a table means, with its unit.

    Raises
    ------
    KeyError
        When nothing tells it: `COLUMN_MEANINGS` lacks a column that no declaration has.
    """
    own = COLUMN_MEANINGS.get(table, {}).get(column)
    return own or short_meaning(column) or COLUMN_MEANINGS[table][column]


def column_entries() -> list[Entry]:
    """Return an entry of the glossary for every column that is no name of a study."""
    tables_of: dict[tuple[str, str], list[str]] = {}
    for table, (columns, _) in TABLES.items():
        for column in columns:
            if column in COLUMN_MEANINGS.get(table, {}):
                meaning = meaning_of_column(table, column)
                tables_of.setdefault((column, meaning), []).append(table)
    return [
        Entry(column, f"column of {', '.join(tables)}", meaning, {})
        for (column, meaning), tables in tables_of.items()
    ]
