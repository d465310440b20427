"""Whether any live code can wake a suspended task: if not, it is stuck forever.

Something that can still run must be able to reach what the task waits for: a module, a running function, a
timer, a registered reader, a thread, or an object written in C.  A reference to the task itself does not
count, unless its holder could cancel the task: a timer, code that holds this one task (see ``owners``), or a
task that awaits it and continues by itself.  Whatever cannot be inspected, or not in time, is assumed to be
able to wake it.
"""

from __future__ import annotations

from collections import defaultdict, deque
from itertools import chain, filterfalse, repeat
from operator import is_
from types import CellType, CoroutineType
from typing import TYPE_CHECKING, NamedTuple

from taskscope.agent.inspect import awaiting, futures, island, origins, owners, referents, task_facts
from taskscope.agent.inspect.island import Island, inside
from taskscope.agent.inspect.looking import attribute, attributes_of, class_name, items, module_of, size
from taskscope.agent.inspect.variables import variables_of
from taskscope.agent.inspect.walk import run, spent
from taskscope.system import clock

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from weakref import ref

    from taskscope.agent.inspect.keepers import Place
    from taskscope.agent.inspect.walk import Job
    from taskscope.model.vocabulary import Fate

SIZES = 1_000, island.MOST
"""Objects inspected: a few at first, which is usually enough."""

AT_ONCE = 300
"""Largest island whose final check runs without a pause: 0.5 ms."""

MAX_TIMERS = 2_000
"""Timers inspected per loop; if there are more, any of them may wake anything."""

MAX_LED, TIMER_DEPTH = 100, 4
"""Objects inspected per timer, and how deep: its callback, the callback's owner, an attribute of that."""

MAX_NAMED = 5
"""Tasks for which what may wake them is named."""

BY_TIMER = "a timer that leads to the task"

_OWN = ("asyncio", "_asyncio", "collections", "builtins", "_contextvars", "functools")
"""Modules whose objects lie between what is waited for and what names it."""


class Waking(NamedTuple):
    """Whether something can wake a task; ``by`` names it ("": it has no name).

    If nothing ever looks into the dictionaries ``kept_in``, its fate is ``otherwise``.
    """

    fate: Fate
    by: str = ""
    timed: bool = False
    kept_in: tuple[Place, ...] = ()
    otherwise: Fate = "may wake"


def wakings(
    tasks: Iterable[ref[object]], loops: list[object], others: Iterable[ref[object]] = ()
) -> Job[dict[int, Waking]]:
    """The answers for these suspended tasks, by serial; tasks that moved on are left out.

    ``others``: tasks whose variables are searched for references to these.
    """
    others = list(others)
    tasks = list(tasks)
    found: dict[int, Waking] = {}
    for most in SIZES:
        found = yield from _look(tasks, loops, others, most)
        if all(each.fate != "may wake" for each in found.values()):
            break
    return found


def _look(
    tasks: list[ref[object]], loops: list[object], others: list[ref[object]], most: int
) -> Job[dict[int, Waking]]:
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
        found[serial] = Waking("may wake", sight.by(place) if named else "", sight.is_timed(place))
        if spent():
            yield
    if sight.stuck():
        wanted = {
            id(around.things[place]): serial
            for place, serial in serials.items()
            if place in sight.stuck() and around.known_outside[place] > 0
        }
        counts = {id: around.known_outside[around.at[id]] for id in wanted}
        counted = set(around.at)
        rest = yield from around.without(sight.reached)
        yield from around.release()
        del sight, around
        fates = yield from _fates(rest)
        found |= {serial: Waking(fates[serial]) for serial in found.keys() & fates.keys()}
        found |= yield from _owned(wanted, counts, counted, others, loops, fates)
    else:
        yield from around.release()
    return found


def _owned(
    wanted: dict[int, int],
    counts: dict[int, int],
    counted: set[int],
    others: list[ref[object]],
    loops: list[object],
    fates: dict[int, Fate],
) -> Job[dict[int, Waking]]:
    """Tasks that some code holds which can run: not that of a task which is stuck itself."""
    found: dict[int, Waking] = {}
    stuck = {serial for serial, fate in fates.items() if fate in ("stuck", "endless")}
    while True:
        able = [each for each in others if futures.serial_of(each()) not in stuck]
        names = yield from owners.owned(counts, counted, able, loops)
        new = {
            serial: Waking("may wake", known.name, False, known.entries, fates[serial])
            for each, known in names.items()
            if (serial := wanted[each]) in stuck
        }
        if not new:
            return found
        found |= new
        stuck -= new.keys()


def _fates(rest: Island) -> Job[dict[int, Fate]]:
    """Checks again what seemed out of reach, since the program kept running."""
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
    """The part of an island that live code can reach.  ``live``: indexes of tasks that may be woken."""

    def __init__(self, around: Island) -> None:
        self._island = around
        self._held: set[int] = set()
        # Of a fixed size: to enlarge a set or dictionary of 10,000 takes up to a millisecond.
        self._from = [0] * len(around.things)  # the index through which each was first reached; 0: none
        self._why: dict[int, str] = {}
        self._waits: dict[int, list[int]] = defaultdict(list)
        self._awaits: dict[int, list[int]] = defaultdict(list)
        self._runs: dict[int, int] = {}  # index of a coroutine → that of the task which runs it
        self._closed: set[int] = set()  # those of these tasks that have not been reached
        self.reached = bytearray(len(around.things))  # whether each index was
        self.live: set[int] = set()

    def look(self) -> Job[None]:
        lively: list[int] = []
        for place in list(self._island.waiting):
            if not self._note(place):
                lively.append(place)
            if spent():
                yield
        self._held = yield from self._island.held()
        yield from self._spread(chain(lively, filterfalse(self._island.waiting.__contains__, self._held)))

    def stuck(self) -> set[int]:
        """Indexes of tasks that nothing can wake."""
        return self._island.waiting - self.live

    def _note(self, place: int) -> bool:
        """Records what a task waits for and what awaits it; False if it may continue by itself."""
        task = self._island.things[place]
        waiter = futures.waiter_of(task)
        at = self._island.at.get(id(waiter))
        if waiter is None or at is None or futures.is_done(waiter) or futures.is_done(task):
            return False
        self._waits[at].append(place)
        self._closed.add(place)
        for each in task_facts.coroutines(task):
            at = self._island.at.get(id(each))
            if at is not None:
                self._runs[at] = place
        above = awaiting.awaiting_tasks(task)
        for each in above:
            outer = self._island.at.get(id(each))
            if outer is None:
                self._why[place] = "a task that awaits it"
                return False
            self._awaits[outer].append(place)
        if not above and task_facts.is_awaited_by_code(task):
            self._why[place] = "something that awaits it"
            return False
        return True

    def _spread(self, begin: Iterable[int]) -> Job[None]:
        """Marks everything reachable from the objects at these indexes."""
        pending: deque[int] = deque()  # nearest first: the shortest path has the best names
        for place in begin:
            self._reach(place, 0, pending)
            if not place & 63 and spent():
                yield
        while pending:
            place = pending.popleft()
            thing = self._island.things[place]
            for number, each in enumerate(inside(thing)):
                to = self._island.at.get(id(each))
                if to is not None and (to not in self._island.waiting or owners.singles_out(thing)):
                    self._reach(to, place, pending)
                if not number & 63 and spent():
                    yield
            if spent():
                yield

    def _reach(self, place: int, origin: int, pending: deque[int]) -> None:
        """A task that is reached may continue, and so may those it awaits and those that await it.

        Whoever has a coroutine that a task runs, such as ``asyncio.run``, has no access to its variables.
        """
        if self.reached[place] or self._runs.get(place, -1) in self._closed:
            return
        self.reached[place] = True
        pending.append(place)
        self._from[place] = origin
        if place in self._island.waiting:
            self.live.add(place)
            self._closed.discard(place)
            for awaited in self._awaits.get(place, ()):
                self._why.setdefault(awaited, "a task that awaits it")
                self._reach(awaited, place, pending)
        for task in self._waits.get(place, ()):  # no list for each of 20,000: garbage would be collected
            self._reach(task, place, pending)

    def heed_timers(self, loops: list[object]) -> Job[None]:
        """Marks tasks that timers lead to: these may cancel them."""
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
        """The tasks that a timer leads to, other than through a future."""
        found: set[int] = set()
        seen, level = {id(timer)}, [timer]
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
        """Indexes of everything kept alive from outside, even through a stuck task."""
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

    def is_timed(self, place: int) -> bool:
        """Whether a timer will wake or cancel a task, whatever else may."""
        at = place
        while at:
            if self._why.get(at) == BY_TIMER or referents.is_timer(self._island.things[at]):
                return True
            at = self._from[at]
        return False

    def by(self, place: int) -> str:
        """What may wake a task."""
        if place in self._why:
            return self._why[place]
        things, at = self._island.things, self._from[place]
        nearer: object = None
        while at:
            thing = things[at]
            name = _name(thing, nearer) if nearer is not None else ""
            if name:
                return name
            beyond = self._from[at]
            of_object = beyond != 0 and thing is attributes_of(things[beyond])
            if not of_object and type(thing) is not CellType:
                nearer = thing
            at = beyond
        return ""


def _name(thing: object, target: object) -> str:
    """The name by which ``thing`` refers to ``target``, if a person would recognise it."""
    if type(thing) is CoroutineType:
        plumbing = origins.is_plumbing(origins.file_of(thing.cr_code))
        return "" if plumbing else referents.variable_of(thing, target)
    if class_name(thing) not in ("Handle", "TimerHandle") and _is_of_python(thing):
        return ""
    return referents.attribute_of(thing, target, 0)


def _is_of_python(thing: object) -> bool:
    return module_of(type(thing)).partition(".")[0] in _OWN


def _timers(loop: object) -> Iterator[object]:
    """Calls that a loop has scheduled.  uvloop keeps them in a set that only the garbage collector sees."""
    for each in (attribute(loop, "_scheduled"), attribute(loop, "_ready"), *inside(loop)):
        if (size(each) or 0) > 0 and class_name(items(each, 1)[0]).endswith("Handle"):
            yield from items(each, MAX_TIMERS + 1)


def _named(rest: Island) -> Job[set[int]]:
    """Indexes of tasks whose future, event or queue is, or was meant to be, known to other code.

    Nothing was ever meant to end ``await loop.create_future()`` or ``await Event().wait()``.
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
    """Whether a variable of the program's own code refers to one of these."""
    return any(
        any(map(is_, repeat(value), things))
        for frame in task_facts.frames_of(chain)
        if not origins.is_plumbing(origins.file_of(frame.f_code))
        for value in variables_of(frame).values()
    )


def _is_wait(thing: object) -> bool:
    """Whether it only represents a waiter."""
    return id(type(thing)) in referents.COROUTINES or futures.is_end(thing)
