"""How long the loops take to get to a callback, and what holds them when they do not.

Each loop gets one callback at a time from another thread; the time until it runs is the latency.  A
callback that has not run for ``STALL`` seconds means that the loop is blocked: the stack of its thread
says by what.
"""

from __future__ import annotations

import contextvars
import itertools
import sys
from collections import deque
from typing import TYPE_CHECKING, Any
from weakref import ref

from taskscope import model
from taskscope.agent import stacks
from taskscope.system import clock, system

if TYPE_CHECKING:
    from collections.abc import Callable

PROBE_EVERY = 0.2
"""Seconds.  Five wake-ups a second of each loop: about 0.01 % of a core."""

WINDOW = 300
"""Latencies kept of each loop: one minute."""

STALL = 0.25
"""Seconds without a turn of the loop that count as a stall."""

TURNING = 0.005
"""Seconds in which a loop that is not held by a single call gets through some callbacks."""

STALLS_KEPT = 100

MANY = 64
"""Loops from which on it is looked whether some are closed as more come."""

_EMPTY = contextvars.Context()


class _Watched:
    """One loop.  ``sent`` is when the callback under way was handed over (0: none is)."""

    __slots__ = ("handle", "id", "kind", "latencies", "reference", "sent", "stall", "thread")

    def __init__(self, id: int, loop: Any) -> None:
        self.id = id
        self.reference = ref(loop)
        self.kind = f"{type(loop).__module__}.{type(loop).__qualname__}"
        self.thread: int | None = None
        self.sent = 0.0
        self.handle: Any = None
        self.latencies: deque[float] = deque(maxlen=WINDOW)
        self.stall: _Stall | None = None

    def answer(self) -> None:
        """Runs in the loop."""
        self.latencies.append(clock.monotonic() - self.sent)
        self.thread = system.get_ident()
        self.sent = 0.0
        self.handle = None


class _Stall:
    __slots__ = ("began", "ended", "loop", "queued", "stack", "task")

    def __init__(
        self, loop: int, began: float, task: int | None, stack: tuple[model.Frame, ...], queued: int
    ) -> None:
        self.queued = queued
        self.loop = loop
        self.began = began
        self.ended: float | None = None
        self.task = task
        self.stack = stack


class LoopWatch:
    """All loops that the hooks have met.  Weak references only."""

    def __init__(self, failed: Callable[[str, BaseException], None]) -> None:
        self._failed = failed
        self._ids = itertools.count(1)
        self._watched: dict[int, _Watched] = {}
        self._enough = MANY
        self._stalls: deque[_Stall] = deque(maxlen=STALLS_KEPT)

    def add(self, loop: Any) -> None:
        if len(self._watched) >= self._enough:
            self._forget_closed()
            self._enough = 2 * len(self._watched) + MANY
        watched = _Watched(next(self._ids), loop)
        self._watched[watched.id] = watched

    def _forget_closed(self) -> None:
        """Programs may run hundreds of loops between two probes, one after the other."""
        for watched in list(self._watched.values()):
            loop = watched.reference()
            if loop is None or loop.is_closed():
                self._watched.pop(watched.id, None)

    def id_of(self, loop: Any) -> int:
        for each in list(self._watched.values()):
            if each.reference() is loop:
                return each.id
        return 0

    def loops(self) -> list[tuple[int, Any]]:
        """Ids and living loops."""
        found = [(each.id, each.reference()) for each in list(self._watched.values())]
        return [(id, loop) for id, loop in found if loop is not None]

    def thread_of(self, id: int) -> int | None:
        watched = self._watched.get(id)
        if watched is None:
            return None
        loop = watched.reference()
        thread: int | None = getattr(loop, "_thread_id", None) or watched.thread
        return thread if loop is not None and loop.is_running() else None

    def probe(self) -> None:
        """Hands each running loop a callback, or notices that it has not run the one before."""
        self._forget_closed()
        for watched in list(self._watched.values()):
            loop = watched.reference()
            if loop is None:
                continue
            if watched.sent:
                self._late(watched, loop)
            elif loop.is_running():
                if watched.stall is not None:
                    watched.stall.ended = watched.stall.began + (
                        watched.latencies[-1] if watched.latencies else 0
                    )
                    watched.stall = None
                watched.sent = clock.monotonic()
                try:
                    watched.handle = loop.call_soon_threadsafe(watched.answer, context=_EMPTY)
                except RuntimeError:  # closed meanwhile
                    watched.sent = 0.0

    def _late(self, watched: _Watched, loop: Any) -> None:
        waited = clock.monotonic() - watched.sent
        if waited < STALL or watched.stall is not None or not loop.is_running():
            return
        thread = self.thread_of(watched.id)
        frame = sys._current_frames().get(thread or 0)
        stack = stacks.describe(stacks.thread_frames(frame))
        serial = _current_serial(loop)
        watched.stall = _Stall(watched.id, watched.sent, serial, stack, _crowd(loop))
        self._stalls.append(watched.stall)

    def latency(self) -> float | None:
        """The worst loop's 99th percentile over the last minute, seconds."""
        known = [
            each
            for each in (self._percentiles(w)[1] for w in list(self._watched.values()))
            if each is not None
        ]
        return max(known, default=None)

    def _percentiles(self, watched: _Watched) -> tuple[float | None, float | None, float | None]:
        values = list(watched.latencies)
        if watched.sent and watched.reference() is not None:
            waiting = clock.monotonic() - watched.sent
            if waiting > STALL:
                values.append(waiting)
        if not values:
            return None, None, None
        values.sort()
        last = len(values) - 1
        return values[last // 2], values[round(last * 0.99)], values[last]

    def describe(self, live: dict[int, int]) -> tuple[model.Loop, ...]:
        """``live``: tasks of each loop id."""
        found = []
        for watched in list(self._watched.values()):
            loop = watched.reference()
            if loop is None:
                continue
            p50, p99, worst = self._percentiles(watched)
            factory = loop.get_task_factory()
            found.append(
                model.Loop(
                    id=watched.id,
                    kind=watched.kind,
                    thread=self.thread_of(watched.id),
                    running=loop.is_running(),
                    debug=loop.get_debug(),
                    live=live.get(watched.id, 0),
                    ready=_length(loop, "_ready"),
                    timers=_length(loop, "_scheduled"),
                    latency_p50=p50,
                    latency_p99=p99,
                    latency_max=worst,
                    factory=""
                    if factory is None
                    else getattr(factory, "__qualname__", type(factory).__qualname__),
                )
            )
        return tuple(found)

    def stalls(self) -> tuple[model.Stall, ...]:
        """Newest first."""
        now = clock.monotonic()
        return tuple(
            model.Stall(
                s.loop, s.began, (s.ended or now) - s.began, s.ended is not None, s.task, s.stack, s.queued
            )
            for s in reversed(list(self._stalls))
        )

    def stop(self) -> None:
        """Takes back the callbacks still under way."""
        for watched in list(self._watched.values()):
            handle = watched.handle
            if handle is not None:
                handle.cancel()
        self._watched.clear()


def _current_serial(loop: Any) -> int | None:
    try:
        task = sys.modules["asyncio"].current_task(loop)
    except (RuntimeError, KeyError):
        return None
    return getattr(task, "_taskscope_serial", None)


def _crowd(loop: Any) -> int:
    """Callbacks that wait, if the loop gets on with them; 0: one call holds it, or it cannot be told."""
    before = _length(loop, "_ready")
    if not before:
        return 0
    clock.sleep(TURNING)
    now = _length(loop, "_ready") or 0
    return now if now < before else 0


def _length(loop: Any, name: str) -> int | None:
    try:
        return len(getattr(loop, name))
    except (AttributeError, TypeError):
        return None
