"""What a parked task waits for, in words that need no knowledge of CPython's insides.

The innermost frames of a parked task belong to whatever primitive it waits on: asyncio's, or anyio's on
top of it.  ``primitives`` knows these functions; the outermost of them, next to the user's own code,
says best what is awaited.  Where no function tells, the awaited future does.
"""

from __future__ import annotations

import gc
from types import CoroutineType, GeneratorType
from typing import TYPE_CHECKING, Any, NamedTuple

from taskscope.agent import origins, primitives
from taskscope.agent.jobs import job_of
from taskscope.agent.primitives import clip
from taskscope.agent.variables import variables_of

if TYPE_CHECKING:
    from types import FrameType


FOREVER = 30 * 365 * 86_400.0
"""Seconds.  Libraries sleep for ever by sleeping for decades, or until infinity, which JSON does not know."""


class Wait(NamedTuple):
    """``wait`` is the stable word, ``text`` the same for all that wait alike, ``detail`` is not."""

    wait: str
    text: str
    detail: str = ""
    task: int | None = None
    remaining: float | None = None


class Known(NamedTuple):
    """A primitive that was recognised, and at which frame of the chain."""

    rule: primitives.Rule
    at: int


def recognise(frames: list[FrameType]) -> Known | None:
    """The outermost primitive next to the program's own code; ``frames`` are innermost first."""
    found: Known | None = None
    for index, frame in enumerate(frames):
        file = frame.f_code.co_filename
        if not origins.is_plumbing(file):
            break
        rules = primitives.ANYIO if "/anyio/" in file else primitives.ASYNCIO
        rule = rules.get((file.rpartition("/")[2], frame.f_code.co_qualname))
        if rule is not None:
            found = Known(rule, index)
    return found


def describe(task: Any, frames: list[FrameType], known: Known | None, *, detailed: bool = True) -> Wait:
    """What ``task`` waits for; ``frames`` are those of its await chain, ``known`` what they tell."""
    waiter = getattr(task, "_fut_waiter", None)
    if waiter is None:
        running = getattr(task.get_coro(), "cr_running", False)
        return Wait("running", "running") if running else Wait("ready", "ready to run")
    if known is None:
        return _by_future(waiter, frames)
    rule, at = known
    if rule.wait == "sleep":
        return Wait(rule.wait, rule.text, "", None, _sleep_left(task, frames[0]))
    detail = _detail(rule, frames[at]) if detailed else ""
    if detailed and not detail and rule.detail is primitives.completed:
        detail = f"{len(todo_before_3_13(task))} left"
    return Wait(rule.wait, rule.text, detail, _serial(waiter))


def todo_before_3_13(task: Any) -> set[Any]:
    """What an ``as_completed`` that ``task`` goes through still waits for: its generator knows."""
    coro = task.get_coro()
    while type(coro) is CoroutineType:
        for each in gc.get_referents(coro):
            if type(each) is GeneratorType and each.gi_code.co_qualname == "as_completed" and each.gi_frame:
                todo = variables_of(each.gi_frame).get("todo")
                return todo if isinstance(todo, set) else set()
        coro = coro.cr_await
    return set()


def _detail(rule: primitives.Rule, frame: FrameType) -> str:
    if rule.detail is None:
        return ""
    try:
        return clip(rule.detail(variables_of(frame)))
    except Exception:  # noqa: BLE001  (an outer edge: a subclass of the program's may do anything)
        return ""


def within_wait_for(frames: list[FrameType]) -> Any | None:
    """What 3.11's ``wait_for`` waits for, by way of a future of its own; later ones await it directly."""
    code = frames[0].f_code if frames else None
    if code is None or code.co_name != "wait_for" or "/asyncio/" not in code.co_filename:
        return None
    return variables_of(frames[0]).get("fut")


def awaited_future(task: Any, frames: list[FrameType]) -> Any:
    """The future that ``task`` waits for in the end, where one of ``wait_for``'s stands between."""
    return within_wait_for(frames) or getattr(task, "_fut_waiter", None)


def _by_future(waiter: Any, frames: list[FrameType]) -> Wait:
    inner = within_wait_for(frames)
    if inner is not None and inner is not waiter:
        wait = _by_future(inner, [])
        return wait._replace(text=f"wait_for, {wait.text}") if wait.wait == "task" else wait
    if hasattr(waiter, "get_coro"):
        name = getattr(waiter.get_coro(), "__qualname__", "?")
        return Wait("task", f"task {clip(str(name).replace('.<locals>', ''))}", task=_serial(waiter))
    children = getattr(waiter, "_children", None)
    if children is not None:
        left = sum(1 for each in list(children) if not each.done())
        return Wait("gather", "gather", f"{left} of {len(children)} left")
    for callback in callbacks(waiter):
        name = getattr(callback, "__qualname__", "")
        if "_chain_future" in name:
            return Wait("executor", "a job in an executor", _job(callback))
        if name.startswith("shield"):
            inner = closed_over(callback, "inner")
            return Wait("task", "a shielded task", task=_serial(inner))
    if frames and "uvloop" in frames[0].f_code.co_filename:
        name = frames[0].f_code.co_name.rpartition(".")[2]
        return Wait(*primitives.UVLOOP.get(name, ("socket", f"uvloop {name}")))
    return Wait("future", _in_a_library(frames) or f"a bare {type(waiter).__name__}")


def _in_a_library(frames: list[FrameType]) -> str:
    """The library's function that awaits a future; the one that the program called, if it did."""
    outer = None
    for frame in frames:
        whose = origins.origin(frame.f_code.co_filename)
        if whose == "user":
            break
        public = not any(part.startswith("_") for part in frame.f_code.co_qualname.split("."))
        if whose == "library" and public:
            outer = frame.f_code
    if outer is None or not origins.package_of(frames[0].f_code.co_filename):
        return ""
    return f"{origins.package_of(outer.co_filename)} {clip(origins.function_name(outer))}"


def callbacks(waiter: Any) -> list[Any]:
    """Callbacks registered on a future, as functions."""
    return [entry[0] for entry in getattr(waiter, "_callbacks", None) or ()]


def closed_over(function: Any, name: str) -> Any:
    """The value of a variable that a nested function of asyncio's closes over; None if it has none."""
    code, cells = getattr(function, "__code__", None), getattr(function, "__closure__", None)
    if code is None or not cells or name not in code.co_freevars:
        return None
    try:
        return cells[code.co_freevars.index(name)].cell_contents
    except ValueError:
        return None


def _job(callback: Any) -> str:
    """The function that an executor runs for the future behind ``callback``."""
    source = closed_over(callback, "source")
    name = job_of(source) if source is not None else ""
    return f"in {clip(name)}" if name else ""


def _serial(task: Any) -> int | None:
    return getattr(task, "_taskscope_serial", None)


def _sleep_left(task: Any, frame: FrameType) -> float | None:
    """Seconds until the timer of ``asyncio.sleep`` fires."""
    if frame.f_code.co_name != "sleep" or "/asyncio/" not in frame.f_code.co_filename:
        return None
    when = getattr(variables_of(frame).get("h"), "when", None)
    if when is None:
        return None
    try:
        left = float(when()) - float(task.get_loop().time())
        return max(0.0, left) if left < FOREVER else None
    except (TypeError, ValueError, RuntimeError):
        return None
