"""What a pending task is doing: its await chain, and where it is parked.

Everything here reads a suspended coroutine while holding the GIL.
"""

from __future__ import annotations

import gc
import sys
from types import AsyncGeneratorType, CodeType, CoroutineType, FrameType, GeneratorType
from typing import TYPE_CHECKING, NamedTuple

from taskscope import model
from taskscope.agent.inspect import futures, open_files, origins, waits
from taskscope.agent.inspect.looking import attribute, called, class_name, written

if TYPE_CHECKING:
    from taskscope.model.vocabulary import TaskState

_REFERENTS = ("async_generator_asend", "async_generator_athrow", "coroutine_wrapper", "anext_awaitable")


def await_chain(coro: object) -> list[FrameType]:
    """Frames of the coroutines that ``coro`` is suspended in, innermost first."""
    frames: list[FrameType] = []
    for _ in range(waits.MAX_CHAIN):
        if coro is None:
            break
        if type(coro) is CoroutineType:
            frame, inner = coro.cr_frame, coro.cr_await
        elif futures.is_end(coro):  # it has no frame
            break
        else:
            frame, inner = frame_of(coro), awaited_by(coro)
        if frame is not None:
            frames.append(frame)
        coro = inner
    frames.reverse()
    return frames


def frame_of(coro: object) -> FrameType | None:
    """The frame of a coroutine or generator; None if it has none or has ended."""
    if type(coro) is CoroutineType:
        return coro.cr_frame
    if type(coro) is GeneratorType:
        return coro.gi_frame
    if type(coro) is AsyncGeneratorType:
        return coro.ag_frame
    if futures.is_end(coro):
        return None
    frame = attribute(coro, "cr_frame")
    return frame if type(frame) is FrameType else None


def code_of(coro: object) -> CodeType | None:
    """The code of a coroutine or generator; None for other objects."""
    if type(coro) is CoroutineType:
        return coro.cr_code
    if type(coro) is AsyncGeneratorType:
        return coro.ag_code
    if type(coro) is GeneratorType:
        return coro.gi_code
    code = attribute(coro, "cr_code")
    return code if type(code) is CodeType else None


class Shape(NamedTuple):
    """What all tasks suspended at the same instructions share; computed once.

    ``bare``: it says nothing of the future that they wait for.
    """

    stack: tuple[model.Frame, ...]
    frame: model.Frame | None
    user: model.Frame | None
    known: waits.Recognised | None
    bare: bool
    codes: tuple[CodeType, ...]

    def is_bare(self, waiter: object) -> bool:
        """Whether nothing is known of what is waited for but that it is a future."""
        return self.bare and waits.has_only_wakeups(waiter)


MAX_SHAPES = 4_096

_shapes: dict[tuple[int, ...], Shape] = {}


def shape_of(frames: list[FrameType]) -> Shape:
    """The shape of an await chain (innermost first), cached by code and instruction."""
    key = tuple([each for frame in frames for each in (id(frame.f_code), frame.f_lasti)])
    shape = _shapes.get(key)
    if shape is None:
        if len(_shapes) >= MAX_SHAPES:
            _shapes.clear()
        stack = describe(frames)
        codes = tuple(frame.f_code for frame in frames)  # kept alive so that no id is reused
        known = waits.recognise(frames)
        bare = known is None and waits.is_bare(frames)
        shape = _shapes[key] = Shape(
            stack, model.library_line(stack), model.user_line(stack), known, bare, codes
        )
    return shape


def forget_shapes() -> None:
    """Clears the cache, which holds code objects."""
    _shapes.clear()


def awaited_by(coro: object) -> object:
    """What a coroutine (or its stand-in) awaits."""
    if type(coro) is CoroutineType:
        return coro.cr_await
    if type(coro) is GeneratorType:
        return coro.gi_yieldfrom
    if type(coro) is AsyncGeneratorType:
        return coro.ag_await
    if futures.is_end(coro):
        return None
    return _driven(coro) if is_step(coro) else attribute(coro, "cr_await")


def _driven(step: object) -> object:
    """The object a step drives, found through the garbage collector's view."""
    kept = gc.get_referents(step)
    return next(
        (each for each in kept if type(each) is AsyncGeneratorType or code_of(each) is not None), None
    )


def is_step(thing: object) -> bool:
    """Whether it is a step of an async generator, as created by ``anext`` or ``asend``."""
    return class_name(thing) in _REFERENTS


def generator_of(step: object, depth: int = 8) -> AsyncGeneratorType[object, object] | None:
    """The async generator of a step; ``anext`` with a default wraps one step in another."""
    for each in gc.get_referents(step) if depth else ():
        if type(each) is AsyncGeneratorType:
            return each
        if is_step(each):
            return generator_of(each, depth - 1)
    return None


def lines_of_awaits(code: CodeType) -> set[int]:
    """The lines at which a coroutine may be suspended."""
    import dis

    return {
        each.positions.lineno
        for each in dis.get_instructions(code)
        if each.opname == "YIELD_VALUE" and each.positions is not None and each.positions.lineno
    }


def thread_frames(frame: FrameType | None) -> list[FrameType]:
    """Frames of a running thread, innermost first."""
    frames: list[FrameType] = []
    while frame is not None and len(frames) < waits.MAX_CHAIN:
        frames.append(frame)
        frame = frame.f_back
    return frames


def outside_plumbing(frames: list[FrameType]) -> list[FrameType]:
    """Those from the first that is no plumbing on; all if they all are."""
    known = (at for at, each in enumerate(frames) if not origins.is_plumbing(origins.file_of(each.f_code)))
    return frames[next(known, 0) :]


def describe(frames: list[FrameType]) -> tuple[model.Frame, ...]:
    """Frames as values, without the agent's."""
    return tuple(
        origins.frame_of(frame.f_code, frame.f_lineno)
        for frame in frames
        if not origins.is_own(frame.f_code.co_filename)
    )


def describe_raw(raw: tuple[tuple[CodeType, int], ...]) -> tuple[model.Frame, ...]:
    return tuple(origins.frame_at(code, lasti) for code, lasti in raw)


def state_of(task: object) -> TaskState:
    if not futures.is_done(task):
        return "running" if is_running(futures.coroutine(task)) else "pending"
    if futures.state_of(task) == "CANCELLED":
        return "cancelled"
    return "failed" if futures.field(task, "_exception") is not None else "finished"


def is_running(coro: object) -> bool:
    """Whether it runs itself right now, not just a coroutine that drives it."""
    running = coro.cr_running if type(coro) is CoroutineType else attribute(coro, "cr_running")
    return running is True and awaited_by(coro) is None


def parked(task: object, frames: list[FrameType], shape: Shape | None = None) -> model.Parked | None:
    """Where ``task`` is suspended and on what; None if it has no frame left."""
    shape = shape or shape_of(frames)
    if shape.frame is None:
        return None
    waits_barely = shape.is_bare(futures.waiter_of(task))
    found = waits.BARE if waits_barely else waits.describe(task, frames, shape.known)
    return model.Parked(
        shape.frame,
        shape.user,
        found.wait,
        found.text,
        found.task,
        found.remaining,
        found.detail,
        open_files.describe(found.number) if found.number is not None else None,
    )


def coroutine_of(task: object) -> str:
    """The qualified name of a task's coroutine."""
    coro = futures.coroutine(task)
    return "?" if coro is None else name_of(coro)  # an eager task that is done


def name_of(coro: object) -> str:
    """The qualified name of a coroutine (or its stand-in), without ``<locals>``."""
    if code_of(coro) is not None:
        return written(attribute(coro, "__qualname__")) or class_name(coro)
    return called(coro)


def current_frames() -> dict[int, FrameType]:
    """The innermost frame of each thread that runs Python.

    Whoever keeps them in a variable clears them after use: the caller's own frame is among them, and would
    keep them, and all its other variables, until the garbage collector comes.
    """
    return sys._current_frames()
