"""What a task can change: the values that its code reaches, compared from look to look.

Tasks that come and go are compared with those before them at the same place, so a value counts by what it is
and holds, an object of the program's classes by its identity too.  What only stands for the waiting itself
(futures, tasks, timers) is left out.
"""

from __future__ import annotations

import gc
import sys
from collections import deque
from types import (
    BuiltinFunctionType,
    CellType,
    CodeType,
    CoroutineType,
    FrameType,
    FunctionType,
    GenericAlias,
    MethodDescriptorType,
    MethodType,
    ModuleType,
    WrapperDescriptorType,
)
from typing import TYPE_CHECKING, Any, NamedTuple

from taskscope.agent.inspect import calls, futures, origins, referents, stacks, task_facts
from taskscope.agent.inspect.caches import Cache
from taskscope.agent.inspect.looking import (
    attributes_of,
    in_class,
    is_a,
    items,
    kinds,
    lookup,
    module_of,
    own_attributes,
    pairs,
    size,
    slots_of,
    text,
)
from taskscope.system import clock

if TYPE_CHECKING:
    from collections.abc import Iterable

MOST = 100
"""Objects looked into per task.  What lies beyond may have changed."""

SECONDS = 0.0003
"""CPU time per task, likewise."""

LONGEST_TEXT = 200

_COUNTED = kinds(int, float, complex)
_CONSTANT = kinds(bool, type(None), type(...))
_TEXT = kinds(str, bytes)
_FIXED = kinds(
    ModuleType,
    CodeType,
    FrameType,
    MethodDescriptorType,
    WrapperDescriptorType,
    GenericAlias,
)
_WITHOUT_EFFECT = frozenset(
    ("_asyncio", "_operator", "asyncio", "builtins", "contextlib", "functools", "itertools", "math", "time")
)
"""Modules of the standard library whose functions change nothing that is not looked into."""

_WITH_EFFECT = frozenset(("eval", "exec", "input", "open", "print", "setattr"))
"""Built-in functions that change what cannot be seen."""

_IMMUTABLE, _HEAP = 1 << 8, 1 << 9  # Py_TPFLAGS_IMMUTABLETYPE, Py_TPFLAGS_HEAPTYPE
_flags: Any = type.__dict__["__flags__"].__get__


class Reached(NamedTuple):
    """Equal ones mean that nothing has changed; ``whole``: nothing at all, as far as Python's objects go."""

    numbers: tuple[object, ...]
    others: tuple[object, ...]
    whole: bool


def is_running(task: object) -> bool:
    """Whether it is not suspended: half of what it works on is on its stack then."""
    coro = futures.coroutine(task)
    return type(coro) is CoroutineType and coro.cr_running


def place_of(task: object) -> tuple[int, ...]:
    """Where a task is suspended: the code and the instruction of all its coroutines."""
    frames = stacks.await_chain(futures.coroutine(task))
    return tuple(each for frame in frames for each in (id(frame.f_code), frame.f_lasti))


def reached(task: object, *, stays: bool) -> Reached:
    """What the code of a suspended task reaches.  It does not pause: at most ``MOST`` objects.

    ``stays``: what counts is what it does again, in the loops that it is in; otherwise, all that it does.
    """
    walk = _Walk()
    for coro in task_facts.coroutines(task):
        code, frame = stacks.code_of(coro), stacks.frame_of(coro)
        if stays and code is not None and frame is not None:
            walk.again[id(code)] = calls.runs_again(code, frame.f_lasti)
        inside = gc.get_referents(coro)
        if code is not None and origins.origin(code.co_filename) == "stdlib":
            inside = [each for each in inside if _is_of_asyncio(each)]
        walk.add(inside)
    walk.run()
    return Reached(tuple(walk.numbers), tuple(walk.others), walk.whole)


class _Walk:
    def __init__(self) -> None:
        self.numbers: list[object] = []
        self.others: list[object] = []
        self.whole = True
        self.again: dict[int, set[str]] = {}
        self._left: deque[object] = deque()
        self._seen: set[int] = set()
        self._names: set[str] = set()
        self._classes: set[int] = set()
        self._until = clock.thread_time() + SECONDS

    def add(self, things: Iterable[object]) -> None:
        self._left.extend(things)

    def run(self) -> None:
        while self._left:
            thing = self._left.popleft()
            kind = id(type(thing))
            if kind in _COUNTED:
                self.numbers.append(thing)
            elif kind in _CONSTANT:
                self.others.append(id(thing))
            elif kind in _TEXT:
                self.others.append(thing if len(thing) <= LONGEST_TEXT else (id(thing), len(thing)))  # type: ignore[arg-type]
            elif kind not in _FIXED and id(thing) not in self._seen and not _is_of_waiting(thing):
                if len(self._seen) == MOST or clock.thread_time() > self._until:
                    self.whole = False
                    return
                self._seen.add(id(thing))
                self._look_into(thing)

    def _look_into(self, thing: object) -> None:
        if type(thing) is FunctionType:
            self._function(thing)
        elif type(thing) is BuiltinFunctionType:
            self.whole = self.whole and text(thing.__module__) in _WITHOUT_EFFECT
        elif type(thing) is MethodType:
            self.add((thing.__self__, thing.__func__))
        elif type(thing) is CellType:
            self.add((referents.content(thing),))
        elif is_a(thing, type):
            self.add(each for _, each in pairs(own_attributes(thing)) if _is_plain(each))
        elif (length := size(thing)) is not None:
            self._container(thing, length)
        elif _is_of_asyncio(thing):
            self.add(each for _, each in (*pairs(attributes_of(thing)), *slots_of(thing)) if _holds(each))
        elif _is_of_python(type(thing)):
            self._object(thing)
        else:
            self.others.append(id(thing))
            self.whole = False

    def _function(self, function: FunctionType) -> None:
        code = function.__code__
        self.add(function.__closure__ or ())
        if origins.origin(code.co_filename) == "stdlib":
            return
        names = self.again.get(id(code)) or _names_in(code)
        self._names.update(names)
        self.whole = self.whole and _WITH_EFFECT.isdisjoint(names)
        known = _named(function.__globals__, names)
        self.add(known)
        for module in (each for each in known if type(each) is ModuleType):
            name = _name_of(module)
            if name in sys.stdlib_module_names:
                self.whole = self.whole and name in _WITHOUT_EFFECT
            else:
                self.add(_named(attributes_of(module), names))

    def _container(self, thing: object, length: int) -> None:
        inside = items(thing, MOST + 1)
        kept = [each for each in inside if not _is_of_waiting(each)]
        self.whole = self.whole and length <= MOST
        self.others.append(length - len(inside) + len(kept))
        if is_a(thing, dict):
            self.add(each for each in list(dict.keys(thing))[: MOST + 1] if _is_plain(each))
        self.add(kept)

    def _object(self, thing: object) -> None:
        self.others.append(id(thing))
        self.add(each for _, each in (*pairs(attributes_of(thing)), *slots_of(thing)))
        if id(type(thing)) not in self._classes:
            self._classes.add(id(type(thing)))
            methods = (in_class(type(thing), name) for name in self._names)
            self.add(each for each in methods if type(each) is FunctionType)


_module_names: Cache[str] = Cache(500)
_waiting: Cache[bool] = Cache(1_000)


def _name_of(module: object) -> str:
    """The name of a module, without its package."""
    known = _module_names.get(module)
    if known is None:
        name = text(lookup(attributes_of(module), "__name__")).partition(".")[0]
        known = _module_names.put(module, name)
    return known


def _named(values: object, names: set[str]) -> list[object]:
    """The values under these names."""
    return [value for name, value in pairs(values) if type(name) is str and name in names]


def _names_in(code: CodeType) -> set[str]:
    inner = (each.co_names for each in code.co_consts if type(each) is CodeType)
    return {*code.co_names, *(name for names in inner for name in names)}


def _holds(thing: object) -> bool:
    """Whether it is a container."""
    return size(thing) is not None


def _is_plain(thing: object) -> bool:
    """Whether it is a container, or a number or text."""
    return _holds(thing) or id(type(thing)) in _COUNTED | _TEXT


def _is_of_waiting(thing: object) -> bool:
    """Whether it is made for each wait, as a future, coroutine or timer, or shared by all that wait."""
    if type(thing) is dict:
        return referents.is_globals(thing)
    known = _waiting.get(type(thing))
    if known is None:
        known = (
            id(type(thing)) in referents.COROUTINES
            or module_of(type(thing)) in ("asyncio.events", "_contextvars")
            or futures.is_future(thing)
            or futures.is_end(thing)
            or in_class(type(thing), "run_until_complete") is not None  # an event loop
        )
        _waiting.put(type(thing), known)
    return known


def _is_of_asyncio(thing: object) -> bool:
    """Whether its class is one of asyncio's primitives: their numbers and flags are about the waiting."""
    return module_of(type(thing)).partition(".")[0] == "asyncio"


def _is_of_python(cls: type) -> bool:
    """Whether a class is written in Python, so that its objects keep all they have in view."""
    flags = _flags(cls)
    return cls is object or (flags & _HEAP and not flags & _IMMUTABLE)
