"""A YAML text with the place of every key and value, and errors that point into it."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode
from ruamel.yaml.reader import ReaderError

from core.errors import InputError

#: The keys and list indices that lead to a value: ("workload", 0, "trace").
Place = tuple[str | int, ...]
#: A line and a column of the text, both counted from 1.
Position = tuple[int, int]
#: A mapping of the study file, as YAML gives it: nothing in it is checked yet.
Section = dict[str, Any]

#: The most values in a file. A value counts once for each alias of it, so that aliases of aliases
#: cannot fill the memory.
MAX_VALUES = 100_000
#: No setting needs a larger number, and Python refuses to print one of thousands of digits.
MAX_NUMBER = 2**64
#: The kinds of values that a study may hold, by YAML's tags.
_TAGS = ("str", "int", "float", "bool", "null", "seq", "map", "timestamp", "merge", "value")
#: The key by which a mapping takes over what is in others.
_MERGE = "<<"
#: Parts of the YAML parser's messages, as regular expressions, and plain words for them.
_PLAIN_WORDS = (
    (r"found character '\\t'.*", "a tab; YAML is indented with spaces"),
    (r"that cannot start any token", "that begins no value (quote the text?)"),
    (r"mapping values are not.*", "a ':' out of place (quote the text, or mind the indentation?)"),
    (r"expected <block end>.*", "this belongs to nothing above it (mind the indentation)"),
    (r"but found another document", "a second document begins; a study is one"),
    (r"'?<scalar>'?|the node content", "a value"),
    (r"expected '<document start>', but found.*", "this belongs to nothing before it"),
    (r"'<stream end>'|'\\x00'|unexpected end of stream", "the end of the file"),
)


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

    A value that cannot be read (a key without a value, a number of over 64 bits, an alias of
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
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise SourceError([LocatedMistake(path, 1, 1, "no such file")]) from None
    except UnicodeDecodeError as error:
        line, column = _end_of(bytes(error.object[: error.start]).decode(errors="replace"))
        message = f"byte 0x{error.object[error.start]:02x} is not UTF-8"
        raise SourceError([LocatedMistake(path, line, column, message)]) from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise SourceError([LocatedMistake(path, 1, 1, f"cannot be read: {reason}")]) from None
    return parse_source(path, text)


def _end_of(text: str) -> Position:
    """Return the line and column where `text` ends."""
    lines = text.split("\n")
    return len(lines), len(lines[-1]) + 1


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
    data = None
    try:
        with warnings.catch_warnings():
            # An anchor may be named twice in YAML, of which the parser warns.
            warnings.simplefilter("ignore")
            root = YAML(typ="safe", pure=True).compose(text)
        if root is not None:
            data = reader.convert(root, (), (1, 1))
    except YAMLError as error:
        (line, column), what = _plainly(text, error)
        raise SourceError([LocatedMistake(path, line, column, f"not YAML: {what}")]) from None
    except RecursionError:
        raise SourceError([LocatedMistake(path, 1, 1, "nested too deep")]) from None
    return Source(
        path,
        text,
        data,
        tuple(reader.mistakes),
        reader.key_positions,
        reader.value_positions,
        frozenset(reader.unread),
    )


def _plainly(text: str, error: YAMLError) -> tuple[Position, str]:
    """Return where the YAML parser failed in `text`, and why, in plain words."""
    if isinstance(error, ReaderError):
        return _end_of(text[: error.position]), f"a control character, 0x{error.character:02x}"
    if not isinstance(error, MarkedYAMLError):
        return (1, 1), str(error)
    what = str(error.problem or error.context)
    for jargon, plain in _PLAIN_WORDS:
        what = re.sub(jargon, plain, what)
    mark, begin = error.problem_mark or error.context_mark, error.context_mark
    if mark is None:
        return (1, 1), what
    if begin is not None and begin.line < mark.line and str(error.context).startswith("while"):
        what += f", {error.context} that begins on line {begin.line + 1}"
    # The parser's end of a text is the line after the last one.
    return min((mark.line + 1, mark.column + 1), _end_of(text.rstrip("\n"))), what


def _start_of(node: Node) -> Position:
    return node.start_mark.line + 1, node.start_mark.column + 1


class _Reader:
    """Turns YAML's nodes into data, and notes where each stands and what is wrong with it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.mistakes: list[LocatedMistake] = []
        self.key_positions: dict[Place, Position] = {}
        self.value_positions: dict[Place, Position] = {}
        self.unread: set[Place] = set()
        self._converted = 0
        self._open: list[Node] = []

    def convert(self, node: Node, place: Place, near: Position) -> Any:
        """Return the data of a node, whose position is `near` if it has no text of its own."""
        position = _start_of(node)
        has_text = node.start_mark.index != node.end_mark.index
        self.value_positions[place] = position if has_text else near
        self._count(position)
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
                    return self._leave_unread(place, f"{name_of(place)}: a number of over 64 bits")
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
            position = _start_of(key_node)
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
        position = _start_of(node)
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
                key, at = str(key_node.value), _start_of(key_node)
                self._count(near)
                if _is_merge(key_node):
                    above.append((value_node, at))
                elif not isinstance(key_node, ScalarNode) or not _is_unicode(key):
                    self._refuse_merge(place, at, "a key is a word, not a list or a mapping")
                elif key not in own and key not in merged:
                    self.key_positions[(*place, key)] = at
                    merged[key] = self.convert(value_node, (*place, key), at)
            for value_node, at in above:
                self._merge(value_node, at, place, own, merged)
            self._open.pop()

    def _refuse_merge(self, place: Place, position: Position, message: str) -> None:
        """Note why a merge cannot be read; what the mapping then lacks is not told."""
        self.mistakes.append(LocatedMistake(self.path, *position, message))
        self.unread.add(place)

    def _count(self, position: Position) -> None:
        self._converted += 1
        if self._converted > MAX_VALUES:
            message = f"more than {MAX_VALUES} values, aliases counted wherever they stand"
            raise SourceError([LocatedMistake(self.path, *position, message)])


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
