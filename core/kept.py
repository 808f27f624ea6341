"""Values that are kept by key: made once, by the first thread that asks, while the others work."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from threading import Lock
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


def _one(_: object) -> int:
    return 1


class Kept(Generic[Key, Value]):
    """Values by key, of which those made longest ago go when they are too many.

    Parameters
    ----------
    most
        What the kept values may come to; the one that is made last is kept whatever it comes to.
    size
        What a value counts for; by default 1.
    """

    def __init__(self, most: int, size: Callable[[Value], int] = _one) -> None:
        self._most, self._size = most, size
        self._values: dict[Key, Value] = {}
        self._being_made: dict[Key, Lock] = {}
        self._lock = Lock()

    def get(self, key: Key, make: Callable[[], Value]) -> Value:
        """Return the value of a key; `make` returns it, if it is not kept.

        Another thread that asks for the same key waits, and one that asks for another does not.
        """
        with self._lock:
            if key in self._values:
                return self._values[key]
            being_made = self._being_made.setdefault(key, Lock())
        with being_made:
            with self._lock:
                if key in self._values:
                    return self._values[key]
            value = make()
            with self._lock:
                held = sum(map(self._size, self._values.values()))
                while self._values and held + self._size(value) > self._most:
                    held -= self._size(self._values.pop(next(iter(self._values))))
                self._values[key] = value
                self._being_made.pop(key, None)
        return value

    def values(self) -> list[Value]:
        """Return what is kept now."""
        with self._lock:
            return list(self._values.values())
