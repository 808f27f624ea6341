"""A recorded study: one of a database, with the files beside it that it was run on."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from core.jit import CORE_DIGEST
from sweep.engine.inputs import Inputs
from sweep.engine.register import StudyChangedError, changes_of
from sweep.results import MODEL_VERSION, Row, Rows, StoreError, open_for_reading
from sweep.results.questions import another_version
from sweep.results.studies import study_row
from sweep.study.model import Study
from sweep.study.read import load_study, validate_source
from sweep.study.yaml_source import Source, SourceError, parse_source


class Recorded(NamedTuple):
    """A study of a database.

    Parameters
    ----------
    row
        Its row of `studies`.
    study
        The study as it was stored.
    source
        The text that was stored, as if it stood in the folder of the study's files.
    """

    row: Row
    study: Study
    source: Source

    @property
    def name(self) -> str:
        """Its name in the database: one that was set aside has another than its text says."""
        return str(self.row["study"])

    @property
    def folder(self) -> Path:
        """Where the files that it names are."""
        return self.source.path.parent


def row_of_study(rows: Rows) -> Row:
    """Return the row of `studies` of a study.

    Raises
    ------
    StoreError
        When the database cannot be read, or holds no study of that name.
    """
    with open_for_reading(rows.database) as connection:
        return study_row(connection, rows.study, rows.database)


def recorded_by_file(database: Path, file: Path) -> Recorded:
    """Return the study of a database that a file holds.

    Raises
    ------
    InputError
        When the database has no study of that name, or the file has changed since it was run.
    """
    study, source = load_study(file)
    row = row_of_study(Rows(database, study.study))
    _check(row, study, file)
    return Recorded(row, study, parse_source(source.path, row["yaml"]))


def recorded_by_name(database: Path, name: str, folder: Path) -> Recorded:
    """Return a study of a database, whose files are in a folder.

    Raises
    ------
    InputError
        When the database has no study of that name, or its files are not in the folder.
    """
    row = row_of_study(Rows(database, name))
    source = parse_source(folder / f"{name}.yaml", row["yaml"])
    _check_model(row, source.path)
    try:
        study = validate_source(source)
    except SourceError as error:
        where = f"the files of a study are looked for in {folder}; --folder names another folder"
        raise StoreError(f"{error}\n  {where}") from None
    _check(row, study, source.path)
    return Recorded(row, study, source)


def _check(row: Row, study: Study, file: Path) -> None:
    _check_model(row, file)
    changes = [f"  {change}" for change in changes_of(row, study)]
    if changes:
        listed = "\n".join(changes)
        raise StudyChangedError(
            f"{file}: study {study.study} has changed since it was run:\n{listed}"
        )


def _check_model(row: Row, file: Path) -> None:
    version = row["model_version"] or 1
    if version != MODEL_VERSION:
        what = f"study {row['study']} was run by {another_version(version)}, which alone replays it"
        raise StoreError(what, file=file)


def check_events(recorded: Recorded, inputs: Inputs) -> str | None:
    """Check that the workloads hold the events that a study was run on.

    Another version of the simulator may make other events of the same file, or digest them
    otherwise: what is returned is then a line that says so.

    Raises
    ------
    StudyChangedError
        When a workload holds other events, and the simulator is the one that ran the study.
    """
    stored = (recorded.row[name] or () for name in ("workloads", "events_digests"))
    before = dict(zip(*stored, strict=False))
    now = dict(zip(inputs.names, inputs.digests, strict=True))
    changed = [name for name in now if before.get(name) != now[name]]
    if not changed:
        return None
    names = ", ".join(changed)
    if recorded.row["core_digest"] in (CORE_DIGEST, inputs.code_digest):
        what = f"study {recorded.name}: {names}: other events than those that it was run on"
        raise StudyChangedError(f"{recorded.source.path}: {what}")
    return f"note: {names}: other events, or this version of the simulator reads them otherwise"
