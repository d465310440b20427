"""How late loops run callbacks, what blocks them, and which sleep when they should not.

The principle: observe a loop, never schedule on it.  A callback would wake it, and so hide the very fault the
user may be looking for: a lost wake-up.  So everything is read from the frames of its thread (see ``turns``),
five times a second.

- A loop that runs callbacks is as late as its turn is old: at a random moment, elapsed and remaining time
  have the same distribution.  If it advances from callback to callback, its queue counts at that speed.
- An idle loop would wake as late as our own thread, which was asleep too, just did.
- A loop that sleeps with queued callbacks or an overdue timer, on two looks in a row, has lost a wake-up.
  That is reported, and not repaired.

A run of trio shows its turns likewise, but loses no wake-up.

A loop not written in Python (uvloop) does not expose its turns.  It gets a callback, but only while code of
the program is seen running in it: it is awake, and will check its queue anyway.
"""

from __future__ import annotations

import itertools
import sys
from typing import TYPE_CHECKING, Any
from weakref import ref

from taskscope.agent.counts import cpu, own_work, stranded
from taskscope.agent.counts.stall import Stall, StallLog
from taskscope.agent.counts.watched_loop import Tally, WatchedLoop
from taskscope.agent.inspect import futures, runs, turns
from taskscope.agent.inspect.thread_waits import waits_its_turn
from taskscope.agent.inspect.walk import PAUSE, SLICE, run, spent
from taskscope.system import clock, system

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import FrameType

    from taskscope import model
    from taskscope.agent.counts.registry import Registry
    from taskscope.agent.inspect.turns import Turn
    from taskscope.agent.inspect.walk import Job

LOOK_EVERY = 0.2
"""Seconds between looks.  An idle loop costs 8 to 16 µs: at most 0.01 % of a core."""

MOST = 0.005
"""Largest share of a core for looking, however many loops there are."""

FINE = 0.02
"""Seconds between looks at a new stall; later 2 % of its length."""

STALL = 0.25
"""Seconds without a turn of the loop that count as a stall."""

OVERSLEPT = 0.5
"""Seconds a loop must sleep with work to do before it counts as a lost wake-up."""

PAUSED = 0.1
"""Seconds without waking or using CPU from which the process counts as paused."""

MANY_CALLS = 10
"""Callbacks of a turn from which their speed predicts when queued ones run."""

CROWD = 100
"""Callbacks of a turn from which a stall is presumed a crowd, until the next look decides."""

LOST = 60.0
"""Seconds after which our callback on a loop is given up."""

MANY = 64
"""Prune closed loops above this many."""


class LoopWatch:
    """All loops found by the hooks.  Weak references only."""

    def __init__(self, failed: Callable[[str, BaseException], None], born: float = 0.0) -> None:
        self._failed = failed
        self.born = born
        self._ids = itertools.count(1)
        self._watched: dict[int, WatchedLoop] = {}
        self._round: list[WatchedLoop] = []  # still to be looked at in this round
        self._wait = self._took = 0.0  # of this round
        self._copies: list[Any] = []  # only right after a fork
        self._enough = MANY
        self.log = StallLog()
        self.tally = Tally()
        self._due, self._cpu = clock.monotonic(), clock.process_time()
        self._idle = 0.0  # seconds before this look without wake-up or CPU use

    # -- which loops there are -----------------------------------------------------------------

    def meet(self, loop: Any) -> None:
        """Adds a loop that may be a copy in a forked child."""
        if not self.is_copy(loop):
            self.add(loop)

    def add(self, loop: Any) -> None:
        """Adds a loop; called in the thread that creates or finds it."""
        if len(self._watched) >= self._enough:
            self._forget_closed()
            self._enough = 2 * len(self._watched) + MANY
        self._watched[id(loop)] = WatchedLoop(next(self._ids), loop, system.get_ident(), self.tally)

    def _forget_closed(self) -> None:
        """Prunes closed loops: programs may run hundreds in turn between looks."""
        for watched in list(self._watched.values()):
            loop = watched.reference()
            if loop is None or turns.is_closed(loop):
                self._forget(watched)

    def _forget(self, watched: WatchedLoop) -> None:
        if self._watched.get(watched.key) is watched:
            self._watched.pop(watched.key, None)
        if watched.stall is not None:
            watched.stall.ended = clock.monotonic()

    def id_of(self, loop: Any) -> int:
        watched = self._watched.get(id(loop))
        return watched.id if watched is not None and watched.reference() is loop else 0

    def loops(self) -> list[tuple[int, Any]]:
        """Ids and live loops."""
        found = [(each.id, each.reference()) for each in list(self._watched.values())]
        return [(id, loop) for id, loop in found if loop is not None]

    def threads(self) -> dict[int, int]:
        """The thread in which each loop was made or last seen to run, by id."""
        return {each.id: each.thread for each in list(self._watched.values())}

    def running(self) -> Job[dict[int, int]]:
        """Ids of the running loops, by thread: 20 microseconds each, and a leak may leave thousands."""
        found: dict[int, int] = {}
        for watched in list(self._watched.values()):
            loop = watched.reference()
            if not turns.is_legible(loop) or turns.claimed_thread(loop) is not None:
                turn = self._turn(watched, loop, sys._current_frames())
                found |= {turn.thread: watched.id} if turn is not None else {}
            loop = turn = None
            if spent():
                yield
        return found

    def _turn(self, watched: WatchedLoop, loop: Any, frames: Mapping[int, FrameType]) -> Turn | None:
        return turns.look_at_any(loop, frames, self.born, watched.thread) if loop is not None else None

    @property
    def in_doubt(self) -> bool:
        """Whether a loop seems to sleep with work to do, but not yet for long enough."""
        return any(type(each.mark) is ref and not each.stall for each in list(self._watched.values()))

    # -- looking -------------------------------------------------------------------------------

    def look(self, late: float | None = None) -> float:
        """Looks at every loop, a slice at a time; returns the seconds until the next call.

        ``late``: seconds by which our thread just woke late; None: unknown.
        """
        now, cpu, own = clock.monotonic(), clock.process_time(), clock.thread_time()
        self._idle = max(0.0, now - self._due - (cpu - self._cpu))
        if not self._round:
            self._round = list(self._watched.values())
            self.log.collected(lambda: run(self.running()), STALL, now)
            self._wait, self._took = LOOK_EVERY, 0.0
        (frames := sys._current_frames()).pop(system.get_ident(), None)
        end = now
        while self._round and end - now < SLICE:
            watched = self._round.pop()
            loop = watched.reference()
            if loop is None or turns.is_closed(loop):
                self._forget(watched)
            else:
                self._wait = min(self._wait, self._see_one(watched, loop, frames, now, late))
            del loop
            end = clock.monotonic()
        self._took += clock.thread_time() - own
        wait = PAUSE if self._round else max(self._wait, self._took / MOST)
        self._due, self._cpu = end + wait, clock.process_time()
        return wait

    def _see_one(
        self, watched: WatchedLoop, loop: Any, frames: Mapping[int, FrameType], now: float, late: float | None
    ) -> float:
        try:
            turn = self._turn(watched, loop, frames)
            see = self._see if turns.shows_itself(loop) else self._see_from_outside
            return see(watched, loop, turn, now, late)
        except Exception as error:  # noqa: BLE001  (an outer edge: each loop on its own)
            self._forget(watched)
            self._failed("loops", error)
            return LOOK_EVERY

    def _see(
        self, watched: WatchedLoop, loop: Any, turn: Turn | None, now: float, late: float | None
    ) -> float:
        """Looks at a loop whose turns are visible.  Returns the seconds until the next look."""
        if turn is None or not watched.stands_at(turn.mark):
            self._over(watched, now, turn.begun if turn is not None else None)
            watched.stand(turn, now)
        watched.looked = now
        if turn is None:
            return LOOK_EVERY
        self._pause(watched, now)
        if turn.doing == "calling":
            return self._calling(watched, loop, turn, now)
        if turn.doing == "overslept":
            self._overslept(watched, loop, turn, now)
        else:
            watched.note(late, now)
        return LOOK_EVERY

    def _calling(self, watched: WatchedLoop, loop: Any, turn: Turn, now: float) -> float:
        lasted, stall, opened = now - watched.since, watched.stall, None
        waiting = turns.waiting(loop, turn)
        many = turn.calls >= MANY_CALLS
        crowd = min(10.0, max(1.0, waiting / turn.calls)) if many else 1.0
        watched.note(lasted * crowd, now)
        if stall is None:
            if watched.delay is None:
                watched.delay = cpu.delay_of(watched.native_id())
            if lasted < STALL or self._is_held(watched.thread):  # by a guest: a run of trio
                return min(LOOK_EVERY, max(FINE, STALL - lasted))
            stall = opened = self._held(watched, turn, at_least=turn.begun is None)
            stall.task = futures.serial_of(turn.task) or turns.current_serial(loop)
            crowded = turn.calls >= CROWD  # until the next look
        else:
            crowded = turn.calls != watched.calls  # it advances: many calls, not one, delay it
        if crowded or not stall.judged:
            stall.why, stall.queued = ("crowd", max(1, waiting)) if crowded else ("held", 0)
        stall.judged = stall is not opened
        watched.calls = turn.calls
        stall.paused = watched.paused
        self.log.measure(stall, now)
        return min(LOOK_EVERY, max(FINE, lasted / 50))

    def _overslept(self, watched: WatchedLoop, loop: Any, turn: Turn, now: float) -> None:
        watched.note(now - watched.found, now)
        if watched.stall is None and now - watched.found >= OVERSLEPT:
            if own_work.wakes(loop, turn, watched.earliest, self.log.collected_here):
                return
            if waits_its_turn(watched.native_id()):
                return
            stall = watched.stall = self.log.add(
                Stall(watched.id, "asleep", watched.since, turn.begun is None)
            )
            stall.queued = turns.length(loop, "_ready") or 0
            stall.left(turn)

    def _see_from_outside(
        self, watched: WatchedLoop, loop: Any, turn: Turn | None, now: float, late: float | None
    ) -> float:
        """Looks at a loop whose turns are not visible."""
        probe = watched.probe
        if probe is not None and (turn is None or probe.ran is not None or now - probe.sent > LOST):
            if probe.ran is None:
                probe.handle.cancel()
            else:
                watched.note(probe.ran - probe.sent, now)
            self._over(watched, now, probe.ran)
            watched.probe = probe = None
        if turn is None:
            return LOOK_EVERY
        watched.thread = turn.thread
        if probe is None:
            if turn.doing == "calling":
                watched.hand_over(loop, now)
                watched.delay = cpu.delay_of(watched.native_id())
            else:
                watched.idle = now
                watched.note(late, now)
            return LOOK_EVERY
        self._pause(watched, now)
        waited = now - probe.sent
        if waited < STALL:
            return min(LOOK_EVERY, STALL - waited)
        if watched.stall is None and turn.doing == "calling":
            self._held(watched, turn, at_least=True).date_back(watched.idle, now)
        if watched.stall is not None:
            watched.stall.paused = watched.paused
            self.log.measure(watched.stall, now)
        return LOOK_EVERY

    def _pause(self, watched: WatchedLoop, now: float) -> None:
        """Accounts for time in which the process got no CPU."""
        if self._idle >= PAUSED and now - watched.since >= self._idle:
            watched.paused += self._idle
            watched.found += self._idle

    # -- stranded tasks ------------------------------------------------------------------------

    def look_for_stranded(self, registry: Registry) -> Job[bool]:
        """Looks for stranded tasks; whether some need a second look to be sure."""
        found = yield from stranded.look(registry, self._idle_loops())
        idle, doubt = self._idle_loops(), False
        for watched in list(self._watched.values()):
            here = found.get(watched.key) if watched.key in idle else None
            doubt |= stranded.judge(watched, here, self.log)
        return doubt

    def _idle_loops(self) -> set[int]:
        frames = sys._current_frames()
        turn = {each.key: self._turn(each, each.reference(), frames) for each in list(self._watched.values())}
        frames.clear()
        return {key for key, each in turn.items() if each is not None and each.doing == "idle"}

    def wakes(self, loop: Any) -> None:
        """Marks the stall of a loop that we are about to wake for a request that must run in it."""
        watched = self._watched.get(id(loop))
        for stall in (watched.stall, watched.stranded) if watched is not None else ():
            if stall is not None and stall.why != "held":
                stall.woken = True

    def _is_held(self, thread: int) -> bool:
        return any(each.thread == thread and each.stall is not None for each in self._watched.values())

    # -- stalls --------------------------------------------------------------------------------

    def _held(self, watched: WatchedLoop, turn: Turn, *, at_least: bool) -> Stall:
        native = watched.native_id()
        stall = watched.stall = self.log.add(Stall(watched.id, "held", watched.since, at_least, native))
        stall.look_at(turn.frames, watched.delay)
        return stall

    def _over(self, watched: WatchedLoop, now: float, over: float | None) -> None:
        """Ends what the loop was doing, at ``over`` at the latest."""
        stall, watched.stall = watched.stall, None
        if stall is not None:
            if self._idle >= PAUSED:
                stall.paused += self._idle
            stall.ended = now if over is None else min(now, max(over, stall.began))
            self.log.measure(stall, now)
            watched.keep(max(0.0, stall.ended - watched.waiting_since(stall)))

    # -- reports -------------------------------------------------------------------------------

    def latency(self) -> float | None:
        """The highest p99 latency of any loop over the last minute, in seconds."""
        now = clock.monotonic()
        every = [each.percentiles(now)[1] for each in list(self._watched.values())]
        return max((each for each in every if each is not None), default=None)

    def describe(self, live: Mapping[int, int]) -> Job[tuple[model.Loop, ...]]:
        """Every loop.  ``live``: tasks by loop id."""
        frames, found = sys._current_frames(), []
        for watched in list(self._watched.values()):
            one = self._described(watched, frames, live)
            found += [one] if one is not None else []
            if spent():
                frames.clear()
                yield
                frames = sys._current_frames()
        frames.clear()  # avoids a reference cycle
        return tuple(found)

    def _described(
        self, watched: WatchedLoop, frames: Mapping[int, FrameType], live: Mapping[int, int]
    ) -> model.Loop | None:
        loop = watched.reference()
        try:
            turn = self._turn(watched, loop, frames)
            return watched.as_model(loop, turn, live.get(watched.id, 0)) if loop is not None else None
        except Exception as error:  # noqa: BLE001  (an outer edge: each loop on its own)
            self._forget(watched)
            self._failed("loops", error)
            return None

    # -- life ----------------------------------------------------------------------------------

    def forked(self) -> None:
        """In a forked child: drops the parent's measurements and turns."""
        self.born = self._due = clock.monotonic()
        self.log.clear()
        self.tally.clear()
        for watched in list(self._watched.values()):
            watched.latencies.clear()
            watched.stall = watched.probe = watched.mark = None
            loop = watched.reference()
            if runs.is_run(loop):
                self._watched.pop(watched.key, None)
            elif loop is not None and turns.builtin(loop, "is_running"):
                self._copies.append(loop)

    def forget_copies(self) -> tuple[Any, ...]:
        """Forgets copies of the parent's loops, which claim to run and do not."""
        copies = (*self._copies, *(loop for _, loop in self.loops() if self.is_copy(loop)))
        self._copies.clear()
        for loop in copies:
            self._watched.pop(id(loop), None)
        return copies

    def is_copy(self, loop: Any) -> bool:
        """Whether it is a copy of a loop that runs in the parent process."""
        return turns.is_copy(loop, self.born)

    def stop(self) -> None:
        """Cancels our pending callbacks."""
        for watched in list(self._watched.values()):
            if watched.probe is not None:
                watched.probe.handle.cancel()
        self._watched.clear()
