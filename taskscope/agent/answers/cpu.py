"""Answers to: which code uses the CPU?  Nothing runs for this unless asked.

Every few milliseconds the agent's thread looks at all stacks.  What a thread has used since the last look, as
the kernel counts it, is charged to the stack it is found in.  A loop found polling without waiting is charged
to what it has queued.  One found asleep used none to sleep: that is charged to what it is found running next.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from taskscope import model
from taskscope.agent.hooks.interruption import interrupt
from taskscope.agent.inspect import futures, origins, rearming, runs, stacks, turns
from taskscope.agent.inspect.looking import attribute, text
from taskscope.agent.inspect.threads import agent_native, ident_of, known_threads, native_id, native_ids
from taskscope.agent.inspect.walk import begin_slice, spent
from taskscope.system import clock, system

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import CodeType, FrameType

    from taskscope.agent.counts.loops import LoopWatch
    from taskscope.agent.hooks.parts import Part
    from taskscope.agent.inspect.rearming import Queued
    from taskscope.agent.inspect.turns import Turn
    from taskscope.agent.inspect.walk import Job
    from taskscope.model import requests

EVERY = 0.02
"""Seconds between looks."""

REST = 0.01
"""Seconds that our thread sleeps at a time meanwhile: shorter ones would cost more than the looks."""

AGAIN = 3
"""Most looks in a row while a loop that has used CPU is found asleep: a thread that waits for the GIL gets it
when others fall asleep, and would always find them so."""

MOST_THREADS = 16
"""Threads whose CPU is read per look; more take turns."""

LEAST = 100_000
"""Nanoseconds of CPU from which a thread's stack is worth reading; less is charged later."""

DEPTH = 60
"""Frames kept per stack, innermost ones."""

MOST_STACKS, LISTED = 2_000, 300
"""Stacks distinguished per answer, and those told: the ones with most CPU."""

QUEUED = 20

ASLEEP = ("idle", "overslept")
"""What a loop does in its selector, the latter also because our thread has the GIL."""

AWAY, STEP, STEPS = 0.0002, 0.00005, 7
"""Seconds that the program runs before a look: at least, and by how much that varies, not to keep step."""


class _Stack(NamedTuple):
    """Outermost first."""

    thread: int
    site: int
    work: str
    loop: bool
    lines: tuple[tuple[CodeType, int], ...]


class CpuSampler:
    """Answers ``cpu``."""

    def __init__(self, watch: LoopWatch, agent_thread: Callable[[], int], interruption: Part) -> None:
        self._watch = watch
        self._agent_thread = agent_thread
        self._interruption = interruption

    def cpu(self, query: requests.Cpu) -> Job[model.CpuSlice]:
        own = clock.thread_time()
        used, begun = clock.process_time(), clock.monotonic()
        look = _Looks(self._watch, self._agent_thread(), self._interruption)
        following = begun
        while (now := clock.monotonic()) < begun + query.seconds:
            if now >= following:
                following = now + EVERY
                yield from look.look()
            clock.sleep(min(REST, max(0.0, following - clock.monotonic())))
            begin_slice()
            yield
        seconds = clock.monotonic() - begun
        return (
            yield from look.described(seconds, clock.process_time() - used, lambda: clock.thread_time() - own)
        )


class _Looks:
    """What was seen so far."""

    def __init__(self, watch: LoopWatch, agent_thread: int, interruption: Part) -> None:
        self._watch = watch
        self._agent = agent_thread
        self._interruption = interruption
        self._count = 0
        self._names: dict[int, str] = {}
        self._natives: dict[int, int] = {}
        self._used: dict[int, int] = {}  # nanoseconds when last read, by thread
        self._totals: dict[int, int] = {}
        self._found: dict[tuple[object, ...], tuple[_Stack, list[int]]] = {}
        self._left_out = 0
        self._held: dict[int, int] = {}  # nanoseconds of loops that were found asleep, by thread
        self._last: dict[int, _Stack] = {}  # what each was found running last
        self._meet_threads()

    def _meet_threads(self) -> None:
        here = native_ids()
        self._natives = {self._agent: agent_native(self._agent)}
        self._names = {self._agent: "TaskScope agent"}
        for thread in known_threads():
            ident = ident_of(thread)
            if ident is not None:
                self._natives[ident] = native_id(thread, here)
                self._names[ident] = text(attribute(thread, "_name"))

    def look(self) -> Job[None]:
        for _ in range(AGAIN):
            self._look()
            if spent():
                yield
            if not self._held:
                break

    def _look(self) -> None:
        interrupt(self._interruption, AWAY + self._count % STEPS * STEP)
        frames = stacks.current_frames()
        if not self._count % 50 or any(ident not in self._natives for ident in frames):
            self._meet_threads()
        self._count += 1
        idents = sorted(frames)
        if len(idents) > MOST_THREADS:
            first = self._count * MOST_THREADS % len(idents)
            idents = (idents + idents)[first : first + MOST_THREADS]
        used = {ident: self._since_last(ident) + self._held.pop(ident, 0) for ident in idents}
        busy = {ident: each for ident, each in used.items() if each >= LEAST}
        if busy:
            turning = self._turning(frames)
            for ident, each in busy.items():
                self._charge(ident, each, frames[ident], turning.get(ident))
            turning.clear()
        frames.clear()

    def _since_last(self, ident: int) -> int:
        """Nanoseconds since they were last charged; 0: too few, they are charged later."""
        native = self._natives.get(ident, 0)
        now = _nanoseconds(native) if native else None
        if now is None:
            return 0
        before = self._used.setdefault(ident, now)
        if now - before < LEAST:
            return 0
        self._used[ident] = now
        return now - before

    def _turning(self, frames: dict[int, FrameType]) -> dict[int, tuple[Any, Turn | None]]:
        """The loop of each thread, and what that does if it can be read."""
        found: dict[int, tuple[Any, Turn | None]] = {}
        for _, loop in self._watch.loops():
            if turns.shows_itself(loop):
                turn = turns.look_at_any(loop, frames, self._watch.born, 0)
                # a run of trio may be a guest in a loop that is found before it
                if turn is not None and (turn.thread not in found or turn.doing == "calling"):
                    found[turn.thread] = loop, turn
        return found

    def _charge(
        self, ident: int, used: int, frame: FrameType, turning: tuple[Any, Turn | None] | None
    ) -> None:
        if ident == self._agent:
            self._add(ident, used, None)
            return
        if turning is not None and turning[1] is not None and turning[1].doing in ASLEEP:
            self._held[ident] = used
            return
        stack = self._last[ident] = self._stack(ident, frame, turning)
        self._add(ident, used, stack)

    def _add(self, ident: int, used: int, stack: _Stack | None) -> None:
        self._totals[ident] = self._totals.get(ident, 0) + used
        if stack is None:
            return
        key = (*stack[:4], *((id(code), line) for code, line in stack.lines))
        if key not in self._found and len(self._found) >= MOST_STACKS:
            self._left_out += used
            return
        _, counts = self._found.setdefault(key, (stack, [0, 0]))
        counts[0] += used
        counts[1] += 1

    def _stack(self, ident: int, frame: FrameType, turning: tuple[Any, Turn | None] | None) -> _Stack:
        loop, turn = turning if turning is not None else (None, None)
        if turn is None:
            return _Stack(ident, 0, "", False, _lines(stacks.thread_frames(frame)))
        if runs.is_run(loop):
            return (
                _of_task(ident, turn.task, _lines(list(turn.frames)))
                if turn.task is not None
                else _of_loop(ident)
            )
        queue = turns.queued(loop, turn, QUEUED)
        if turn.doing == "calling" and queue:
            inside = [each for each in turn.frames if each.f_code.co_qualname != "Handle._run"]
            return _of_queued(ident, rearming.read(queue[0]), _lines(inside))
        if turn.doing == "between" and queue:
            queued = rearming.read(queue[self._count % len(queue)])
            if queued.task is not None:
                chain = stacks.await_chain(futures.coroutine(queued.task))
                return _of_queued(ident, queued, _lines(chain))
            code = rearming.code_of(queued.callback)
            return _of_queued(ident, queued, ((code, code.co_firstlineno),) if code is not None else ())
        return _of_loop(ident)

    def described(self, seconds: float, cpu: float, cost: Callable[[], float]) -> Job[model.CpuSlice]:
        for ident, held in self._held.items():
            self._add(ident, held, self._last.get(ident) or _of_loop(ident))
        places: dict[tuple[int, int], int] = {}
        table: list[model.Frame] = []
        shown = sorted(self._found.values(), key=lambda each: -each[1][0])
        found = []
        for stack, (used, looks) in shown[:LISTED]:
            indexes = []
            for code, line in stack.lines:
                at = places.get((id(code), line))
                if at is None:
                    at = places[id(code), line] = len(table)
                    table.append(origins.frame_of(code, line))
                indexes.append(at)
            found.append(
                model.CpuStack(
                    stack.thread, stack.site, stack.work, stack.loop, used / 1e9, looks, tuple(indexes)
                )
            )
            if spent():
                yield
        left = self._left_out + sum(used for _, (used, _) in shown[LISTED:])
        threads = tuple(
            model.CpuThread(ident, self._names.get(ident, str(ident)), used / 1e9, ident == self._agent)
            for ident, used in sorted(self._totals.items(), key=lambda each: -each[1])
        )
        return model.CpuSlice(
            clock.monotonic(),
            seconds,
            self._count,
            cpu,
            cost(),
            tuple(table),
            threads,
            tuple(found),
            left / 1e9,
        )


def _of_loop(ident: int) -> _Stack:
    return _Stack(ident, 0, "(event loop)", True, ())


def _of_queued(ident: int, queued: Queued, lines: tuple[tuple[CodeType, int], ...]) -> _Stack:
    if queued.task is None:
        return _Stack(ident, 0, rearming.name_of(queued), True, lines)
    return _of_task(ident, queued.task, lines)


def _of_task(ident: int, task: object, lines: tuple[tuple[CodeType, int], ...]) -> _Stack:
    chunk = futures.chunk_of(task)
    return _Stack(ident, chunk.site.id if chunk is not None else 0, stacks.coroutine_of(task), True, lines)


def _lines(frames: list[FrameType]) -> tuple[tuple[CodeType, int], ...]:
    """Outermost first, of the innermost frames; without ours."""
    kept = [each for each in frames[:DEPTH] if not origins.is_own(each.f_code.co_filename)]
    return tuple((each.f_code, each.f_lineno) for each in reversed(kept))


def _nanoseconds(native: int) -> int | None:
    """CPU time of a thread; None: it has ended, or the kernel does not say."""
    try:
        return int(system.contents(f"/proc/self/task/{native}/schedstat").split()[0])
    except (OSError, ValueError, IndexError):
        pass
    try:
        fields = system.contents(f"/proc/self/task/{native}/stat").rpartition(b")")[2].split()
        return (int(fields[11]) + int(fields[12])) * 1_000_000_000 // system.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError):
        return None
