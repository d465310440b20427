"""The line in another thread that gave a loop a callback without waking it, inferred; never a guess.

A handle only has what it calls.  But few functions call ``call_soon``, and whoever did stands in another
thread as a rule: the line is named if it is the only one that can have been it.
"""

from __future__ import annotations

from inspect import CO_COROUTINE
from typing import TYPE_CHECKING

from taskscope.agent.inspect import arming, calls, giving, origins, rearming, referents, stacks
from taskscope.agent.inspect.looking import attribute, innermost, text
from taskscope.agent.inspect.walk import spent

if TYPE_CHECKING:
    from types import CodeType

    from taskscope.agent.inspect.walk import Job
    from taskscope.model import Frame

SOON, LATER = frozenset(("call_soon",)), frozenset(("call_later", "call_at"))

MAX_FRAMES = 100
"""Frames of a thread, innermost first."""


def line_that_queued(handle: object, loop_thread: int) -> Job[Frame | None]:
    """The line that queued a handle, from a thread other than that of its loop; None: not known."""
    by = LATER if referents.is_timer(handle) else SOON
    callback = innermost(attribute(handle, "_callback"))
    wanted, name = rearming.code_of(callback), text(attribute(callback, "__name__"))
    standing = {id(code): code for code in _standing(loop_thread) if _may_queue(code, by)}
    del handle, callback
    found = dict(standing)
    for code in (yield from giving.codes_of_program()):
        if _may_queue(code, by) and code is not wanted:
            found[id(code)] = code
        if spent():
            yield
    naming = [
        id for id, each in found.items() if wanted is not None and arming.may_arm(each, wanted, name, by)
    ]
    only = [*found] == naming and len(naming) == 1
    stands = len(standing) == 1 and naming in ([], [*standing])
    if only or (stands and (naming or len(found) == 1)):
        return _line(found[naming[0] if naming else next(iter(standing))], by)
    return None


def _may_queue(code: CodeType, by: frozenset[str]) -> bool:
    """Whether it calls such a method.  A coroutine does so in its own loop, as a rule."""
    return not by.isdisjoint(code.co_names) and not code.co_flags & CO_COROUTINE


def _standing(loop_thread: int) -> list[CodeType]:
    """The functions that other threads stand in."""
    found = []
    for ident, innermost_frame in stacks.current_frames().items():
        frame = innermost_frame if ident != loop_thread else None
        for _ in range(MAX_FRAMES):
            if frame is None:
                break
            if origins.origin(origins.file_of(frame.f_code)) in ("user", "library"):
                found.append(frame.f_code)
            frame = frame.f_back
    return found


def _line(code: CodeType, by: frozenset[str]) -> Frame | None:
    """The one line on which it calls such a method."""
    lines = {line for name in by for line in calls.lines_of_calls(code, name)}
    return origins.frame_of(code, lines.pop()) if len(lines) == 1 else None
