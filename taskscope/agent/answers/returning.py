"""Threads that ran for a moment since the last look, and wait for the same lock again.

The kernel wakes a waiting thread now and then, for a child of the process that ended or a page of memory, and
it goes back to sleep without running any code of the program.  From outside it looks like one that took the
lock, released it and wants it again; its CPU time does not tell them apart.  What does is one moment at which
all of a cycle sleep, each holding what the next one waits for, without a time-out: it never ends.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from taskscope.agent.inspect import holdings, stacks, system_calls, waited
from taskscope.agent.inspect.stillness import at_rest

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import FrameType

    from taskscope.agent.answers.nodes import Edge, Key
    from taskscope.agent.inspect.stillness import Stillness


class _Place(NamedTuple):
    native: int
    frame: int
    instruction: int


class Returning:
    """Those of one look."""

    def __init__(self, still: Stillness, now: float) -> None:
        self._still = still
        self._now = now
        self._places: dict[int, _Place] = {}

    def note(self, ident: int, native: int, frame: FrameType) -> float | None:
        """Since when it has been found in this wait for a lock, which no time-out ends; None: it was not."""
        since = self._still.returned(ident)
        if since is None or since >= self._now or not _is_endless(native):
            return None
        if not any(how == "waits" for how, _ in waited.by_thread(frame).ahead):
            return None
        self._places[ident] = _Place(native, id(frame), frame.f_lasti)
        return since

    def __contains__(self, key: Key) -> bool:
        return key[0] == "thread" and key[1] in self._places

    def moved(self, keys: Iterable[Key], edges: Iterable[Edge]) -> set[Key]:
        """Those of ``keys`` that do not sleep, all at one moment, waiting for and holding what ``edges`` say.

        A thread that sleeps, and has slept as often after the frames were read as before, did not run.
        """
        noted = [key for key in keys if key in self]
        related = [each for each in edges if each.waiter in noted or each.on in noted]
        before = {key: at_rest(self._places[key[1]].native) for key in noted}
        found = {
            key
            for key in noted
            if before[key] is not None
            and _is_endless(self._places[key[1]].native)
            and self._is_there(key, [each for each in related if key in (each.waiter, each.on)])
        }
        return {
            key for key in noted if key not in found or at_rest(self._places[key[1]].native) != before[key]
        }

    def _is_there(self, key: Key, edges: Iterable[Edge]) -> bool:
        """Whether it is at the same instruction, and its variables name the same things."""
        place, frame = self._places[key[1]], stacks.current_frames().get(key[1])
        if frame is None or (id(frame), frame.f_lasti) != (place.frame, place.instruction):
            return False
        wants = {id(thing) for _, thing in waited.by_thread(frame).ahead}
        has = {id(held.thing) for held, _ in holdings.of_frames(frame)}
        return all(
            edge.on[1] in wants if edge.waiter == key else edge.waiter[1] in has
            for edge in edges
            if edge.how in ("waits", "held")
        )


def _is_endless(native: int) -> bool:
    call = system_calls.of_thread(native)
    return call is not None and call.name == "futex" and call.endless
