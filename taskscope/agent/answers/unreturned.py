"""Slots and items that were taken, and that nobody who lives will give back.

A semaphore without a free slot, a queue whose items are not all done: somebody has them, unless no function
of the program that would give them back is running or suspended (see ``inspect/giving.py``).
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from taskscope import model
from taskscope.agent.answers import standing
from taskscope.agent.inspect import futures, giving, holdings, origins, stacks, waited
from taskscope.agent.inspect.island import OwnRef
from taskscope.agent.inspect.looking import attribute, class_name, number, size
from taskscope.agent.inspect.walk import spent
from taskscope.system import clock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from types import FrameType

    from taskscope.agent.inspect.waited import Kind
    from taskscope.agent.inspect.walk import Job

STILL = 8.0
"""Seconds for which a task has waited before it is worth reading code."""

KEEP = 30.0
"""Seconds for which what was read in the code counts."""

MAX_THINGS, MAX_LINES = 20, 5

_PAIRS: dict[Kind, giving.Pair] = {"acquire": giving.SLOTS, "join": giving.ITEMS}


class _Used:
    """What tasks wait for.  ``lines``: where they wait; ``takers``: where it was, or would be, taken."""

    def __init__(self, thing: object, kind: Kind, since: float) -> None:
        self.thing = OwnRef(thing)
        self.kind = kind
        self.since = since
        self.waiting = 0
        self.lines: Counter[model.Frame] = Counter()
        self.takers: Counter[model.Frame] = Counter()


class GiversRead:
    """What was read in the program's code; keeps no other reference to it."""

    def __init__(self) -> None:
        self._known: dict[giving.Pair, tuple[float, giving.Givers | None]] = {}

    def of(self, pair: giving.Pair) -> Job[giving.Givers | None]:
        until, known = self._known.get(pair, (0.0, None))
        if until < clock.monotonic():
            known = yield from giving.givers(pair)
            self._known[pair] = clock.monotonic() + KEEP, known
        return known


class Unreturned:
    """What one look finds."""

    def __init__(self) -> None:
        self._used: dict[int, _Used] = {}
        self._now = clock.monotonic()

    def note(self, task: object, since: float) -> None:
        """Notes what a task that has not moved since then waits for."""
        if since > self._now - STILL or len(self._used) >= MAX_THINGS:
            return
        kind, thing = waited.taken_from(stacks.await_chain(futures.coroutine(task)))
        if kind in _PAIRS and thing is not None and _is_used_up(thing):
            known = self._used.setdefault(id(thing), _Used(thing, kind, since))
            known.since = min(known.since, since)

    def found(
        self, tasks: Callable[[], Iterator[object | None]], read: GiversRead, agent: int
    ) -> Job[tuple[model.Unreturned, ...]]:
        """``tasks``: all of them; None wherever a pause is due."""
        found: list[model.Unreturned] = []
        for kind, pair in _PAIRS.items():
            used = [each for each in self._used.values() if each.kind == kind]
            known = (yield from read.of(pair)) if used else None
            if known is not None and (yield from self._nobody_has(tasks(), known, agent)):
                left = [each for each in used if each in self._used.values()]
                found += [told for each in left if (told := _told(each)) is not None]
        return tuple(found)

    def _nobody_has(self, tasks: Iterator[object | None], known: giving.Givers, agent: int) -> Job[bool]:
        """Whether no task or thread may have taken something that it gives back; notes who waits."""
        for task in tasks:
            if task is None:
                yield
                continue
            yield from holdings.read(task)
            frames = stacks.await_chain(futures.coroutine(task))
            kind, thing = waited.taken_from(frames)
            own = stacks.outside_plumbing(frames)
            if kind is not None:
                self._note_waiter(kind, thing, own)
            if known.may_have(known.behind(own) if kind in ("acquire", "get") else own):
                return False
            self._forget_held(holdings.of_task(task))
            del task, thing
        for ident, frame in stacks.current_frames().items():
            if ident == agent:
                continue
            if known.may_have(stacks.thread_frames(frame)):
                return False
            yield from holdings.read_frames(frame)
            self._forget_held(each for each, _ in holdings.of_frames(frame))
            if spent():
                yield
        return True

    def _forget_held(self, held: Iterable[holdings.Holding]) -> None:
        """Whoever is inside a ``with`` gives back as well, without naming it."""
        for each in held:
            self._used.pop(id(each.thing), None)

    def _note_waiter(self, kind: Kind, thing: object, own: list[FrameType]) -> None:
        used = self._used.get(id(thing))
        line = standing.line_of(own)
        if used is None or used.thing() is not thing or line is None:
            return
        if kind == "get":
            used.takers[line] += 1
            return
        used.waiting += 1
        used.lines[line] += 1
        at = giving.unguarded(own[0].f_code, giving.SLOTS) if kind == "acquire" else None
        if at is not None:
            used.takers[origins.frame_of(own[0].f_code, at)] += 1


def _told(used: _Used) -> model.Unreturned | None:
    """None if something was given back meanwhile, or the program's own code does not take it."""
    thing = used.thing()
    if thing is None or not _is_used_up(thing) or any(each.origin != "user" for each in used.lines):
        return None
    return model.Unreturned(
        "slots" if used.kind == "acquire" else "items",
        class_name(thing),
        number(attribute(thing, "_bound_value" if used.kind == "acquire" else "_unfinished_tasks")) or 0,
        used.since,
        used.waiting,
        tuple(model.WaitingAt(*each) for each in used.lines.most_common(MAX_LINES)),
        tuple(model.WaitingAt(*each) for each in used.takers.most_common(MAX_LINES)),
    )


def _is_used_up(thing: object) -> bool:
    """Whether no slot is free, or items are unfinished although none is left."""
    if size(attribute(thing, "_queue")) == 0:
        return (number(attribute(thing, "_unfinished_tasks")) or 0) > 0
    return number(attribute(thing, "_value")) == 0 or attribute(thing, "_locked") is True
