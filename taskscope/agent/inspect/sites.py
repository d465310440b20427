"""Which line a task is said to be created by: the slow half of the hot path, once for most sites."""

from __future__ import annotations

import gc
import sys
from types import CellType, CoroutineType, FunctionType, GeneratorType, MethodType
from typing import TYPE_CHECKING, Any

from taskscope.agent.inspect import calls, origins, stacks
from taskscope.agent.inspect.looking import attribute, class_name, innermost, text

if TYPE_CHECKING:
    from types import CodeType, FrameType

    from taskscope.agent.counts.registry import Registry, SiteRecord

MAX_WALK = 60
"""Frames walked outwards to find a user frame."""

_CREATORS = frozenset(
    {"create_task", "ensure_future", "_ensure_future", "factory", "_create_task", "__setitem__"}
)

_RUN_BY_PYTEST = frozenset({"pytest_pyfunc_call", "pytest_fixture_setup", "pytest_runtest_teardown"})
"""Functions of pytest's with thirty frames of its own outside them, and none of the user's."""

BRANCH: Any = object()
"""Stands under a site's short key when the record depends on more than the first frame."""


class Resolver:
    """Finds the record of a creation site; for most sites this runs once, not once a birth."""

    def __init__(self, registry: Registry) -> None:
        from asyncio import events, runners

        self.registry = registry
        # Files whose frames are skipped.  events.py and runners.py stay out: a frame of theirs marks the
        # border between a callback and the loop that runs it, and is looked at in `_place`.
        self.skip: set[str] = set()
        self._events = events.__file__
        self._stop = {events.__file__, runners.__file__}

    def record(self, start: FrameType, coro: Any) -> SiteRecord:
        """The record for the creation seen from ``start``, made on first sight."""
        frame = self._outside(start)
        origin = self._place(start, frame)
        place = self._who_asked(origin)
        user = nearest_user_frame(place)
        inner = started(coro)
        body = code_of(inner)
        near = (id(frame.f_code), frame.f_lasti, id(attribute(coro, "cr_code")))
        through = (id(origin.f_code), origin.f_lasti)
        far = (
            id(place.f_code),
            place.f_lasti,
            id(body),
            id(user and user.f_code),
            user and user.f_lasti,
            through,
        )
        records = self.registry.records
        record = records.get(far)
        if record is None:
            record = self.registry.add(
                far,
                "task",
                origins.frame_of(place.f_code, place.f_lineno),
                user and origins.frame_of(user.f_code, user.f_lineno),
                coroutine_name(inner),
                (frame.f_code, origin.f_code, place.f_code, body, user and user.f_code),
                via=None if origin is place else origins.frame_of(origin.f_code, origin.f_lineno),
            )
        if far in records:  # otherwise the code is not kept alive, and its id may be reused
            plain = origin is place is frame is user and body is attribute(coro, "cr_code")
            records.setdefault(near, record if plain else BRANCH)
        return record

    def _who_asked(self, origin: FrameType) -> FrameType:
        """Past libraries that start tasks for others; themselves, if nobody else stands behind them."""
        frame: FrameType | None = origin
        while frame is not None and frame.f_code.co_filename not in self._stop:
            file = frame.f_code.co_filename
            if not origins.is_plumbing(file) and not origins.starts_for_others(file):
                runs_us = origins.origin(file) == "stdlib" and origins.is_thread_plumbing(file)
                return origin if runs_us or runs_a_loop(frame) else frame
            frame = frame.f_back
        return origin

    def _outside(self, start: FrameType) -> FrameType:
        """The first frame outside the plumbing; learns the plumbing's files as it meets them."""
        frame = start
        while frame.f_back is not None:
            file = frame.f_code.co_filename
            if file not in self.skip:
                if file in self._stop or not origins.is_plumbing(file):
                    break
                self.skip.add(file)
            frame = frame.f_back
        return frame

    def _place(self, start: FrameType, frame: FrameType) -> FrameType:
        """The frame to name: for a creation out of a callback the plumbing line that did it."""
        running = runs_a_loop(frame)
        if frame.f_code.co_filename not in self._stop and not running:
            return frame
        inner = last = None
        walk: FrameType | None = start
        while walk is not None and walk is not frame:
            if not origins.is_own(walk.f_code.co_filename):
                last = walk
                if walk.f_code.co_name not in _CREATORS:
                    inner = walk
            walk = walk.f_back
        if inner is not None:
            return inner
        if running or frame.f_code.co_filename == self._events:  # the loop itself calls `create_task`
            return last or frame
        outer = frame  # Runner.run itself creates the main task: name whoever called it
        while outer.f_back is not None and origins.is_plumbing(outer.f_code.co_filename):
            last, outer = outer, outer.f_back
        return outer if not origins.is_thread_plumbing(outer.f_code.co_filename) else last or outer


def nearest_user_frame(frame: FrameType) -> FrameType | None:
    """The first frame outwards that is neither the standard library's nor a library's."""
    walk: FrameType | None = frame
    for _ in range(MAX_WALK):
        if walk is None or is_border(walk):
            return None
        if origins.is_user(walk.f_code):
            return walk
        if walk.f_code.co_name in _RUN_BY_PYTEST:
            return None
        walk = walk.f_back
    return None


def is_border(frame: FrameType) -> bool:
    """Whether what stands outside of ``frame`` runs the loop, and has not asked for what happens inside."""
    code = frame.f_code
    if code.co_name in ("_run", "_run_once") and origins.is_plumbing(code.co_filename):
        return True
    return runs_a_loop(frame)


_RUN = {"run_until_complete", "run_forever"}


def runs_a_loop(frame: FrameType) -> bool:
    """Whether ``frame`` runs a loop of uvloop's, whose callbacks have no frame of the loop beneath them."""
    if "uvloop" not in sys.modules or _RUN.isdisjoint(frame.f_code.co_names):
        return False
    if sys.modules["asyncio"]._get_running_loop() is None:  # it only makes the task to be run
        return False
    return calls.name_at(frame.f_code, frame.f_lasti) in _RUN


_WRAPPERS = {
    "TaskHandle._run_coro",
    "TaskGroup._run_wrapped_task",
    "Monitor._coro_wrapper",
    "run.<locals>.wrapper",
    "_wrap_awaitable",
}
"""Coroutines of anyio's, aiomonitor's, uvloop's and asyncio's around the one that their user asked for."""

_CALLERS = {
    "AsyncIOBackend.run_async_from_thread.<locals>.task_wrapper",
    "BlockingPortal._call_func",
}
"""Coroutines of anyio's that will call the function that their user asked for."""


def unwrapped(coro: object) -> object:
    """The coroutine that the program started, where a library put its own around it.

    It is among what the wrapper refers to: reading its locals could leave a copy in the frame.
    """
    if not _is_of(coro, _WRAPPERS):
        return coro
    kept = gc.get_referents(coro)
    for held in kept:
        if type(held) is CoroutineType:
            return held
        inner = attribute(held, "_coro") if class_name(held) == "TaskHandle" else None
        if inner is not None:
            return inner
    kept += [each for cell in kept if type(cell) is CellType for each in gc.get_referents(cell)]
    return next((each for each in kept if _is_coroutine(each) or stacks.is_step(each)), coro)


def _is_coroutine(thing: object) -> bool:
    return type(thing) is not GeneratorType and stacks.code_of(thing) is not None


def started(coro: object) -> object:
    """What the program asked to be run: a coroutine, a function that will make one, or an async generator."""
    inner = unwrapped(coro)
    if type(inner) is not CoroutineType:
        generator = stacks.generator_of(inner) if stacks.is_step(inner) else None
        return generator if generator is not None else inner
    if not _is_of(inner, _CALLERS):
        return inner
    kept = gc.get_referents(inner)
    kept += [each for cell in kept if type(cell) is CellType for each in gc.get_referents(cell)]
    functions = (each for each in kept if type(each) is FunctionType or type(each) is MethodType)
    return next((each for each in functions if code_of(each) is not inner.cr_code), inner)


def code_of(thing: object) -> CodeType | None:
    """The code of what ``started`` found."""
    function = innermost(thing)
    return function.__code__ if type(function) is FunctionType else stacks.code_of(thing)


def _is_of(coro: object, names: set[str]) -> bool:
    code = stacks.code_of(coro)
    return code is not None and text(code.co_qualname) in names and origins.is_plumbing(code.co_filename)


def coroutine_name(coro: object) -> str:
    """The qualified name of a coroutine (or what stands in for one), without ``<locals>``."""
    return stacks.name_of(coro)
