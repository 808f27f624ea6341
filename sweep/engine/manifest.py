"""The manifest of a bundle: what is in it, with the digest of each file, and what made its rows.

A bundle is a tar with a study, the files that the study names, and its rows. It may come from a
stranger, so nothing in it is believed before it is checked here or in `sweep.engine.unpack`.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from core.errors import InputError
from sweep.results import TABLES
from sweep.study.model import Study

#: The form of a bundle; one that this version does not know is refused.
FORMAT = 1
MANIFEST = "manifest.json"
#: The folders of a bundle: the rows, and the study with all that it names.
ROWS, FILES = "rows", "study"
#: Stands for each folder above the study's own one that holds a file the study names.
ABOVE = "up"
STUDY_FILE = "study.yaml"
#: The members of every bundle that hold rows.
ROW_FILES = {f"{ROWS}/{table}.parquet": table for table in TABLES}
#: What neither a manifest nor a study is larger than: both are text, and are read whole.
MAX_TEXT_BYTES = 4 * 2**20

_Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
_Size = Annotated[int, Field(ge=0)]


class _Model(BaseModel):
    # Keys that a later version adds are of no concern; none changes its meaning within a format.
    model_config = ConfigDict(extra="ignore", strict=True)


class FileEntry(_Model):
    """A file of a bundle, or one that it names and leaves out."""

    sha256: _Digest
    size_bytes: _Size
    included: bool = True


class WorkloadEntry(_Model):
    """A workload of the study, and the digest of its events, or of the recipe that makes them."""

    workload: str
    events_digest: str


class ModuleEntry(_Model):
    """A module or package of the user's own that the study names.

    Its files are in the bundle if they lie beside the study; of an installed one the digest tells
    what it was.
    """

    module: str
    digest: str | None
    files: list[str]


class Manifest(_Model):
    """What is in a bundle.

    Parameters
    ----------
    format
        The form of the bundle.
    study
        The name that the study has in its rows.
    study_file
        The member that is the study.
    core_digest, model_version, git_revision, versions
        What the study was run with.
    workloads, modules
        What it runs on, and whose code it runs.
    rows
        How many rows each table has.
    files
        Every other member by name, and those that are left out.
    """

    format: int
    study: str
    study_file: str
    core_digest: str | None
    model_version: int
    git_revision: str | None
    versions: dict[str, str]
    workloads: list[WorkloadEntry]
    modules: list[ModuleEntry]
    rows: dict[str, _Size]
    files: dict[str, FileEntry]

    @property
    def absent(self) -> dict[str, FileEntry]:
        """The files that the study needs and the bundle leaves out."""
        return {name: entry for name, entry in self.files.items() if not entry.included}


def entry_of(path: Path, included: bool = True) -> FileEntry:
    """Return what a manifest says of a file.

    Raises
    ------
    OSError
        When it cannot be read.
    """
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return FileEntry(sha256=digest, size_bytes=path.stat().st_size, included=included)


def names_in(study: Study) -> list[str]:
    """Return the files that a study names: traces, accesses, and measured costs."""
    names = [workload.trace or workload.accesses for workload in study.workload]
    return list(dict.fromkeys(name for name in [*names, study.costs.measured] if name))


def folders_above(names: list[str]) -> int:
    """Return how many folders above the study's own one the files that it names need."""
    return max((_parts_of(name)[0] for name in names), default=0)


def member_of(name: str, above: int) -> str:
    """Return the member of a bundle that is a file of a study.

    ``../traces/x.parquet`` lies beside a folder that holds the study, in a bundle too: so what the
    study says stays true.

    Parameters
    ----------
    name
        How the study names it.
    above
        How many folders the study lies below the folder of all its files.
    """
    up, parts = _parts_of(name)
    return "/".join([FILES, *[ABOVE] * (above - up), *parts])


def _parts_of(name: str) -> tuple[int, list[str]]:
    """Return how many folders up a name leads from the study, and the parts of it from there."""
    parts = [part for part in name.split("/") if part not in ("", ".")]
    up = next((place for place, part in enumerate(parts) if part != ".."), len(parts))
    if name.startswith("/") or ".." in parts[up:] or not parts[up:]:
        what = f"{name}: a bundle holds files that are named relative to their study, such as "
        raise InputError(f"{what}traces/NAME.parquet or ../traces/NAME.parquet")
    if not is_plain("/".join(parts[up:])):
        raise InputError(f"{name!r}: a bundle holds no file of such a name")
    return up, parts[up:]


def is_plain(name: str) -> bool:
    """Return whether a name stays within the folder that it is unpacked to, on any system."""
    parts = name.split("/")
    return (
        name.isprintable()
        and len(name) < 1000
        and not any(part in ("", ".", "..") or len(part.encode()) > 255 for part in parts)
        and not any(character in name for character in '\\:*?"<>|')
    )
