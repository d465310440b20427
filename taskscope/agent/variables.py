"""Reading what functions and objects of the program hold: none of its code runs, nothing is left behind.

Until 3.12 ``frame.f_locals`` is a dictionary that stays with the frame, keeps the values alive, and is the
very one that ``locals()`` gave to the program, if it called it.
"""

from __future__ import annotations

import sys
from types import GetSetDescriptorType, MappingProxyType, MemberDescriptorType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import FrameType

_COPIES = sys.version_info < (3, 13)

_FUNCTION = 1  # CO_OPTIMIZED: elsewhere, as in a class body, ``f_locals`` are the variables themselves

_ASKS = frozenset(("locals", "vars", "dir", "eval", "exec", "_getframe", "currentframe"))
"""Functions by which a function may come to have its dictionary: it is then left alone."""

_NOBODY_ELSE = 3
"""References to the dictionary: the frame's, ours, and the argument of who counts them."""

_NONE: Mapping[str, Any] = MappingProxyType({})


def variables_of(frame: FrameType) -> dict[str, Any]:
    """The variables of ``frame`` by name; none of a function that may have asked for them itself.

    The interpreter's dictionary is emptied again, but not while a debugger traces the frame: it writes
    it back.  A debugger that stands at a function's entry does not show; so what has only just been
    entered is left alone.
    """
    code = frame.f_code
    if not _COPIES or not code.co_flags & _FUNCTION:
        return dict(frame.f_locals)
    if not _ASKS.isdisjoint(code.co_names) or _just_entered(frame):
        return {}
    names = frame.f_locals
    found = dict(names)
    if frame.f_trace is None and sys.getrefcount(names) <= _NOBODY_ELSE:
        names.clear()
    return found


def _just_entered(frame: FrameType) -> bool:
    """Whether it has not run anything yet, or nothing since it was resumed."""
    import opcode

    last = frame.f_lasti
    if last < 0:
        return True
    standing = opcode.opname[frame.f_code.co_code[last]]
    return standing == "RESUME" or (standing == "YIELD_VALUE" and frame.f_back is not None)


def attributes_of(thing: Any) -> Mapping[str, Any]:
    """The attributes stored in ``thing``; none of one that pretends to be another object."""
    for cls in type.mro(type(thing)):
        stored = stored_in(cls).get("__dict__")
        if stored is not None:
            plain = type(stored) in (GetSetDescriptorType, MemberDescriptorType)
            found: Mapping[str, Any] = stored.__get__(thing) if plain else _NONE
            return found
    return _NONE


def stored_in(cls: type) -> Mapping[str, Any]:
    """What a class itself defines, past any metaclass."""
    found: Mapping[str, Any] = _DICT.__get__(cls)
    return found


_DICT = type.__dict__["__dict__"]
