"""What the parameters of requests accept: types and bounds, with the words that say so."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from taskscope.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True, slots=True)
class Allowed:
    """The values a parameter accepts.  ``take`` returns the value to use, or raises ValueError."""

    text: str
    take: Callable[[Any], Any]


def whole(least: int, most: int) -> Allowed:
    def take(value: Any) -> int:
        if type(value) is not int or not least <= value <= most:
            raise ValueError
        return value

    return Allowed(f"an integer from {least} to {most}", take)


def real(least: float, most: float) -> Allowed:
    def take(value: Any) -> float:
        if type(value) not in (int, float) or not least <= value <= most:  # NaN is in no range
            raise ValueError
        return float(value)

    return Allowed(f"a number from {least:g} to {most:g}", take)


def text(most: int) -> Allowed:
    def take(value: Any) -> str:
        if type(value) is not str or len(value) > most:
            raise ValueError
        return value

    return Allowed(f"text of at most {most} characters", take)


def word(*words: str) -> Allowed:
    def take(value: Any) -> str:
        if type(value) is not str or value not in words:
            raise ValueError
        return value

    return Allowed(" or ".join(map(repr, words)), take)


def flag() -> Allowed:
    def take(value: Any) -> bool:
        if type(value) is not bool:
            raise ValueError
        return value

    return Allowed("true or false", take)


def many(each: Allowed, most: int) -> Allowed:
    """A list; duplicates are dropped."""

    def take(value: Any) -> tuple[Any, ...]:
        if type(value) is not list or len(value) > most:
            raise ValueError
        return tuple(dict.fromkeys(each.take(item) for item in value))

    return Allowed(f"a list of at most {most}, each {each.text}", take)


def optional(some: Allowed) -> Allowed:
    return Allowed(f"null or {some.text}", lambda value: None if value is None else some.take(value))
