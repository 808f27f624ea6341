"""How a field of `Policy` or `Costs` is declared: once, with all that anybody asks of it.

From a declaration come the array that kernels read, what a study may say, the check of its values,
the column of the database, the editor's hover text and a row of the README's table.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from enum import StrEnum
from typing import Any, NamedTuple, Self

import numpy as np

from core.registry import Registry

#: The most that a share may be which has to stay below 1.
BELOW_ONE = 1 - 2.0**-53


class Word(StrEnum):
    """A word that a field may be, with its meaning: ``DROP = "drop", "it is evicted"``."""

    meaning: str

    def __new__(cls, word: str, meaning: str = "") -> Self:
        """Return the member of a word."""
        member = str.__new__(cls, word)
        member._value_ = word
        member.meaning = meaning
        return member


class Need(NamedTuple):
    """What a field needs of another one to change anything.

    Parameters
    ----------
    other
        The field that has to be given, and not at its default.
    why
        Why it changes nothing without.
    value
        The word of the field that needs it; None if every value does.
    """

    other: str
    why: str
    value: str | None = None


@dataclass(frozen=True)
class Declaration:
    """What is declared of a field beside its default.

    Parameters
    ----------
    meaning
        One line: what it is.
    words
        The words that it may be, of a field that is a word.
    unit
        What a number of it counts, such as ns, bytes or ratio; "" if nothing.
    bounds
        The least and the most that it may be, of a field that is a number; whole if these are.
    read_by
        The systems that read it; a system of a user's own names what it reads itself.
    needs
        What it needs of other fields.
    plausible
        The range in which its default is plausible, of a cost.
    source
        Where its default comes from, of a cost, and what bounds that range.
    is_world
        Whether it is what the world is, such as the share of memory that guests have, and not what
        a designer decides.
    """

    meaning: str
    words: type[Word] | Registry[Any] | None = None
    unit: str = ""
    bounds: tuple[float, float] | None = None
    read_by: tuple[str, ...] = ()
    needs: tuple[Need, ...] = ()
    plausible: tuple[float, float] | None = None
    source: str = ""
    is_world: bool = False

    @property
    def in_bytes(self) -> bool:
        """Whether it is a size, which a study may write as ``4MiB``."""
        return self.unit == "bytes"

    @property
    def word_meanings(self) -> dict[str, str]:
        """What each word that it may be means, those of a user's own apart."""
        if isinstance(self.words, Registry):
            return {word: self.words[word].meaning for word in self.words}
        return {word.value: word.meaning for word in self.words or ()}

    @property
    def is_whole(self) -> bool:
        """Whether it is a whole number."""
        return self.bounds is not None and isinstance(self.bounds[0], int)

    @property
    def sql_type(self) -> str:
        """The type of its column in the database."""
        if self.words is not None:
            return "VARCHAR"
        return "BIGINT" if self.is_whole else "DOUBLE"

    @property
    def array_type(self) -> Any:
        """The type of its column in an array of policies; words are objects."""
        if self.words is not None:
            return object
        return "i8" if self.is_whole else "f8"

    def checked(self, name: str, value: Any) -> Any:
        """Return a value of the field `name` in the field's own type.

        Raises
        ------
        ValueError
            When it is outside the field's domain.
        """
        if isinstance(self.words, Registry):
            if value not in self.words:
                raise ValueError(f"{value!r} is not a valid {name}")
            return str(value)
        if self.words is not None:
            return self.words(value)
        assert self.bounds is not None
        least, most = self.bounds
        kinds = (int, np.integer) if self.is_whole else (int, float, np.integer, np.floating)
        if not isinstance(value, kinds) or isinstance(value, bool):
            raise ValueError(f"{name} {value!r} is no {'whole ' * self.is_whole}number")
        value = int(value) if self.is_whole else float(value)
        if not least <= value <= most:
            raise ValueError(f"{name} {value} is not between {least} and {most}")
        return value


def declare(default: Any, meaning: str, **more: Any) -> Any:
    """Return a dataclass field with a declaration; `more` are parameters of `Declaration`."""
    return field(default=default, metadata={"declared": Declaration(meaning, **more)})


def world(meaning: str, **more: Any) -> Declaration:
    """Return the declaration of what the world is; `more` are parameters of `Declaration`."""
    return Declaration(meaning, is_world=True, **more)


def declarations_of(model: type) -> dict[str, Declaration]:
    """Return the declarations of a dataclass by field name, in its order."""
    return {column.name: column.metadata["declared"] for column in fields(model)}
