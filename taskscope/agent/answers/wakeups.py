"""Whether threads that wait without a timeout get work: how often the kernel has let them run.

A thread with a timeout wakes up by itself, so that nothing is told of it.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

from taskscope import model
from taskscope.agent.inspect import origins, stacks, system_calls
from taskscope.agent.inspect.looking import number
from taskscope.agent.inspect.variables import variables_of
from taskscope.system import system

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Iterator
    from types import FrameType

MOST = 50
"""Threads looked at, 30 microseconds each."""

FOREVER = -1
"""The timeout that a selector gives to the kernel where there is none."""

DEEP = 4
"""Frames of the standard library between a thread's own code and what it waits in."""


def listens(thread: model.Thread) -> bool:
    """Whether it waits for what a peer sends, however long that takes."""
    call = system_calls.of_thread(thread.native_id) if thread.wait == "socket" else None
    return call is not None and call.endless


def thread_marks(threads: Iterable[model.Thread], busy: Container[int] = ()) -> Iterator[model.Mark]:
    """Their marks, which change whenever they run.  ``busy``: those at work, which no timeout wakes."""
    frames = stacks.current_frames()
    for thread in islice(threads, MOST):
        runs = _runs(thread.native_id)
        if runs is not None and (thread.ident in busy or not _has_timeout(frames.get(thread.ident))):
            yield model.Mark(thread.ident, runs)
    frames.clear()


def _has_timeout(frame: FrameType | None) -> bool:
    for _ in range(DEEP):
        if frame is None or origins.origin(origins.file_of(frame.f_code)) != "stdlib":
            return False
        timeout = variables_of(frame).get("timeout")
        if timeout is not None and number(timeout) != FOREVER:
            return True
        frame = frame.f_back
    return False


def _runs(tid: int) -> int | None:
    """How often a thread was given a processor; None: unknown."""
    try:
        return int(system.contents(f"/proc/self/task/{tid}/schedstat").split()[2]) if tid else None
    except (OSError, IndexError, ValueError):
        return None
