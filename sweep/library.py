"""Studies from Python: what the commands do, for a notebook or a script."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sweep.cli.terminal import LiveProgress, note
from sweep.engine.register import start_afresh
from sweep.engine.study_run import Where, run_to_database
from sweep.results import copy_of, open_for_reading, read_table
from sweep.study.model import Study
from sweep.study.read import validate_source
from sweep.study.yaml_source import Source, parse_source, read_source

if TYPE_CHECKING:
    import pyarrow as pa

    from sweep.results.reading import Connection

#: A study: its file, its YAML as text of several lines, or its content as a mapping.
StudyLike = str | os.PathLike[str] | dict[str, Any]

_TRIALS_SQL = "SELECT * FROM trials WHERE study = $1 ORDER BY role DESC, number"


def load(study: StudyLike) -> Study:
    """Return a study, checked together with its traces.

    Parameters
    ----------
    study
        Its file; or its YAML, as a string with line breaks; or its content, as a dict. The traces
        of one without a file are looked for from the current folder on.

    Raises
    ------
    InputError
        With every mistake in it, each by line and column.
    """
    return validate_source(_source_of(study))


def run(
    study: StudyLike,
    db: str | os.PathLike[str] = "results.duckdb",
    *,
    executor: str = "auto",
    address: str | None = None,
    workers: int | None = None,
    new: bool = False,
    new_if_changed: bool = False,
) -> pa.Table:
    """Run a study as `sweep run` does, and return its trials and baselines.

    Running it again replays only what the database lacks. Progress goes to stderr.

    Parameters
    ----------
    study
        As for `load`.
    db
        The results database; it is made if there is none.
    executor
        Where trials are replayed: in ``threads`` of this process, on a ``ray`` cluster, or
        ``in-process``, which is one thread; ``auto``: on Ray where a cluster is named, else in
        threads.
    address
        A Ray cluster that runs already.
    workers
        Threads, or actors of the cluster; by default one a core.
    new
        Whether to start afresh; an older study of the name is kept under another one.
    new_if_changed
        Whether to do so only if the older study differs, or an earlier version ran it.

    Returns
    -------
    pyarrow.Table
        The rows of `trials` in the database, trials first, in their order; ``.to_pandas()`` or
        ``polars.from_arrow`` makes a data frame of it.

    Raises
    ------
    InputError
        When the study, a workload, the database or the executor cannot be used.
    ValueError
        When both `new` and `new_if_changed` are given.
    """
    where = Where(executor, address, workers)
    where.check()
    if new and new_if_changed:
        raise ValueError("new and new_if_changed: one of them says when to start afresh")
    source = _source_of(study)
    checked = validate_source(source)
    database = Path(db)
    progress = LiveProgress(checked)
    try:
        run_to_database(
            checked, source, database, where, start_afresh(new, new_if_changed), progress, note
        )
    finally:
        progress.close()
    with open_for_reading(database) as connection:
        return read_table(connection, _TRIALS_SQL, [checked.study])


def connect(db: str | os.PathLike[str] = "results.duckdb") -> Connection:
    """Return a connection to a copy of a results database as it is now.

    A copy, since a client that holds the database itself keeps runs from writing to it. Questions
    reach nothing but the copy, as those of `sweep query` do, since it may be a stranger's.

    Raises
    ------
    InputError
        When there is no such database, or it cannot be read.
    """
    return copy_of(Path(db))


def _source_of(study: StudyLike) -> Source:
    if isinstance(study, Study):
        raise TypeError("what load returns has no file: give run what load was given")
    if isinstance(study, dict):
        return parse_source(Path("study"), json.dumps(study, indent=2, default=_plain))
    if isinstance(study, str) and "\n" in study:
        return parse_source(Path("study"), study)
    return read_source(Path(study))


def _plain(value: Any) -> Any:
    """Return a value that JSON, which is YAML, has: of a NumPy number the one of Python."""
    return value.item() if hasattr(value, "item") else str(value)
