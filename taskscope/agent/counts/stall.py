"""A stall as it is observed: when it began, what held the loop, and what else took the time."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any
from weakref import ref

from taskscope import model
from taskscope.agent.counts import cpu
from taskscope.agent.inspect import blocking, calls, futures, origins, rearming, stacks, waits
from taskscope.agent.inspect.thread_waits import kernel_view, waits_in

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from types import FrameType

    from taskscope.agent.inspect.turns import Turn
    from taskscope.model.vocabulary import Shortage, StallWhy

MACHINE_EVERY = 1.0
"""Seconds between readings of what the whole machine and the control group took."""


class Stall:
    """See ``model.Stall``.  ``ended``: None while it lasts.  ``native``: the loop's thread."""

    __slots__ = (
        *("at_least", "began", "call", "collected", "descriptors", "doing", "ended", "judged", "loop"),
        *("_delay", "_taken", "_taken_at", "callback", "head", "native", "paused", "queued", "queued_at"),
        *("shortage", "stack", "starved", "task", "why", "woken"),
    )

    def __init__(self, loop: int, why: StallWhy, began: float, at_least: bool, native: int = 0) -> None:
        self.loop = loop
        self.why = why
        self.began = began
        self.at_least = at_least
        self.native = native
        self.ended: float | None = None
        self.paused = 0.0
        self.woken = False
        self.judged = False  # whether a second look has determined its cause
        self.queued = 0
        self.callback = ""
        self.queued_at: model.Frame | None = None
        self.head: ref[Any] | None = None  # what is ready to run, until it was searched for who queued it
        self.task: int | None = None
        self.stack: tuple[model.Frame, ...] = ()
        self.call = self.doing = ""
        self.descriptors: tuple[model.Descriptor, ...] = ()
        self.starved = self.collected = 0.0
        self.shortage: Shortage = ""
        self._delay: float | None = None
        self._taken: cpu.Taken | None = None
        self._taken_at = 0.0

    def left(self, turn: Turn) -> None:
        """Nothing blocked the loop: it sleeps with work to do."""
        if turn.task is not None:
            self.is_of(turn.task)
        elif type(turn.mark) is ref and (handle := turn.mark()) is not None:
            self.head = turn.mark
            self.callback, where = rearming.what(rearming.read(handle))
            self.stack = (where,)

    def is_of(self, task: Any) -> None:
        """This is a task that it could have run."""
        self.task = futures.serial_of(task)
        self.stack = stacks.describe(stacks.await_chain(futures.coroutine(task)))

    def look_at(self, frames: tuple[FrameType, ...], delay: float | None) -> None:
        """Notes what holds the loop.

        ``frames``: those inside the loop, innermost first; ``delay``: of its thread when it began.
        """
        inside = [frame for frame in frames if frame.f_code.co_qualname != "Handle._run"]
        self.stack = stacks.describe(inside[: waits.MAX_CHAIN])
        self._delay = delay
        if not inside:
            return
        user = (each for each in inside if origins.origin(each.f_code.co_filename) == "user")
        caller = next(user, inside[0])
        self.call = calls.name_at(caller.f_code, caller.f_lasti)
        does = blocking.activity(inside[0], running=kernel_view(self.native)[1], loop=None)
        if does.state == "waiting":
            self.descriptors = waits_in(self.native, does)[1]
            self.doing = model.at_length(does.text, does.detail, self.descriptors)

    def date_back(self, idle: float, now: float) -> None:
        """Finds when it began if that was not seen: a thread that waits has not run since."""
        blocked = cpu.blocked_since(self.native, now) if self.doing else None
        if blocked is not None and idle <= blocked <= self.began:
            self.began = blocked

    def measure(self, now: float) -> None:
        """Notes for how long its thread could have run and got no CPU, and who took it."""
        delay = cpu.delay_of(self.native) if self.native else None
        waited = delay - self._delay if delay is not None and self._delay is not None else 0.0
        if self._taken is not None and now - self._taken_at < MACHINE_EVERY and self.ended is None:
            self.starved = max(self.starved, waited)
            return
        taken, before = cpu.taken(), self._taken
        self._taken_at = now
        if before is None:
            self._taken = taken
            before = taken
        stolen, throttled = taken.stolen - before.stolen, taken.throttled - before.throttled
        self.starved = max(self.starved, waited + stolen)
        if self.starved:
            others: Shortage = "throttled" if throttled > waited / 2 else "contended"
            self.shortage = "stolen" if stolen > waited else others

    def collections(self, found: Iterable[tuple[float, float]], now: float) -> None:
        """Notes how much of it the garbage collector took."""
        end = self.ended if self.ended is not None else now
        self.collected = max(
            self.collected,
            sum(max(0.0, min(end, until) - max(self.began, since)) for since, until in found),
        )

    def as_model(self, now: float) -> model.Stall:
        lasted = (self.ended or now) - self.began
        return model.Stall(
            self.loop,
            self.began,
            lasted,
            self.ended is not None,
            self.task,
            self.stack,
            self.queued,
            self.why,
            self.at_least,
            min(self.paused, lasted),
            self.woken,
            self.call,
            self.doing,
            self.descriptors,
            min(self.starved, lasted),
            self.shortage,
            min(self.collected, lasted),
            self.callback,
            self.queued_at,
        )


KEPT = 100
"""Stalls, and long collections of garbage."""

SETTLED = 0.5
"""Seconds after a collection in which the stall that it caused is found by looking, if it goes on."""


class StallLog:
    """The latest stalls.  ``collections``: when the garbage collector ran for long.

    ``collected_here``: when it last ran in our thread.
    """

    def __init__(self) -> None:
        self._stalls: deque[Stall] = deque(maxlen=KEPT)
        self.collections: deque[tuple[float, float]] = deque(maxlen=KEPT)
        self.collected_here = 0.0
        self._seen = 0.0  # the end of the last collection considered

    def add(self, stall: Stall) -> Stall:
        self._stalls.append(stall)
        return stall

    def clear(self) -> None:
        self._stalls.clear()
        self.collections.clear()

    def unsearched(self) -> list[Stall]:
        """Loops asleep with a callback to run, of which it is not known who queued it."""
        return [each for each in list(self._stalls) if each.head is not None and each.ended is None]

    def measure(self, stall: Stall, now: float) -> None:
        """Notes what else took the time of a stall that code seems to cause."""
        if stall.why == "held":
            stall.measure(now)
            stall.collections(list(self.collections), now)

    def collected(self, running: Callable[[], dict[int, int]], least: float, now: float) -> None:
        """Adds stalls that nobody saw: nothing else runs while the collector does.

        ``running``: the loops that run, by thread.
        """
        for since, until in self._unconsidered(now):
            for loop in running().values() if until - since >= least else ():
                if not any(self._overlaps(each, loop, since, until) for each in self._stalls):
                    stall = self.add(Stall(loop, "held", since, False))
                    stall.ended, stall.collected = until, until - since

    def _unconsidered(self, now: float) -> Iterator[tuple[float, float]]:
        for since, until in list(self.collections):
            if self._seen < until < now - SETTLED:
                self._seen = until
                yield since, until

    @staticmethod
    def _overlaps(stall: Stall, loop: int, since: float, until: float) -> bool:
        return stall.loop == loop and stall.began < until and (stall.ended is None or stall.ended > since)

    def as_models(self, now: float) -> tuple[model.Stall, ...]:
        """Newest first."""
        return tuple(stall.as_model(now) for stall in reversed(list(self._stalls)))
