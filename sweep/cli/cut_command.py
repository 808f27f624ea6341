"""The command that cuts a part out of a trace, and makes traces that name nobody."""

from __future__ import annotations

import bz2
import gzip
import lzma
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa

from core.accesses import Accesses, read_accesses, write_accesses
from core.errors import quoted_name, shown_name
from core.event_files import read_events, write_events
from core.files import written_whole
from core.workload.cut.archive import archive_for, copy_archive, read_cgroups
from core.workload.cut.asked import Asked, Moment, NoSuchPhase, NoSuchTask
from core.workload.cut.tables import cut_table
from core.workload.cut.text import CutText, cut_text
from core.workload.ftrace.memory import meta_beside, read_memory
from core.workload.text import TraceError
from sweep.cli.import_command import check_no_perfetto, check_output
from sweep.cli.info_command import is_accesses
from sweep.cli.terminal import note, print_json
from sweep.cli.waiting import Advance, telling_of_compiling, telling_of_progress
from sweep.study.wording import nearest

_PARQUET = b"PAR1"
_UNITS = {"": 10**9, "ns": 1, "us": 10**3, "ms": 10**6, "s": 10**9, "min": 60 * 10**9}
#: Names of what text is compressed to, and of what is read, or known, but not written.
_PACKED = (".gz", ".zst", ".xz", ".bz2", ".lz4")
_PACKED_OTHERWISE = (".zip", ".lzma", ".7z", ".rar", ".Z", ".lz", ".lzo", ".br", ".tar", ".tgz")
#: What an anonymised trace still tells.
_TABLE_TELLS = "times, phases, frames, and sizes and offsets of files"
_TEXT_TELLS = f"{_TABLE_TELLS}, uptime, sectors of disks, CPUs, the kernel's version"
#: So many names of a trace are shown where the one that was asked for is not among them.
_SHOWN = 8


def asked_of(
    begin: str | None,
    end: str | None,
    phase: str | None,
    occurrence: int,
    task: str | None,
    cgroup: str | None,
    anonymise: bool,
) -> Asked:
    """Return what was typed as what is asked of a cut.

    Parameters
    ----------
    begin, end
        Times such as ``10s`` or ``@133.5s``.
    phase, occurrence, task, cgroup, anonymise
        As of `Asked`.

    Raises
    ------
    TraceError
        When a time is none, nothing is asked for, or two things contradict one another.
    """
    asked = Asked(
        None if begin is None else _moment("--from", begin),
        None if end is None else _moment("--to", end),
        *(phase, occurrence, task, cgroup, anonymise),
    )
    if asked == Asked(occurrence=occurrence):
        what = "say what to keep (--from, --to, --phase, --task, --cgroup), or --anonymise"
        raise TraceError(what)
    if occurrence > 1 and phase is None:
        raise TraceError("--occurrence: of which phase? needs --phase")
    if task is not None and cgroup is not None:
        raise TraceError("--task, --cgroup: give one of them")
    if task == "" or cgroup == "" or phase == "":
        raise TraceError("--task, --cgroup and --phase: give a name")
    first, last = asked.begin or Moment(0), asked.end
    if last is not None and first.is_stamp == last.is_stamp and first.ns >= last.ns:
        raise TraceError(f"--to {end}: is not after --from {begin or 0}")
    return asked


def _moment(option: str, text: str) -> Moment:
    match = re.fullmatch(r"(@?)(\d{1,12})(?:\.(\d{1,9}))?\s*([a-z]*)", text.strip())
    if match is None or match[4] not in _UNITS:
        what = f"{option} {text}: is no time; give one as in 10s, 250ms, or a stamp, @133.5s"
        raise TraceError(what)
    unit = _UNITS[match[4]]
    fraction = int((match[3] or "").ljust(9, "0")) * unit // 10**9
    ns = int(match[2]) * unit + fraction
    if ns >= 2**62:
        raise TraceError(f"{option} {text}: is later than any trace")
    return Moment(ns, is_stamp=bool(match[1]))


def cut_command(path: Path, output: Path, asked: Asked, meta: Path | None, as_json: bool) -> None:
    """Cut a trace, write what is kept, and say what that is.

    Parameters
    ----------
    path
        The trace: text of an ftrace, or a table.
    output
        Where the cut goes: text compressed by its name, such as ``.gz`` and ``.xz``, or a table.
    asked
        What is kept.
    meta
        The archive of the recording; by default the one beside the trace, if it is there.
    as_json
        Whether what was kept is printed as JSON.

    Raises
    ------
    TraceError
        When the trace cannot be read or cut, or nothing of it is left.
    """
    check_output(output, path, meta)
    try:
        with path.open("rb") as file:
            is_table = file.read(len(_PARQUET)) == _PARQUET
    except OSError as error:
        raise TraceError(str(error.strerror), file=path) from None
    try:
        with telling_of_progress("cutting", "B") as advance, telling_of_compiling("cut"):
            figures = _cut_table(path, output, asked) if is_table else (
                _cut_text(path, output, asked, meta, advance)
            )  # fmt: skip
    except NoSuchPhase as error:
        raise TraceError(
            f"{error.what}{_meant(str(asked.phase), error.phases)}", file=path
        ) from None
    except NoSuchTask as error:
        name = str(asked.cgroup or asked.task)
        raise TraceError(f"{error.what}{_meant(name, error.known)}", file=path) from None
    if asked.anonymise:
        told = _TABLE_TELLS if is_table else _TEXT_TELLS
        note(f"it names nobody, and still tells {told} (docs/traces.md, Cut and share)")
    if as_json:
        print_json({"output": str(output), **figures})
        return
    unit = "rows" if is_table else "lines"
    print(f"{figures[unit]:>14,}  {unit} of {shown_name(path.name)}")
    print(f"{figures[f'kept_{unit}']:>14,}  {unit} kept")
    if figures.get("carried_rows"):
        print(
            f"{figures['carried_rows']:>14,}  rows of what was in use where it is cut, before them"
        )
    print(f"{output}: sweep trace {'info' if is_table else 'import'} reads it")


def _meant(name: str, known: list[str]) -> str:
    """Return what may have been meant, and what there is."""
    if not known:
        return ": it tells of none"
    near = nearest(name, known[:1000])
    meant = f", did you mean {near}?" if near else ";"
    more = f" and {len(known) - _SHOWN} more" if len(known) > _SHOWN else ""
    return f"{meant} it has {', '.join(known[:_SHOWN])}{more}"


def _cut_table(path: Path, output: Path, asked: Asked) -> dict[str, Any]:
    if output.suffix in (*_PACKED, *_PACKED_OTHERWISE, ".txt", ".csv"):
        raise TraceError("is of a table: give it a name such as cut.parquet", file=output)
    table = read_accesses(path) if is_accesses(path) else read_events(path)
    done = cut_table(table, asked, str(path))
    with _writes(output):
        if isinstance(done.table, Accesses):
            write_accesses(output, done.table)
        else:
            write_events(output, done.table)
    if asked.phase is not None and done.occurrences > 1:
        _note_occurrences(asked, done.occurrences)
    return {
        "rows": done.rows,
        "kept_rows": done.kept_rows,
        "carried_rows": done.carried_rows,
        "losses": [loss._asdict() for loss in done.table.losses],
    }


def _note_occurrences(asked: Asked, occurrences: int) -> None:
    note(
        f"phase {asked.phase} occurs {occurrences} times: this is number {asked.occurrence} "
        "(--occurrence)"
    )


def _cut_text(
    path: Path, output: Path, asked: Asked, meta: Path | None, advance: Advance
) -> dict[str, Any]:
    check_no_perfetto(path, _of_perfetto(path, asked))
    if output.suffix == ".parquet":
        what = "is of text: give it a name such as cut.ftrace.txt.gz, and import that"
        raise TraceError(what, file=output)
    if output.suffix in _PACKED_OTHERWISE:
        *some, last = _PACKED
        what = f"is not compressed so: give a name that ends in {', '.join(some)}, {last} or .txt"
        raise TraceError(what, file=output)
    archive = meta or meta_beside(path)
    copy = archive_for(output)
    check_output(copy, path, archive)
    memory = read_memory(archive, needs_zones=False) if archive else None
    page_size, kernel = (memory.page_size, memory.kernel) if memory else (4096, "")
    cgroups = read_cgroups(archive) if archive and asked.cgroup is not None else []
    with _writes(output), _opened(output) as write:
        done: CutText = cut_text(*(path, write, asked, cgroups, page_size or 4096), advance, kernel)
    if asked.phase is not None and done.occurrences > 1:
        _note_occurrences(asked, done.occurrences)
    figures: dict[str, Any] = {
        "lines": done.lines,
        "kept_lines": done.kept_lines,
        "begin_s": done.begin_ns / 1e9,
        "end_s": done.end_ns / 1e9,
        "archive": None,
        "left_out_of_archive": [],
    }
    if archive is not None:
        is_whole = not done.left_out_lines
        left_out = copy_archive(archive, copy, is_whole, asked.anonymise)
        figures |= {"archive": str(copy), "left_out_of_archive": left_out}
        if left_out:
            note(f"{copy}: without {', '.join(left_out)}, which {_why(is_whole)}")
    return figures


def _of_perfetto(path: Path, asked: Asked) -> str:
    """Return what cuts a trace of Perfetto: its table, or text of it, which alone has tasks."""
    name, table = quoted_name(path), quoted_name(f"{path.name.split('.')[0] or 'trace'}.parquet")
    if asked.by_tasks:
        return f"make text of it (`traceconv systrace {name} > trace.txt`), and cut that"
    return f"import it (`sweep trace import {name} -o {table}`), and cut the table"


def _why(is_whole: bool) -> str:
    if is_whole:
        return "may tell who and where it was recorded"
    return "count the whole recording, or may tell who and where it was recorded"


@contextmanager
def _writes(output: Path) -> Iterator[None]:
    """Tell an error of the system as one of what is written."""
    try:
        yield
    except OSError as error:
        raise TraceError(f"cannot be written: {error.strerror or error}", file=output) from None


@contextmanager
def _opened(output: Path) -> Iterator[Callable[[bytes], object]]:
    """Open a file that appears whole or not at all, and is compressed as its name says."""
    with written_whole(output) as raw:
        if output.suffix == ".gz":
            with gzip.GzipFile(
                filename="", fileobj=raw, mode="wb", compresslevel=6, mtime=0
            ) as packed:
                yield packed.write
        elif output.suffix == ".xz":
            with lzma.LZMAFile(raw, "wb") as xz:
                yield xz.write
        elif output.suffix == ".bz2":
            with bz2.BZ2File(raw, "wb") as bzip2:
                yield bzip2.write
        elif output.suffix in (".zst", ".lz4"):
            codec = "zstd" if output.suffix == ".zst" else "lz4"
            with pa.CompressedOutputStream(raw, codec) as stream:
                yield stream.write
        else:
            yield raw.write
