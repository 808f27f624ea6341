"""What a command may say of a damaged trace, and leave: a table that is right, or one line."""

from __future__ import annotations

from pathlib import Path

from core.accesses import read_accesses
from core.errors import InputError
from core.event_files import read_events


def check_table(path: Path) -> None:
    """Read a table again, which checks it: of mm events, or of accesses."""
    try:
        read_events(path)
    except InputError as not_events:
        if "not an mm event table" not in str(not_events):
            raise
        read_accesses(path)


def check_said(said: tuple[int, str, str], folder: Path, path: Path) -> None:
    """Check what an import said and left: a table that is right, or one line that says why not."""
    code, out, err = said
    assert code in (0, 2)
    assert "Traceback" not in err
    left = {file.name for file in folder.iterdir()}
    if code == 2:
        assert out == ""
        (line,) = err.strip().split("\n")
        assert line.startswith((str(path), "--")), line
        assert left == {path.name}
    else:
        assert left <= {path.name, "out.parquet", "accesses.parquet"}
        check_table(folder / "out.parquet")
        if "accesses.parquet" in left:
            read_accesses(folder / "accesses.parquet")
