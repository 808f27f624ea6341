"""Registries: things known by a word in a study, each an object of a module imported when needed.

``lru`` stands for ``core.eviction.lru:LRU``, and a user's own eviction is named in just that way:
``eviction: my_package.mru:MRU``. What is not of this project is imported by `load` alone, which
only `sweep run` calls: to validate, list or report a study runs nobody's code.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import re
import sys
from collections.abc import Iterable, Iterator
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Any, Generic, TypeVar

from core.errors import InputError

Thing = TypeVar("Thing")

#: How a thing of a user's own is named: ``package.module:NAME``.
PLUGIN_PATTERN = r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*$"

#: The digest of the source of each user's module, as it was when this process imported it.
_IMPORTED: dict[str, str] = {}


def is_plugin(word: str) -> bool:
    """Return whether a word names an object of a user's module: ``package.module:NAME``."""
    return re.fullmatch(PLUGIN_PATTERN, word, re.ASCII) is not None


class Registry(Generic[Thing]):
    """Things of one kind by their words.

    Parameters
    ----------
    kind
        What a message calls them.
    places
        Of each word the ``module:NAME`` of its thing; to add one is to add a line here.
    class_of_things
        The ``module:CLASS`` that each of them is of.
    """

    def __init__(self, kind: str, places: dict[str, str], class_of_things: str) -> None:
        self.kind, self.places, self._class_of_things = kind, places, class_of_things
        self._loaded: dict[str, Thing] = {}

    def __iter__(self) -> Iterator[str]:
        return iter(self.places)

    def __contains__(self, word: object) -> bool:
        return isinstance(word, str) and (word in self.places or is_plugin(word))

    def __getitem__(self, word: str) -> Thing:
        if word not in self._loaded:
            if word not in self.places:
                raise InputError(f"{self.kind} {word} is a user's own: only sweep run imports it")
            self._loaded[word] = self._import(self.places[word])
        return self._loaded[word]

    def known(self, word: str) -> Thing | None:
        """Return the thing of a word, or None of a user's own that is not loaded."""
        return self[word] if word in self.places or word in self._loaded else None

    def load(self, word: str, folder: Path) -> None:
        """Import a user's own thing; its module may lie in `folder`, beside the study.

        Raises
        ------
        InputError
            When there is no such module, or it has no such name; or when this process has imported
            it from another folder, or before its source changed, so that what would run is not what
            its file says.
        """
        if str(folder) not in sys.path:
            # Last, so that a file beside a study hides nothing that is installed.
            sys.path.append(str(folder))
        try:
            self._loaded[word] = self._import(word)
        except (Exception, SystemExit) as error:
            reason = f"{type(error).__name__}: {error}"
            raise InputError(f"{self.kind} {word} cannot be imported: {reason}") from None
        top = word.partition(":")[0].partition(".")[0]
        beside = PathFinder.find_spec(top, [str(folder)])
        origin = _source_file(top)
        if beside and beside.origin and beside.origin != str(origin):
            raise InputError(
                f"{self.kind} {word}: this process has imported module {top} from {origin}, "
                f"not from {beside.origin}; run the study in a new process"
            )
        digest = plugin_digest([word])
        if _IMPORTED.setdefault(word.partition(":")[0], digest) != digest:
            raise InputError(
                f"{self.kind} {word}: its source has changed since it was imported; "
                "run the study in a new process"
            )

    def _import(self, place: str) -> Thing:
        thing: Thing = _imported(place)
        if not isinstance(thing, _imported(self._class_of_things)):
            raise TypeError(f"it is no {self.kind}, but of type {type(thing).__name__}")
        return thing


def _imported(place: str) -> Any:
    module, _, name = place.partition(":")
    return getattr(importlib.import_module(module), name)


def _source_file(module: str) -> Path:
    """Return the file of a module, or the ``__init__.py`` of a package."""
    try:
        spec = importlib.util.find_spec(module)
    except ValueError:
        spec = None  # the __main__ of a notebook
    if spec is None or not spec.has_location or spec.origin is None:
        raise InputError(f"module {module} has no source file")
    return Path(spec.origin)


def plugin_digest(words: Iterable[str]) -> str:
    """Return the digest of the source of the modules that words name; "" if none names any.

    Of a module in a package, the whole package counts, since one of its files may use another.

    Raises
    ------
    InputError
        When a module has no source.
    """
    digest, some = hashlib.sha256(), False
    modules = {word.partition(":")[0] for word in words if is_plugin(word)}
    for top in sorted({module.partition(".")[0] for module in modules}):
        origin = _source_file(top)
        root = origin.parent
        files = sorted(root.rglob("*.py")) if origin.name == "__init__.py" else [origin]
        for path in files:
            digest.update(path.relative_to(root).as_posix().encode() + b"\0")
            digest.update(path.read_bytes() + b"\0")
        some = True
    return digest.hexdigest()[:16] if some else ""
