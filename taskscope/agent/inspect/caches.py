"""Results derived from the program's objects, cached by identity."""

from __future__ import annotations

from typing import Any, Generic, TypeVar

T = TypeVar("T")

_all: list[Cache[Any]] = []


class Cache(Generic[T]):
    """A cache by identity, for objects that must not be hashed or compared; keeps ``most`` of them alive.

    Code objects are among them: their hash includes names and constants, which may be anything.
    """

    def __init__(self, most: int) -> None:
        _all.append(self)
        self._most = most
        self._values: dict[int, tuple[object, T]] = {}

    def get(self, thing: object) -> T | None:
        found = self._values.get(id(thing))
        return found[1] if found is not None else None

    def put(self, thing: object, value: T) -> T:
        if len(self._values) >= self._most:
            self._values.clear()
        self._values[id(thing)] = thing, value
        return value

    def clear(self) -> None:
        self._values.clear()


def clear() -> None:
    """Clears every cache: they refer to the program's objects."""
    for each in _all:
        each.clear()
