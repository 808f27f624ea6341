"""What the metadata of a table says, value by value: each is of its kind and in its domain."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from core.events import EventsError
from core.import_checks import ImportCheck
from core.import_losses import Loss
from core.machine import Machine

#: A number of a machine fits an int64; counters of a kernel have 64 bits.
_MOST, _MOST_COUNT = 2**63 - 1, 2**64 - 1
Value = TypeVar("Value")


class TableMetadata:
    """The metadata of a table, as JSON says it.

    Parameters
    ----------
    name
        The file, for errors.
    key
        The key of the metadata, for errors.
    values
        What it says, by name.
    """

    def __init__(self, name: str, key: str, values: dict[str, Any]) -> None:
        self._name, self._key, self._values = name, key, values

    def __contains__(self, name: str) -> bool:
        return name in self._values

    def _refused(self, what: str) -> EventsError:
        """Return the error that says what is wrong with the metadata."""
        return EventsError(f"metadata {self._key}: {what}", file=self._name)

    def version(self, newest: int) -> int:
        """Return the version of the table, which is not newer than those that are known."""
        version: Any = self._values.get("version")
        if not _is_number(version, 1, newest):
            what = f"version {_shown(version)}, not 1 to {newest}: a newer release may read it"
            raise self._refused(what)
        return int(version)

    def machine(self, least_pages: int = 1) -> tuple[int, int]:
        """Return (page_size, data_pages) of the machine; 0 pages stand for one of no known size."""
        page_size = self.number("page_size", least=4096)
        data_pages = self.number("data_pages", least=least_pages)
        try:
            Machine(page_size, data_pages or 1)
        except ValueError as error:
            raise self._refused(str(error)) from None
        return page_size, data_pages

    def number(
        self, name: str, default: int | None = None, least: int = 0, most: int = _MOST
    ) -> int:
        """Return a whole number."""
        value: Any = self._values.get(name, default)
        if not _is_number(value, least, most):
            bounds = f"from {least} on" if most == _MOST else f"from {least} to {most}"
            raise self._refused(f"{name} is {_shown(value)}, and no whole number {bounds}")
        return int(value)

    def ratio(self, name: str) -> float:
        """Return a number from 0 to 1; NaN where there is none."""
        value: Any = self._values.get(name)
        is_ratio = type(value) in (int, float) and 0 <= value <= 1
        return float(value) if is_ratio else float("nan")

    def text(self, name: str) -> str:
        """Return a text, which may be empty."""
        value = self._values.get(name, "")
        if not isinstance(value, str):
            raise self._refused(f"{name} is {_shown(value)}, and no text")
        return value

    def says(self, name: str, value: object) -> bool:
        """Return whether there is just this value of that name."""
        return type(self._values.get(name)) is type(value) and self._values[name] == value

    def names(self, name: str) -> tuple[str, ...]:
        """Return a list of texts."""
        return self._each(name, str, f"{name} are no list of names")

    def counts(self, name: str) -> tuple[tuple[str, int], ...]:
        """Return numbers by name."""
        by_name = self._values.get(name, {})
        if not isinstance(by_name, dict) or not all(map(_is_count, by_name.values())):
            raise self._refused(f"{name} is no count by name")
        return tuple(by_name.items())

    def ranges(self, name: str) -> tuple[tuple[int, int], ...]:
        """Return pairs of numbers."""

        def pair(value: object) -> bool:
            return isinstance(value, list) and len(value) == 2 and all(map(_is_count, value))

        values = self._values.get(name, [])
        if not isinstance(values, list) or not all(map(pair, values)):
            raise self._refused(f"{name} is no list of pairs of numbers")
        return tuple((first, end) for first, end in values)

    def checks(self) -> tuple[ImportCheck, ...]:
        """Return the checks of the import."""
        what = "checks are no list of name, theirs and ours"
        return self._rows("checks", ImportCheck, (str, int, int), what)

    def losses(self) -> tuple[Loss, ...]:
        """Return the losses of the import."""
        what = "losses are no list of name, count and where"
        return self._rows("losses", Loss, (str, int, str), what)

    def _each(self, name: str, kind: type, what: str) -> tuple[Any, ...]:
        values = self._values.get(name, [])
        if not isinstance(values, list) or not all(type(value) is kind for value in values):
            raise self._refused(what)
        return tuple(values)

    def _rows(
        self, name: str, make: Callable[..., Value], kinds: tuple[type, ...], what: str
    ) -> tuple[Value, ...]:
        try:
            rows = [make(**row) for row in self._each(name, dict, what)]
        except TypeError:
            raise self._refused(what) from None
        for row in rows:
            numbers = [value for value in row if not isinstance(value, str)]  # type: ignore[attr-defined]
            if [type(value) for value in row] != list(kinds) or not all(map(_is_count, numbers)):  # type: ignore[attr-defined]
                raise self._refused(what)
        return tuple(rows)


def _is_number(value: Any, least: int, most: int) -> bool:
    return type(value) is int and least <= value <= most


def _is_count(value: Any) -> bool:
    return _is_number(value, -_MOST_COUNT, _MOST_COUNT)


def _shown(value: object) -> str:
    """Return a value as a message has it, which is not longer for a longer value."""
    try:
        text = repr(value)
    except ValueError:  # a number of thousands of digits
        text = "a number of many digits"
    return text if len(text) <= 40 else f"{text[:40]}…"
