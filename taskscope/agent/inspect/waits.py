"""What a parked task waits for, described without CPython internals.

The innermost frames of a parked task belong to the primitive it waits on: asyncio's, or anyio's on top of it.
``primitives`` lists these functions; the outermost one, next to user code, describes the wait best.  If none
is known, the awaited future does.
"""

from __future__ import annotations

import gc
from types import CoroutineType, FunctionType, GeneratorType
from typing import TYPE_CHECKING, NamedTuple

from taskscope.agent.inspect import connections, futures, naming, origins, primitives, timers
from taskscope.agent.inspect.foreign import StandIn
from taskscope.agent.inspect.jobs import job_of
from taskscope.agent.inspect.looking import attribute, called, class_name, size, text, written
from taskscope.agent.inspect.primitives import clip
from taskscope.agent.inspect.variables import variables_of

if TYPE_CHECKING:
    from types import FrameType

    from taskscope.model.vocabulary import Wait as Word


class Wait(NamedTuple):
    """``text`` is the same for all tasks that wait alike; ``detail`` and ``number`` are specific to the task.

    ``number``: the descriptor waited on.
    """

    wait: Word
    text: str
    detail: str = ""
    task: int | None = None
    remaining: float | None = None
    number: int | None = None


class Recognised(NamedTuple):
    """A recognised primitive, its frame's position in the chain, and the wait's name.

    ``text``: the library function that waits, if user code does not, and the primitive.  ``timed``: the
    innermost frame is that of ``asyncio.sleep``.
    """

    rule: primitives.Rule
    at: int
    text: str
    timed: bool = False


def recognise(frames: list[FrameType]) -> Recognised | None:
    """The outermost primitive, next to user code, unless an address is looked up on its behalf.

    ``frames`` are innermost first.
    """
    found: Recognised | None = None
    for index, frame in enumerate(frames):
        file = origins.file_of(frame.f_code)
        if not origins.is_plumbing(file):
            break
        rule = primitives.rules_of(file).get((file.rpartition("/")[2], text(frame.f_code.co_qualname)))
        if rule is not None and (found is None or found.rule.wait != "dns"):
            found = Recognised(rule, index, rule.text, timed=_is_sleep(frames[0]))
    if found is None:
        return None
    library = naming.library_function(frames[found.at :])
    return found._replace(text=f"{library} ({found.rule.text})") if library else found


def describe(
    task: object, frames: list[FrameType], known: Recognised | None, *, detailed: bool = True
) -> Wait:
    """What ``task`` waits for; ``frames``: its await chain; ``known``: the primitive recognised there."""
    waiter = futures.waiter_of(task)
    if waiter is None:
        coro = futures.coroutine(task)
        running = type(coro) is CoroutineType and coro.cr_running
        return Wait("running", "running") if running else Wait("ready", "ready to run")
    if known is None:
        return _by_future(waiter, frames)
    rule, at, name, timed = known
    if rule.wait == "sleep":
        left = task.left(frames) if type(task) is StandIn else sleep_left(task, frames[0]) if timed else None
        return Wait(rule.wait, name, "", None, left)
    detail = _detail(rule, frames[at]) if detailed else ""
    if detailed and not detail and rule.detail is primitives.completed:
        detail = f"{size(todo_before_3_13(task)) or 0} left"
    number = (
        primitives.descriptor_in(variables_of(frames[at])) if detailed and rule.wait == "socket" else None
    )
    return Wait(rule.wait, name, detail, futures.serial_of(waiter), None, number)


def todo_before_3_13(task: object) -> object:
    """What an ``as_completed`` iterated by ``task`` still waits for, read from its generator."""
    coro = futures.coroutine(task)
    while type(coro) is CoroutineType:
        for each in gc.get_referents(coro):
            if (
                type(each) is GeneratorType
                and origins.name_of(each.gi_code) == "as_completed"
                and each.gi_frame
            ):
                return variables_of(each.gi_frame).get("todo")
        coro = coro.cr_await
    return None


def _detail(rule: primitives.Rule, frame: FrameType) -> str:
    return clip(rule.detail(variables_of(frame))) if rule.detail is not None else ""


def within_wait_for(frames: list[FrameType]) -> object:
    """What 3.11's ``wait_for`` waits for through its own future; later versions await it directly."""
    return variables_of(frames[0]).get("fut") if _is_wait_for(frames) else None


def _is_wait_for(frames: list[FrameType]) -> bool:
    code = frames[0].f_code if frames else None
    return code is not None and origins.name_of(code) == "wait_for" and "/asyncio/" in origins.file_of(code)


def awaited_future(task: object, frames: list[FrameType]) -> object:
    """The future that ``task`` ultimately waits for, past the one of ``wait_for``."""
    within = within_wait_for(frames)
    return within if within is not None else futures.waiter_of(task)


def _by_future(waiter: object, frames: list[FrameType]) -> Wait:
    inner = within_wait_for(frames)
    if inner is not None and inner is not waiter:
        wait = _by_future(inner, [])
        return wait._replace(text=f"wait_for, {wait.text}") if wait.wait == "task" else wait
    if not futures.is_plain(waiter):
        if futures.is_task(waiter):
            name = written(attribute(futures.coroutine(waiter), "__qualname__")) or "?"
            return Wait("task", f"task {name}", task=futures.serial_of(waiter))
        children = attribute(waiter, "_children")
        if children is not None:
            return Wait("gather", "gather", primitives.left_of(children))
    for callback in futures.callbacks(waiter):
        name = called(callback) if type(callback) is FunctionType else ""
        if "_chain_future" in name:
            return Wait("executor", "a job in an executor", _job(callback))
        if name.startswith("shield"):
            return Wait("task", "a shielded task", task=futures.serial_of(closed_over(callback, "inner")))
    if _is_of_uvloop(frames):
        name = origins.name_of(frames[0].f_code).rpartition(".")[2]
        return Wait(*primitives.UVLOOP.get(name, ("socket", f"uvloop {name}")))
    called_in = _in_a_library(frames)
    if called_in is not None:
        return _by_library(called_in)
    return _unrecognised(waiter, frames)


def _unrecognised(waiter: object, frames: list[FrameType]) -> Wait:
    if is_cut(frames):
        return CUT
    return BARE if futures.is_plain(waiter) else Wait("future", f"a bare {class_name(waiter)}")


MAX_CHAIN = 128
"""Coroutines followed inwards; deeper chains are infinite recursions."""

BARE, CUT = Wait("future", "a bare Future"), Wait("unknown", f"suspended {MAX_CHAIN} or more calls deep")


def is_cut(frames: list[FrameType]) -> bool:
    """Whether an await chain may go on beyond these frames."""
    return len(frames) >= MAX_CHAIN


def is_bare(frames: list[FrameType]) -> bool:
    """Whether nothing in such frames says more of a future than that it is one; its callbacks may."""
    return (
        not (is_cut(frames) or _is_wait_for(frames) or _is_of_uvloop(frames))
        and _in_a_library(frames) is None
    )


def has_only_wakeups(future: object) -> bool:
    """Whether it is asyncio's own, and its callbacks do not say what it is for."""
    return futures.is_plain(future) and FunctionType not in map(type, futures.callbacks(future))


def _is_of_uvloop(frames: list[FrameType]) -> bool:
    return len(frames) > 0 and "uvloop" in origins.file_of(frames[0].f_code)


def _by_library(called_in: FrameType) -> Wait:
    """What a library's function waits for: if it has a connection, for that."""
    transport = connections.open_transport(variables_of(called_in).get("self"))
    if transport is None:
        return Wait("future", _library_call(called_in))
    return Wait("socket", _library_call(called_in), number=primitives.descriptor_of(transport))


def _in_a_library(frames: list[FrameType]) -> FrameType | None:
    """The library function that awaits a future, preferably the one the program called."""
    outer = None
    for frame in frames:
        whose = origins.origin(origins.file_of(frame.f_code))
        if whose == "user":
            break
        public = not any(part.startswith("_") for part in text(frame.f_code.co_qualname).split("."))
        if whose == "library" and public:
            outer = frame
    return outer if outer is not None and origins.package_of(origins.file_of(frames[0].f_code)) else None


def _library_call(frame: FrameType) -> str:
    code = frame.f_code
    return f"{origins.package_of(origins.file_of(code))} {clip(origins.function_name(code))}"


def closed_over(function: object, name: str) -> object:
    """The value of a closure variable of one of asyncio's nested functions; None if there is none."""
    if type(function) is not FunctionType or name not in function.__code__.co_freevars:
        return None
    try:
        found: object = (function.__closure__ or ())[function.__code__.co_freevars.index(name)].cell_contents
    except (IndexError, ValueError):  # not bound yet
        return None
    return found


def _job(callback: object) -> str:
    """The function that an executor runs for the future behind ``callback``."""
    source = closed_over(callback, "source")
    name = job_of(source) if source is not None else ""
    return f"in {clip(name)}" if name else ""


def _is_sleep(frame: FrameType) -> bool:
    return origins.name_of(frame.f_code) == "sleep" and "/asyncio/" in origins.file_of(frame.f_code)


def sleep_left(task: object, frame: FrameType) -> float | None:
    """Seconds until the timer of ``asyncio.sleep`` fires; None if the loop's clock is unknown."""
    left = timers.left(variables_of(frame).get("h"), futures.loop_of(task))
    return left if left is not None and left < timers.FOREVER else None
