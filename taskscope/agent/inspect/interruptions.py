"""Code that interrupts other code in its thread: finalisers, signal handlers, garbage collector callbacks."""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]  # typeshed has no stub; ``signal`` runs Python
import gc
from types import FunctionType
from typing import TYPE_CHECKING, NamedTuple

from taskscope.agent.inspect import origins
from taskscope.agent.inspect.looking import innermost, text

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import CodeType, FrameType

    from taskscope.model import Frame
    from taskscope.model.vocabulary import Interruption


class Interrupted(NamedTuple):
    """``by``: the outermost frame of the code that ran in between."""

    what: Interruption
    by: Frame | None


NOTHING = Interrupted("", None)


def between(inner: FrameType | None, outer: int) -> Interrupted:
    """What ran between the innermost frame of a thread and the frame whose ``id`` is ``outer``."""
    handlers = _codes(_signal.getsignal(number) for number in range(1, _signal.NSIG))
    callbacks = _codes(gc.callbacks)
    found = NOTHING
    walk = inner
    while walk is not None and id(walk) != outer:
        what = _kind(walk.f_code, handlers, callbacks)
        if what:
            found = Interrupted(what, origins.frame_of(walk.f_code, walk.f_lineno))
        walk = walk.f_back
    return found


def _kind(code: CodeType, handlers: list[CodeType], callbacks: list[CodeType]) -> Interruption:
    name = text(code.co_qualname)
    if name.endswith("__del__") or name == "finalize.__call__":
        return "finaliser"
    if any(code is each for each in handlers):
        return "signal handler"
    return "collector" if any(code is each for each in callbacks) else ""


def _codes(functions: Iterable[object]) -> list[CodeType]:
    found = (innermost(each) for each in functions)
    return [each.__code__ for each in found if type(each) is FunctionType]
