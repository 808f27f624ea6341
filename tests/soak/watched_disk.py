"""The operations that change files, each of which a test is told of before it happens."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO
from unittest import mock

from core.files import Disk

#: Those that change nothing; a full disk does not make them fail.
READS = ("names", "read")
OPERATIONS = (*READS, "make_folder", "write", "new", "copy", "sync", "rename", "link", "remove")
#: Is called with the name of an operation and what it is given, and may raise.
Before = Callable[[str, tuple[Any, ...]], None]


class _File:
    """A file that is written, whose writes are operations too."""

    def __init__(self, file: BinaryIO, before: Before) -> None:
        self._file, self._before = file, before

    def write(self, content: bytes) -> int:
        self._before("write to", (Path(self._file.name), content))
        return self._file.write(content)

    def __enter__(self) -> _File:
        return self

    def __exit__(self, *error: object) -> None:
        self._file.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


@contextmanager
def watched(before: Before) -> Iterator[None]:
    """Call something before each operation; a write that it makes fail has written a half."""

    def watch(name: str) -> Callable[..., Any]:
        operation = getattr(Disk, name)

        def watching(disk: Disk, *given: Any) -> Any:
            try:
                before(name, given)
            except OSError:
                if name == "write":
                    file, content = given
                    operation(disk, file, content[: len(content) // 2])
                raise
            done = operation(disk, *given)
            return _File(done, before) if name == "new" else done

        return watching

    with mock.patch.multiple(Disk, **{name: watch(name) for name in OPERATIONS}):
        yield
