"""Reading the variables of a function that is running or suspended, and leaving nothing behind.

Until 3.12 ``frame.f_locals`` is a dictionary that stays with the frame, keeps the values alive, and is the
very one that ``locals()`` gave to the program, if it called it.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from types import FrameType

_COPIES = sys.version_info < (3, 13)

_FUNCTION = 1  # CO_OPTIMIZED: elsewhere, as in a class body, ``f_locals`` are the variables themselves

_ASKS = frozenset(("locals", "vars", "dir", "eval", "exec", "_getframe", "currentframe"))
"""Functions by which a function may come to have its dictionary: it is then left alone."""

_NOBODY_ELSE = 3
"""References to the dictionary: the frame's, ours, and the argument of who counts them."""


def variables_of(frame: FrameType) -> dict[str, Any]:
    """The variables of ``frame`` by name; none of a function that may have asked for them itself.

    The interpreter's dictionary is emptied again, but not while a debugger traces the frame: it writes
    it back.
    """
    code = frame.f_code
    if not _COPIES or not code.co_flags & _FUNCTION:
        return dict(frame.f_locals)
    if not _ASKS.isdisjoint(code.co_names):
        return {}
    names = frame.f_locals
    found = dict(names)
    if frame.f_trace is None and sys.getrefcount(names) <= _NOBODY_ELSE:
        names.clear()
    return found
