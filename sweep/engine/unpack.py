"""Unpacking a bundle, which may come from a stranger: nothing is written outside one folder.

Only plain files are unpacked, only those that the manifest lists, and each is checked against the
size and the digest that the manifest tells of it.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tarfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from pydantic import ValidationError

from core.errors import InputError
from sweep.engine.manifest import (
    FILES,
    FORMAT,
    MANIFEST,
    MAX_TEXT_BYTES,
    ROW_FILES,
    STUDY_FILE,
    FileEntry,
    Manifest,
    entry_of,
    folders_above,
    is_plain,
    member_of,
    names_in,
)
from sweep.results import told_errors
from sweep.study.read import parse_study

_CHUNK_BYTES = 2**20


class BundleError(InputError):
    """A bundle that cannot be used, or is not trusted."""


@contextmanager
def _told(bundle: Path) -> Iterator[None]:
    """Tell what is wrong with a tar as a `BundleError`."""
    try:
        with told_errors(bundle):
            yield
    except InputError:
        raise
    except (tarfile.TarError, EOFError, ValueError, ArithmeticError, RecursionError) as error:
        raise BundleError(f"is no bundle: {error}", file=bundle) from None


def unpack(bundle: Path, folder: Path) -> Manifest:
    """Unpack a bundle into an empty folder, and return its manifest.

    Parameters
    ----------
    bundle
        The tar that `sweep bundle` wrote.
    folder
        Where its members are written.

    Raises
    ------
    InputError
        When it is no bundle, or holds what no bundle holds.
    """
    if bundle.exists() and not bundle.is_file():
        # To open a pipe would wait for who writes into it.
        raise BundleError("is no bundle: a folder, a pipe or a device", file=bundle)
    with _told(bundle), tarfile.open(bundle, "r:") as tar:
        size_bytes = bundle.stat().st_size
        manifest: Manifest | None = None
        seen: set[str] = set()
        for about in tar:
            _check_member(bundle, about, size_bytes)
            if about.name in seen:
                raise BundleError(f"{about.name} is in it twice", file=bundle)
            seen.add(about.name)
            file = tar.extractfile(about)
            assert file is not None, "it is a plain file"
            if manifest is None:
                manifest = _read_manifest(bundle, about, file)
                _check_room(bundle, folder, manifest)
                continue
            entry = manifest.files.get(about.name)
            if entry is None or not entry.included:
                what = f"{about.name!r} is in it, and its {MANIFEST} does not list it"
                raise BundleError(what, file=bundle)
            if about.size != entry.size_bytes:
                raise BundleError(
                    f"{about.name}: another size than its {MANIFEST} says", file=bundle
                )
            _write(bundle, file, folder / about.name, entry)
        if manifest is None:
            raise BundleError("is no bundle: it is empty", file=bundle)
        missing = [name for name, entry in manifest.files.items()
                   if entry.included and name not in seen]  # fmt: skip
        if missing:
            raise BundleError(f"{missing[0]} is listed, and is not in it", file=bundle)
    _check_study(bundle, folder, manifest)
    return manifest


def _check_member(bundle: Path, about: tarfile.TarInfo, size_bytes: int) -> None:
    if not about.isreg() or about.issparse():
        what = f"{about.name!r} is no plain file: a bundle holds no links, folders or devices"
        raise BundleError(what, file=bundle)
    if not is_plain(about.name):
        raise BundleError(f"{about.name!r} is no name of a member of a bundle", file=bundle)
    if not 0 <= about.size <= size_bytes - about.offset_data:
        raise BundleError(f"{about.name}: the bundle ends before it does", file=bundle)


def _read_manifest(bundle: Path, about: tarfile.TarInfo, file: IO[bytes]) -> Manifest:
    if about.name != MANIFEST:
        raise BundleError(f"is no bundle: it does not begin with a {MANIFEST}", file=bundle)
    if about.size > MAX_TEXT_BYTES:
        raise BundleError(f"{MANIFEST} is larger than {MAX_TEXT_BYTES} bytes", file=bundle)
    content: Any = None
    try:
        content = json.loads(file.read())
        form = content.get("format") if isinstance(content, dict) else None
        if isinstance(form, int) and form != FORMAT:
            what = f"is of the form {form} of bundles, and this version reads form {FORMAT}"
            raise BundleError(what, file=bundle)
        manifest = Manifest.model_validate(content)
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in problem["loc"])
        raise BundleError(f"{MANIFEST}: {where}: {problem['msg']}", file=bundle) from None
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BundleError(f"{MANIFEST} is no JSON: {error}", file=bundle) from None
    for name, entry in manifest.files.items():
        known = name in ROW_FILES or name.startswith(f"{FILES}/")
        if not known or not is_plain(name):
            raise BundleError(f"{MANIFEST}: {name!r} is no member of a bundle", file=bundle)
        if name == manifest.study_file and entry.size_bytes > MAX_TEXT_BYTES:
            raise BundleError(f"{name} is larger than {MAX_TEXT_BYTES} bytes", file=bundle)
    needed = [*ROW_FILES, manifest.study_file]
    lacking = [name for name in needed
               if name not in manifest.files or not manifest.files[name].included]  # fmt: skip
    if lacking:
        raise BundleError(f"{MANIFEST} does not list {lacking[0]}", file=bundle)
    return manifest


def _check_room(bundle: Path, folder: Path, manifest: Manifest) -> None:
    wanted = sum(entry.size_bytes for entry in manifest.files.values() if entry.included)
    if wanted > (free := shutil.disk_usage(folder).free):
        what = f"its files take {wanted:,} bytes, and {folder} has {free:,} free"
        raise BundleError(what, file=bundle)


def _write(bundle: Path, file: IO[bytes], target: Path, entry: FileEntry) -> None:
    """Write a member, which must be what the manifest says."""
    target.parent.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256()
    with target.open("xb") as written:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
            written.write(chunk)
    if digest.hexdigest() != entry.sha256:
        raise BundleError(f"{target.name} is damaged: it has another digest", file=bundle)


def _check_study(bundle: Path, folder: Path, manifest: Manifest) -> None:
    """Check that the study names no file but those of the bundle."""
    path = folder / manifest.study_file
    with _told(bundle):
        text = path.read_text(encoding="utf-8")
    names = names_in(parse_study(text, Path(f"{bundle}:{STUDY_FILE}")))
    above = folders_above(names)
    if manifest.study_file != member_of(STUDY_FILE, above):
        raise BundleError(f"{manifest.study_file} is not where its study belongs", file=bundle)
    for name in names:
        if member_of(name, above) not in manifest.files:
            raise BundleError(f"its study names {name}, which it does not hold", file=bundle)


def bring_absent(
    bundle: Path, folder: Path, manifest: Manifest, looked_in: Sequence[Path]
) -> list[Path]:
    """Find the files that a bundle leaves out, by their digests, and put links to them in place.

    Parameters
    ----------
    bundle
        The bundle.
    folder
        Where it is unpacked.
    manifest
        What is in it.
    looked_in
        Folders in which the files may be, under the names that the study has for them or others.

    Returns
    -------
    list of Path
        The files that were found.

    Raises
    ------
    BundleError
        When some are not there; all of them are listed.
    """
    found, missing = [], []
    for member, entry in manifest.absent.items():
        path = _found(member, entry, looked_in)
        if path is None:
            missing.append(f"  {member.removeprefix(FILES + '/')} (sha256 {entry.sha256})")
            continue
        found.append(path)
        with _told(bundle):
            (folder / member).parent.mkdir(parents=True, exist_ok=True)
            (folder / member).symlink_to(path.resolve())
    if missing:
        where = " or ".join(dict.fromkeys(str(each) for each in looked_in))
        listed = "\n".join(missing)
        raise BundleError(
            f"its study needs files that it leaves out, and that are not in {where}:\n{listed}\n"
            "  --folder names another folder to look in",
            file=bundle,
        )
    return found


def _found(member: str, entry: FileEntry, looked_in: Sequence[Path]) -> Path | None:
    """Return a file with the content of a member."""
    parts = member.split("/")[1:]
    for folder in looked_in:
        places = [folder.joinpath(*parts[start:]) for start in range(len(parts))]
        places += sorted(folder.glob("*.parquet"))
        for path in places:
            try:
                if (
                    path.stat().st_size == entry.size_bytes
                    and entry_of(path).sha256 == entry.sha256
                ):
                    return path
            except OSError:
                continue
    return None
