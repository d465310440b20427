"""``dataclass`` for values: what ``dataclasses`` makes of a class, in a fraction of the time.

A command makes two hundred such classes before it does anything, and an agent half as many in its target: to
compile six methods for each took longer than all the rest of their start.  Here a frozen class has methods
that need no compiling, except ``__init__``, which is compiled when the first instance is made.
``dataclasses.fields``, ``replace`` and the like know no difference, nor does a type checker.
"""

from __future__ import annotations

import dataclasses
from functools import partial
from operator import attrgetter
from typing import TYPE_CHECKING, Any

__all__ = ["dataclass"]

if TYPE_CHECKING:
    from collections.abc import Callable
    from dataclasses import dataclass
else:

    def dataclass(*, frozen=False, **options):
        """As ``dataclasses.dataclass``; a frozen class needs ``slots=True``, and has no ``__post_init__``."""
        return partial(_frozen, options) if frozen else dataclasses.dataclass(**options)


def _frozen(options: dict[str, bool], cls: type) -> Any:
    cls.__doc__ = cls.__doc__ or cls.__name__  # without (a target has none) `dataclasses` composes one
    made: Any = dataclasses.dataclass(init=False, repr=False, eq=False, **options)(cls)
    for name, method in _methods(made).items():
        setattr(made, name, method)
    return made


def _methods(made: Any) -> dict[str, Callable[..., Any]]:
    names = [each.name for each in dataclasses.fields(made)]
    several = names if len(names) > 1 else ["__class__", "__class__", *names]  # of one it makes no tuple
    values = attrgetter(*several)

    def init(self: object, *given: Any, **named: Any) -> None:
        made.__init__ = _init(made)
        made.__init__(self, *given, **named)

    def eq(self: object, other: object) -> Any:
        return values(self) == values(other) if self.__class__ is other.__class__ else NotImplemented

    def hashed(self: object) -> int:
        return hash(values(self))

    def shown(self: object) -> str:
        text = ", ".join(f"{name}={getattr(self, name)!r}" for name in names)
        return f"{self.__class__.__qualname__}({text})"

    return {
        "__init__": init,
        "__eq__": eq,
        "__hash__": hashed,
        "__repr__": shown,
        "__setattr__": _refuse,
        "__delattr__": _refuse,
        "__setstate__": _restore,
    }


def _refuse(self: object, name: str, value: object = None) -> None:
    raise dataclasses.FrozenInstanceError(f"cannot change {name!r} of a {self.__class__.__qualname__}")


def _restore(self: object, state: tuple[None, dict[str, Any]]) -> None:
    """Fills a copy, or what is unpickled."""
    for name, value in state[1].items():
        object.__setattr__(self, name, value)


def _init(cls: type) -> Callable[..., None]:
    """The ``__init__`` of a class: it sets each field through its slot."""
    space: dict[str, Any] = {"_absent": object()}
    parameters: list[str] = []
    by_name: list[str] = []
    body = ["pass"]
    for each in dataclasses.fields(cls):
        name = value = each.name
        space[f"_set_{name}"] = getattr(cls, name).__set__
        default = ""
        if each.default_factory is not dataclasses.MISSING:
            space[f"_make_{name}"] = each.default_factory
            default, value = "=_absent", f"_make_{name}() if {name} is _absent else {name}"
        elif each.default is not dataclasses.MISSING:
            space[f"_default_{name}"] = each.default
            default = f"=_default_{name}"
        (by_name if each.kw_only else parameters).append(name + default)
        body.append(f"_set_{name}(self, {value})")
    taken = ", ".join(["self", *parameters, *(["*", *by_name] if by_name else [])])
    # Of a text, exec would make Python forget that the program was interrupted (its exit status).
    code = compile(f"def __init__({taken}):\n " + "\n ".join(body), __file__, "exec")
    exec(code, space)  # noqa: S102 (names of fields alone)
    made: Callable[..., None] = space["__init__"]
    made.__qualname__ = f"{cls.__qualname__}.__init__"
    return made
