"""The register of studies: a name belongs to one study, of which there is one run at a time."""

from __future__ import annotations

import fcntl
import json
import platform
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from enum import Enum
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from core.errors import InputError
from core.files import DISK
from sweep.engine.generations import number_of_trials
from sweep.engine.inputs import Inputs
from sweep.engine.rows import row_of_world
from sweep.results import (
    MODEL_VERSION,
    Row,
    Store,
    StoreError,
    name_aside,
    spool_folder,
    told_errors,
)
from sweep.results.identity import identity_changes
from sweep.results.questions import another_version
from sweep.study.goals import goals_of
from sweep.study.model import Study
from sweep.study.pick import with_picked_sampler
from sweep.study.worlds import worlds_of

_PACKAGES = ("tag-storage-sweep", "numpy", "numba", "pyarrow", "optuna", "ray", "duckdb")
#: Columns of `studies` that say what a study was run with.
_PROVENANCE = ("core_digest", "git_revision", "versions", "host")
#: The trials that are recorded of a study, and the digests of the simulators that replayed them.
_RECORDED_SQL = (
    "SELECT count(*) FILTER (role = 'trial' AND number < $1) AS trials, "
    "coalesce(list_sort(list(DISTINCT core_digest)), []) AS simulators, "
    "coalesce(list_sort(list(DISTINCT host) FILTER (host IS NOT NULL)), []) AS hosts "
    "FROM trials WHERE study = $2"
)
_SCENARIOS_SQL = "SELECT * FROM scenarios WHERE study = ?"


class StudyChangedError(InputError):
    """A study whose name belongs to another one, or to results of another version of the model."""


class StartAfresh(Enum):
    """When a study whose name is taken starts afresh; the one of that name is kept aside."""

    NEVER = "never"
    IF_CHANGED = "if changed"  # or if another version of the model ran it
    ALWAYS = "always"


def start_afresh(new: bool, new_if_changed: bool) -> StartAfresh:
    """Return what the options ``new`` and ``new_if_changed`` mean; one of them is given at most."""
    if new:
        return StartAfresh.ALWAYS
    return StartAfresh.IF_CHANGED if new_if_changed else StartAfresh.NEVER


@contextmanager
def only_run(database: Path, study: str) -> Iterator[None]:
    """Keep other processes from running a study on a database.

    The kernel releases the lock of a process that is killed.

    Raises
    ------
    StoreError
        When another process is running the study.
    """
    folder = spool_folder(database)
    with told_errors(database):
        DISK.make_folder(folder)
        lock = DISK.new(folder / f"{study}.lock")
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StoreError(f"{database}: study {study} is being run by another process") from None
        yield


def register(
    store: Store,
    study: Study,
    text: str,
    inputs: Inputs,
    path: Path,
    afresh: StartAfresh,
    executor: Row | None = None,
) -> str | None:
    """Enter a study under its name, or check that the one under that name is the same.

    Parameters
    ----------
    store
        The database.
    study
        The study.
    text
        Its YAML, which is stored.
    inputs
        Its workloads.
    path
        Its file.
    afresh
        When a study that has the name already is renamed, and this one starts afresh.
    executor
        What is to replay it: an entry of the column `executors`.

    Returns
    -------
    str or None
        The new name of the study that was renamed.

    Raises
    ------
    StudyChangedError
        When the name belongs to a study that would give other trials, and stays its name.
    """
    with store.database.reading():
        rows = store.rows("SELECT * FROM studies WHERE study = ?", [study.study])
        stored_worlds = store.rows(_SCENARIOS_SQL, [study.study])
        (recorded,) = store.rows(_RECORDED_SQL, [number_of_trials(study), study.study])
        unfinished = recorded["trials"] < number_of_trials(study)
        simulators = recorded["simulators"] if unfinished else []
        change = _change(store, rows[0], study, inputs, simulators) if rows else None
    kept_as = None
    if rows and (afresh is StartAfresh.ALWAYS or (change and afresh is StartAfresh.IF_CHANGED)):
        kept_as = store.set_aside(study.study)
        rows, stored_worlds = [], []
    elif change:
        raise StudyChangedError(f"{path}: study {study.study} {change}")
    entry = {
        "study": study.study,
        "question": study.question,
        "n_trials": number_of_trials(study),
        "yaml": text,
        "identity": json.dumps(study.identity(), sort_keys=True),
        "workloads": inputs.names,
        "events_digests": inputs.digests,
        "created_at": datetime.now(UTC).replace(tzinfo=None),
        "model_version": MODEL_VERSION,
        "goals": [goal._asdict() for goal in goals_of(study)],
        "warnings": inputs.warnings,
        "sampler": study.sampler.name,
        "sampler_reason": study.sampler.why or None,
        "stopped": None,
        "hosts": recorded["hosts"],
        "executors": [],
    }
    if rows:
        entry |= {name: rows[0][name] for name in ("created_at", "stopped")}
        entry["executors"] = list(rows[0]["executors"] or [])
    if executor is not None and (unfinished or not rows):
        entry["executors"] = _with_executor(entry["executors"], executor)
    # A finished study keeps the versions that it was run with.
    entry |= (
        _provenance(path, inputs)
        if unfinished or not rows
        else {name: rows[0][name] for name in _PROVENANCE}
    )
    worlds = [
        {"study": study.study, "scenario": world.name, "place": place} | row_of_world(study, world)
        for place, world in enumerate(worlds_of(study))
    ]
    _add_new(store, "studies", [entry], rows)
    _add_new(store, "scenarios", worlds, stored_worlds)
    store.flush()
    return kept_as


def as_recorded(store: Store, study: Study, afresh: StartAfresh) -> Study:
    """Return a study with the sampler that was picked when it was run first, if it names none.

    Parameters
    ----------
    store
        The database.
    study
        The study, as its file says.
    afresh
        When it starts afresh: then nothing of an earlier run counts.
    """
    sql = "SELECT identity, sampler, sampler_reason FROM studies WHERE study = ?"
    for row in store.rows(sql, [study.study]):
        goes_on = afresh is not StartAfresh.ALWAYS and not list(changes_of(row, study))
        if goes_on and row["sampler_reason"]:
            return with_picked_sampler(study, (row["sampler"], row["sampler_reason"]))
    return study


def note_ended(store: Store, study: Study, reason: str | None, executor: Row | None) -> None:
    """Store how a run came to its end.

    Parameters
    ----------
    store, study
        The database, and the study.
    reason
        Why the search ended before its last trial; None of one that did not.
    executor
        What replayed it: an entry of the column `executors`; None if nothing did.
    """
    for row in store.rows("SELECT * FROM studies WHERE study = ?", [study.study]):
        (recorded,) = store.rows(_RECORDED_SQL, [0, study.study])
        known = row | {"stopped": reason, "hosts": recorded["hosts"]}
        if executor is not None:
            known["executors"] = _with_executor(row["executors"] or [], executor)
        if known != row:
            store.add("studies", known)
            store.flush()


def _with_executor(before: list[Row], executor: Row) -> list[Row]:
    """Add what replays a study to what did before; what was to replay it is replaced by that."""
    sizes = ("nodes", "workers")
    planned = executor | {name: None for name in sizes if executor["executor"] == "ray"}
    kept = [each for each in before if each not in (executor, planned)]
    return [*kept, executor]


def _add_new(store: Store, table: str, rows: list[Row], stored: list[Row]) -> None:
    """Add the rows that do not stand in the database: to merge any rewrites all of its file."""
    new = [row for row in rows if not any(row.items() <= each.items() for each in stored)]
    if new:
        store.add(table, *new)


def _provenance(path: Path, inputs: Inputs) -> Row:
    return {
        "core_digest": inputs.code_digest,
        "git_revision": _git_revision(path.parent),
        "versions": json.dumps(versions_now()),
        "host": socket.gethostname(),
    }


def _change(
    store: Store, row: Row, study: Study, inputs: Inputs, simulators: list[str]
) -> str | None:
    """Return why a study cannot go on, and what can be done; None if it can go on."""
    version = row["model_version"] or 1
    if version != MODEL_VERSION:
        names = {each["study"] for each in store.rows("SELECT study FROM studies")}
        return (
            f"was run by {another_version(version)}, and its times "
            "cannot be compared with those of this one:\n"
            f"  --new keeps those results as {name_aside(study.study, names)} and starts afresh; "
            "best, report and query still read them"
        )
    differences = list(_differences_from(row, study, inputs, simulators))
    if not differences:
        return None
    listed = "\n".join(f"  {difference}" for difference in differences)
    return (
        f"has changed since it was run:\n{listed}\n"
        "  --new keeps those results under another name and starts afresh; "
        "or give the study another name"
    )


def _differences_from(
    row: Row, study: Study, inputs: Inputs, simulators: list[str]
) -> Iterator[str]:
    """Yield how a study differs from its row, and its simulator from those of earlier trials."""
    yield from changes_of(row, study)
    if list(row["events_digests"]) != inputs.digests:
        yield "a workload holds other events"
    # Trials of different simulators cannot be compared.
    now = inputs.code_digest
    if any(digest != now for digest in simulators):
        yield f"the simulator (source digest): was {', '.join(simulators)}, is {now}"


def changes_of(row: Row, study: Study) -> Iterator[str]:
    """Yield how a study differs from the one of a row of `studies`, measured costs included."""
    yield from identity_changes(json.loads(row["identity"]), study.identity())


def versions_now() -> dict[str, str]:
    """Return the versions of Python and of the packages that decide what a study gives."""
    versions = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    return versions


def _git_revision(folder: Path) -> str | None:
    """Return the commit that is checked out in a folder, if it is in a Git repository."""
    words = ["git", "-C", str(folder.resolve()), "describe", "--always", "--dirty", "--abbrev=40"]
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() or None
