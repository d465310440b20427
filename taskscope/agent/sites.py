"""Which line a task is said to be created by: the slow half of the hot path, once for most sites."""

from __future__ import annotations

import gc
from types import CellType
from typing import TYPE_CHECKING, Any

from taskscope.agent import origins

if TYPE_CHECKING:
    from types import FrameType

    from taskscope.agent.registry import Registry, SiteRecord

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
        self._stop = {events.__file__, runners.__file__}

    def record(self, start: FrameType, coro: Any) -> SiteRecord:
        """The record for the creation seen from ``start``, made on first sight."""
        frame = self._outside(start)
        origin = self._place(start, frame)
        place = self._who_asked(origin)
        user = nearest_user_frame(place)
        inner = unwrapped(coro)
        body = getattr(inner, "cr_code", None)
        near = (id(frame.f_code), frame.f_lasti, id(getattr(coro, "cr_code", None)))
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
            records.setdefault(near, record if origin is place is frame is user and inner is coro else BRANCH)
        return record

    def _who_asked(self, origin: FrameType) -> FrameType:
        """Past libraries that start tasks for others; themselves, if nobody else stands behind them."""
        frame: FrameType | None = origin
        while frame is not None and frame.f_code.co_filename not in self._stop:
            file = frame.f_code.co_filename
            if not origins.is_plumbing(file) and not origins.starts_for_others(file):
                return frame
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
        if frame.f_code.co_filename not in self._stop:
            return frame
        inner = None
        walk: FrameType | None = start
        while walk is not None and walk is not frame:
            if walk.f_code.co_name not in _CREATORS:
                inner = walk
            walk = walk.f_back
        if inner is not None:
            return inner
        outer = frame  # Runner.run itself creates the main task: name whoever called it
        while outer.f_back is not None and origins.is_plumbing(outer.f_code.co_filename):
            outer = outer.f_back
        return outer


def nearest_user_frame(frame: FrameType) -> FrameType | None:
    """The first frame outwards that is neither the standard library's nor a library's."""
    walk: FrameType | None = frame
    for _ in range(MAX_WALK):
        if walk is None or walk.f_code.co_name == "_run_once":
            return None
        if origins.is_user(walk.f_code):
            return walk
        if walk.f_code.co_name in _RUN_BY_PYTEST:
            return None
        walk = walk.f_back
    return None


_WRAPPERS = (
    "TaskHandle._run_coro",
    "TaskGroup._run_wrapped_task",
    "Monitor._coro_wrapper",
    "run.<locals>.wrapper",
)
"""Coroutines of anyio's, aiomonitor's and uvloop's around the one that their user asked for."""


def unwrapped(coro: Any) -> Any:
    """The coroutine that the program started, where a library put its own around it."""
    code = getattr(coro, "cr_code", None)
    if code is None or code.co_qualname not in _WRAPPERS or not origins.is_plumbing(code.co_filename):
        return coro
    for held in gc.get_referents(coro):  # its arguments: reading its locals would leave a copy in the frame
        inner = held._coro if type(held).__name__ == "TaskHandle" else held
        if type(held) is CellType and held.cell_contents is not None:
            inner = held.cell_contents
        if inner is not None and hasattr(inner, "cr_code"):
            return inner
    return coro


def coroutine_name(coro: Any) -> str:
    """The qualified name of a coroutine (or what stands in for one), without ``<locals>``."""
    name = getattr(coro, "__qualname__", None) or type(coro).__qualname__
    return str(name).replace(".<locals>", "")
