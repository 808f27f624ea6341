"""Files of mm events: Parquet with the columns of `core.events.SCHEMA`, and their metadata."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from math import isnan
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as parquet

from core.events import (
    SCHEMA,
    VERSION,
    Events,
    EventsError,
    check_events,
    digest_events,
    make_events,
)
from core.files import written_whole
from core.import_checks import ImportCheck
from core.import_losses import Loss
from core.jit import CORE_DIGEST, KEPT_FOLDER

METADATA_KEY = b"mm_events"
# Columns whose values differ little from those of the row before: to keep the differences takes
# little more than half the space (cache-db-tags, 261,225 rows: 1.5 MB or 0.9).
_STEPPED = ("time_ns", "index", "pfn", "handle")
#: Empty files, each named after a table that was found good, and after what found it so.
FOUND_GOOD = KEPT_FOLDER.with_name("found_good")
# Words of the metadata.
_RECORDED, _INFERRED = "recorded", "inferred"


def read_events(
    path: str | os.PathLike[str], data_pages: int | None = None, check: bool = True
) -> Events:
    """Return the event table in a Parquet file, checked for a machine of `data_pages`.

    Parameters
    ----------
    path
        A Parquet file with the columns of `SCHEMA` and the metadata key ``mm_events``.
    data_pages
        Pages of memory that all frames must lie in; by default what the file's metadata says.
    check
        Whether bad rows are refused. Only `core.workload.repair` reads a table without this check.

    Raises
    ------
    EventsError
        Naming the file, and the row and column where there is one.
    """
    name = os.fspath(path)
    _refuse_pipe(name)
    try:
        with parquet.ParquetFile(name) as file:
            schema = file.schema_arrow
            about = _metadata(name, schema.metadata)
            _check_schema(name, schema)
            table = file.read(columns=SCHEMA.names, use_threads=False)
    except FileNotFoundError:
        raise EventsError("no such file", file=name) from None
    except _UNREADABLE as error:
        raise _unreadable(name, error) from None
    columns = {}
    for column in SCHEMA.names:
        values = table.column(column)
        if values.null_count:
            row = next(i for i, value in enumerate(values.is_null()) if value.as_py())
            raise EventsError(f"row {row}, column {column}: no value", file=name)
        columns[column] = values.to_numpy()
    events = make_events(columns, **about, name=name, check=False)
    if check:
        _check_once(events, name)
    if data_pages is not None and data_pages < events.data_pages:
        check_events(events, data_pages, name)
    return events


def _check_once(events: Events, name: str) -> None:
    """Check a table, unless one of just this content was found good before.

    To digest 340,000 rows takes 5 ms. To check them takes 1 ms, but 230 ms of a process that does
    nothing else with Numba, which then imports and registers all that it can compile.
    """
    found_good = FOUND_GOOD / f"{CORE_DIGEST}-{digest_events(events)}"
    if not found_good.exists():
        check_events(events, events.data_pages, name)
        with suppress(OSError):
            found_good.parent.mkdir(exist_ok=True)
            found_good.touch()


def read_machine(path: str | os.PathLike[str]) -> tuple[int, int]:
    """Return (page_size, data_pages) of the machine that a Parquet file was captured on.

    Raises
    ------
    EventsError
        When the file is missing or is no mm event table.
    """
    name = os.fspath(path)
    _refuse_pipe(name)
    try:
        schema = parquet.read_schema(name)
    except FileNotFoundError:
        raise EventsError("no such file", file=name) from None
    except _UNREADABLE as error:
        raise _unreadable(name, error) from None
    about = _metadata(name, schema.metadata)
    return about["page_size"], about["data_pages"]


# A damaged file may even have names of columns that are not UTF-8.
_UNREADABLE = (OSError, pa.ArrowException, UnicodeDecodeError, OverflowError)


def _refuse_pipe(name: str) -> None:
    """Raise `EventsError` for a pipe or a device, which to open may wait forever."""
    if os.path.exists(name) and not os.path.isfile(name) and not os.path.isdir(name):
        raise EventsError("a pipe or a device, not a Parquet file", file=name)


def _unreadable(name: str, error: Exception) -> EventsError:
    if os.path.isdir(name):
        return EventsError("a folder, not a Parquet file", file=name)
    reason = str(error).splitlines()[0].rstrip(".")
    return EventsError(f"truncated, corrupt, or not a Parquet file ({reason})", file=name)


def _check_schema(name: str, schema: pa.Schema) -> None:
    for field in SCHEMA:
        places = schema.get_all_field_indices(field.name)
        if not places:
            raise EventsError(f"column {field.name}: missing", file=name)
        if len(places) > 1:
            raise EventsError(f"column {field.name}: there are {len(places)} of it", file=name)
        if schema.field(places[0]).type != field.type:
            kind = schema.field(places[0]).type
            raise EventsError(f"column {field.name}: of type {kind}, not {field.type}", file=name)


def _metadata(name: str, metadata: dict[bytes, bytes] | None) -> dict[str, Any]:
    """Return what a file says of its table, as arguments of `make_events`."""
    text = (metadata or {}).get(METADATA_KEY)
    if text is None:
        raise EventsError("no metadata mm_events: not an mm event table", file=name)
    try:
        values = json.loads(text)
        version = values["version"]
        about = {"page_size": values["page_size"], "data_pages": values["data_pages"]}
        phases = values.get("phases", [])
        inferred = values.get("workingset_inferred_ratio")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise EventsError(f"metadata mm_events cannot be read ({error!r})", file=name) from None
    if type(version) is not int or not 1 <= version <= VERSION:
        what = f"metadata mm_events of version {version!r}, not 1 to {VERSION}"
        raise EventsError(f"{what}: a newer release may read it", file=name)
    for key, value in about.items():
        if type(value) is not int or value < 1:
            raise EventsError(f"metadata mm_events: {key} is {value!r}", file=name)
    about |= {"version": version, "source": str(values.get("source", ""))}
    if version == 1:
        return about
    if not isinstance(phases, list) or not all(isinstance(phase, str) for phase in phases):
        raise EventsError("metadata mm_events: phases are no list of names", file=name)
    if values.get("workingset") == _RECORDED:
        inferred = 0.0
    counts = {key: values.get(key, {}) for key in ("left_out", "cache_counters", "sampled")}
    for key, by_name in counts.items():
        if not isinstance(by_name, dict) or not all(type(n) is int for n in by_name.values()):
            raise EventsError(f"metadata mm_events: {key} is no count by name", file=name)
    checks = _checks(name, values.get("checks", []))
    losses = read_losses(name, values.get("losses", []))
    is_ratio = isinstance(inferred, int | float) and 0 <= inferred <= 1
    return about | {
        "requests": values.get("requests") is True,
        "phases": tuple(phases),
        "mapped": values.get("mapped") == _RECORDED,
        "workingset_inferred_ratio": float(inferred) if is_ratio else float("nan"),
        **{key: tuple(by_name.items()) for key, by_name in counts.items()},
        "checks": checks,
        "losses": losses,
    }


def _checks(name: str, written: Any) -> tuple[ImportCheck, ...]:
    try:
        checks = tuple(ImportCheck(**check) for check in written)
    except TypeError:
        checks = (ImportCheck("", None, None),)  # type: ignore[arg-type]
    for check in checks:
        if [type(value) for value in check] != [str, int, int]:
            what = "metadata mm_events: checks are no list of name, theirs and ours"
            raise EventsError(what, file=name)
    return checks


def read_losses(name: str, written: Any) -> tuple[Loss, ...]:
    """Return the losses in the metadata of the file `name`.

    Raises
    ------
    EventsError
        When they are no list of name, count and place.
    """
    try:
        losses = tuple(Loss(**loss) for loss in written)
    except TypeError:
        losses = (Loss("", None),)  # type: ignore[arg-type]
    for loss in losses:
        if [type(value) for value in loss] != [str, int, str]:
            raise EventsError("metadata: losses are no list of name, count and where", file=name)
    return losses


def write_events(path: str | os.PathLike[str], events: Events) -> None:
    """Write a table as Parquet; the file appears whole or not at all."""
    metadata: dict[str, Any] = {
        "version": events.version,
        "page_size": events.page_size,
        "data_pages": events.data_pages,
        "source": events.source,
    }
    if events.version > 1:
        inferred = events.workingset_inferred_ratio
        metadata |= {
            "requests": events.requests,
            "phases": list(events.phases),
            "workingset": _RECORDED if inferred == 0 else _INFERRED,
            "workingset_inferred_ratio": None if isnan(inferred) else inferred,
            "mapped": _RECORDED if events.mapped else "unknown",
            "left_out": dict(events.left_out),
            "cache_counters": dict(events.cache_counters),
            "checks": [check._asdict() for check in events.checks],
            "losses": [loss._asdict() for loss in events.losses],
            "sampled": dict(events.sampled),
        }
    schema = SCHEMA.with_metadata({METADATA_KEY: json.dumps(metadata).encode()})
    table = pa.table([pa.array(column) for column in events.columns.values()], schema=schema)
    write_table(path, table)


def write_table(path: str | os.PathLike[str], table: pa.Table) -> None:
    """Write a table as Parquet; the file appears whole or not at all.

    Raises
    ------
    EventsError
        When it cannot be written, as where there is no space or no folder for it.
    """
    target = Path(path)
    steps = {name: "DELTA_BINARY_PACKED" for name in table.schema.names if name in _STEPPED}
    if target.exists() and not target.is_file():
        # To put a file in place of a device would break the machine.
        raise EventsError("cannot be written: no file, but a folder or device", file=target)
    try:
        with written_whole(target) as file:
            parquet.write_table(
                table,
                file,
                compression="zstd",
                use_dictionary=[name for name in table.schema.names if name not in steps],
                column_encoding=steps or None,
            )
    except OSError as error:
        raise EventsError(f"cannot be written: {error.strerror or error}", file=target) from None
