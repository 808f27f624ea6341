"""The archive beside a capture, copied beside its cut: what still fits, and what names nobody."""

from __future__ import annotations

import io
import os
import re
import tarfile
from pathlib import Path, PurePosixPath
from typing import Literal

from core.files import written_whole
from core.workload.ftrace.archive import opened_archive
from core.workload.ftrace.checks import CACHE_FILES, VMSTAT_FILES
from core.workload.ftrace.memory import beside
from core.workload.text import TraceError
from core.workload.whole_numbers import whole_number

#: Counters of the whole recording: they fit nothing but the whole trace.
WHOLE_TRACE_FILES = (*VMSTAT_FILES, *CACHE_FILES)
#: Files of numbers that tell of a machine's memory and kernel, and name nobody.
_OF_THE_MACHINE = {
    *("zoneinfo", "page_size", "pagesize", "page_flags", "events", "samples"),
    *WHOLE_TRACE_FILES,
}
_VERSIONS = ("version", "uname")
#: (pid, path) of tasks, a line each.
_CGROUPS = "cgroups"


def copy_archive(source: Path, target: Path, is_whole: bool, anonymise: bool) -> list[str]:
    """Copy an archive beside a cut; return the names of the files that are left out.

    Parameters
    ----------
    source, target
        The archive, and its copy.
    is_whole
        Whether nothing of the trace was left out, so that counters of the whole recording fit.
    anonymise
        Whether only files of numbers are copied; of the kernel's version, its number remains.

    Raises
    ------
    TraceError
        When the archive cannot be read, or its copy not be written.
    """
    left_out = []
    mode: Literal["w:gz", "w"] = "w:gz" if target.suffix == ".gz" else "w"
    try:
        with (
            opened_archive(source) as archive,
            written_whole(target) as file_of_copy,
            tarfile.open(fileobj=file_of_copy, mode=mode) as copy,
        ):
            for member in archive:
                file = archive.extractfile(member) if member.isfile() else None
                if file is None:
                    continue
                base = PurePosixPath(member.name).name
                content = file.read()
                if anonymise and base in _VERSIONS:
                    match = re.search(rb"\d+\.\d+(\.\d+)?", content)
                    base, content = "version", match[0] + b"\n" if match else b""
                elif anonymise and not {base, base.removesuffix(".before")} & _OF_THE_MACHINE:
                    left_out.append(base)
                    continue
                if base in WHOLE_TRACE_FILES and not is_whole:
                    left_out.append(base)
                    continue
                entry = member
                if anonymise:
                    entry = tarfile.TarInfo(f"capture.meta/{base}")
                entry.size = len(content)
                copy.addfile(entry, io.BytesIO(content))
    except OSError as error:
        raise TraceError(f"cannot be written: {error.strerror or error}", file=target) from None
    return left_out


def archive_for(trace: Path) -> Path:
    """Return where an import looks for the archive of a trace."""
    return beside(trace)[0]


def read_cgroups(archive: str | os.PathLike[str]) -> list[tuple[int, str]]:
    """Return (pid, path) of each line of an archive's file of cgroups; none if it has no such file.

    Raises
    ------
    TraceError
        When the file is no archive.
    """
    name = os.fspath(archive)
    with opened_archive(name) as opened:
        for member in opened:
            if PurePosixPath(member.name).name == _CGROUPS and member.isfile():
                file = opened.extractfile(member)
                text = file.read().decode(errors="replace") if file is not None else ""
                pairs = (line.strip().split(None, 1) for line in text.splitlines())
                return [
                    (number, pair[1].strip())
                    for pair in pairs
                    if len(pair) == 2 and (number := whole_number(pair[0])) is not None
                ]
    return []
