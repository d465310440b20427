"""What suspended coroutines and running frames hold: locks, and slots of semaphores, limiters and queues.

A frame inside a ``with`` keeps the context manager's exit on its stack.  For suspended frames the garbage
collector shows it; for running ones only the bytecode does.
"""

from __future__ import annotations

import gc
from types import (
    AsyncGeneratorType,
    BuiltinMethodType,
    FunctionType,
    GeneratorType,
    MethodDescriptorType,
    MethodType,
)
from typing import TYPE_CHECKING, NamedTuple

from taskscope.agent.inspect import calls, origins, stacks, task_facts
from taskscope.agent.inspect.looking import attribute, in_class, items, kinds, module_of, size, text
from taskscope.agent.inspect.variables import variables_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

    from taskscope.agent.inspect.walk import Job
    from taskscope.model import Frame

MAX_DEPTH = 6
"""Nesting depth of context managers that are generators or are collected in an exit stack."""

MAX_FRAMES = 100
"""Frames of a thread searched, innermost first."""

MAX_EXITS = 100

_EXITS = ("__exit__", "__aexit__")
_GENERATORS = kinds(GeneratorType, AsyncGeneratorType)
_UNBOUND = kinds(FunctionType, MethodDescriptorType)
_KEPT = kinds(dict, set)


class Holding(NamedTuple):
    """``thing`` is held; ``where`` it was taken: of plumbing, the line that called it."""

    thing: object
    where: Frame


def read(task: object) -> Job[None]:
    """Reads the functions of a pending task, so that ``of_task`` is quick."""
    frames = task_facts.frames_of(task_facts.coroutines(task))
    codes = [each.f_code for each in frames]
    del task, frames
    yield from calls.read(codes)


def read_frames(frame: FrameType | None) -> Job[None]:
    """Likewise for ``of_frames``."""
    codes = [each.f_code for each in stacks.thread_frames(frame)[:MAX_FRAMES]]
    del frame
    yield from calls.read(codes)


def of_task(task: object) -> list[Holding]:
    """What a pending task holds, outermost first."""
    chain = task_facts.coroutines(task)
    released = _conditions(task_facts.frames_of(chain))
    found: list[Holding] = []
    caller: FrameType | None = None
    for coro in chain:
        frame = stacks.frame_of(coro)
        held = [
            each
            for each in _of_suspended(coro, MAX_DEPTH)
            if not any(each.thing is condition for condition in released)
        ]
        if frame is not None and not origins.is_plumbing(origins.file_of(frame.f_code)):
            caller = frame
        elif held and caller is not None:
            where = origins.frame_of(caller.f_code, caller.f_lineno)
            held = [each._replace(where=where) for each in held]
        found += held
    return found


def of_frames(frame: FrameType | None) -> Iterator[tuple[Holding, FrameType]]:
    """What the frames of a thread hold, innermost first, with the frame that holds it."""
    walk = stacks.thread_frames(frame)[:MAX_FRAMES]
    released = _conditions(walk)
    for each in walk:
        for taken in calls.taken_in(each):
            if taken.thing is not None and not any(taken.thing is condition for condition in released):
                yield Holding(taken.thing, origins.frame_of(each.f_code, taken.line)), each


def _conditions(frames: list[FrameType]) -> list[object]:
    """Conditions being waited on, which releases their locks."""
    return [
        variables_of(each).get("self")
        for each in frames
        if text(each.f_code.co_qualname) == "Condition.wait"
        and origins.is_plumbing(origins.file_of(each.f_code))
    ]


def _of_suspended(coro: object, depth: int) -> Iterator[Holding]:
    frame = stacks.frame_of(coro)
    if frame is None or not depth:
        return
    named = calls.taken_in(frame)
    kept = gc.get_referents(coro)
    exits = _exits_in(kept)
    if exits and calls.is_entering(frame):
        exits.pop()
    unnamed = next((each.line for each in named if each.thing is None), frame.f_lineno)
    for owner in exits:
        line = next((each.line for each in named if each.thing is owner), unnamed)
        yield Holding(owner, origins.frame_of(frame.f_code, line))
        yield from _through(owner, depth - 1)
    for taken in named:
        if taken.thing is not None and not any(taken.thing is owner for owner in exits):
            yield Holding(taken.thing, origins.frame_of(frame.f_code, taken.line))
    if id(type(coro)) in _GENERATORS:  # it may enter another one by hand
        for each in kept:
            if attribute(each, "gen") is not None and module_of(type(each)) == "contextlib":
                yield from _through(each, depth - 1)


def references_of_exits(task: object, chain: list[object]) -> int:
    """References to a task from what its own coroutines have entered, such as a timeout: nobody else's."""
    found = 0
    for coro in chain:
        for manager in _exits_in(gc.get_referents(coro)):
            near = gc.get_referents(manager)
            kept = [each for each in near if id(type(each)) in _KEPT and (size(each) or 0) <= MAX_EXITS]
            found += sum(each is task for part in (near, *map(gc.get_referents, kept)) for each in part)
    return found


def _through(manager: object, depth: int) -> Iterator[Holding]:
    """What a context manager from contextlib holds in turn."""
    if module_of(type(manager)) != "contextlib":
        return
    generator = attribute(manager, "gen")
    if generator is not None:
        yield from _of_suspended(generator, depth)
    for entry in items(attribute(manager, "_exit_callbacks"), MAX_EXITS):
        leave = next((each for each in items(entry, 2) if type(each) is MethodType), None)
        if leave is not None and depth:
            frame = stacks.frame_of(attribute(leave.__self__, "gen"))
            if frame is not None:
                yield Holding(leave.__self__, origins.frame_of(frame.f_code, frame.f_lineno))
            yield from _through(leave.__self__, depth - 1)


def _exits_in(kept: list[object]) -> list[object]:
    """The context managers whose exits are on a frame's stack, outermost first.

    From 3.14 on the exit is a plain function, followed by the manager.
    """
    found: list[object] = []
    for at, each in enumerate(kept):
        if type(each) is MethodType:
            if text(attribute(each.__func__, "__name__")) in _EXITS:
                found.append(each.__self__)
        elif type(each) is BuiltinMethodType:
            if each.__name__ in _EXITS:
                found.append(each.__self__)
        elif id(type(each)) in _UNBOUND and at + 1 < len(kept):
            name = text(attribute(each, "__name__"))
            if name in _EXITS and in_class(type(kept[at + 1]), name) is each:
                found.append(kept[at + 1])
    return found
