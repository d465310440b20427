"""Who has what was taken from a pool: by the references around it (see ``island``).

What nobody but the pool itself leads to is lost, unless a connection's end may give it back.
"""

from __future__ import annotations

from collections import defaultdict, deque
from types import AsyncGeneratorType, FunctionType
from typing import TYPE_CHECKING, Literal, NamedTuple

from taskscope.agent.inspect import connections, handles, island, task_facts
from taskscope.agent.inspect.island import Island, inside, weak_references
from taskscope.agent.inspect.walk import spent
from taskscope.system import clock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from weakref import ref

    from taskscope.agent.inspect.client_pools import Pool
    from taskscope.agent.inspect.walk import Job

NEAR = 500
"""Objects searched for a member's connections, and from these for the pool."""

Fate = Literal["elsewhere", "waiting", "peer", "lost"]
"""Whether anything else has it, only tasks that wait, or nobody; then its ``peer`` may give it back."""


def leads_to(start: object, target: int, most: int) -> bool:
    """Whether an object leads to another, by its ``id``; by functions too."""
    queue, seen = [start], {id(start)}
    for each in queue:  # which grows
        for inner in inside(each):
            if id(inner) == target:
                return True
            follows = type(inner) is FunctionType or handles.leads_on(inner)
            if follows and id(inner) not in seen and len(queue) < most:
                seen.add(id(inner))
                queue.append(inner)
    return False


class Members(NamedTuple):
    """``fates``: of each member; ``connected``: those that have a connection; ``closed``: it is closed."""

    fates: tuple[Fate, ...]
    connected: int
    closed: int


def fates(
    find: Callable[[], Job[Pool | None]], waiting: Sequence[ref[object]], loops: list[object]
) -> Job[Members | None]:
    """What has become of the members of a pool, in order; None if that cannot be known.

    ``find``: the pool; ``waiting``: tasks that are known to stand still.
    """
    pool = yield from find()
    if pool is None:
        return None
    around = Island(loops)
    for each in (pool.thing, *pool.members, *(each() for each in waiting)):
        around.add(each)
    own = _Own(around, around.at.get(id(pool.thing), 0), waiting)
    members = [around.at.get(id(each), 0) for each in pool.members]
    del pool, each  # else they would count as references
    yield from around.grow(island.MOST, clock.monotonic() + island.PATIENCE)
    held = yield from around.held(weakly=False)
    held |= yield from own.settle()
    passive = own.tasks | own.coroutines | {own.pool}
    others = yield from own.spread(at for at in (held | around.waiting) - passive if not own.is_end(at))
    waiters = yield from own.spread(own.coroutines)
    found: list[Fate] = []
    connected = closed = 0
    for at in members:
        ends = [each for each in (yield from own.spread([at], NEAR, through=True)) if own.is_end(each)]
        opened = [each for each in ends if connections.is_open(around.things[each])]
        connected += len(ends) > 0
        closed += len(ends) > 0 and not opened
        if not at or at in others:
            found.append("elsewhere")
        elif at in waiters:
            found.append("waiting")
        else:
            beyond = yield from own.spread(opened, NEAR, through=True)
            found.append("peer" if own.pool in beyond else "lost")
    yield from around.release()
    return Members(tuple(found), connected, closed)


class _Own:
    """The pool, its connections, and the tasks that stand still, as indexes of an island."""

    def __init__(self, around: Island, pool: int, waiting: Sequence[ref[object]]) -> None:
        self._around = around
        self._waiting = waiting
        self.pool = pool
        self.tasks = {around.at.get(id(each()), 0) for each in waiting}
        self.coroutines: set[int] = set()
        self._weak: dict[int, list[int]] = defaultdict(list)

    def settle(self) -> Job[set[int]]:
        """Finds, once the island has grown, the coroutines of the tasks, and where weak references lead.

        Whoever has a coroutine has no access to its variables.  Returns what is known weakly from outside.
        """
        for task in self._waiting:
            here = (self._around.at.get(id(each)) for each in task_facts.coroutines(task()))
            self.coroutines.update(at for at in here if at is not None)
            if spent():
                yield
        outside = set()
        for at, thing in enumerate(self._around.things):
            for each in weak_references(thing) if type(thing) is not AsyncGeneratorType else ():
                place = self._around.at.get(id(each))
                if place is None:
                    outside.add(at)
                else:
                    self._weak[place].append(at)
            if spent():
                yield
        return outside

    def is_end(self, at: int) -> bool:
        return connections.is_end(self._around.things[at])

    def spread(
        self, starts: Iterable[int], most: int = island.MOST, *, through: bool = False
    ) -> Job[set[int]]:
        """What these lead to, without passing the pool and tasks; ``through``: but connections."""
        found = set(starts)
        shut = {self.pool} | self.tasks | self.coroutines - found
        pending = deque(found)
        while pending and len(found) < most:
            at = pending.popleft()
            if at not in shut and (through or not self.is_end(at)):
                near = (self._around.at.get(id(each)) for each in inside(self._around.things[at]))
                new = {to for to in (*near, *self._weak.get(at, ())) if to is not None} - found
                found |= new
                pending += new
            if spent():
                yield
        return found
