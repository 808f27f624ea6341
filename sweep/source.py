"""A YAML text with the place of every key and value, and errors that point into it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

#: Where something is in the data: keys and list places from the top.
Place = tuple[str | int, ...]


@dataclass(frozen=True, order=True)
class Mistake:
    """One thing wrong in a file; lines and columns count from 1."""

    line: int
    column: int
    message: str


class SourceError(ValueError):
    """All that is wrong with a file, a line each: ``file:line:column: what``."""

    def __init__(self, path: Path | str, mistakes: Iterable[Mistake]) -> None:
        self.path = path
        self.mistakes = sorted(set(mistakes))
        super().__init__(
            "\n".join(f"{path}:{m.line}:{m.column}: {m.message}" for m in self.mistakes)
        )


@dataclass
class Source:
    """The data of a YAML file and where each part of it stands."""

    path: Path
    text: str
    data: Any = None
    mistakes: list[Mistake] = field(default_factory=list)
    _keys: dict[Place, tuple[int, int]] = field(default_factory=dict)
    _values: dict[Place, tuple[int, int]] = field(default_factory=dict)

    def complain(self, place: Place, message: str, *, key: bool = False) -> None:
        """Note a mistake at `place`, or at the nearest place above it that the file has."""
        first, others = (self._keys, self._values) if key else (self._values, self._keys)
        while place not in first and place not in others and place:
            place = place[:-1]
        line, column = first.get(place) or others.get(place) or (1, 1)
        self.mistakes.append(Mistake(line, column, message))

    def check(self) -> None:
        """Raise `SourceError` if anything was found wrong."""
        if self.mistakes:
            raise SourceError(self.path, self.mistakes)


def read_source(path: Path) -> Source:
    """Return the data in a YAML file; duplicate keys are noted, not raised.

    Raises
    ------
    SourceError
        When the file cannot be read or is not YAML.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise SourceError(path, [Mistake(1, 1, "no such file")]) from None
    except (OSError, UnicodeDecodeError) as error:
        raise SourceError(path, [Mistake(1, 1, f"cannot be read ({error})")]) from None
    return parse_source(path, text)


def parse_source(path: Path, text: str) -> Source:
    """Return the data in a YAML text that stands in, or came from, `path`."""
    source = Source(path, text)
    try:
        root = YAML(typ="safe", pure=True).compose(text)
        if root is not None:
            source.data = _convert(source, root, ())
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        what = " ".join(str(error.problem or error.context or "not YAML").split())
        raise SourceError(path, [Mistake(line, column, f"not YAML: {what}")]) from None
    except YAMLError as error:
        what = " ".join(str(error).split())
        raise SourceError(path, [Mistake(1, 1, f"not YAML: {what}")]) from None
    return source


def _convert(source: Source, node: Node, place: Place) -> Any:
    source._values[place] = (node.start_mark.line + 1, node.start_mark.column + 1)
    if isinstance(node, MappingNode):
        return _convert_mapping(source, node, place)
    if isinstance(node, SequenceNode):
        return [_convert(source, item, (*place, i)) for i, item in enumerate(node.value)]
    return _convert_scalar(node)


def _convert_scalar(node: Node) -> Any:
    """Return the value of a YAML 1.2 scalar; what is not a number, true, false or null is text."""
    text, kind = str(node.value), str(node.tag).rpartition(":")[2]
    if kind == "null":
        return None
    if kind == "bool":
        return text.lower() == "true"
    try:
        if kind == "int":
            return int(text.replace("_", ""), 0)
        if kind == "float":
            return float(text.replace("_", "").replace(".inf", "inf").replace(".nan", "nan"))
    except ValueError:
        pass
    return text


def _convert_mapping(source: Source, node: MappingNode, place: Place) -> dict[str, Any]:
    data: dict[str, Any] = {}
    for key_node, value_node in node.value:
        key = key_node.value if isinstance(key_node, ScalarNode) else str(key_node.value)
        mark = key_node.start_mark
        if key in data:
            line = source._keys[(*place, key)][0]
            message = f"duplicate key {key}; it stands on line {line} too"
            source.mistakes.append(Mistake(mark.line + 1, mark.column + 1, message))
            continue
        source._keys[(*place, key)] = (mark.line + 1, mark.column + 1)
        data[key] = _convert(source, value_node, (*place, key))
    return data


def suggest(word: str, words: Iterable[str]) -> str:
    """Return `` , did you mean X?`` when one of `words` is near, else a list of them."""
    known = list(words)
    near = get_close_matches(word, known, n=1, cutoff=0.6)
    if near:
        return f", did you mean {near[0]}?"
    return f"; there is {', '.join(known)}" if len(known) <= 12 else ""
