"""A YAML text with the place of every key and value, and errors that point into it."""

from __future__ import annotations

import stat
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from core.errors import InputError
from sweep.study.yaml_nodes import (
    MAX_BYTES,
    Bounds,
    NodesError,
    Position,
    compose,
    end_of,
    start_of,
)

#: The keys and list indices that lead to a value: ("workload", 0, "trace").
Place = tuple[str | int, ...]
#: A mapping of the study file, as YAML gives it: nothing in it is checked yet.
Section = dict[str, Any]

#: The largest number: the database has integers of 64 bits with a sign.
MAX_NUMBER = 2**63 - 1
#: The kinds of values that a study may hold, by YAML's tags.
_TAGS = ("str", "int", "float", "bool", "null", "seq", "map", "timestamp", "merge", "value")
#: The key by which a mapping takes over what is in others.
_MERGE = "<<"


class Mistake(NamedTuple):
    """Something that is wrong in the data of a study, as a check finds it.

    `about_key` says that the key at `place` is wrong, not its value: the error then points at the
    key.
    """

    place: Place
    message: str
    about_key: bool = False


@dataclass(frozen=True, order=True)
class LocatedMistake:
    """Something that is wrong in a file, with its line and column, both counted from 1."""

    file: Path
    line: int
    column: int
    what: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}: {_on_one_line(self.what)}"


class SourceError(InputError):
    """All that is wrong with a file; its text has one line for each mistake.

    Parameters
    ----------
    mistakes
        At least one. They are kept, without repetitions, in the order of the file. As an
        `InputError` the error stands for the first of them.
    """

    def __init__(self, mistakes: Iterable[LocatedMistake]) -> None:
        self.mistakes = sorted(set(mistakes))
        first = self.mistakes[0]
        super().__init__(first.what, file=first.file, line=first.line, column=first.column)

    def __str__(self) -> str:
        return "\n".join(str(mistake) for mistake in self.mistakes)


def _on_one_line(text: str) -> str:
    """Return `text` with line breaks and other control characters escaped."""
    shown = (c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
    return "".join(shown)


@dataclass(frozen=True)
class Source:
    """The data of a YAML text, and where each part of it stands.

    A value that cannot be read (a key without a value, a number beyond 64 bits, an alias of
    itself) is None in `data`, its place is in `unread`, and what is wrong with it is one of the
    `mistakes`.
    """

    path: Path
    text: str
    data: Any
    mistakes: tuple[LocatedMistake, ...]
    key_positions: dict[Place, Position]
    value_positions: dict[Place, Position]
    unread: frozenset[Place]

    def error(self, mistakes: Iterable[Mistake]) -> SourceError:
        """Return the error that tells `mistakes`, and those that were noted while reading.

        Of a value that could not be read, only the reason for that is told.
        """
        located = list(self.mistakes)
        for place, message, about_key in mistakes:
            known_place = self.place_in_data(place)
            if about_key or known_place not in self.unread:
                line, column = self._position_of(known_place, about_key)
                located.append(LocatedMistake(self.path, line, column, message))
        return SourceError(located)

    def _position_of(self, place: Place, about_key: bool) -> Position:
        """Return where a place is in the text, or the nearest place above it that is there."""
        first, second = self.value_positions, self.key_positions
        if about_key:
            first, second = second, first
        while place not in first and place not in second and place:
            place = place[:-1]
        return first.get(place) or second.get(place) or (1, 1)

    def place_in_data(self, place: Place) -> Place:
        """Return `place` without the parts that name nothing in the data.

        Pydantic adds the tag of a union's member: ("parameters", "headroom", "float", "low") loses
        its "float". A workload that stands alone is checked as a list of one: ("workload", 0,
        "trace") loses its 0.
        """
        known_parts: list[str | int] = []
        data = self.data
        for part in place:
            in_mapping = isinstance(data, dict) and part in data
            if in_mapping or (isinstance(data, list) and isinstance(part, int)):
                known_parts.append(part)
                data = data[part]
        return tuple(known_parts)


def read_source(path: Path) -> Source:
    """Return the data in a YAML file; mistakes such as duplicate keys are noted, not raised.

    Raises
    ------
    SourceError
        When the file cannot be read or is not YAML.
    """
    try:
        text = _read_file(path).decode("utf-8-sig")
    except FileNotFoundError:
        raise SourceError([LocatedMistake(path, 1, 1, "no such file")]) from None
    except UnicodeDecodeError as error:
        line, column = end_of(bytes(error.object[: error.start]).decode(errors="replace"))
        message = f"byte 0x{error.object[error.start]:02x} is not UTF-8"
        raise SourceError([LocatedMistake(path, line, column, message)]) from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise SourceError([LocatedMistake(path, 1, 1, f"cannot be read: {reason}")]) from None
    return parse_source(path, text)


def _read_file(path: Path) -> bytes:
    """Return what is in a regular file of at most `MAX_BYTES`: from a pipe, reading might not end.

    Raises
    ------
    OSError, ValueError
        When it cannot be read; `strerror` or the text of a `ValueError` says why.
    """
    mode = path.stat().st_mode
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
        raise ValueError("it is no regular file")
    with path.open("rb") as file:
        content = file.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise ValueError(f"it has more than {MAX_BYTES:,} bytes")
    return content


def parse_source(path: Path, text: str) -> Source:
    """Return the data in a YAML text.

    Parameters
    ----------
    path
        The file of the text, or a name for it in messages. Traces are looked for beside it.
    text
        A study in YAML.

    Raises
    ------
    SourceError
        When the text is not YAML.
    """
    reader = _Reader(path)
    try:
        root = compose(text)
        data = None if root is None else reader.convert(root, (), (1, 1))
    except NodesError as error:
        raise SourceError([LocatedMistake(path, *error.position, error.what)]) from None
    return Source(
        path,
        text,
        data,
        tuple(reader.mistakes),
        reader.key_positions,
        reader.value_positions,
        frozenset(reader.unread),
    )


class _Reader:
    """Turns YAML's nodes into data, and notes where each stands and what is wrong with it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.mistakes: list[LocatedMistake] = []
        self.key_positions: dict[Place, Position] = {}
        self.value_positions: dict[Place, Position] = {}
        self.unread: set[Place] = set()
        self._bounds = Bounds()
        self._open: list[Node] = []

    def convert(self, node: Node, place: Place, near: Position) -> Any:
        """Return the data of a node, whose position is `near` if it has no text of its own."""
        position = start_of(node)
        has_text = node.start_mark.index != node.end_mark.index
        self.value_positions[place] = position if has_text else near
        with self._bounds.within(position):
            return self._data_of(node, place, position)

    def _data_of(self, node: Node, place: Place, position: Position) -> Any:
        tag = str(node.tag).replace("tag:yaml.org,2002:", "!!")
        kind = tag.removeprefix("!!")
        if kind not in _TAGS:
            return self._leave_unread(place, f"a study has no tags such as {tag}")
        if isinstance(node, ScalarNode):
            return self._convert_scalar(place, str(node.value), kind)
        if any(node is other for other in self._open):
            return self._leave_unread(place, "an alias of what it stands in")
        self._open.append(node)
        data: Any
        if isinstance(node, MappingNode):
            data = self._convert_mapping(node, place)
        else:
            assert isinstance(node, SequenceNode)
            data = [self.convert(item, (*place, i), position) for i, item in enumerate(node.value)]
        self._open.pop()
        return data

    def _leave_unread(self, place: Place, message: str) -> None:
        """Note why the value at `place` cannot be read; it becomes None."""
        self.mistakes.append(LocatedMistake(self.path, *self.value_positions[place], message))
        self.unread.add(place)

    def _convert_scalar(self, place: Place, text: str, kind: str) -> Any:
        """Return a YAML scalar's value; what is no number, true, false or null is text."""
        if kind == "null":
            return self._leave_unread(place, f"{name_of(place)} has no value") if place else None
        if not _is_unicode(text):
            return self._leave_unread(place, f"{name_of(place)}: half a character ({text!r})")
        if kind == "bool":
            return text.lower() in ("true", "yes", "on", "y")
        digits = text.replace("_", "")
        try:
            if kind == "int":
                if len(digits) > 100 or abs(int(digits, 0)) > MAX_NUMBER:
                    return self._leave_unread(place, f"{name_of(place)}: a number beyond 64 bits")
                return int(digits, 0)
            if kind == "float":
                return float(digits.lower().replace(".inf", "inf").replace(".nan", "nan"))
        except ValueError:
            pass
        return text

    def _convert_mapping(self, node: MappingNode, place: Place) -> Section:
        data: Section = {}
        merges: list[tuple[Node, Position]] = []
        for key_node, value_node in node.value:
            position = start_of(key_node)
            key = str(key_node.value)
            if not isinstance(key_node, ScalarNode):
                wrong = "a key is a word, not a list or a mapping"
            elif not _is_unicode(key):
                wrong = f"a key with half a character ({key!r})"
            elif _is_merge(key_node):
                if not merges:
                    merges.append((value_node, position))
                    continue
                wrong = f"a second {_MERGE}; several mappings are a list: {_MERGE}: [*a, *b]"
            elif key in data:
                line, _ = self.key_positions[(*place, key)]
                wrong = f"duplicate key {key}; it stands on line {line} too"
            else:
                self.key_positions[(*place, key)] = position
                data[key] = self.convert(value_node, (*place, key), position)
                continue
            self.mistakes.append(LocatedMistake(self.path, *position, wrong))
        # Keys of the mapping's own win, wherever in it they stand.
        merged: Section = {}
        for value_node, position in merges:
            self._merge(value_node, position, place, data, merged)
        return merged | data

    def _merge(
        self, node: Node, near: Position, place: Place, own: Section, merged: Section
    ) -> None:
        """Add to `merged` what YAML's merge key takes over: of several mappings the first wins.

        A value that is taken over stands where it is written, in the mapping that it comes from.
        """
        position = start_of(node)
        mappings = list(node.value) if isinstance(node, SequenceNode) else [node]
        for mapping in mappings:
            if not isinstance(mapping, MappingNode):
                self._refuse_merge(place, position, f"{_MERGE} takes a mapping, or a list of them")
                return
            if any(mapping is other for other in self._open):
                self._refuse_merge(place, near, f"{_MERGE} of what it stands in")
                return
            self._open.append(mapping)
            above: list[tuple[Node, Position]] = []
            for key_node, value_node in mapping.value:
                key, at = str(key_node.value), start_of(key_node)
                with self._bounds.within(near):
                    if _is_merge(key_node):
                        above.append((value_node, at))
                    elif not isinstance(key_node, ScalarNode) or not _is_unicode(key):
                        self._refuse_merge(place, at, "a key is a word, not a list or a mapping")
                    elif key not in own and key not in merged:
                        self.key_positions[(*place, key)] = at
                        merged[key] = self.convert(value_node, (*place, key), at)
            for value_node, at in above:
                with self._bounds.within(at):
                    self._merge(value_node, at, place, own, merged)
            self._open.pop()

    def _refuse_merge(self, place: Place, position: Position, message: str) -> None:
        """Note why a merge cannot be read; what the mapping then lacks is not told."""
        self.mistakes.append(LocatedMistake(self.path, *position, message))
        self.unread.add(place)


def _is_merge(key: Node) -> bool:
    """Return whether a key is YAML's merge key; in quotes it is a key as any other."""
    return isinstance(key, ScalarNode) and str(key.tag).endswith(":merge")


def _is_unicode(text: str) -> bool:
    """Return whether `text` is Unicode: the escapes of YAML can leave half a surrogate pair."""
    return not any("\ud800" <= character <= "\udfff" for character in text)


def name_of(place: Place) -> str:
    """Return what a place is called in a message: ("workload", 0, "choices", 2) is choices[2]."""
    parts: list[str] = []
    for part in reversed(place):
        parts.insert(0, f"[{part}]" if isinstance(part, int) else part)
        if isinstance(part, str):
            break
    return "".join(parts) or "the study"
