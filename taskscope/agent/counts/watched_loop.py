"""The state kept per event loop: its position, its latencies, its stalls.

Weak references only.
"""

from __future__ import annotations

import contextvars
import sys
from bisect import bisect_left
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from weakref import ref

from taskscope import model
from taskscope.agent.inspect import origins, runs, turns
from taskscope.agent.inspect.threads import native_of
from taskscope.system import clock

if TYPE_CHECKING:
    from types import FrameType

    from taskscope.agent.counts.stall import Stall
    from taskscope.agent.inspect.turns import Turn

WINDOW = 300
"""Latencies kept per loop: one minute."""

NOTED_EVERY = 0.18
"""Least seconds between two latencies."""


class Tally:
    """The latencies of all loops, counted by `LATENCY_BOUNDS`."""

    __slots__ = ("counts", "total")

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        self.counts = [0] * (len(model.LATENCY_BOUNDS) + 1)
        self.total = 0.0

    def add(self, latency: float) -> None:
        self.counts[bisect_left(model.LATENCY_BOUNDS, latency)] += 1
        self.total += latency

    def as_model(self) -> model.LatencyCounts:
        return model.LatencyCounts(tuple(self.counts), self.total)


class Probe:
    """A callback sent to a loop whose turns are not visible."""

    __slots__ = ("handle", "ran", "sent")

    def __init__(self, now: float) -> None:
        self.sent = now
        self.ran: float | None = None
        self.handle: Any = None

    def __call__(self) -> None:
        """Runs in the loop."""
        self.ran = clock.monotonic()


def _made_at(frame: FrameType | None) -> model.Frame | None:
    """The line that makes the loop whose constructor is running; None if none is."""
    while frame is not None and origins.is_own(frame.f_code.co_filename):
        frame = frame.f_back
    constructs = frame is not None and origins.name_of(frame.f_code) == "__init__"
    return origins.caller_outside(frame) if constructs else None


class WatchedLoop:
    """One loop as of the last look.

    ``mark`` identifies what it is doing, since ``since``, or, where the loop does not tell that, since
    ``earliest`` at the earliest: the look before, ``looked`` now.  We first saw it at ``found``.
    ``idle``: when it was last seen asleep.  ``delay``: seconds its thread has waited for a CPU, as of the
    start of the turn.  ``made``: the line that made it, None if it is older than the agent.
    """

    __slots__ = (
        "calls",
        "delay",
        "earliest",
        "found",
        "found_stranded",
        "id",
        "idle",
        "key",
        "kind",
        "latencies",
        "looked",
        "made",
        "mark",
        "native",
        "next_latency",
        "paused",
        "probe",
        "reference",
        "since",
        "stall",
        "strandable",
        "stranded",
        "tally",
        "thread",
    )

    def __init__(self, number: int, loop: Any, thread: int, tally: Tally) -> None:
        self.id = number
        self.tally = tally
        self.made = _made_at(sys._getframe())
        self.key = id(loop)
        self.reference = ref(loop)
        self.kind = "trio.run" if runs.is_run(loop) else f"{type(loop).__module__}.{type(loop).__qualname__}"
        self.thread = thread
        self.native: tuple[int, int] | None = None
        self.delay: float | None = None
        self.idle = 0.0
        self.mark: object = None
        self.since = self.found = self.found_stranded = self.paused = self.next_latency = 0.0
        self.looked = self.earliest = clock.monotonic()
        self.calls = 0
        self.stall: Stall | None = None
        self.strandable: ref[Any] | None = None  # a task found stranded once
        self.stranded: Stall | None = None
        self.probe: Probe | None = None
        self.latencies: deque[float] = deque(maxlen=WINDOW)

    def stand(self, turn: Turn | None, now: float) -> None:
        """Records that it has moved: to ``turn``, or to something known only by its time."""
        self.found = self.since = now
        self.earliest = self.looked
        self.paused, self.mark, self.calls, self.delay = 0.0, None, 0, None
        if turn is not None:
            self.thread, self.mark, self.calls = turn.thread, turn.mark, turn.calls
            if turn.begun is not None:
                self.since = self.earliest = turn.begun

    def hand_over(self, loop: Any, now: float) -> None:
        """Schedules a callback on a loop that is awake, in a new context: threads cannot share one."""
        call = turns.builtin_method(loop, "call_soon_threadsafe")
        if call is not None:
            probe = Probe(now)
            with suppress(RuntimeError):  # closed meanwhile
                probe.handle = call(probe, context=contextvars.Context())
                self.probe = probe
                self.stand(None, now)

    def native_id(self) -> int:
        """The kernel's id of its thread; 0: unknown."""
        if self.native is None or self.native[0] != self.thread:
            self.native = self.thread, native_of(self.thread)
        return self.native[1]

    def stands_at(self, mark: object) -> bool:
        """Whether it has not moved.  A mark is a time, or an object compared by identity."""
        same = mark == self.mark if type(mark) is float else mark is self.mark
        return mark is not None and same

    def note(self, latency: float | None, now: float) -> None:
        """Adds a latency, at most one per round; more frequent looks are for stalls."""
        if latency is not None and now >= self.next_latency:
            self.keep(max(0.0, latency))
            self.next_latency = now + NOTED_EVERY

    def keep(self, latency: float) -> None:
        """Adds a latency."""
        self.latencies.append(latency)
        self.tally.add(latency)

    def waiting_since(self, stall: Stall) -> float:
        """Since when there has been work: a loop may sleep long before it gets any."""
        return self.found if stall.why == "asleep" else stall.began

    def percentiles(self, now: float) -> tuple[float | None, float | None, float | None]:
        """Median, p99 and maximum of the latencies of the last minute."""
        values = list(self.latencies)
        if self.stall is not None:
            values.append(now - self.waiting_since(self.stall))
        if not values:
            return None, None, None
        values.sort()
        last = len(values) - 1
        return values[last // 2], values[round(last * 0.99)], values[last]

    def as_model(self, loop: Any, turn: Turn | None, live: int) -> model.Loop:
        """``live``: its tasks."""
        p50, p99, worst = self.percentiles(clock.monotonic())
        return model.Loop(
            id=self.id,
            kind=self.kind,
            thread=turn.thread if turn is not None else None,
            running=turn is not None,
            debug=turns.debug(loop),
            live=live,
            ready=turns.length(loop, "_ready"),
            timers=turns.length(loop, "_scheduled"),
            latency_p50=p50,
            latency_p99=p99,
            latency_max=worst,
            factory=turns.factory_name(loop),
            made=self.made,
        )
