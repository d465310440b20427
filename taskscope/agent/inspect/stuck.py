"""Whether anything that lives can wake a suspended task: if not, it is stuck for ever.

What it waits for must be within reach of somebody who still runs: a module, a running function, a timer, a
registered reader, a thread, an object written in C.  That the task itself is known to somebody is no such
reach; a timer that leads to the task is, as it may cancel it, and so is a task that awaits it and goes on by
itself.  Whatever is not seen, or not in time, counts as somebody who lives.
"""

from __future__ import annotations

import sysconfig
from collections import defaultdict, deque
from itertools import repeat
from operator import is_
from types import CellType, CoroutineType
from typing import TYPE_CHECKING, NamedTuple

from taskscope.agent.inspect import awaiting, futures, island, origins, referents, task_facts
from taskscope.agent.inspect.island import Island, inside
from taskscope.agent.inspect.looking import attribute, attributes_of, class_name, items, module_of, size
from taskscope.agent.inspect.variables import variables_of
from taskscope.agent.inspect.walk import run, spent
from taskscope.system import clock

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from weakref import ref

    from taskscope.agent.inspect.walk import Job
    from taskscope.model.vocabulary import Fate

SIZES = 1_000, island.MOST
"""Objects looked at: few at first, which is enough for most."""

AT_ONCE = 300
"""Objects up to which an island is looked at a last time without a pause: 0.5 ms."""

MAX_TIMERS = 2_000
"""Timers of a loop looked through; where there are more, any of them may wake anything."""

MAX_LED, TIMER_DEPTH = 100, 4
"""Objects looked at from one timer, and how far: its callback, that one's owner, an attribute of it."""

MAX_NAMED = 5
"""Tasks of which it is said through what they may be woken."""

BY_TIMER = "a timer that leads to the task"

_COUNTS = not sysconfig.get_config_var("Py_GIL_DISABLED")
"""Whether an object's count of references tells all of them."""

_OWN = ("asyncio", "_asyncio", "collections", "builtins", "_contextvars", "functools")
"""Modules whose objects stand between what is waited for and what gives it a name."""


class Waking(NamedTuple):
    """Whether something can wake a task: ``by`` says through what, "" if that has no name."""

    fate: Fate
    by: str = ""


def wakings(tasks: Iterable[ref[object]], loops: list[object]) -> Job[dict[int, Waking]]:
    """Of these suspended tasks, by serial; without those that went on meanwhile."""
    tasks = list(tasks) if _COUNTS else []
    found: dict[int, Waking] = {}
    for most in SIZES:
        found = yield from _look(tasks, loops, most)
        if all(each.fate != "may wake" for each in found.values()):
            break
    return found


def _look(tasks: list[ref[object]], loops: list[object], most: int) -> Job[dict[int, Waking]]:
    around = Island(loops)
    for reference in tasks:
        around.add(reference())
    serials = {place: futures.serial_of(around.things[place]) or 0 for place in around.waiting}
    yield from around.grow(most, clock.monotonic() + island.PATIENCE)
    sight = Sight(around)
    yield from sight.look()
    if sight.stuck():
        yield from sight.heed_timers(loops)
    found: dict[int, Waking] = {}
    for place, serial in serials.items():
        named = place in sight.live and len(found) < MAX_NAMED
        found[serial] = Waking("may wake", sight.by(place) if named else "")
        if spent():
            yield
    if sight.stuck():
        rest = yield from around.without(sight.reached)
        del sight, around
        fates = yield from _fates(rest)
        found |= {serial: Waking(fates[serial]) for serial in found.keys() & fates.keys()}
    return found


def _fates(rest: Island) -> Job[dict[int, Fate]]:
    """Looks again at what seemed to be out of reach: the program ran meanwhile."""
    sight = Sight(rest)
    yield
    if len(rest.things) <= AT_ONCE:
        run(sight.look())
    else:
        yield from sight.look()
    kept = yield from sight.kept()
    named = yield from _named(rest)
    fates: dict[int, Fate] = {}
    for place in sight.stuck():
        fate: Fate = "lost" if place not in kept else "stuck" if place in named else "endless"
        fates[futures.serial_of(rest.things[place]) or 0] = fate
    return fates


class Sight:
    """What of an island those who live can reach.  ``live``: places of the tasks that may be woken."""

    def __init__(self, around: Island) -> None:
        self._island = around
        self._held: set[int] = set()
        self._from: dict[int, int] = {}  # what was reached first led there
        self._why: dict[int, str] = {}
        self._waits: dict[int, list[int]] = defaultdict(list)
        self._awaits: dict[int, list[int]] = defaultdict(list)
        self.reached: set[int] = set()
        self.live: set[int] = set()

    def look(self) -> Job[None]:
        lively: list[int] = []
        for place in list(self._island.waiting):
            if not self._note(place):
                lively.append(place)
            if spent():
                yield
        self._held = yield from self._island.held()
        yield from self._spread([*lively, *(self._held - self._island.waiting)])

    def stuck(self) -> set[int]:
        """Places of the tasks that nothing can wake."""
        return self._island.waiting - self.live

    def _note(self, place: int) -> bool:
        """Notes what a task waits for, and who waits for it; False if it may go on by itself."""
        task = self._island.things[place]
        waiter = futures.waiter_of(task)
        at = self._island.at.get(id(waiter))
        if waiter is None or at is None or futures.is_done(waiter) or futures.is_done(task):
            return False
        self._waits[at].append(place)
        above = awaiting.awaiting_tasks(task)
        for each in above:
            outer = self._island.at.get(id(each))
            if outer is None:
                self._why[place] = "a task that awaits it"
                return False
            self._awaits[outer].append(place)
        if not above and task_facts.is_awaited(task):
            self._why[place] = "somebody who awaits it"
            return False
        return True

    def _spread(self, begin: list[int]) -> Job[None]:
        """Marks all that the objects at these places lead to."""
        pending: deque[int] = deque()  # nearest first: the shortest way has the best names
        for place in begin:
            self._reach(place, None, pending)
        while pending:
            place = pending.popleft()
            for number, each in enumerate(inside(self._island.things[place])):
                to = self._island.at.get(id(each))
                if to is not None and to not in self._island.waiting:
                    self._reach(to, place, pending)
                if not number & 63 and spent():
                    yield
            if spent():
                yield

    def _reach(self, place: int, origin: int | None, pending: deque[int]) -> None:
        """A task that is reached goes on, and with it those it awaits and those that await it."""
        if place in self.reached:
            return
        self.reached.add(place)
        pending.append(place)
        if origin is not None:
            self._from[place] = origin
        if place in self._island.waiting:
            self.live.add(place)
            for awaited in self._awaits[place]:
                self._why.setdefault(awaited, "a task that awaits it")
                self._reach(awaited, place, pending)
        for task in self._waits[place]:
            self._reach(task, place, pending)

    def heed_timers(self, loops: list[object]) -> Job[None]:
        """Timers that lead to a task may cancel it."""
        led: set[int] = set()
        for loop in loops:
            timers = list(_timers(loop))
            if len(timers) > MAX_TIMERS:
                led = self.stuck()
                break
            for timer in timers:
                led |= self._led(timer)
                if spent():
                    yield
        for place in led & self.stuck():
            self._why[place] = BY_TIMER
        yield from self._spread(list(led & self.stuck()))

    def _led(self, timer: object) -> set[int]:
        """The tasks that a timer leads to, but by way of a future."""
        found: set[int] = set()
        seen = {id(timer)}
        level = [timer]
        for _ in range(TIMER_DEPTH):
            following = []
            for each in level:
                for inner in inside(each):
                    if id(inner) in seen or self._island.is_outside(inner) or len(seen) > MAX_LED:
                        continue
                    seen.add(id(inner))
                    place = self._island.at.get(id(inner))
                    if place in self._island.waiting:
                        found.add(place or 0)
                    elif not futures.is_future(inner):
                        following.append(inner)
            level = following
        return found

    def kept(self) -> Job[set[int]]:
        """Places of all that something outside keeps alive, be it by way of a task that is stuck."""
        found: set[int] = set()
        pending = list(self._held)
        while pending:
            place = pending.pop()
            if place not in found:
                found.add(place)
                inner = inside(self._island.things[place])
                pending += [at for each in inner if (at := self._island.at.get(id(each))) is not None]
            if spent():
                yield
        return found

    def by(self, place: int) -> str:
        """Through what a task may be woken."""
        if place in self._why:
            return self._why[place]
        things = self._island.things
        at = self._from.get(place)
        nearer: object = None
        while at is not None:
            thing = things[at]
            name = _name(thing, nearer) if nearer is not None else ""
            if name:
                return name
            beyond = self._from.get(at)
            of_object = beyond is not None and thing is attributes_of(things[beyond])
            if not of_object and type(thing) is not CellType:
                nearer = thing
            at = beyond
        return ""


def _name(thing: object, target: object) -> str:
    """What leads straight from ``thing`` to ``target``, where a person would know it by."""
    if type(thing) is CoroutineType:
        plumbing = origins.is_plumbing(origins.file_of(thing.cr_code))
        return "" if plumbing else referents.variable_of(thing, target)
    if class_name(thing) not in ("Handle", "TimerHandle") and _is_of_python(thing):
        return ""
    return referents.attribute_of(thing, target, 0)


def _is_of_python(thing: object) -> bool:
    return module_of(type(thing)).partition(".")[0] in _OWN


def _timers(loop: object) -> Iterator[object]:
    """Calls that a loop is going to make.  uvloop keeps them in a set that only the collector sees."""
    for each in (attribute(loop, "_scheduled"), attribute(loop, "_ready"), *inside(loop)):
        if (size(each) or 0) > 0 and class_name(items(each, 1)[0]).endswith("Handle"):
            yield from items(each, MAX_TIMERS + 1)


def _named(rest: Island) -> Job[set[int]]:
    """Places of the tasks whose futures, events or queues are, or were meant to be, known to somebody.

    Nobody can have meant to end ``await loop.create_future()`` or ``await Event().wait()``.
    """
    wanted: dict[int, list[int]] = defaultdict(list)
    own: set[int] = set()
    found: set[int] = set()
    for place in rest.waiting:
        task = rest.things[place]
        chain = task_facts.coroutines(task)
        thing, waiter = task_facts.waited_object(task, chain), futures.waiter_of(task)
        for each in (thing, waiter):
            wanted[id(each)].append(place)
            own.add(id(each))
        for each in inside(thing):
            own.update(map(id, [each, *inside(each)] if type(each) is dict else [each]))
        if thing is None or futures.is_task(waiter) or _has_variable(chain, thing, waiter):
            found.add(place)
        if spent():
            yield
    for place, thing in enumerate(rest.things):
        if place not in rest.waiting and id(thing) not in own and not _is_wait(thing):
            for each in inside(thing):
                found.update(wanted.get(id(each), ()))
        if spent():
            yield
    return found


def _has_variable(chain: list[object], *things: object) -> bool:
    """Whether a variable of the program's own code is one of these."""
    return any(
        any(map(is_, repeat(value), things))
        for frame in task_facts.frames_of(chain)
        if not origins.is_plumbing(origins.file_of(frame.f_code))
        for value in variables_of(frame).values()
    )


def _is_wait(thing: object) -> bool:
    """Whether it only stands for somebody who waits."""
    return id(type(thing)) in referents.COROUTINES or futures.is_end(thing)
