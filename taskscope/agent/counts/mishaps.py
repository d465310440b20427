"""Tasks created by a thread that does not run their loop, and tasks destroyed while pending, by site.

Written where it happens, so every step is one atomic call; two at the same moment may count as one.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from taskscope import model
from taskscope.agent.inspect import futures, origins, stacks
from taskscope.agent.inspect.looking import attribute, text
from taskscope.system import clock, system

if TYPE_CHECKING:
    from types import CodeType

MAX_SITES = 200
"""Sites of which mishaps are counted."""


class _Count:
    __slots__ = ("count", "first", "last", "what")

    def __init__(self, now: float) -> None:
        self.count = 0
        self.first = self.last = now
        self.what: Any = None


class MishapLog:
    """One per registry."""

    def __init__(self) -> None:
        self._foreign: dict[int, _Count] = {}
        self._lost: dict[int, _Count] = {}

    def from_other_thread(self, site: int) -> None:
        """Counts a task that the calling thread creates for a loop that runs in another."""
        self._count(self._foreign, site, _own_name())

    def lost(self, site: int, task: object) -> None:
        """Counts a task that is being destroyed; its coroutine may be closed already."""
        coro = futures.coroutine(task)
        frames = stacks.outside_plumbing(stacks.await_chain(coro))
        line = (frames[0].f_code, frames[0].f_lasti) if frames else None
        self._count(self._lost, site, line or stacks.code_of(coro))

    @staticmethod
    def _count(counts: dict[int, _Count], site: int, what: object) -> None:
        now = clock.monotonic()
        known = counts.get(site)
        if known is None:
            if len(counts) >= MAX_SITES:
                return
            known = counts[site] = _Count(now)
        known.count += 1
        known.last, known.what = now, what

    def from_other_threads(self) -> tuple[model.FromOtherThread, ...]:
        return tuple(
            model.FromOtherThread(site, each.what, each.count, each.first, each.last)
            for site, each in list(self._foreign.items())
        )

    def of_lost(self) -> tuple[model.Lost, ...]:
        return tuple(
            model.Lost(site, each.count, _place(each.what), each.first, each.last)
            for site, each in list(self._lost.items())
        )


def _own_name() -> str:
    ident = system.get_ident()
    thread = vars(threading)["_active"].get(ident)
    return text(attribute(thread, "_name")) or f"thread {ident}"


def _place(what: tuple[CodeType, int] | CodeType | None) -> model.Frame | None:
    """Where it waited: the line, or the only one at which the coroutine can wait."""
    if what is None:
        return None
    if isinstance(what, tuple):
        return origins.frame_at(*what)
    lines = stacks.lines_of_awaits(what)
    return origins.frame_of(what, lines.pop()) if len(lines) == 1 else None
