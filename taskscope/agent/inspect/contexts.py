"""The contexts that tasks and timers carry, and what their variables hold.

Contexts copied from one another share their variables until one sets another value: each set of variables is
read once, however many contexts share it.
"""

from __future__ import annotations

import gc
import sys
from contextvars import Context, ContextVar
from typing import TYPE_CHECKING

from taskscope.agent.inspect import weights
from taskscope.agent.inspect.looking import attribute, class_name, native, text

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_SETS = 5_000
"""Most sets of variables read."""

_TELLS = sys.version_info >= (3, 12)

MEASURED = 20
"""Values per variable whose size is measured."""


class Variable:
    """The context variables of one name: contexts that have a value for one, and its distinct values.

    A program may make such a variable again and again; every context that it was set in keeps it.
    """

    __slots__ = ("bytes", "kinds", "measured", "name", "users", "values", "variables")

    def __init__(self, name: str) -> None:
        self.name = name
        self.users = self.variables = 0
        self.values: set[int] = set()
        self.kinds: dict[str, int] = {}
        self.bytes = self.measured = 0

    def add(self, value: object) -> None:
        if id(value) in self.values:
            return
        self.values.add(id(value))
        kind = class_name(value)
        self.kinds[kind] = self.kinds.get(kind, 0) + 1
        if self.measured < MEASURED:
            self.measured += 1
            self.bytes += weights.of_container(value)

    @property
    def kind(self) -> str:
        """The most frequent type of its values."""
        return max(self.kinds, key=lambda each: self.kinds[each], default="")


class Variables:
    """Everything found so far.  Values are told apart by ``id`` and not kept, so their number is close."""

    def __init__(self) -> None:
        self.found: dict[str, Variable] = {}
        self._names: dict[int, str] = {}
        self._sets: dict[int, frozenset[str]] = {}

    def add(self, context: object) -> None:
        """Adds the context of one task or timer."""
        if type(context) is not Context:
            return
        shared = _shared(context)
        known = self._sets.get(shared)
        if known is None:
            if len(self._sets) >= MAX_SETS:
                return
            known = self._sets[shared] = frozenset(self._read(context))
        for name in known:
            self.found[name].users += 1

    def _read(self, context: Context) -> Iterator[str]:
        for variable, value in context.items():
            if type(variable) is ContextVar:
                name = self._names.get(id(variable))
                if name is None:
                    name = self._names[id(variable)] = text(attribute(variable, "name"))
                    self.found.setdefault(name, Variable(name)).variables += 1
                self.found[name].add(value)
                yield name


_SHARED = next((type(each) for each in gc.get_referents(Context()) if class_name(each) == "hamt"), None)
"""The type of what contexts copied from one another share."""


def _shared(context: object) -> int:
    """The ``id`` of what contexts copied from one another share; of the context if that is not seen."""
    return next((id(each) for each in gc.get_referents(context) if type(each) is _SHARED), id(context))


def of_task(task: object) -> object:
    """The context of a task; from 3.12 on it tells, before that it is among its referents."""
    told = native(task, "get_context") if _TELLS else None
    if told is not None:
        return told
    return next((each for each in gc.get_referents(task) if type(each) is Context), None)
