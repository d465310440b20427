"""Reads the local variables of the program's functions: none of its code runs, nothing is left behind.

Up to 3.12 ``frame.f_locals`` is a dictionary that stays with the frame, keeps the values alive, and is the
same one that ``locals()`` returned to the program.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import FrameType

_COPIES = sys.version_info < (3, 13)

_FUNCTION = 1  # CO_OPTIMIZED: elsewhere, as in a class body, ``f_locals`` are the variables themselves

_ASKS = frozenset(("locals", "vars", "dir", "eval", "exec", "_getframe", "currentframe"))
"""A function that calls one of these may hold its own dictionary, and is left alone."""

_NOBODY_ELSE = 3
"""References to the dictionary: the frame's, ours, and the argument of ``getrefcount``."""


def variables_of(frame: FrameType) -> dict[str, object]:
    """The variables of ``frame`` by name; empty for a function that may hold its own ``locals()``.

    The interpreter's dictionary is cleared afterwards, except while a debugger traces the frame, which would
    write it back.  A debugger at a function's entry is invisible, so a frame that was just entered is left
    alone.  Empty too if ``exec`` or a class body uses a mapping of the program.
    """
    code = frame.f_code
    if not code.co_flags & _FUNCTION:
        names = frame.f_locals
        return {k: v for k, v in list(names.items()) if type(k) is str} if type(names) is dict else {}
    if not _COPIES:
        return dict(frame.f_locals)
    if not _ASKS.isdisjoint(code.co_names) or _just_entered(frame):
        return {}
    names = frame.f_locals
    found = dict(names)
    if frame.f_trace is None and sys.getrefcount(names) <= _NOBODY_ELSE:
        names.clear()
    return found


def _just_entered(frame: FrameType) -> bool:
    """Whether it has run nothing yet, or nothing since it was resumed; or that cannot be told."""
    import opcode

    last, code = frame.f_lasti, frame.f_code.co_code
    if not 0 <= last < len(code):
        return True
    standing = opcode.opname[code[last]]
    return standing == "RESUME" or (standing == "YIELD_VALUE" and frame.f_back is not None)
