"""Tables of text as an import reads them, and how it refuses them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from core.workload.formats import detect
from core.workload.requests.collector import ImportedRequests
from core.workload.requests.delimited import import_delimited
from core.workload.requests.table_options import Options
from core.workload.text import TraceError


def import_csv(
    paths: Sequence[Path], columns: dict[str, str] | None = None, time_unit: str = "", **how: Any
) -> ImportedRequests:
    """Return what is read of a table, some of whose columns are called otherwise."""
    options = Options(columns=columns or {}, time_unit=time_unit)
    return import_delimited(paths, options=options, **how)


def write(folder: Path, text: str, name: str = "t.txt") -> Path:
    path = folder / name
    path.write_text(text, newline="")
    return path


def imported(folder: Path, text: str, **options: object) -> ImportedRequests:
    """Return what is read as the format that the text is recognised as, or as CSV with options."""
    path = write(folder, text)
    if options:
        return import_delimited([path], options=Options(**options))
    return detect(path).load_importer()([path])


def refused(folder: Path, text: str, **options: object) -> str:
    with pytest.raises(TraceError) as caught:
        imported(folder, text, **options)
    return str(caught.value).removeprefix(f"{folder}/")


def losses(what: ImportedRequests) -> dict[str, str]:
    return {loss.name: loss.warning for loss in what.losses}
