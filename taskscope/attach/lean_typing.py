"""A minimal ``typing`` for use inside a target.

The agent needs little of ``typing`` at run time, and importing it from our thread would be dangerous:
``dataclasses`` finds it in ``sys.modules`` before it is complete, so a program that defines a dataclass at
that moment would fail.  It also takes 5 to 10 ms.
"""

from __future__ import annotations

import collections

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any as _Any

Any = object


def TypeVar(*_: object, **__: object) -> None:  # noqa: N802  (its name is typing's)
    return None


def dataclass_transform(**_: object) -> _Any:
    return lambda decorator: decorator


class Generic:
    """A base for classes that are generic only to a type checker."""

    __slots__ = ()

    def __class_getitem__(cls, item: object) -> type:
        return cls


class _Fields(type):
    """Makes a class with annotations a named tuple, methods and defaults included."""

    def __new__(cls, name: str, bases: tuple[type, ...], space: dict[str, _Any]) -> _Any:
        if not bases:
            return super().__new__(cls, name, bases, space)
        names = list(space.get("__annotations__", ()))
        defaults = [space.pop(field) for field in names if field in space]
        base = collections.namedtuple(name, names, defaults=defaults, module=space["__module__"])  # type: ignore[misc]  # noqa: PYI024
        return type(name, (base,), {**space, "__slots__": ()})


class NamedTuple(metaclass=_Fields):
    pass


class Literal:
    """A set of words is represented by their tuple."""

    def __class_getitem__(cls, words: _Any) -> _Any:
        return words if isinstance(words, tuple) else (words,)


def get_args(words: _Any) -> _Any:
    return words
