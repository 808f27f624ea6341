"""A study that was run, to be bundled and verified, and ways to tamper with it."""

from __future__ import annotations

import io
import json
import shutil
import tarfile
from collections.abc import Callable, Iterable
from pathlib import Path

import duckdb
import small_study

from sweep.cli.main import app

SCENARIOS = "scenarios: {read_random_ns: [52000, 250000]}\ncosts: ufs_phone\n"
#: (name, content) of the members of a tar.
Members = list[tuple[tarfile.TarInfo, bytes]]


def make(folder: Path) -> Path:
    """Write a study of two scenarios into a folder, run it, and return its database."""
    small_study.write_trace(folder)
    path = small_study.write_study(folder, n_trials=8)
    path.write_text(path.read_text() + SCENARIOS)
    database = folder / "results.duckdb"
    small_study.run(path, database)
    return database


def bundle(database: Path, output: Path, *words: str) -> Path:
    """Bundle the study of a database whose files lie beside it."""
    study = str(database.parent / "small.yaml")
    app(["bundle", study, "--db", str(database), "-o", str(output), *words], standalone_mode=False)
    return output


def tampered(database: Path, target: Path, *statements: str) -> Path:
    """Copy a database, and change the copy by SQL."""
    shutil.copyfile(database, target)
    with duckdb.connect(str(target)) as connection:
        for statement in statements:
            connection.execute(statement)
    return target


def members(path: Path) -> Members:
    """Return the members of a tar, with their content."""
    with tarfile.open(path) as tar:
        return [(about, (tar.extractfile(about) or io.BytesIO()).read()) for about in tar]


def rewritten(path: Path, target: Path, change: Callable[[Members], Iterable[object]]) -> Path:
    """Write a tar whose members are those of another one, changed."""
    with tarfile.open(target, "w") as tar:
        for about, content in change(members(path)):  # type: ignore[misc]
            tar.addfile(about, io.BytesIO(content))
    return target


def member(name: str, content: bytes = b"content") -> tuple[tarfile.TarInfo, bytes]:
    """Return a member of a tar."""
    about = tarfile.TarInfo(name)
    about.size = len(content)
    return about, content


def edited(members: Members, key: str, value: object) -> Members:
    """Change a value of the manifest, which is the first member."""
    manifest = json.loads(members[0][1])
    if isinstance(value, dict):
        value = manifest[key] | value
    return [member("manifest.json", json.dumps(manifest | {key: value}).encode()), *members[1:]]
