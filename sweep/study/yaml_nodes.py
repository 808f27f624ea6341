"""The nodes of a YAML text, composed within bounds, and in plain words why there are none."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.composer import Composer
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import Node
from ruamel.yaml.reader import ReaderError

#: A line and a column of the text, both counted from 1.
Position = tuple[int, int]

#: The most bytes of a file: the parser takes some seconds for as many.
MAX_BYTES = 2**20
#: The most keys and values in a file. A value counts once for each alias of it, so that aliases of
#: aliases cannot fill the memory.
MAX_VALUES = 25_000
#: The most lists and mappings, one in the other.
MAX_DEPTH = 50
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


class NodesError(Exception):
    """A text is not YAML, or holds more than a study can; `position` is where, `what` is why."""

    def __init__(self, position: Position, what: str) -> None:
        super().__init__(what)
        self.position, self.what = position, what


class Bounds:
    """Counts values, and how deep the one stands that is read."""

    def __init__(self) -> None:
        self.values, self.depth = 0, 0

    @contextmanager
    def within(self, position: Position) -> Iterator[None]:
        """Count a value, in which others may stand.

        Raises
        ------
        NodesError
            When it is one too many, or stands too deep.
        """
        self.values += 1
        self.depth += 1
        if self.values > MAX_VALUES:
            what = f"more than {MAX_VALUES} values, aliases counted wherever they stand"
            raise NodesError(position, what)
        if self.depth > MAX_DEPTH:
            raise NodesError(position, "nested too deep")
        yield
        self.depth -= 1


class _BoundedComposer(Composer):
    """The parser's composer of nodes, which ends where a text is beyond all bounds."""

    def __init__(self, loader: Any = None) -> None:
        super().__init__(loader)
        self._bounds = Bounds()

    def get_single_node(self) -> Any:
        try:
            return super().get_single_node()
        except (OverflowError, ValueError):  # of Python itself, at a sign or version beyond all
            reader = self.loader.reader
            what = "not YAML: a number out of range"
            raise NodesError((reader.line + 1, reader.column + 1), what) from None

    def compose_node(self, parent: Any, index: Any) -> Any:
        with self._bounds.within(start_of(self.parser.peek_event())):
            return super().compose_node(parent, index)


def compose(text: str) -> Node | None:
    """Return the node of all that is in a text; None where nothing is.

    Raises
    ------
    NodesError
        When the text is not YAML, or holds more than a study can.
    """
    if len(text) > MAX_BYTES:
        raise NodesError((1, 1), f"it has more than {MAX_BYTES:,} characters")
    yaml = YAML(typ="safe", pure=True)
    yaml.Composer = _BoundedComposer
    try:
        with warnings.catch_warnings():
            # An anchor may be named twice in YAML, of which the parser warns.
            warnings.simplefilter("ignore")
            root: Node | None = yaml.compose(text)
    except YAMLError as error:
        position, what = _plainly(text, error)
        raise NodesError(position, f"not YAML: {what}") from None
    except AssertionError:  # the parser's own, of a directive
        before = re.split("^%YAML", text, maxsplit=1, flags=re.MULTILINE)[0]
        what = "not YAML 1.1 or 1.2, the versions that can be read"
        raise NodesError(end_of(before), what) from None
    return root


def _plainly(text: str, error: YAMLError) -> tuple[Position, str]:
    """Return where the YAML parser failed in `text`, and why, in plain words."""
    if isinstance(error, ReaderError):
        return end_of(text[: error.position]), f"a control character, 0x{error.character:02x}"
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
    return min((mark.line + 1, mark.column + 1), end_of(text.rstrip("\n"))), what


def end_of(text: str) -> Position:
    """Return the line and column where `text` ends; a lone carriage return ends a line too."""
    lines = re.split("\r\n|[\n\r]", text)
    return len(lines), len(lines[-1]) + 1


def start_of(node: Any) -> Position:
    """Return where one of the parser's nodes or events begins."""
    return node.start_mark.line + 1, node.start_mark.column + 1
