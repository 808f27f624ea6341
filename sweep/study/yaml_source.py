"""A YAML text with the place of every key and value, and errors that point into it."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode
from ruamel.yaml.reader import ReaderError

from core.errors import InputError

#: Where something is in the data: keys and list places from the top.
Place = tuple[str | int, ...]

#: Values in a file, aliases counted as often as they stand: a bomb is not worth its memory.
MAX_VALUES = 100_000
#: Larger numbers mean nothing here, and more digits than Python prints would break messages.
MAX_NUMBER = 2**64
_TAGS = ("str", "int", "float", "bool", "null", "seq", "map", "timestamp", "merge", "value")
#: What YAML's errors say, and what that means for the file.
_PLAIN = (
    (r"found character '\\t'.*", "a tab; YAML is indented with spaces"),
    (r"that cannot start any token", "that begins no value (quote the text?)"),
    (r"mapping values are not.*", "a ':' out of place (quote the text, or mind the indentation?)"),
    (r"expected <block end>.*", "this belongs to nothing above it (mind the indentation)"),
    (r"but found another document", "a second document begins; a study is one"),
    (r"'?<scalar>'?|the node content", "a value"),
    (r"expected '<document start>', but found.*", "this belongs to nothing before it"),
    (r"'<stream end>'|'\\x00'|unexpected end of stream", "the end of the file"),
)


@dataclass(frozen=True, order=True)
class Mistake:
    """One thing wrong in a file; lines and columns count from 1."""

    line: int
    column: int
    message: str


class SourceError(InputError):
    """All that is wrong with a file, a line each: ``file:line:column: what``."""

    def __init__(self, path: Path | str, mistakes: Iterable[Mistake]) -> None:
        self.path = path
        self.mistakes = sorted({Mistake(m.line, m.column, _line(m.message)) for m in mistakes})
        super().__init__(
            "\n".join(f"{path}:{m.line}:{m.column}: {m.message}" for m in self.mistakes)
        )


def _line(text: str) -> str:
    """Return `text` as one line that any terminal can show."""
    shown = (c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
    return "".join(shown)


@dataclass
class Source:
    """The data of a YAML file and where each part of it stands.

    What cannot be read (no value, a number without end, an alias of itself) is None in `data` and
    was complained of: nothing else is said of its value.
    """

    path: Path
    text: str
    data: Any = None
    mistakes: list[Mistake] = field(default_factory=list)
    _keys: dict[Place, tuple[int, int]] = field(default_factory=dict)
    _values: dict[Place, tuple[int, int]] = field(default_factory=dict)
    _unread: set[Place] = field(default_factory=set)

    def complain(self, place: Place, message: str, *, key: bool = False) -> None:
        """Note a mistake at `place`, or at the nearest place above it that the file has."""
        if place in self._unread and not key:
            return
        first, others = (self._keys, self._values) if key else (self._values, self._keys)
        while place not in first and place not in others and place:
            place = place[:-1]
        line, column = first.get(place) or others.get(place) or (1, 1)
        self.mistakes.append(Mistake(line, column, message))

    def place_of(self, place: Place) -> Place:
        """Return `place` without the parts that name nothing in the data.

        Those are the tags that pydantic gives the members of a union, and the 0 of something that
        stands alone where a list of it may stand.
        """
        found: list[str | int] = []
        data = self.data
        for part in place:
            known = isinstance(data, dict) and part in data
            if known or (isinstance(data, list) and isinstance(part, int)):
                found.append(part)
                data = data[part]
        return tuple(found)

    def check(self) -> None:
        """Raise `SourceError` if anything was found wrong."""
        if self.mistakes:
            raise SourceError(self.path, self.mistakes)


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
        raise SourceError(path, [Mistake(1, 1, "no such file")]) from None
    except UnicodeDecodeError as error:
        line, column = _end_of(bytes(error.object[: error.start]).decode(errors="replace"))
        message = f"byte 0x{error.object[error.start]:02x} is not UTF-8"
        raise SourceError(path, [Mistake(line, column, message)]) from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise SourceError(path, [Mistake(1, 1, f"cannot be read: {reason}")]) from None
    return parse_source(path, text)


def _end_of(text: str) -> tuple[int, int]:
    """Return the line and column where `text` ends."""
    lines = text.split("\n")
    return len(lines), len(lines[-1]) + 1


def parse_source(path: Path, text: str) -> Source:
    """Return the data in a YAML text that stands in, or came from, `path`."""
    source = Source(path, text)
    try:
        with warnings.catch_warnings():
            # An anchor may be named twice in YAML.
            warnings.simplefilter("ignore")
            root = YAML(typ="safe", pure=True).compose(text)
        if root is not None:
            source.data = _Reader(source).convert(root, (), (1, 1))
    except YAMLError as error:
        raise SourceError(path, [_mistake(text, error)]) from None
    except RecursionError:
        raise SourceError(path, [Mistake(1, 1, "nested too deep")]) from None
    return source


def _mistake(text: str, error: YAMLError) -> Mistake:
    """Return an error of the YAML parser, put plainly."""
    if isinstance(error, ReaderError):
        line, column = _end_of(text[: error.position])
        return Mistake(line, column, f"not YAML: a control character, 0x{error.character:02x}")
    if not isinstance(error, MarkedYAMLError):
        return Mistake(1, 1, f"not YAML: {error}")
    what = str(error.problem or error.context)
    for jargon, plain in _PLAIN:
        what = re.sub(jargon, plain, what)
    mark, begin = error.problem_mark or error.context_mark, error.context_mark
    if mark is None:
        return Mistake(1, 1, f"not YAML: {what}")
    if begin is not None and begin.line < mark.line and str(error.context).startswith("while"):
        what += f", {error.context} that begins on line {begin.line + 1}"
    # The end of a text is the end of its last line.
    line, column = min((mark.line + 1, mark.column + 1), _end_of(text.rstrip("\n")))
    return Mistake(line, column, f"not YAML: {what}")


class _Reader:
    """Turns YAML's nodes into data, and notes where each stands."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.converted = 0
        self.open: list[Node] = []

    def convert(self, node: Node, place: Place, near: tuple[int, int]) -> Any:
        """Return the data of a node; one that is nowhere in the text stands `near`."""
        position = (node.start_mark.line + 1, node.start_mark.column + 1)
        nowhere = node.start_mark.index == node.end_mark.index
        self.source._values[place] = near if nowhere else position
        self.converted += 1
        if self.converted > MAX_VALUES:
            message = f"more than {MAX_VALUES} values, aliases counted wherever they stand"
            raise SourceError(self.source.path, [Mistake(*position, message)])
        tag = str(node.tag).replace("tag:yaml.org,2002:", "!!")
        kind = tag.removeprefix("!!")
        if kind not in _TAGS:
            return self._leave(place, f"a study has no tags such as {tag}")
        if isinstance(node, ScalarNode):
            return self._scalar(place, str(node.value), kind)
        if any(node is other for other in self.open):
            return self._leave(place, "an alias of what it stands in")
        self.open.append(node)
        data: Any
        if isinstance(node, MappingNode):
            data = self._mapping(node, place)
        else:
            assert isinstance(node, SequenceNode)
            data = [self.convert(item, (*place, i), position) for i, item in enumerate(node.value)]
        self.open.pop()
        return data

    def _leave(self, place: Place, message: str) -> None:
        self.source.complain(place, message)
        self.source._unread.add(place)

    def _scalar(self, place: Place, text: str, kind: str) -> Any:
        """Return a YAML scalar's value; what is no number, true, false or null is text."""
        if kind == "null":
            return self._leave(place, f"{name_of(place)} has no value") if place else None
        if not _encodes(text):
            return self._leave(place, f"{name_of(place)}: half a character ({text!r})")
        if kind == "bool":
            return text.lower() in ("true", "yes", "on", "y")
        digits = text.replace("_", "")
        try:
            if kind == "int":
                if len(digits) > 100 or abs(int(digits, 0)) > MAX_NUMBER:
                    return self._leave(place, f"{name_of(place)}: a number of over 64 bits")
                return int(digits, 0)
            if kind == "float":
                return float(digits.lower().replace(".inf", "inf").replace(".nan", "nan"))
        except ValueError:
            pass
        return text

    def _mapping(self, node: MappingNode, place: Place) -> dict[str, Any]:
        data: dict[str, Any] = {}
        keys = self.source._keys
        for key_node, value_node in node.value:
            position = (key_node.start_mark.line + 1, key_node.start_mark.column + 1)
            key = str(key_node.value)
            if not isinstance(key_node, ScalarNode):
                wrong = "a key is a word, not a list or a mapping"
            elif not _encodes(key):
                wrong = f"a key with half a character ({key!r})"
            elif key in data:
                line = keys[(*place, key)][0]
                wrong = f"duplicate key {key}; it stands on line {line} too"
            else:
                keys[(*place, key)] = position
                data[key] = self.convert(value_node, (*place, key), position)
                continue
            self.source.mistakes.append(Mistake(*position, wrong))
        return data


def _encodes(text: str) -> bool:
    """Return whether `text` is Unicode: YAML's escapes can leave half a surrogate pair."""
    return not any("\ud800" <= character <= "\udfff" for character in text)


def name_of(place: Place) -> str:
    """Return what a place is called in a message: its key, and which of a list it is."""
    parts: list[str] = []
    for part in reversed(place):
        parts.insert(0, f"[{part}]" if isinstance(part, int) else part)
        if isinstance(part, str):
            break
    return "".join(parts) or "the study"


def suggest(word: str, words: Iterable[str]) -> str:
    """Return `` , did you mean X?`` when one of `words` is near, else all of them."""
    known = {name.lower(): name for name in words}
    plain = word.lower().replace("-", "_")
    near = [name for name in known if len(plain) > 2 and name.startswith(plain)]
    near += get_close_matches(plain, known, n=1, cutoff=0.6)
    if near:
        return f", did you mean {known[near[0]]}?"
    one_of = "expected one of " if len(known) > 1 else "expected "
    return f"; {one_of}{', '.join(known.values())}" if known else ""
