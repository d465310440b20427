"""What a run of trio is doing, read from the frames of its thread.

Its scheduler is a generator that is on the stack only while it runs tasks.
"""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, NamedTuple

from taskscope.agent.inspect.looking import attribute, class_name, module_of, number, pairs, seconds, size
from taskscope.agent.inspect.primitives import number_of
from taskscope.agent.inspect.variables import variables_of
from taskscope.model import RUNNERS
from taskscope.system import clock

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import FrameType
    from typing import Any

MOST = 20
"""Descriptors told."""

FUNCTIONS, FILE = RUNNERS["trio"]

MAX_FRAMES = 2_000
"""Frames of a thread searched for a run, innermost first."""


class Found(NamedTuple):
    """``variables``: the scheduler's; None while it sleeps.  ``inside``: frames in it, innermost first."""

    thread: int
    variables: Mapping[str, Any] | None
    inside: tuple[FrameType, ...]


def is_run(thing: object) -> bool:
    return class_name(thing) == "Runner" and module_of(type(thing)) == "trio._core._run"


def on_stack(frame: FrameType) -> object:
    """The run that a frame belongs to, if it is one of the scheduler's own; a guest waits in a thread."""
    code = frame.f_code
    if code.co_name not in FUNCTIONS or not code.co_filename.endswith(FILE):
        return None
    names = variables_of(frame)
    run = names.get("runner")
    run = run if run is not None else attribute(names.get("self"), "runner")
    return run if is_run(run) else None


def is_over(run: object) -> bool:
    return attribute(run, "init_task") is not None and size(attribute(run, "tasks")) == 0


def length(run: object, *, deadlines: bool) -> int | None:
    """How many tasks are ready to run, or how many deadlines are to come."""
    return (
        number(attribute(attribute(run, "deadlines"), "_active"))
        if deadlines
        else size(attribute(run, "runq"))
    )


def is_asked(run: object) -> bool:
    """Whether a thread or a signal has asked it for something, or its clock may jump; or that is unknown."""
    queue = attribute(run, "entry_queue")
    asked = (
        attribute(queue, "queue"),
        attribute(queue, "idempotent_queue"),
        attribute(run, "waiting_for_idle"),
    )
    return [size(each) for each in asked] != [0, 0, 0] or attribute(run, "clock_autojump_threshold") != inf


def registered(run: object) -> list[tuple[int, int]] | None:
    """The descriptors that it waits on, with epoll's bits, but the one by which threads wake it."""
    waiters = attribute(attribute(run, "io_manager"), "_registered")
    if class_name(attribute(run, "io_manager")) != "EpollIOManager" or (size(waiters) or MOST) >= MOST:
        return None
    wakeup = attribute(attribute(run, "entry_queue"), "wakeup")
    own = number_of(attribute(wakeup, "wakeup_sock"))
    found = ((number(fd), number(attribute(each, "current_flags"))) for fd, each in pairs(waiters))
    return [(fd, bits) for fd, bits in found if fd is not None and bits and fd != own]


def find(run: object, frames: Mapping[int, FrameType], thread: int) -> Found | None:
    """Where a run is now; ``thread``: searched first.  A guest in another loop sleeps on no stack."""
    for ident in sorted(frames, key=lambda each: each != thread):
        inside: list[FrameType] = []
        frame: FrameType | None = frames[ident]
        while frame is not None and len(inside) < MAX_FRAMES:
            name = frame.f_code.co_name
            if name in ("unrolled_run", "run") and on_stack(frame) is run:
                names = variables_of(frame) if name == "unrolled_run" else None
                return Found(ident, names, tuple(inside))
            inside.append(frame)
            frame = frame.f_back
    is_guest = attribute(run, "is_guest") is True and thread in frames
    return Found(thread, None, ()) if is_guest else None


def polls(found: Found) -> bool:
    """Whether it only asks for events, and will not wait for one."""
    timeout = variables_of(found.inside[0]).get("timeout") if found.inside else None
    return seconds(timeout) == 0.0


def began(run: object, now: float) -> float | None:
    """The monotonic time of a moment of its clock; None if that is not the machine's."""
    timer = attribute(run, "clock")
    offset = seconds(attribute(timer, "offset"))
    if class_name(timer) != "SystemClock" or offset is None:
        return None
    return clock.monotonic() - (clock.perf_counter() + offset - now)
