"""What a pending task is doing: its await chain, and what it is parked at, in words.

All of it reads a suspended coroutine while holding the GIL.
"""

from __future__ import annotations

import gc
import sys
from types import CoroutineType
from typing import TYPE_CHECKING, Any, NamedTuple

from taskscope import model
from taskscope.agent import origins, waits

if TYPE_CHECKING:
    from types import CodeType, FrameType

MAX_CHAIN = 128
"""Coroutines followed inwards; deeper ones recurse without end."""

_REFERENTS = ("async_generator_asend", "async_generator_athrow", "coroutine_wrapper", "anext_awaitable")


def await_chain(coro: Any) -> list[FrameType]:
    """Frames of the coroutines that ``coro`` is suspended in, innermost first."""
    frames: list[FrameType] = []
    for _ in range(MAX_CHAIN):
        if coro is None:
            break
        kind = type(coro)
        if kind is CoroutineType:
            frame, inner = coro.cr_frame, coro.cr_await
        elif kind.__name__ == "FutureIter":  # the end of most chains, which has no frame
            break
        else:
            frame = (
                getattr(coro, "gi_frame", None)
                or getattr(coro, "ag_frame", None)
                or getattr(coro, "cr_frame", None)
            )
            inner = awaited_by(coro)
        if frame is not None:
            frames.append(frame)
        coro = inner
    frames.reverse()
    return frames


class Shape(NamedTuple):
    """What is the same for all tasks suspended at the same instructions; worked out once for all of them."""

    stack: tuple[model.Frame, ...]
    user: model.Frame | None
    known: waits.Known | None
    codes: tuple[CodeType, ...]


MAX_SHAPES = 4_096

_shapes: dict[tuple[int, ...], Shape] = {}


def shape_of(frames: list[FrameType]) -> Shape:
    """The shape of an await chain (innermost first), remembered by code and instruction."""
    key = tuple([each for frame in frames for each in (id(frame.f_code), frame.f_lasti)])
    shape = _shapes.get(key)
    if shape is None:
        if len(_shapes) >= MAX_SHAPES:
            _shapes.clear()
        stack = describe(frames)
        user = next((frame for frame in stack if frame.origin == "user"), None)
        codes = tuple(frame.f_code for frame in frames)  # keeps them alive, so that no id is reused
        shape = _shapes[key] = Shape(stack, user, waits.recognise(frames), codes)
    return shape


def forget_shapes() -> None:
    """Lets go of the code objects."""
    _shapes.clear()


def awaited_by(coro: Any) -> Any:
    kind = type(coro).__name__
    if kind == "coroutine":
        return coro.cr_await
    if kind == "generator":
        return coro.gi_yieldfrom
    if kind == "async_generator":
        return coro.ag_await
    if kind in _REFERENTS:
        return _driven(coro)
    return getattr(coro, "cr_await", None)


def _driven(step: Any) -> Any | None:
    """What a step hides: the garbage collector's view shows it."""
    kept = gc.get_referents(step)
    return next((each for each in kept if hasattr(each, "ag_frame") or hasattr(each, "cr_frame")), None)


def is_step(thing: Any) -> bool:
    """Whether it is one step of an async generator, as ``anext`` or ``asend`` make them."""
    return type(thing).__name__ in _REFERENTS


def generator_of(step: Any) -> Any | None:
    """The async generator that a step is one of; ``anext`` with a default puts one step around another."""
    for each in gc.get_referents(step):
        if hasattr(each, "ag_code"):
            return each
        if is_step(each):
            return generator_of(each)
    return None


def thread_frames(frame: FrameType | None) -> list[FrameType]:
    """Frames of a running thread, innermost first."""
    frames: list[FrameType] = []
    while frame is not None and len(frames) < MAX_CHAIN:
        frames.append(frame)
        frame = frame.f_back
    return frames


def describe(frames: list[FrameType]) -> tuple[model.Frame, ...]:
    """Frames as values, without ours."""
    return tuple(
        origins.frame_of(frame.f_code, frame.f_lineno)
        for frame in frames
        if not origins.is_own(frame.f_code.co_filename)
    )


def describe_raw(raw: tuple[tuple[CodeType, int], ...]) -> tuple[model.Frame, ...]:
    return tuple(origins.frame_at(code, lasti) for code, lasti in raw)


def state_of(task: Any) -> str:
    """``pending``, ``running``, ``finished``, ``failed`` or ``cancelled``."""
    if not task.done():
        coro = task.get_coro()
        return "running" if getattr(coro, "cr_running", False) and not _suspended(coro) else "pending"
    if task.cancelled():
        return "cancelled"
    return "failed" if getattr(task, "_exception", None) is not None else "finished"


def _suspended(coro: Any) -> bool:
    return getattr(coro, "cr_await", None) is not None


def parked(task: Any, frames: list[FrameType], shape: Shape | None = None) -> model.Parked | None:
    """Where ``task`` is suspended and on what; None if it has no frame left."""
    shape = shape or shape_of(frames)
    if not shape.stack:
        return None
    found = waits.describe(task, frames, shape.known)
    return model.Parked(
        shape.stack[0], shape.user, found.wait, found.text, found.task, found.remaining, found.detail
    )


def coroutine_of(task: Any) -> str:
    """The qualified name of a task's coroutine."""
    coro = task.get_coro()
    if coro is None:  # an eager task that is done
        return "?"
    return str(getattr(coro, "__qualname__", type(coro).__qualname__)).replace(".<locals>", "")


def current_frames() -> dict[int, FrameType]:
    """The innermost frame of each thread that runs Python."""
    return sys._current_frames()
