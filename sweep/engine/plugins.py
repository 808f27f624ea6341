"""A user's own systems and evictions: imported for a run of the study that names them, and no more.

``eviction: my_package.mru:MRU`` names the object MRU of a module, which lies beside the study or is
installed. It is imported in this process and on every worker; its source is part of the digest of
the code, so that results of other source are other results.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from core.errors import InputError
from core.eviction import EVICTIONS
from core.jit import CORE_DIGEST
from core.registry import Registry, is_plugin, plugin_digest
from core.system import SYSTEMS
from sweep.study.space import baseline_spaces_of, spaces_of
from sweep.study.yaml_source import Mistake, Place, Source

_REGISTRIES: dict[str, Registry[Any]] = {"system": SYSTEMS, "eviction": EVICTIONS}


class Plugins(NamedTuple):
    """What of a study is a user's own code, and the folder that its modules may lie in."""

    words: tuple[tuple[str, str], ...]  # of (policy field, word)
    folder: Path

    def load(self) -> None:
        """Import them in this process.

        Raises
        ------
        InputError
            When one cannot be imported.
        """
        for field, word in self.words:
            _REGISTRIES[field].load(word, self.folder)

    def code_digest(self) -> str:
        """Return the digest of all code that decides results: the simulator's, and theirs."""
        own = plugin_digest([word for _, word in self.words])
        if not own:
            return CORE_DIGEST
        return hashlib.sha256(f"{CORE_DIGEST} {own}".encode()).hexdigest()[:16]


#: A study that has none.
NO_PLUGINS = Plugins((), Path())


def load_plugins(source: Source) -> Plugins:
    """Import what of a study is a user's own code, and return what it is.

    Raises
    ------
    SourceError
        When one cannot be imported, at its line of the study.
    """
    words = dict(_plugins_in(source.data))
    plugins = Plugins(tuple(words), source.path.resolve().parent)
    mistakes = []
    for field, word in words:
        try:
            _REGISTRIES[field].load(word, plugins.folder)
        except InputError as error:
            mistakes.append(Mistake(words[field, word], str(error)))
    if mistakes:
        raise source.error(mistakes)
    return plugins


def modules_beside(source: Source) -> dict[str, list[Path]]:
    """Return the files of each user's module that a study names, unless it is installed elsewhere.

    Nothing is imported. Of a package, all its files count, since one of them may use another.

    Returns
    -------
    dict of str to list of Path
        By the name of the module or package; of one that is not beside the study, no file.
    """
    folder = source.path.resolve().parent
    tops = {word.partition(":")[0].partition(".")[0] for (_, word), _ in _plugins_in(source.data)}
    files: dict[str, list[Path]] = {}
    for top in sorted(tops):
        module, package = folder / f"{top}.py", folder / top
        if (package / "__init__.py").is_file():
            files[top] = sorted(package.rglob("*.py"))
        else:
            files[top] = [module] if module.is_file() else []
    return files


def _plugins_in(data: dict[str, Any]) -> Iterator[tuple[tuple[str, str], Place]]:
    """Yield (policy field, word) of a user's own in a study's data, and where each stands."""
    for space in (*spaces_of(data), *baseline_spaces_of(data)):
        for field in _REGISTRIES:
            for word in space.choices_of(field):
                if isinstance(word, str) and is_plugin(word):
                    yield (field, word), space.place_of(field)
