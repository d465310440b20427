"""Long runs of the garbage collector: when they began and ended.

The interpreter tells this to callbacks only, so one is added, while a client is there to be told.
"""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING, Any

from taskscope.system import clock

if TYPE_CHECKING:
    from collections import deque

    from taskscope.agent.hooks.parts import Link, Part

OLDEST = 2
"""The generation of a collection that looks at all objects; others are short."""

LONG = 0.02
"""Seconds of a collection that is noted."""


class CollectorHook:
    """``found``: where each long collection is noted, as begin and end."""

    def __init__(self, part: Part, found: deque[tuple[float, float]]) -> None:
        self._part = part
        self._found = found
        self._began = 0.0

    def follow(self, *, watched: bool) -> None:
        """Adds the callback if there is a client, removes it if there is none any more."""
        if watched and not self._part.armed:
            self._part.arm(self._arm)
        elif not watched and self._part.armed:
            self._part.undo()

    def _arm(self) -> None:
        callback = _callback(self._part.link(self._note))
        self._part.on_undo(_remove, callback)
        gc.callbacks.append(callback)

    def _note(self, phase: str) -> None:
        """Runs in the thread that collects."""
        now = clock.monotonic()
        if phase == "start":
            self._began = now
        elif now - self._began >= LONG:
            self._found.append((self._began, now))


def _callback(link: Link) -> Any:
    """Called twice per collection, most of which are of the youngest objects: these cost 0.1 µs."""

    def callback(phase: str, info: Any) -> None:
        if info["generation"] == OLDEST:
            note = link.before
            if note is not None:
                try:
                    note(phase)
                except Exception as error:  # noqa: BLE001  (an outer edge: the interpreter would print it)
                    link.fail(error)

    return callback


def _remove(callback: Any) -> None:
    for at, each in enumerate(gc.callbacks):
        if each is callback:  # others may compare as they like
            del gc.callbacks[at]
            break
