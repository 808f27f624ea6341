"""Kept code: the machine code of compiled functions on disk, checked before it is loaded.

A file holds one function, compiled for one list of types: a digest, then a pickle of what Numba
makes of it. Neither the pickle nor the code is looked at where the digest is of something else: a
file that is cut off or changed counts as one that is not there. The digest tells of damage; that no
stranger wrote the file, `core.cache_folder` sees to.
"""

from __future__ import annotations

import hashlib
import logging
import pickle
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path
from typing import Any

from core.errors import shown_name
from core.files import DISK, written_whole

_DIGEST_BYTES = hashlib.sha256().digest_size
#: The folder of this package, whose sources the digest of a folder of code is of.
_CORE = Path(__file__).parent


class KeptCode:
    """The code of one function on disk, as a dispatcher of Numba's asks for it.

    Parameters
    ----------
    function
        The function.
    folder
        Where it is kept. It is for one version of this package and one of what compiles; a function
        of a file that is not of this package is kept for that file's content too.
    """

    def __init__(self, function: Callable[..., Any], folder: Path) -> None:
        source = Path(function.__code__.co_filename)
        self._stamp = "" if _CORE in source.parents else _digest(source.read_bytes()).hex()
        self._folder = self.cache_path = folder
        self._name = _beginning(function.__qualname__, function.__module__)

    def load_overload(self, signature: Any, target: Any) -> Any:
        """Return what was compiled for a signature, or None if it is not there as it was saved."""
        from numba.core import compiler

        target.refresh()
        content = _read(self._file(signature))
        rebuild: Any = compiler.CompileResult._rebuild
        return None if content is None else rebuild(target, *pickle.loads(content))

    def save_overload(self, signature: Any, compiled: Any) -> None:
        """Keep what was compiled for a signature, where that can be."""
        from numba.core import serialize

        if compiled.lifted or compiled.library.has_dynamic_globals:  # it holds addresses
            return
        dumps: Any = serialize.dumps
        content = dumps(compiled._reduce())
        try:
            # Half a file has another digest, so that nothing waits for the disk.
            with written_whole(self._file(signature), is_synced=False) as file:
                file.write(_digest(content) + content)
        except OSError as error:
            _say_once(
                f"compiled code cannot be kept in {shown_name(self._folder)}: {error.strerror}"
            )

    def _file(self, signature: Any) -> Path:
        key = _digest(repr((signature, self._stamp)).encode()).hex()[:16]
        return self._folder / f"{self._name}{key}.code"

    def flush(self) -> None:
        """Do nothing, where Numba is to compile the function again: no source has changed."""


def kept(names: Iterable[str], module: str, folder: Path) -> set[str]:
    """Return of which functions of a module there is code that can be loaded, by their names."""
    begins = {_beginning(name, module): name for name in names}
    return {
        name
        for file in folder.glob("*.code")
        if (name := begins.get(file.name.rpartition("-")[0] + "-")) and _read(file) is not None
    }


def _beginning(name: str, module: str) -> str:
    return f"{module.rpartition('.')[2]}.{name}-"


def _read(file: Path) -> bytes | None:
    """Return the content of a file that is as it was saved, or None."""
    try:
        content = DISK.read(file)
    except OSError:
        return None
    if content[:_DIGEST_BYTES] == _digest(content[_DIGEST_BYTES:]):
        return content[_DIGEST_BYTES:]
    _say_once(f"compiled code in {shown_name(file.parent)} was damaged: compiled again")
    return None


def _digest(content: bytes) -> bytes:
    return hashlib.sha256(content).digest()


@cache
def _say_once(line: str) -> None:
    logging.getLogger(__name__).warning(line)
