"""The only way the agent reads the program's objects: none of their code runs.

Any object may be hostile, or just clever: a proxy that fetches attributes over the network, a mock, a
property that takes a lock, a ``__getattr__`` that raises.  So only an object's type, its identity and its
stored values are read: slots of its class, its ``__dict__``, built-in containers.  Results are typed
``object``, which forbids most operations that would run code; a test forbids the rest.
"""

from __future__ import annotations

import functools
import gc
from collections import deque
from itertools import islice, repeat
from operator import is_
from types import (
    BuiltinFunctionType,
    FunctionType,
    GetSetDescriptorType,
    MappingProxyType,
    MemberDescriptorType,
    MethodDescriptorType,
    MethodType,
    ModuleType,
    WrapperDescriptorType,
)
from typing import TYPE_CHECKING, Any, TypeVar
from weakref import ref

from taskscope.agent.inspect import caches

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import TypeGuard

T = TypeVar("T")

MAX_NAMES = 1_000
"""Most attributes of an object; a larger dictionary is one of its values."""

MAX_NAME = 200
"""Characters shown of a name."""

MAX_WRAPPED = 16
"""Partials and methods around a function; a deeper nesting may be a cycle."""

MAX_CLASSES = 5_000
"""Classes cached as having only plain strings as attribute names."""

_NONE: Mapping[str, Any] = MappingProxyType({})
_CONTAINERS: tuple[Any, ...] = (list, tuple, dict, set, frozenset, deque)

_mro_of: Any = type.__dict__["__mro__"].__get__
_dict_of: Any = type.__dict__["__dict__"].__get__
_name_of: Any = type.__dict__["__qualname__"].__get__
_module_of: Any = type.__dict__["__module__"].__get__
_func: Any = functools.partial.__dict__["func"].__get__
_args: Any = functools.partial.__dict__["args"].__get__

_plain: dict[int, ref[type]] = {}
_slots: dict[tuple[int, str], tuple[ref[type], object]] = {}


# -- kinds -------------------------------------------------------------------------------------------


def is_a(thing: object, kind: type[T]) -> TypeGuard[T]:
    """``isinstance`` without reading ``__class__``, which may be a property.  ``kind`` is not an ABC."""
    return issubclass(type(thing), kind)


def mro(cls: type) -> tuple[type, ...]:
    """The class and its bases, bypassing its metaclass."""
    found: tuple[type, ...] = _mro_of(cls)
    return found


def class_name(thing: object) -> str:
    """The qualified name of the class of ``thing``, without ``<locals>``."""
    return name_of_class(type(thing))


def name_of_class(cls: type) -> str:
    """Likewise for a class itself."""
    return written(_name_of(cls))


def module_of(cls: type) -> str:
    """The module a class claims; "" if none."""
    try:
        return text(_module_of(cls))
    except AttributeError:
        return ""


def kinds(*builtin: type) -> frozenset[int]:
    """The ids of built-in types, for ``id(type(thing)) in``: a metaclass may override ``==`` and ``hash``."""
    return frozenset(map(id, builtin))


_SLOTS = kinds(MemberDescriptorType, GetSetDescriptorType)
_UNBOUND = kinds(FunctionType, functools.partial)


# -- stored values -----------------------------------------------------------------------------------


def attribute(thing: object, name: str) -> object:
    """The value stored under ``name`` in a slot, the ``__dict__`` or the class; None if there is none.

    Also None for computed values, such as properties.
    """
    cls = type(thing)
    known = _slots.get((id(cls), name))
    if known is not None and known[0]() is cls:
        return _in_slot(known[1], thing)
    stored = in_class(cls, name)
    if id(type(stored)) in _SLOTS:
        _remember_slot(cls, name, stored)
        return _in_slot(stored, thing)
    if stored is None or not _is_descriptor(stored):
        if _are_plain(thing):
            return _instance(thing, name)
        found = lookup(attributes_of(thing), name)
        return found if found is not None else stored
    return lookup(attributes_of(thing), name)


def column(things: list[object], name: str) -> list[object]:
    """``attribute`` of many objects, mostly of one class: 0.1 µs each, half of that for a slot they share."""
    if len(set(map(id, map(type, things)))) == 1:
        slot = in_class(type(things[0]), name)
        if type(slot) is MemberDescriptorType:
            try:
                return list(map(slot.__get__, things))
            except AttributeError:  # not set in one of them
                pass
    plain: dict[int, bool] = {}
    found = []
    for each in things:
        kind = type(each)
        if id(kind) not in plain:
            stored = in_class(kind, name)
            plain[id(kind)] = stored is None or type(stored) is MemberDescriptorType
        found.append(_instance(each, name) if plain[id(kind)] else attribute(each, name))
    return found


def _instance(thing: object, name: str) -> object:
    """Read through the interpreter, which does not create a missing ``__dict__``."""
    try:
        found: object = object.__getattribute__(thing, name)
    except AttributeError:
        return None
    return found


def _are_plain(thing: object) -> bool:
    """Whether the names in its dictionary can be compared safely; false negatives are possible."""
    inside = [each for each in gc.get_referents(thing) if type(each) is dict]
    return all(len(each) > MAX_NAMES or _has_plain_names(each) for each in inside)


def _in_slot(slot: Any, thing: object) -> object:
    try:
        found: object = slot.__get__(thing)
    except Exception:  # noqa: BLE001  (not set; or an object that was never initialised)
        return None
    return found


def in_class(cls: type, name: str) -> object:
    """The raw value a class or its bases store under ``name``; None if there is none."""
    for each in mro(cls):
        stored = _dict_of(each)
        known = _plain.get(id(each))
        if known is None or known() is not each:
            if not _has_plain_names(stored):
                continue
            _remember(each)
        found: object = stored.get(name)
        if found is not None:
            return found
    return None


def _remember(cls: type) -> None:
    """Caches a class: names added later are always plain, only the initial ones may not be."""
    if len(_plain) >= MAX_CLASSES:
        _plain.clear()
    _plain[id(cls)] = ref(cls)


def _remember_slot(cls: type, name: str, slot: object) -> None:
    """A class that stores something else under that name later still has its slot, and it holds the value."""
    if len(_slots) >= MAX_CLASSES:
        _slots.clear()
    _slots[id(cls), name] = ref(cls), slot


def _has_plain_names(names: Any) -> bool:
    """Whether a lookup compares plain strings only, and so runs none of the program's code."""
    try:
        return all(map(is_, map(type, names), repeat(str)))
    except RuntimeError:  # it changed size meanwhile
        return False


def _is_descriptor(stored: object) -> bool:
    return in_class(type(stored), "__get__") is not None


def attributes_of(thing: object) -> Mapping[str, Any]:
    """The ``__dict__`` of ``thing``; empty if it has none, or its class computes it."""
    stored = in_class(type(thing), "__dict__")
    found = _in_slot(stored, thing) if id(type(stored)) in _SLOTS else None
    if type(found) is dict or type(found) is MappingProxyType:
        return found
    return _NONE


def own_attributes(cls: type) -> Mapping[str, Any]:
    """What a class itself defines, bypassing any metaclass."""
    found: Mapping[str, Any] = _dict_of(cls)
    return found


def slots_of(thing: object) -> list[tuple[str, object]]:
    """Attributes in slots that Python classes define, by name."""
    found = []
    for cls in mro(type(thing)):
        for name, slot in list(_dict_of(cls).items()):
            if type(slot) is MemberDescriptorType:
                value = _in_slot(slot, thing)
                if value is not None:
                    found.append((text(name), value))
    return found


def lookup(names: object, name: str) -> object:
    """The value under a name in a dictionary that belongs to the program; None if there is none."""
    if issubclass(type(names), dict):
        keyed: Any = names
        return dict.get(keyed, name) if _has_plain_names(dict.keys(keyed)) else None
    if type(names) is MappingProxyType and _has_plain_names(names):
        found: object = names.get(name)
        return found
    return None


# -- plain values ------------------------------------------------------------------------------------


def text(thing: object) -> str:
    """A plain string; "" for anything else, since subclasses of ``str`` may run code."""
    if type(thing) is str:
        return thing
    return str.__str__(thing) if issubclass(type(thing), str) else ""


def number(thing: object) -> int | None:
    """A plain integer; None for anything else."""
    if type(thing) is int:
        return thing
    whole: Any = thing
    return int.__add__(whole, 0) if issubclass(type(thing), int) else None


def seconds(thing: object) -> float | None:
    """A number as a float; None for anything else."""
    if type(thing) is float:
        return thing
    whole = number(thing)
    try:
        return float(whole) if whole is not None else None
    except OverflowError:
        return None


def size(thing: object) -> int | None:
    """The length of a built-in container, bypassing overrides in subclasses; None for others."""
    for kind in _CONTAINERS:
        if issubclass(type(thing), kind):
            length: int = kind.__len__(thing)
            return length
    return None


def items(thing: object, most: int) -> list[object]:
    """Up to ``most`` items of a built-in container, or values of a dictionary."""
    for kind in _CONTAINERS:
        if issubclass(type(thing), kind):
            try:
                walk = iter(dict.values(thing)) if kind is dict else kind.__iter__(thing)  # type: ignore[arg-type]
                return list(islice(walk, most))
            except RuntimeError:  # it changed meanwhile
                return []
    return []


def last_items(thing: object, most: int) -> list[object]:
    """The last items of a built-in container that has an order, or values of a dictionary, newest first."""
    kept: Any = thing
    try:
        if issubclass(type(thing), list):
            return list(islice(list.__reversed__(kept), most))
        if issubclass(type(thing), dict):
            return list(islice(reversed(dict.values(kept)), most))
        if issubclass(type(thing), deque):
            return list(islice(deque.__reversed__(kept), most))
    except RuntimeError:  # it changed meanwhile
        pass
    return []


def pairs(names: object) -> list[tuple[object, object]]:
    """The entries of a dictionary or a class's mapping proxy."""
    keyed: Any = names
    try:
        if issubclass(type(names), dict):
            return list(zip(dict.keys(keyed), dict.values(keyed), strict=False))
        return list(keyed.items()) if type(names) is MappingProxyType else []
    except RuntimeError:  # it changed meanwhile
        return []


# -- functions ---------------------------------------------------------------------------------------


def innermost(function: object) -> object:
    """The function a callable ultimately calls: through partials, bound methods and contexts."""
    for _ in range(MAX_WRAPPED):
        if is_a(function, functools.partial):
            inner = _func(function)
            given = _args(function)
            runs = is_a(inner, BuiltinFunctionType) and inner.__name__ == "run" and len(given) > 0
            function = given[0] if runs else inner
        elif type(function) is MethodType:
            function = function.__func__
        else:
            break
    return function


def called(function: object) -> str:
    """The qualified name of the function a callable ultimately calls, without ``<locals>``."""
    inner = innermost(function)
    if type(inner) is FunctionType:
        return written(inner.__qualname__)
    if is_a(inner, BuiltinFunctionType):
        owner = inner.__self__
        bound = owner is not None and not is_a(owner, ModuleType)
        return f"{class_name(owner)}.{inner.__name__}" if bound else text(inner.__name__)
    if type(inner) is MethodDescriptorType:
        return text(inner.__name__)
    if type(inner) is WrapperDescriptorType:
        return text(inner.__name__)
    return name_of_class(inner) if is_a(inner, type) else class_name(inner)


def arguments_of(function: object) -> tuple[object, ...]:
    """The positional arguments of a partial; none for other callables."""
    given: tuple[object, ...] = _args(function) if is_a(function, functools.partial) else ()
    return given


def owner_of(function: object) -> object:
    """The object a method is bound to; None for other callables."""
    if type(function) is MethodType:
        return function.__self__
    if is_a(function, BuiltinFunctionType):
        return function.__self__
    return attribute(function, "__self__") if id(type(function)) not in _UNBOUND else None


def native(thing: object, name: str, *args: object) -> object:
    """The result of a method written in C or Cython; None if it is not, or fails."""
    stored: Any = in_class(type(thing), name)
    if type(stored) is not MethodDescriptorType and class_name(stored) != "cython_function_or_method":
        return None
    try:
        found: object = stored.__get__(thing)(*args)
    except Exception:  # noqa: BLE001  (an outer edge: a handle or loop that is already gone)
        return None
    return found


def written(name: object) -> str:
    """One of the program's names without ``<locals>``, cut to MAX_NAME."""
    shown = text(name).replace(".<locals>", "")
    return shown if len(shown) <= MAX_NAME else shown[: MAX_NAME - 1] + "…"


def forget() -> None:
    """Clears every cache that refers to the program's objects."""
    _plain.clear()
    _slots.clear()
    caches.clear()
