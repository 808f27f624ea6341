"""The register of studies: a name stands for one study, and one run of it at a time."""

from __future__ import annotations

import fcntl
import json
import platform
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from core.errors import InputError
from core.jit import CORE_DIGEST
from sweep.engine.generations import number_of_trials
from sweep.engine.inputs import Inputs
from sweep.results import Store, StoreError, spool_folder, told_errors
from sweep.study.model import Study

_PACKAGES = ("tag-storage-sweep", "numpy", "numba", "pyarrow", "optuna", "ray", "duckdb")
#: Columns of `studies` that tell what a study was run with.
_PROVENANCE = ("core_digest", "git_revision", "versions", "host")
_RECORDED_SQL = (
    "SELECT count(*) FILTER (role = 'trial' AND number < $1) AS trials, "
    "coalesce(list_sort(list(DISTINCT core_digest)), []) AS simulators FROM trials WHERE study = $2"
)
_ABSENT = object()


class StudyChangedError(InputError):
    """A study whose name is taken by another one, and how they differ."""


@contextmanager
def only_run(database: Path, study: str) -> Iterator[None]:
    """Hold the only run of a study on a database; the kernel lets go of it if we are killed."""
    folder = spool_folder(database)
    with told_errors(database):
        folder.mkdir(exist_ok=True)
        lock = (folder / f"{study}.lock").open("w")
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StoreError(f"{database}: study {study} is being run by another process") from None
        yield


def register(
    store: Store, study: Study, text: str, inputs: Inputs, path: Path, new: bool
) -> str | None:
    """Enter a study, or find that it goes on; `new` sets another one of its name aside.

    Returns
    -------
    str or None
        The name under which the other one is kept.

    Raises
    ------
    StudyChangedError
        When the name is taken by a study that would give other trials.
    """
    rows = store.rows("SELECT * FROM studies WHERE study = ?", [study.study])
    kept_as = store.set_aside(study.study) if rows and new else None
    entry = {
        "study": study.study,
        "question": study.question,
        "n_trials": number_of_trials(study),
        "yaml": text,
        "identity": json.dumps(study.identity(), sort_keys=True),
        "workloads": inputs.names,
        "events_digests": inputs.digests,
        "core_digest": CORE_DIGEST,
        "git_revision": _git_revision(path.parent),
        "versions": json.dumps(_versions()),
        "host": socket.gethostname(),
        "created_at": datetime.now(UTC).replace(tzinfo=None),
    }
    if rows and not new:
        (recorded,) = store.rows(_RECORDED_SQL, [number_of_trials(study), study.study])
        left = recorded["trials"] < number_of_trials(study)
        differences = list(_changes(study, inputs, rows[0], left, recorded["simulators"]))
        if differences:
            listed = "\n".join(f"  {difference}" for difference in differences)
            raise StudyChangedError(
                f"{path}: study {study.study} has changed since it was run:\n{listed}\n"
                "  --new keeps those results under another name and starts afresh; "
                "or give the study another name"
            )
        # What has nothing left to run keeps saying what it was run with.
        kept = ("created_at",) if left else ("created_at", *_PROVENANCE)
        entry |= {name: rows[0][name] for name in kept}
    store.add("studies", entry)
    store.flush()
    return kept_as


def _changes(
    study: Study, inputs: Inputs, row: dict[str, Any], left: bool, simulators: list[str]
) -> Iterator[str]:
    yield from _differences("", json.loads(row["identity"]), study.identity())
    if list(row["events_digests"]) != inputs.digests:
        yield "a workload holds other events"
    # Trials of two simulators are not one study.
    if left and any(digest != CORE_DIGEST for digest in simulators):
        yield f"the simulator (source digest): was {', '.join(simulators)}, is {CORE_DIGEST}"


def _differences(place: str, before: Any, now: Any) -> Iterator[str]:
    if isinstance(before, dict) and isinstance(now, dict):
        for key in dict.fromkeys([*before, *now]):
            inner = f"{place}.{key}" if place else key
            yield from _differences(inner, before.get(key, _ABSENT), now.get(key, _ABSENT))
    elif isinstance(before, list) and isinstance(now, list) and len(before) == len(now):
        for number, (one, other) in enumerate(zip(before, now, strict=True)):
            yield from _differences(f"{place}[{number}]", one, other)
    elif before != now:
        yield f"{place}: was {_say(before)}, is {_say(now)}"


def _say(value: Any) -> str:
    return "absent" if value is _ABSENT else json.dumps(value)


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def _git_revision(folder: Path) -> str | None:
    try:
        command = [
            "git",
            "-C",
            str(folder.resolve()),
            "describe",
            "--always",
            "--dirty",
            "--abbrev=40",
        ]
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() or None
