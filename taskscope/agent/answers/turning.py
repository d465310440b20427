"""Answers to: what do the loops run while they are awake?

A few hundred looks over half a second; nothing of the program is hooked.  Only a loop that a callback of its
own keeps awake has its iterations counted (``hooks/pacing.py``).
"""

from __future__ import annotations

import sys
from collections import Counter
from typing import TYPE_CHECKING, Any
from weakref import ref

from taskscope import model
from taskscope.agent.answers.proofs import others_than
from taskscope.agent.answers.starting import Starts
from taskscope.agent.answers.undrained import Undrained
from taskscope.agent.hooks.pacing import Pace, paced
from taskscope.agent.inspect import futures, leaving, rearming, stacks, turns
from taskscope.agent.inspect.foreign import StandIn
from taskscope.agent.inspect.looking import class_name
from taskscope.agent.inspect.stillness import switches
from taskscope.agent.inspect.thread_waits import kernel_view
from taskscope.agent.inspect.threads import ident_of, known_threads, native_id, native_ids
from taskscope.agent.inspect.walk import spent
from taskscope.system import clock, system

if TYPE_CHECKING:
    from taskscope.agent.counts.loops import LoopWatch
    from taskscope.agent.counts.registry import Registry
    from taskscope.agent.hooks.parts import Part
    from taskscope.agent.inspect.rearming import Queued, State
    from taskscope.agent.inspect.turns import Turn
    from taskscope.agent.inspect.walk import Job

SECONDS, LONGEST = 0.5, 3.0
"""How long the loops are looked at; the latter if our own thread got too few looks, on a crowded machine."""

EVERY = 0.002
"""Seconds between looks: 10 to 30 µs each."""

MOST_LOOKS = 300

QUEUE = 20
"""Callbacks inspected per queue."""

MOST_KEYS = 200
"""Different callbacks distinguished per loop."""

ENOUGH = 20
"""Looks from which it means something that a callback was always there."""

ALWAYS = 0.95
"""Share of the looks: on the others it may be running, where it is not in the queue."""

STATES = 10
"""A callback that may spin is read on every tenth look."""

MOST_CALLBACKS, MOST_REARMED = 8, 4


class Turning:
    """Answers ``turns``."""

    def __init__(self, registry: Registry, watch: LoopWatch, pace: Part) -> None:
        self._registry = registry
        self._watch = watch
        self._pace = pace

    def turns(self, _: object) -> Job[tuple[model.LoopTurns, ...]]:
        tallies: dict[int, Tally] = {}
        starts = Starts(self._registry)
        yield from starts.begin()
        begun = now = clock.monotonic()
        looks = 0
        while looks < MOST_LOOKS and (now - begun < SECONDS or (looks < ENOUGH and now - begun < LONGEST)):
            if now - begun >= looks * EVERY:
                looks += 1
                yield from self._look(tallies, starts)
                yield from starts.look()
            yield
            now = clock.monotonic()
        found = []
        for tally in tallies.values():
            if tally.spun() is not None:
                paces = yield from paced(self._pace, tally.spun())
                tally.iterations = paces if paces is not None else tally.steps()
        yield from self._look(tallies, starts, last=True)
        for tally in tallies.values():
            described = yield from self._described(tally, starts)
            found.append(described)
        return tuple(found)

    def _look(self, tallies: dict[int, Tally], starts: Starts, *, last: bool = False) -> Job[None]:
        for number, loop in self._watch.loops():
            frames = sys._current_frames()
            frames.pop(system.get_ident(), None)  # avoids a reference cycle
            born = self._watch.born
            turn = turns.look_at_any(loop, frames, born, 0) if turns.shows_itself(loop) else None
            if turn is not None:
                if number not in tallies:
                    tallies[number] = Tally(number, loop, turn.thread)
                tallies[number].see(loop, turn, starts, last=last)
            del frames, turn, loop
            if spent():
                yield

    def _described(self, tally: Tally, starts: Starts) -> Job[model.LoopTurns]:
        seconds = max(1e-9, clock.monotonic() - tally.begun)
        cpu, sleeps = tally.used(seconds)
        found: list[model.Rearmed | None] = []
        for each in tally.always():
            rearmed = yield from self._rearmed(each)
            found += [rearmed]
        if tally.iterations is not None:
            found += yield from tally.undrained.described()
        return model.LoopTurns(
            tally.number,
            clock.monotonic(),
            seconds,
            tally.looks,
            tally.asleep,
            tally.without_wait,
            tally.iterations,
            cpu,
            sleeps,
            tally.callbacks(),
            tuple(each for each in found if each is not None),
            starts.described(tally.key, tally.others, tally.awake),
        )

    def _rearmed(self, seen: Seen) -> Job[model.Rearmed | None]:
        queued = seen.last
        seen.last = None
        if queued is None:
            return None
        function, _ = rearming.what(queued)
        frame, user = rearming.line_that_queues(queued)
        owner = rearming.owner(queued)
        tasks = [queued.task] if queued.task is not None else rearming.tasks_of(owner)
        task = next((each for each in tasks if futures.is_done(each)), tasks[0] if tasks else None)
        chunk = futures.chunk_of(task)
        left = None
        if owner is not None and user is None:
            everywhere = yield from others_than(None, self._registry.task_records())
            left = yield from leaving.left_by(owner, everywhere, self._loops())
        yield
        return model.Rearmed(
            function,
            frame,
            user or left,
            of_task=queued.task is not None,
            changes=seen.changes or not seen.compared,
            counts=seen.counts,
            owner=class_name(owner) if owner is not None else "",
            task=futures.serial_of(task) or 0,
            coroutine=stacks.coroutine_of(task) if task is not None else "",
            site=chunk.site.id if chunk is not None else 0,
            ended=bool(tasks) and all(map(futures.is_done, tasks)),
            left_by=left,
        )

    def _loops(self) -> list[object]:
        return [loop for _, loop in self._watch.loops()]


class Seen:
    """One callback as seen on several looks.  Weak references only, until the last look."""

    def __init__(self, queued: Queued) -> None:
        self.function, self.frame = rearming.what(queued)
        self.task = futures.serial_of(queued.task) or 0 if queued.task is not None else 0
        self.looks = self.renewed = self.compared = 0
        self.steps = True
        self.changes = self.counts = False
        self._handle: ref[Any] = ref(queued.handle)
        self._state: State | None = None
        self.last: Queued | None = None
        self._first = self._taken = queued.task.steps if type(queued.task) is StandIn else 0

    def see(self, queued: Queued) -> None:
        self.looks += 1
        taken = queued.task.steps if type(queued.task) is StandIn else 0
        if self._handle() is not queued.handle or taken != self._taken:
            self.renewed += 1
            self._handle, self._taken = ref(queued.handle), taken
        self.steps = self.steps and (queued.task is None or queued.steps)

    @property
    def steps_of_trio(self) -> int:
        """How often a task of trio has given way since it was first seen."""
        return self._taken - self._first

    def compare(self, queued: Queued) -> None:
        if type(queued.task) is StandIn and stacks.is_running(queued.task.coroutine):
            return  # its variables are those of a step
        state, before = rearming.state_of(queued), self._state
        if before is not None:
            self.compared += 1
            self.counts = self.counts or state.numbers != before.numbers
            self.changes = self.changes or state.others != before.others
        self._state = state


class Tally:
    """What was seen of one loop."""

    def __init__(self, number: int, loop: Any, thread: int) -> None:
        self.number, self.key = number, id(loop)
        self.begun = clock.monotonic()
        self.looks = self.asleep = self.without_wait = 0
        self.awake = self.others = 0  # with callbacks queued; with other ones than tasks that are followed
        self.iterations: float | None = None
        self._loop = ref(loop)
        self._seen: dict[tuple[int, int], Seen] = {}
        self._native = next(
            (native_id(each, native_ids()) for each in known_threads() if ident_of(each) == thread), 0
        )
        self._before = _usage(self._native)
        self.undrained = Undrained(self._native)

    def see(self, loop: Any, turn: Turn, starts: Starts, *, last: bool) -> None:
        """``last``: keeps what was always there, to describe it at once."""
        self.looks += 1
        self.undrained.see(loop)
        self.asleep += turn.doing in ("idle", "overslept")
        self.without_wait += turn.doing == "between"
        here: dict[tuple[int, int], Queued] = {}
        for handle in turns.queued(loop, turn, QUEUE):
            queued = rearming.read(handle)
            if type(queued.callback) is not Pace:
                here.setdefault(queued.key, queued)
        known = starts.knows(here.values()) if here else None
        self.awake += known is not None
        self.others += known is False
        for key, queued in here.items():
            seen = self._seen.get(key)
            if seen is None:
                if len(self._seen) >= MOST_KEYS:
                    continue
                seen = self._seen[key] = Seen(queued)
            seen.see(queued)
            of_trio = type(queued.task) is StandIn  # which is often found running, and not read then
            if (of_trio or self.looks % STATES == 0) and self._is_always(seen):
                seen.compare(queued)
            if last and self._is_always(seen):
                seen.last = queued

    def _is_always(self, seen: Seen) -> bool:
        return not self.asleep and seen.looks >= ALWAYS * self.looks and seen.steps

    def steps(self) -> float | None:
        """Iterations per second of a run of trio: each resumes a task once that only gives way."""
        most = max((each.steps_of_trio for each in self.always()), default=0)
        return most / max(1e-9, clock.monotonic() - self.begun) if most else None

    def always(self) -> list[Seen]:
        """Callbacks that were queued anew on every look."""
        if self.looks < ENOUGH:
            return []
        found = [each for each in self._seen.values() if self._is_always(each) and each.renewed >= ENOUGH / 2]
        return found[:MOST_REARMED]

    def callbacks(self) -> tuple[model.Callback, ...]:
        """What ran, by function and line."""
        looks: Counter[tuple[str, model.Frame]] = Counter()
        tasks: dict[tuple[str, model.Frame], set[int]] = {}
        for each in self._seen.values():
            looks[each.function, each.frame] += each.looks
            tasks.setdefault((each.function, each.frame), set()).add(each.task)
        found = []
        for key, count in looks.most_common(MOST_CALLBACKS):
            known = tasks[key]
            found.append(model.Callback(*key, looks=count, task=known.pop() if len(known) == 1 else 0))
        return tuple(found)

    def used(self, seconds: float) -> tuple[float | None, float | None]:
        """Share of a core that the loop's thread used, and how often it slept per second."""
        (cpu, slept), (cpu_before, slept_before) = _usage(self._native), self._before
        share = (cpu - cpu_before) / seconds if cpu is not None and cpu_before is not None else None
        rate = (slept - slept_before) / seconds if slept is not None and slept_before is not None else None
        return share, rate

    def spun(self) -> Any:
        """The loop, if a callback of its own keeps it awake, or a descriptor; else None."""
        always = (self.without_wait and self.always()) or self.undrained.found()
        return self._loop() if always else None


def _usage(native: int) -> tuple[float | None, int | None]:
    """CPU seconds of a thread, and how often it has slept."""
    slept = switches(native)[:1] if native else ()
    return kernel_view(native)[0], slept[0] if slept else None
