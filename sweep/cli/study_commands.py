"""The commands, behind their options: what each reads, does and shows."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from core.errors import InputError
from core.events import Events
from core.workload.expected import expect, touched_by
from core.workload.recipe import Recipe
from sweep.cli.answer import answer_of, show
from sweep.cli.stopping import saying_what_is_kept
from sweep.cli.terminal import (
    SAMPLING,
    LiveProgress,
    note,
    print_answer,
    print_json,
    print_table,
)
from sweep.cli.waiting import telling_of_compiling, telling_of_progress
from sweep.engine.generations import number_of_trials
from sweep.engine.needs import needs_line
from sweep.engine.register import StartAfresh
from sweep.engine.search import check_sampler
from sweep.engine.study_run import Where, ready_inputs, run_dry, run_to_database
from sweep.results import Row, StoreError, answer_query, open_for_reading, read_rows
from sweep.results.questions import (
    status_sql,
)
from sweep.results.reading import told_contradictions
from sweep.results.studies import read_study
from sweep.study.model import Study
from sweep.study.read import load_study, parse_study
from sweep.study.yaml_source import read_source

#: A study that is given with such a suffix is a file, and else a name.
STUDY_SUFFIXES = (".yaml", ".yml")
#: `sweep validate` makes the tables of a study if that takes less time, and else tells about how
#: large they are.
VALIDATE_S = 10.0
#: Workloads that it names, each with its replicates.
MOST_NAMED = 20
#: So long a run may take to stop in order, of the 5 s in which it ends: Ray alone stops in 1.4 s.
RUN_IN_ORDER_S = 4.0


def run_command(
    path: Path,
    database: Path,
    where: Where,
    afresh: StartAfresh,
    as_json: bool,
    retry_failed: bool = False,
) -> bool:
    """Run a study and show its answer.

    Parameters
    ----------
    path
        The study's file.
    database
        The results database; it is made if there is none.
    where
        Where trials are replayed.
    afresh
        When to start afresh: an older study of the name is then kept under another one.
    as_json
        Whether the answer is printed as JSON.
    retry_failed
        Whether trials that are recorded as failed are tried again.

    Returns
    -------
    bool
        Whether a trial failed, of this run or of an earlier one.

    Raises
    ------
    InputError
        When the study, a workload, the database or the cluster cannot be used.
    """
    study = run_file(path, database, where, afresh, retry_failed)
    if where.shard:
        note(f"share {where.shard} is in {database}; sweep merge ALL.duckdb FILE… joins the shares")
    answered = answer_of(study, study.study, database, max(5, len(study.subspaces)))
    show(study, study.study, answered, as_json)
    return answered.has_failed


def run_file(
    path: Path, database: Path, where: Where, afresh: StartAfresh, retry_failed: bool = False
) -> Study:
    """Run the study in a file, show how far it is, and return it; parameters as for a command."""
    study, source = load_study(path)
    progress = LiveProgress(study)

    def kept() -> str:
        return f"{progress.kept} are kept in {database}; run it again to go on"

    with saying_what_is_kept(kept, RUN_IN_ORDER_S):
        try:
            run_to_database(study, source, database, where, afresh, progress, note, retry_failed)
        finally:
            progress.close()
    return study


def dry_run_command(path: Path, where: Where, as_json: bool) -> None:
    """Tell what a run of a study would replay, how long and in how much memory.

    Raises
    ------
    InputError
        When the study, a workload or a plug-in cannot be used.
    """
    study, source = load_study(path)
    note(f"study {study.study}: {SAMPLING}")
    with telling_of_progress("sampling"):
        summary = run_dry(study, source, where, note)
    if as_json:
        print_json(summary)
    else:
        print("\n".join(_dry_run_lines(path, summary)))


def _dry_run_lines(path: Path, summary: Row) -> Iterator[str]:
    points, exact = summary["distinct_points"], summary["distinct_trials_are"] == "exact"
    of_points = "points without end" if points is None else f"{points:,} distinct points"
    differ, repeat = ("", "") if exact else ("at most ", "at least ")
    repeats = f": {differ}{summary['distinct_trials']:,} differ, {repeat}" + (
        f"{summary['repeated_trials']:,} repeat others"
    )
    yield f"{path}: {summary['trials']:,} trials of {of_points}" + (
        repeats if summary["repeated_trials"] else ""
    )
    yield f"baselines: {summary['baselines']}; scenarios: {', '.join(summary['scenarios'])}"
    for row in summary["workloads"]:
        least = f"{row['events_at_least']:,} to " if "events_at_least" in row else ""
        replicate = f", replicate {row['replicate']}" if row["replicate"] else ""
        yield f"workload {row['workload']}{replicate}: {least}{row['events']:,} events"
    yield (
        f"replays: {summary['replays']:,} at most; scenarios that differ in costs alone are priced "
        "together"
    )
    yield (
        f"memory: about {summary['memory_bytes'] / 1e6:,.0f} MB a worker for timelines and lanes, "
        "beside the workloads"
    )
    seconds, workers = summary["expected_seconds"], summary["workers"]
    yield (
        f"time: about {seconds:,.{0 if seconds > 10 else 1}f} s by {workers} worker"
        f"{'s' if workers > 1 else ''}, an estimate from {summary['sampled_policies']} of its own "
        "policies, replayed here; without the start, compiling, and what the sampler takes"
    )


def validate_command(path: Path, as_json: bool) -> None:
    """Check a study, its traces row by row, and say what it would run.

    Raises
    ------
    InputError
        With every mistake that can be told at once.
    """
    study, source = load_study(path)
    check_sampler(study)
    with telling_of_progress("reading and making its workloads"), telling_of_compiling("study"):
        inputs, needs = ready_inputs(study, source, note, within_s=VALIDATE_S)
    workloads = [
        {"workload": name, "replicate": replicate, "data_pages": pages} | _events_of(source)
        for name, replicate, source, pages in zip(
            *(inputs.names, inputs.replicates, inputs.workloads.sources),
            inputs.workloads.data_pages,
            strict=True,
        )
    ]
    summary = {
        "study": study.study,
        "n_trials": number_of_trials(study),
        "sampler": study.sampler.name,
        "sampler_reason": study.sampler.why or None,
        "parameters": list(study.searched),
        "baselines": len(study.baselines),
        "workloads": workloads,
        "needs": needs.row(),
    }
    if as_json:
        print_json(summary)
        return
    traces = ", ".join(
        f"{workload['workload']} ({workload['events']:,} events)"
        if "events" in workload
        else f"{workload['workload']} (about {workload['about_events']:,} events, not made yet)"
        for workload in workloads[:MOST_NAMED]
    )
    if len(workloads) > MOST_NAMED:
        traces += f" and {len(workloads) - MOST_NAMED:,} more"
    print(f"{path}: {needs_line(needs)}")
    print(
        f"{path}: good: {summary['n_trials']} trials of {_searched(study)}, "
        f"{len(study.baselines)} baselines, on {traces}"
    )


def _searched(study: Study) -> str:
    """Return what a study searches, in words."""
    names = ", ".join(study.searched)
    several = f"{len(study.policies)} policies, each" if study.policies else ""
    why = f" ({study.sampler.why})" if study.sampler.why else ""
    how = f"of {names} by {study.sampler.name}{why}" if names else "once"
    return f"{several} {how}".strip() if several else how.removeprefix("of ")


def _events_of(source: Events | Recipe) -> dict[str, int]:
    """Return the events of a table; of one that is not made, about how many there are."""
    if isinstance(source, Recipe) and not source.is_kept():
        return {"about_events": expect(source, touched_by(source.accesses)).events}
    events = source.events() if isinstance(source, Recipe) else source
    return {"events": int(events.op.size)}


def name_of(study: str) -> str:
    """Return the name of a study that is given by name, or by a file; its traces may be gone.

    Raises
    ------
    SourceError
        When the file cannot be read, or is no study.
    """
    path = Path(study)
    if path.suffix in STUDY_SUFFIXES:
        return parse_study(read_source(path).text, path).study
    return study


def refuse_study_file(study: str, output: Path) -> None:
    """Raise `StoreError` if a file to be written is the one that a study is given by."""
    is_same = os.path.realpath(output) == os.path.realpath(study)
    if is_same and Path(study).suffix in STUDY_SUFFIXES:
        raise StoreError("is the study", file=output)


def stored_study(database: Path, name: str) -> Study:
    """Return a study of a database as it was stored.

    Raises
    ------
    StoreError
        When it holds no study of that name; the message tells which it holds.
    """
    with open_for_reading(database) as connection:
        return read_study(connection, name, database)


def status_command(study: str | None, database: Path, as_json: bool) -> None:
    """Show how far one study of a database is, or each of them.

    Parameters
    ----------
    study
        Its name or its file; None for all studies.
    database
        The results database.
    as_json
        Whether the rows are printed as JSON.
    """
    name = name_of(study) if study else None
    with open_for_reading(database) as connection:
        rows = read_rows(connection, status_sql(), [name])
    if name and not rows:
        stored_study(database, name)
    if as_json:
        print_json(rows)
    else:
        print_table(rows)


def best_command(study: str, database: Path, limit: int, as_json: bool) -> None:
    """Show the verdict on a study, and its best trials: the Pareto set of several objectives.

    Parameters
    ----------
    study
        Its name or its file.
    database
        The results database.
    limit
        Rows at most.
    as_json
        Whether the rows are printed as JSON.
    """
    with told_contradictions(database):
        name = name_of(study)
        stored = stored_study(database, name)
        show(stored, name, answer_of(stored, name, database, limit), as_json)


def report_command(study: str, database: Path, output: Path, as_json: bool) -> None:
    """Write the report of a study, and tell what is in it."""
    from sweep.report import write_report

    name = name_of(study)
    refuse_study_file(study, output)
    with telling_of_progress("drawing", "sections") as advance:
        written = write_report(stored_study(database, name), name, database, output, advance)
    if as_json:
        print_json(written)
    else:
        print(f"{output}: {len(written['figures'])} figures, {written['bytes'] / 1e6:.1f} MB")


def query_command(sql: str, database: Path, as_json: bool, as_csv: bool) -> None:
    """Print the answer to a query, which is typed in UTF-8 whatever the locale."""
    try:
        text = os.fsencode(sql).decode("utf-8")
    except UnicodeError:
        raise InputError("the query is not in UTF-8") from None
    print_answer(answer_query(database, text), as_json, as_csv)
