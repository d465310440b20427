"""What a pending task is doing: its await chain, and what it is parked at, in words.

All of it reads a suspended coroutine while holding the GIL; nothing is called but getters of asyncio's
own objects.  Locals are read only of asyncio's own frames: reading a frame's locals on Python 3.11 and
3.12 leaves a copy in the frame, which in a user's frame could keep objects alive.
"""

from __future__ import annotations

import gc
import sys
from typing import TYPE_CHECKING, Any

from taskscope import model
from taskscope.agent import origins

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
        frame = (
            getattr(coro, "cr_frame", None)
            or getattr(coro, "gi_frame", None)
            or getattr(coro, "ag_frame", None)
        )
        if frame is not None:
            frames.append(frame)
        coro = awaited_by(coro)
    frames.reverse()
    return frames


def awaited_by(coro: Any) -> Any:
    kind = type(coro).__name__
    if kind == "coroutine":
        return coro.cr_await
    if kind == "generator":
        return coro.gi_yieldfrom
    if kind == "async_generator":
        return coro.ag_await
    if kind in _REFERENTS:  # these hide what they drive; the garbage collector's view shows it
        inner = [
            each for each in gc.get_referents(coro) if hasattr(each, "ag_frame") or hasattr(each, "cr_frame")
        ]
        return inner[0] if inner else None
    return getattr(coro, "cr_await", None)


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


def parked(task: Any, frames: list[FrameType]) -> model.Parked | None:
    """Where ``task`` is suspended and on what; None if it has no frame left."""
    if not frames:
        return None
    innermost = frames[0]
    user = next((frame for frame in frames if origins.is_user(frame.f_code)), None)
    wait, text, serial, remaining = _waits(task, frames)
    return model.Parked(
        origins.frame_of(innermost.f_code, innermost.f_lineno),
        user and origins.frame_of(user.f_code, user.f_lineno),
        wait,
        text,
        serial,
        remaining,
    )


_BY_FRAME = {
    ("tasks.py", "sleep"): ("sleep", "asyncio.sleep"),
    ("tasks.py", "_wait"): ("gather", "asyncio.wait"),
    ("tasks.py", "_cancel_and_wait"): ("task", "a cancelled task's end"),
    ("queues.py", "Queue.get"): ("queue.get", "Queue.get"),
    ("queues.py", "Queue.put"): ("queue.put", "Queue.put"),
    ("queues.py", "Queue.join"): ("event", "Queue.join"),
    ("locks.py", "Lock.acquire"): ("lock", "Lock.acquire"),
    ("locks.py", "Event.wait"): ("event", "Event.wait"),
    ("locks.py", "Condition.wait"): ("condition", "Condition.wait"),
    ("locks.py", "Semaphore.acquire"): ("semaphore", "Semaphore.acquire"),
    ("locks.py", "Barrier._block"): ("barrier", "Barrier.wait"),
    ("locks.py", "Barrier._wait"): ("barrier", "Barrier.wait"),
    ("streams.py", "StreamReader._wait_for_data"): ("socket", "StreamReader.read"),
    ("streams.py", "FlowControlMixin._drain_helper"): ("socket", "StreamWriter.drain"),
    ("taskgroups.py", "TaskGroup.__aexit__"): ("gather", "TaskGroup"),
    ("taskgroups.py", "TaskGroup._aexit"): ("gather", "TaskGroup"),
    ("base_subprocess.py", "BaseSubprocessTransport._wait"): ("future", "subprocess"),
    ("base_events.py", "Server.serve_forever"): ("future", "Server.serve_forever"),
    ("base_events.py", "Server.wait_closed"): ("future", "Server.wait_closed"),
}


def _waits(task: Any, frames: list[FrameType]) -> tuple[str, str, int | None, float | None]:
    """What it waits on: a stable word, a text, the serial of a task, seconds left to sleep."""
    waiter = getattr(task, "_fut_waiter", None)
    innermost = frames[0]
    if waiter is None:
        running = getattr(task.get_coro(), "cr_running", False)
        return ("running", "running", None, None) if running else ("ready", "ready to run", None, None)
    code = innermost.f_code
    if "/asyncio/" in code.co_filename:
        known = _BY_FRAME.get((code.co_filename.rpartition("/")[2], code.co_qualname))
        if known is not None:
            wait, text = known
            if wait == "sleep":
                return wait, text, None, _sleep_left(task, innermost)
            return wait, text + _owner_detail(innermost, wait), None, None
        if code.co_name.startswith("sock_"):
            return "socket", f"loop.{code.co_name}", None, None
    if hasattr(waiter, "get_coro"):
        return "task", f"task {_clip(coroutine_of(waiter))}", getattr(waiter, "_taskscope_serial", None), None
    children = getattr(waiter, "_children", None)
    if children is not None:
        return "gather", f"gather of {len(children)}", None, None
    if _is_chained(waiter):
        return "executor", "a job in an executor", None, None
    return "future", f"a bare {type(waiter).__name__}", None, None


def coroutine_of(task: Any) -> str:
    """The qualified name of a task's coroutine."""
    coro = task.get_coro()
    if coro is None:  # an eager task that is done
        return "?"
    return str(getattr(coro, "__qualname__", type(coro).__qualname__)).replace(".<locals>", "")


def _clip(text: str) -> str:
    return text if len(text) <= 200 else text[:199] + "…"


def _sleep_left(task: Any, frame: FrameType) -> float | None:
    handle = frame.f_locals.get("h")
    when = getattr(handle, "when", None)
    if when is None:
        return None
    try:
        return max(0.0, float(when()) - float(task.get_loop().time()))
    except (TypeError, ValueError, RuntimeError):
        return None


def _owner_detail(frame: FrameType, wait: str) -> str:
    """Facts of the primitive that do not change from one moment to the next."""
    owner = frame.f_locals.get("self")
    if wait == "queue.put":
        return f", full at {getattr(owner, '_maxsize', '?')}"
    if wait == "queue.get":
        return ", empty" if not getattr(owner, "_queue", ()) else ""
    return ""


def _is_chained(waiter: Any) -> bool:
    """Whether the future is chained to a concurrent one, as run_in_executor and wrap_future do."""
    callbacks = getattr(waiter, "_callbacks", None) or ()
    return any("_chain_future" in getattr(entry[0], "__qualname__", "") for entry in callbacks)


def waited_tasks(task: Any) -> list[Any]:
    """The tasks that ``task`` waits for: directly, or through a gather or a wait."""
    waiter = getattr(task, "_fut_waiter", None)
    if waiter is None:
        return []
    if hasattr(waiter, "get_coro"):
        return [waiter]
    found = [child for child in getattr(waiter, "_children", None) or () if hasattr(child, "get_coro")]
    if found:
        return found
    frames = await_chain(task.get_coro())
    if frames and "/asyncio/" in frames[0].f_code.co_filename:
        names = frames[0].f_locals
        for pending in (names.get("fs"), getattr(names.get("self"), "_tasks", None)):
            if isinstance(pending, (set, frozenset, list, tuple)):
                found.extend(each for each in list(pending) if hasattr(each, "get_coro") and not each.done())
    return found


def current_frames() -> dict[int, FrameType]:
    """The innermost frame of each thread that runs Python."""
    return sys._current_frames()
