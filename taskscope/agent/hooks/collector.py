"""Long runs of the garbage collector: when they began and ended; and those in our thread.

The interpreter tells this to callbacks only, so one is added while a client is there to be told, and while
our thread works: a collection there may queue work in a loop that sleeps (see ``counts/own_work.py``).  With
nobody attached, the program's own collections cost what they did; else those of the youngest 1 µs more.
"""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING, Any

from taskscope.system import clock, system

if TYPE_CHECKING:
    from taskscope.agent.counts.stall import StallLog
    from taskscope.agent.hooks.parts import Link, Part

OLDEST = 2
"""The generation of a collection that looks at all objects; others are short."""

LONG = 0.02
"""Seconds of a collection that is noted."""


class CollectorHook:
    """``log``: where each long collection is noted, as begin and end."""

    def __init__(self, part: Part, log: StallLog) -> None:
        self._part = part
        self._log = log
        self._began: float | None = None  # of the one that runs, if it began while the callback was there
        self._callback: Any = None
        self._there = False

    def work(self) -> None:
        """Adds the callback, unless it is there.  Called in our thread, as it begins to work."""
        if not self._part.armed:
            self._part.arm(self._arm)
        elif not self._there:
            self._there, self._began = True, None
            gc.callbacks.append(self._callback)

    def rest(self) -> None:
        """Takes it away, unless others follow: the interpreter would pass over the next of them."""
        callbacks = gc.callbacks
        if self._there and callbacks and callbacks[-1] is self._callback:
            del callbacks[-1]
            self._there = False

    def _arm(self) -> None:
        self._callback = _callback(self._part.link(self._note), system.get_ident())
        self._part.on_undo(_remove, self._callback)
        self._there = True
        gc.callbacks.append(self._callback)

    def _note(self, phase: str, *, here: bool, oldest: bool) -> None:
        """Runs in the thread that collects; ``here``: in ours."""
        now = clock.monotonic()
        if here:
            self._log.collected_here = now
        if not oldest:
            return
        if phase == "start":
            self._began = now
            return
        began, self._began = self._began, None
        if began is not None and now - began >= LONG:
            self._log.collections.append((began, now))


def _callback(link: Link, ours: int) -> Any:
    """Called twice per collection, most of which are of the youngest objects: these cost 0.1 µs."""
    get_ident = system.get_ident

    def callback(phase: str, info: Any) -> None:
        oldest, here = info["generation"] == OLDEST, get_ident() == ours
        if oldest or here:
            note = link.before
            if note is not None:
                try:
                    note(phase, here=here, oldest=oldest)
                except Exception as error:  # noqa: BLE001  (an outer edge: the interpreter would print it)
                    link.fail(error)

    return callback


def _remove(callback: Any) -> None:
    for at, each in enumerate(gc.callbacks):
        if each is callback:  # others may compare as they like
            del gc.callbacks[at]
            break
