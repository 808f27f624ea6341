"""Tables that are kept on disk: made once, and mapped into memory by all processes of the machine.

A file is a table of Arrow and, behind it, the digest of that. Nothing is read of a file whose
digest is another: it counts as one that is not there, which is said, and the table is made again.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
from pyarrow import ipc

from core.errors import shown_name
from core.events import SCHEMA, Events
from core.files import DISK, remove_unfinished, written_whole
from core.frontend.run import Fronted
from core.import_losses import Loss
from core.jit import CORE_DIGEST, KEPT_FOLDER

#: The most bytes of tables that are kept on disk; the table used longest ago is deleted first.
KEPT_BYTES = 4 << 30
#: The arrays of `Fronted` beside its events, and the columns of each.
_LISTS = {"samples": 5, "failed": 3, "reserved": 2, "series": 4}
_DIGEST_BYTES = hashlib.sha256().digest_size


def kept_table(digest: str, name: str, make: Callable[[], Fronted]) -> Fronted:
    """Return a table that is kept; make it if it is not there, or is damaged.

    Where it cannot be kept, as on a full disk, it is made all the same. Processes that need the
    same table at the same time wait for the first one, which makes it.

    Parameters
    ----------
    digest
        The digest of what makes it.
    name
        What it is called.
    make
        Makes it.
    """
    path = _path_of(digest)
    with _alone(path):
        content = _read(path, name)
        if content is None:
            fronted = make()
            with suppress(OSError):
                _keep(path, fronted)
                # Its pages are then those that other processes have.
                content = _read(path, name)
            if content is None:
                return fronted
        with suppress(OSError):
            os.utime(path)
        return _fronted(content)


def is_kept(digest: str) -> bool:
    """Return whether there is a file of a table, which may be damaged."""
    return _path_of(digest).exists()


def _path_of(digest: str) -> Path:
    return KEPT_FOLDER / f"{CORE_DIGEST}-{digest}.arrow"


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Wait for other processes that make the same table, where they can be waited for."""
    flags = os.O_RDWR | os.O_CREAT | os.O_NONBLOCK | os.O_CLOEXEC  # a pipe is not waited for
    try:
        path.parent.mkdir(0o700, parents=True, exist_ok=True)
        lock = os.open(path.with_name(f"{path.name}.lock"), flags, 0o600)
    except OSError:
        yield
        return
    try:
        with suppress(OSError):  # a file system without locks: to make a table twice harms nobody
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def _read(path: Path, name: str) -> pa.Buffer | None:
    """Return the bytes of a kept table that are as they were written, or None."""
    if not os.path.lexists(path):
        return None
    with suppress(OSError):
        if path.is_file() and path.stat().st_size > _DIGEST_BYTES:
            content = pa.memory_map(str(path)).read_buffer()
            table = content.slice(0, content.size - _DIGEST_BYTES)
            if hashlib.sha256(table).digest() == content[table.size :].to_pybytes():
                return table
    told = "the kept table of %s was damaged, or cannot be read: made again"
    logging.getLogger(__name__).warning(told, shown_name(name))
    return None


def _keep(path: Path, fronted: Fronted) -> None:
    events = fronted.events
    described = {"events": events.about, "counts": fronted.counts}
    described |= {name: getattr(fronted, name).tolist() for name in _LISTS}
    metadata = json.dumps(described).encode()
    table = pa.table(
        [pa.array(column) for column in events.columns.values()],
        schema=SCHEMA.with_metadata({b"fronted": metadata}),
    )
    with written_whole(path, is_synced=False) as file:
        hashed = _Hashed(file)
        with ipc.new_file(hashed, table.schema) as writer:
            # A table of one batch can be mapped into memory without a copy of its columns.
            writer.write_table(table, max_chunksize=max(1, table.num_rows))
        file.write(hashed.digest())
        _make_room(file.tell())


class _Hashed:
    """A file that is written, and the digest of what was written."""

    closed = False

    def __init__(self, file: BinaryIO) -> None:
        self._file, self._hash = file, hashlib.sha256()

    def write(self, content: Any) -> int:
        self._hash.update(content)
        return self._file.write(content)

    def digest(self) -> bytes:
        return self._hash.digest()


def _make_room(wanted_bytes: int) -> None:
    """Delete the tables used longest ago; a process that has mapped one still has it."""
    remove_unfinished(KEPT_FOLDER)
    left = kept_bytes() + wanted_bytes
    for _, size, path in sorted(_tables()):
        if left <= KEPT_BYTES:
            break
        with suppress(OSError):
            DISK.remove(path)
            DISK.remove(path.with_name(f"{path.name}.lock"))
        left -= size


def kept_bytes() -> int:
    """Return the bytes of all tables that are kept."""
    return sum(size for _, size, _ in _tables())


def _tables() -> Iterator[tuple[int, int, Path]]:
    """Yield when each kept table was used last, its bytes, and its file."""
    for path in KEPT_FOLDER.glob("*.arrow"):
        with suppress(OSError):
            about = path.stat()
            yield about.st_mtime_ns, about.st_size, path


def _as_made(value: Any) -> Any:
    """Return a value from JSON, which has lists in place of tuples."""
    return tuple(map(_as_made, value)) if isinstance(value, list) else value


def _fronted(content: pa.Buffer) -> Fronted:
    table = ipc.open_file(pa.BufferReader(content)).read_all()
    described = json.loads(table.schema.metadata[b"fronted"])
    columns = {name: table.column(name).combine_chunks().to_numpy() for name in SCHEMA.names}
    about = {name: _as_made(value) for name, value in described["events"].items()}
    about["losses"] = tuple(Loss(*loss) for loss in about["losses"])
    lists = {
        name: np.array(described[name], dtype=np.int64).reshape(-1, columns_of)
        for name, columns_of in _LISTS.items()
    }
    return Fronted(Events(**columns, **about), described["counts"], **lists)
