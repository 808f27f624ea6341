"""Files of mm events: Parquet with the columns of `core.events.SCHEMA`, and their metadata."""

from __future__ import annotations

import os
from contextlib import suppress
from math import isnan
from typing import Any

from core.cache_folder import cache_folder
from core.events import (
    SCHEMA,
    VERSION,
    Events,
    check_events,
    digest_events,
    make_events,
)
from core.files import DISK
from core.jit import CORE_DIGEST
from core.table_files import TableForm, read_metadata, read_table, write_table
from core.table_metadata import TableMetadata

FORM = TableForm("mm event table", SCHEMA, b"mm_events")
#: Empty files, each named after a table that was found good, and after what found it so.
FOUND_GOOD = cache_folder("found_good")
# Words of the metadata.
_RECORDED, _INFERRED, _RATIO = "recorded", "inferred", "workingset_inferred_ratio"


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
    metadata, columns = read_table(path, FORM)
    about = _about(metadata)
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
            DISK.new(found_good).close()


def read_machine(path: str | os.PathLike[str]) -> tuple[int, int]:
    """Return (page_size, data_pages) of the machine that a Parquet file was captured on.

    Raises
    ------
    EventsError
        When the file is missing or is no mm event table.
    """
    about = _about(read_metadata(path, FORM))
    return about["page_size"], about["data_pages"]


def _about(metadata: TableMetadata) -> dict[str, Any]:
    """Return what a file says of its table, as arguments of `make_events`."""
    version = metadata.version(VERSION)
    page_size, data_pages = metadata.machine()
    about: dict[str, Any] = {"page_size": page_size, "data_pages": data_pages}
    about |= {"version": version, "source": metadata.text("source")}
    if version == 1:
        return about
    recorded = metadata.says("workingset", _RECORDED)
    return about | {
        "requests": metadata.says("requests", True),
        "phases": metadata.names("phases"),
        "mapped": metadata.says("mapped", _RECORDED),
        "workingset_inferred_ratio": 0.0 if recorded else metadata.ratio(_RATIO),
        **{key: metadata.counts(key) for key in ("left_out", "cache_counters", "sampled")},
        "checks": metadata.checks(),
        "losses": metadata.losses(),
    }


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
            _RATIO: None if isnan(inferred) else inferred,
            "mapped": _RECORDED if events.mapped else "unknown",
            "left_out": dict(events.left_out),
            "cache_counters": dict(events.cache_counters),
            "checks": [check._asdict() for check in events.checks],
            "losses": [loss._asdict() for loss in events.losses],
            "sampled": dict(events.sampled),
        }
    write_table(path, FORM, events.columns, metadata)
