"""What a file must be that is written beside a database: a report, a figure or a bundle."""

from __future__ import annotations

import os
from pathlib import Path

from core.errors import check_output_name
from sweep.results.errors import StoreError


def check_output_file(output: Path, database: Path) -> None:
    """Check that a file can be written, and is not the database, before the work of making it.

    Raises
    ------
    InputError
        When it cannot, or is.
    """
    check_output_name(output)
    if not output.parent.is_dir():
        raise StoreError(f"there is no folder {output.parent}", file=output)
    if output.is_dir():
        raise StoreError("is a folder", file=output)
    if os.path.realpath(output) == os.path.realpath(database):
        raise StoreError("is the database", file=output)
