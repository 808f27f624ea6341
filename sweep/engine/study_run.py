"""A whole run of a study: its inputs, its place in the database, its executor, its generations."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import closing
from difflib import get_close_matches
from functools import partial
from math import inf
from pathlib import Path
from typing import NamedTuple

from core.errors import InputError
from core.evaluator import Candidate
from core.jit import CORE_DIGEST
from sweep.engine.alone import Alone
from sweep.engine.compiling import Compiling, compile_all
from sweep.engine.dry_run import dry_run
from sweep.engine.executor import Executor
from sweep.engine.foreseen import check_foreseen, foreseen_warnings
from sweep.engine.generations import Progress, run_study
from sweep.engine.handed_out import Starting
from sweep.engine.inputs import Inputs, load_inputs, make_events
from sweep.engine.loops import loops_of
from sweep.engine.needs import Needs, check_needs, needs_line, needs_of, needs_warnings
from sweep.engine.plugins import Plugins, load_plugins
from sweep.engine.register import StartAfresh, as_recorded, note_ended, only_run, register
from sweep.engine.search import check_sampler
from sweep.engine.shards import Shard, check_shard
from sweep.engine.threads import Threads, default_workers
from sweep.results import Row, Store
from sweep.results.file_system import check_file_system
from sweep.results.reading import told_contradictions
from sweep.study.model import Study
from sweep.study.yaml_source import Source

#: Whether a candidate can be replayed at once.
Takes = Callable[[Candidate], bool]


#: Tables that take longer to make are told of before.
LONG_MAKING_S = 10.0


class Where(NamedTuple):
    """Where trials are replayed.

    Parameters
    ----------
    executor
        One of `EXECUTORS`, or ``auto``: a Ray cluster where one is named, and else threads.
    address
        A Ray cluster that runs already; by default that of RAY_ADDRESS, or a local one.
    workers
        Threads, or actors of the cluster; by default one a core.
    shard
        The share of the trials that is replayed; None for all.
    """

    executor: str = "auto"
    address: str | None = None
    workers: int | None = None
    shard: Shard | None = None

    def check(self) -> None:
        """Raise `InputError` if there is no such executor, or it cannot be as it is described."""
        words = ("auto", *EXECUTORS)
        if self.executor not in words:
            near = get_close_matches(self.executor, words, 1)
            what = f"executor {self.executor} is not {', '.join(words)}"
            raise InputError(what, meant=near[0] if near else None)
        if self.executor in ("threads", "in-process") and self.address is not None:
            raise InputError(f"executor {self.executor} has no cluster: leave the address out")
        if self.executor == "in-process" and self.workers is not None:
            raise InputError("executor in-process has one worker: threads has several")
        if self.workers is not None and self.workers < 1:
            raise InputError(f"workers {self.workers} is less than 1")

    @property
    def chosen(self) -> str:
        """The executor that is meant: one of `EXECUTORS`."""
        if self.executor != "auto":
            return self.executor
        # A job that `ray job submit` started finds its cluster in RAY_ADDRESS, too.
        return "ray" if self.address or os.environ.get("RAY_ADDRESS") else "threads"

    def shape(self, executor: Executor | None = None) -> Row:
        """Return what the database keeps of an executor, or of one that is to be started."""
        expected = (None, None) if self.chosen == "ray" else (1, self.threads)
        nodes, workers = executor.size if executor is not None else expected
        return {"executor": self.chosen, "nodes": nodes, "workers": workers}

    @property
    def threads(self) -> int:
        """The threads that replay, where threads do."""
        return 1 if self.chosen == "in-process" else self.workers or default_workers()


def ready_inputs(
    study: Study,
    source: Source,
    note: Callable[[str], None],
    code_digest: str = CORE_DIGEST,
    making: Callable[[str, int, int], None] = lambda workload, done, total: None,
    workers: int | None = None,
    within_s: float = inf,
) -> tuple[Inputs, Needs]:
    """Return what a study replays, with the tables made that every trial reads, and what it needs.

    Warnings are noted, and before tables are made that take long, what the study needs.

    Parameters
    ----------
    study, source, note, code_digest
        As for a run, and the digest of all code that decides results.
    making
        What is told of the tables as they are made: see `make_events`.
    workers
        Threads that replay; by default one for each processor.
    within_s
        Tables are made if that takes no longer; else what only they tell is not told.

    Raises
    ------
    SourceError
        When a workload cannot be replayed as the study says, or needs more than this machine has,
        or a metric can have no value.
    """
    inputs = load_inputs(study, source, code_digest)
    needs = needs_of(study, inputs, workers or default_workers())
    check_needs(study, source, needs)
    for warning in (*inputs.warnings, *needs_warnings(needs)):
        note(f"warning: {warning}")
    are_made = needs.making_s <= within_s
    if are_made:
        if needs.making_s > LONG_MAKING_S:
            note(needs_line(needs))
        make_events(study, source, inputs, making)
    check_foreseen(study, source, inputs, are_made)
    for warning in foreseen_warnings(study, source):
        note(f"warning: {warning}")
    return inputs, needs


def run_to_database(
    study: Study,
    source: Source,
    database: Path,
    where: Where,
    afresh: StartAfresh,
    progress: Progress,
    note: Callable[[str], None],
    retry_failed: bool = False,
) -> None:
    """Run every trial of a study that its database does not have; running it again goes on.

    Parameters
    ----------
    study, source
        The study, and the text that it was read from.
    database
        The results database; it is made if there is none.
    where
        Where trials are replayed.
    afresh
        When to start afresh: an older study of the name is then kept under another one.
    progress
        What is told of trials as they end.
    note
        What is called with each line that the user should know of.
    retry_failed
        Whether trials that an earlier run recorded as failed are tried again.

    Raises
    ------
    InputError
        When the study, its workloads, its plug-ins, its database or its cluster cannot be used.
    """
    check_sampler(study)
    if where.shard and not study.sampler.why:
        check_shard(study)  # before anything is made; of one that was picked the database knows it
    warning = check_file_system(database)
    if warning:
        note(f"warning: {warning}")
    plugins = load_plugins(source)
    # The nodes of a cluster compile for themselves.
    loops = [] if where.chosen == "ray" else loops_of(study)
    with closing(Compiling(loops, where.threads, progress.compiling, plugins)) as compiling:
        started: list[Executor] = []

        def start_executor() -> Executor:
            compiling.start()
            of = Replaying(where, study, inputs, plugins, compiling.takes, note)
            started.append(EXECUTORS[where.chosen](of))
            return started[0]

        if not database.exists():  # else there may be nothing to do
            compiling.start()
        code = plugins.code_digest()
        # The workers of a cluster take the memory of its nodes.
        here = None if where.chosen == "ray" else where.threads
        inputs, _ = ready_inputs(study, source, note, code, progress.making, here)
        store = Store(database)
        with only_run(database, study.study):
            with told_contradictions(database):
                study = as_recorded(store, study, afresh)
                if where.shard:
                    check_shard(study)
                if study.sampler.why:
                    note(f"sampler {study.sampler.name}: {study.sampler.why}")
                shape = where.shape()
                kept_as = register(store, study, source.text, inputs, source.path, afresh, shape)
            if kept_as:
                note(f"the earlier study is kept as {kept_as}")
            starting = Starting(start_executor, partial(Alone, inputs.workloads, plugins))
            why = run_study(
                *(study, inputs, store, starting, progress),
                shard=where.shard,
                note=note,
                retry_failed=retry_failed,
            )
            note_ended(store, study, why, where.shape(started[0]) if started else None)
            if why:
                note(f"stopped: {why}")


def run_dry(study: Study, source: Source, where: Where, note: Callable[[str], None]) -> Row:
    """Return what a run would come to, from a sample that is replayed in this process.

    Raises
    ------
    InputError
        When the study, its workloads or its plug-ins cannot be used.
    """
    check_sampler(study)
    plugins = load_plugins(source)
    inputs, _ = ready_inputs(*(study, source, note, plugins.code_digest()), workers=where.threads)
    compile_all(loops_of(study), where.threads, plugins)
    return dry_run(study, inputs, where.threads)


class Replaying(NamedTuple):
    """What an executor of a run is made of.

    Parameters
    ----------
    where, study, inputs, plugins
        Where trials are replayed, of which study, on what, and a user's own code.
    takes
        Return whether a candidate can be replayed at once.
    note
        What is called with each line that the user should know of.
    """

    where: Where
    study: Study
    inputs: Inputs
    plugins: Plugins
    takes: Takes
    note: Callable[[str], None]


def _in_threads(of: Replaying) -> Executor:
    return Threads(of.inputs.workloads, of.where.threads, of.takes)


def _on_ray(of: Replaying) -> Executor:
    # It takes 0.1 s to import.
    from sweep.engine.ray_cluster import RayCluster

    where, loops = of.where, loops_of(of.study)
    workloads = of.inputs.workloads
    return RayCluster(workloads, where.workers, where.address, loops, of.plugins, of.note)


#: What starts an executor, by the word that a user says.
EXECUTORS: dict[str, Callable[[Replaying], Executor]] = {
    "threads": _in_threads,
    "ray": _on_ray,
    "in-process": _in_threads,  # with one
}
