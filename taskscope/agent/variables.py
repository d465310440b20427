"""Reading the variables of a function that is running or suspended, and leaving nothing behind."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from types import FrameType

_COPIES = sys.version_info < (3, 13)
"""Whether ``frame.f_locals`` is a copy that stays with the frame and keeps its values alive."""

_FUNCTION = 1  # CO_OPTIMIZED: elsewhere, as in a class body, ``f_locals`` are the variables themselves


def variables_of(frame: FrameType) -> dict[str, Any]:
    """The variables of ``frame`` by name; a copy made by the interpreter is emptied again.

    Not while a debugger traces the frame: it writes the copy back.
    """
    names = frame.f_locals
    found = dict(names)
    if _COPIES and frame.f_code.co_flags & _FUNCTION and frame.f_trace is None:
        names.clear()
    return found
