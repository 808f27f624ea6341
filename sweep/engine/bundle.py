"""Writing a bundle: a study, its files and its rows as one tar; equal content, equal bytes."""

from __future__ import annotations

import json
import os
import tarfile
from pathlib import Path
from tempfile import TemporaryDirectory

from core.errors import InputError
from core.files import written_whole
from core.registry import plugin_digest
from sweep.engine.inputs import Inputs
from sweep.engine.manifest import (
    FORMAT,
    MANIFEST,
    ROW_FILES,
    STUDY_FILE,
    FileEntry,
    Manifest,
    ModuleEntry,
    WorkloadEntry,
    entry_of,
    folders_above,
    member_of,
    names_in,
)
from sweep.engine.plugins import modules_beside
from sweep.engine.recorded import Recorded
from sweep.results import StoreError, check_output_file, told_errors, write_row_files

SUFFIX = ".tar"


def check_output(output: Path, database: Path) -> None:
    """Check that a bundle can have a name, before the work of making it.

    Raises
    ------
    InputError
        When it cannot.
    """
    check_output_file(output, database)
    if output.suffix != SUFFIX:
        meant = output.with_name(output.name + SUFFIX)
        raise StoreError(f"a bundle is called NAME{SUFFIX}", file=output, meant=str(meant))


def write_bundle(
    recorded: Recorded, database: Path, inputs: Inputs, output: Path, with_traces: bool = True
) -> Manifest:
    """Write the bundle of a study, whole or not at all, and return what is in it.

    Parameters
    ----------
    recorded
        The study.
    database
        The database that it is in.
    inputs
        Its workloads.
    output
        The tar to write; a file of that name is replaced.
    with_traces
        Whether traces and accesses are in it, or only their digests.

    Raises
    ------
    InputError
        When a file cannot be read, or has a name that no bundle can hold; or when the bundle cannot
        be written.
    """
    with TemporaryDirectory(prefix="sweep-bundle-") as name:
        folder = Path(name)
        members, left_out, modules = _files_of(recorded, with_traces)
        study_file = member_of(STUDY_FILE, _above(recorded))
        text = folder / STUDY_FILE
        text.write_text(recorded.row["yaml"], encoding="utf-8")
        if study_file in members:
            raise InputError(f"the study names a file {STUDY_FILE} beside itself: rename that file")
        rows = write_row_files(database, recorded.name, folder)
        members |= {study_file: text}
        members |= {member: folder / f"{table}.parquet" for member, table in ROW_FILES.items()}
        files = {member: _entry(path, True) for member, path in members.items()}
        files |= {member: _entry(path, False) for member, path in left_out.items()}
        row = recorded.row
        manifest = Manifest(
            format=FORMAT,
            study=recorded.name,
            study_file=study_file,
            core_digest=row["core_digest"],
            model_version=row["model_version"],
            git_revision=row["git_revision"],
            versions=json.loads(row["versions"] or "{}"),
            workloads=[
                WorkloadEntry(workload=workload, events_digest=digest)
                for workload, digest in zip(inputs.names, inputs.digests, strict=True)
            ],
            modules=modules,
            rows=rows,
            files=files,
        )
        listed = folder / MANIFEST
        listed.write_text(json.dumps(manifest.model_dump(), indent=1, sort_keys=True) + "\n")
        _write_tar(output, {MANIFEST: listed, **members})
    return manifest


def _above(recorded: Recorded) -> int:
    return folders_above(names_in(recorded.study))


def _files_of(
    recorded: Recorded, with_traces: bool
) -> tuple[dict[str, Path], dict[str, Path], list[ModuleEntry]]:
    """Return the files beside a study by their members: those to include, and those left out."""
    study, above = recorded.study, _above(recorded)
    included: dict[str, Path] = {}
    left_out: dict[str, Path] = {}
    for name in names_in(study):
        of_costs = name == study.costs.measured
        into = included if with_traces or of_costs else left_out
        into[member_of(name, above)] = recorded.folder / name
    modules = []
    folder = recorded.source.path.resolve().parent
    for module, paths in modules_beside(recorded.source).items():
        own = {member_of(path.relative_to(folder).as_posix(), above): path for path in paths}
        included |= own
        digest = None if own else plugin_digest([f"{module}:installed"])
        modules.append(ModuleEntry(module=module, digest=digest, files=list(own)))
    return included, left_out, modules


def _entry(path: Path, included: bool) -> FileEntry:
    with told_errors(path):
        return entry_of(path, included)


def _write_tar(output: Path, members: dict[str, Path]) -> None:
    """Write a tar whose bytes depend on the content of its members alone."""
    with (
        told_errors(output),
        written_whole(output) as file_of_tar,
        tarfile.open(fileobj=file_of_tar, mode="w", format=tarfile.PAX_FORMAT) as tar,
    ):
        for member in sorted(members):
            with members[member].open("rb") as file:
                about = tarfile.TarInfo(member)
                about.size = os.fstat(file.fileno()).st_size
                about.mode = 0o644
                tar.addfile(about, file)
