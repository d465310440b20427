"""Pools of connections and the like in the wait graph: who waits for one, and who has its members.

They are looked for once tasks have stood still for a while, in what these wait in (``inspect/client_pools``).
What nobody has any more (``inspect/members``) is given back by nobody, unless the pool's own code still runs,
or a timer leads to it.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

from taskscope import model
from taskscope.agent.answers.nodes import Edge, Node
from taskscope.agent.inspect import client_pools, futures, holdings, members, stacks, turns, waited
from taskscope.agent.inspect.island import OwnRef
from taskscope.agent.inspect.looking import attribute, class_name, items
from taskscope.agent.inspect.variables import variables_of
from taskscope.agent.inspect.walk import spent
from taskscope.system import clock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from types import FrameType

    from taskscope.agent.answers.nodes import Key
    from taskscope.agent.counts.registry import Registry
    from taskscope.agent.inspect.walk import Job

STILL = 8.0
"""Seconds for which a task has waited before it is worth a look at what it waits in."""

MAX_WAITING, MAX_POOLS, MAX_LINES = 2_000, 10, 5

MAX_STILL = 200
"""Most that wait of which it is known, as members are searched for, that they give none back."""

SHARE = 200
"""What has become of members is found out again after this multiple of what it cost."""

MAX_TIMERS, TIMER_OBJECTS = 2_000, 30
"""Timers of a loop searched for one that leads to a pool, and objects behind each."""

ELSEWHERE: Key = ("elsewhere", 0)
"""Whoever may give a member back besides tasks that stand still.  It is no node, so it is never stuck."""


class _Known(NamedTuple):
    at: float
    cost: float
    state: members.Members


class MembersKnown:
    """What has become of the members of pools; keeps no reference to the program's objects."""

    def __init__(self, loops: Callable[[], list[object]]) -> None:
        self._loops = loops
        self._known: dict[int, _Known] = {}

    def of(
        self,
        number: int,
        find: Callable[[], client_pools.Pool | None],
        still: Sequence[OwnRef],
        since: float,
    ) -> Job[members.Members | None]:
        """Of the pool with that ``id``; None if it is too dear now.

        ``still``: tasks that have not moved ``since`` then.
        """
        known = self._known.get(number)
        if known is None or known.at <= since:
            if known is not None and clock.monotonic() < known.at + SHARE * known.cost:
                return None
            begun = clock.thread_time()
            state = yield from members.fates(find, still, self._loops())
            if state is None:
                return None
            known = _Known(clock.monotonic(), clock.thread_time() - begun, state)
            if len(self._known) >= MAX_POOLS:
                self._known.clear()
            self._known[number] = known
        return known.state

    def timers_lead_to(self, number: int) -> Job[bool]:
        """Whether a timer may do something to a pool, such as to take back what was leased."""
        for loop in self._loops():
            timers = items(turns.variable(loop, "_scheduled"), MAX_TIMERS + 1)
            if len(timers) > MAX_TIMERS:
                return True
            for each in timers:
                live = attribute(each, "_cancelled") is not True
                if live and members.leads_to(each, number, TIMER_OBJECTS):
                    return True
                if spent():
                    yield
        return False


class _Pool:
    """``waiting``: since when each task, by serial, has waited for it; ``busy``: its code runs elsewhere.

    ``places``: of its members, by ``id``.
    """

    def __init__(self, found: client_pools.Pool) -> None:
        self.name = class_name(found.thing)
        self.places = {id(each): at for at, each in enumerate(found.members)}
        self.waiting: dict[int, float] = {}
        self.holders: dict[int, list[Edge]] = defaultdict(list)
        self.busy = False


class ClientPools:
    """What one look finds.  ``unreturned``: pools of which nobody has any member.

    ``unheld``: how many members of each no task or thread has.
    """

    def __init__(self, registry: Registry, nodes: dict[Key, Node], edges: list[Edge]) -> None:
        self._registry = registry
        self._nodes = nodes
        self._edges = edges
        self._now = clock.monotonic()
        self._candidates: dict[int, float] = {}
        self._pools: dict[int, _Pool] = {}
        self.unheld: dict[Key, int] = {}
        self.unreturned: tuple[model.Unreturned, ...] = ()

    def note(self, serial: int, since: float, task: object) -> None:
        """Notes a task that has not moved since then."""
        worth = since <= self._now - STILL and len(self._candidates) < MAX_WAITING
        if worth and waited.wait_of_task(task)[1] in client_pools.WAITS:
            self._candidates[serial] = since

    def follow(
        self, tasks: Callable[[], Iterator[object | None]], agent: int, known: MembersKnown
    ) -> Job[None]:
        """Adds the pools that are waited for, who waits, and who has their members."""
        yield from self._recognise()
        for task in tasks() if self._pools else ():
            if task is None:
                yield
            else:
                key = "task", futures.serial_of(task) or 0
                frames = stacks.await_chain(futures.coroutine(task))
                yield from self._note_taken(key, holdings.of_task(task), frames)
            del task
        for ident in stacks.current_frames() if self._pools else ():
            frame = stacks.current_frames().get(ident) if ident != agent else None
            if frame is not None:
                held = [each for each, _ in holdings.of_frames(frame)]
                yield from self._note_taken(("thread", ident), held, stacks.thread_frames(frame))
            frame = held = None  # type: ignore[assignment]
        for number, pool in self._pools.items():
            yield from self._add(("thing", number), pool, known)

    def _recognise(self) -> Job[None]:
        known: client_pools.Known = {}
        for serial, since in self._candidates.items():
            found = self._pool_of(serial, known)
            number = id(found.thing) if found is not None else 0
            if found is not None and found.members and len(self._pools) < MAX_POOLS:
                self._pools.setdefault(number, _Pool(found))
            if number in self._pools:
                self._pools[number].waiting[serial] = since
            del found
            if spent():
                yield

    def _pool_of(self, serial: int, known: client_pools.Known) -> client_pools.Pool | None:
        task = self._registry.find(serial)
        if task is None or futures.is_done(task):
            return None
        frames = stacks.await_chain(futures.coroutine(task))
        return client_pools.waited_for(frames, futures.waiter_of(task), known)

    def _note_taken(self, key: Key, held: Iterable[holdings.Holding], frames: list[FrameType]) -> Job[None]:
        """Notes which members somebody has, or that it runs the code of a pool, and may give back any."""
        for number, pool in self._pools.items():
            for each in (yield from members.taken(held, frames, pool.places, {number})):
                edge = Edge(("thing", number), key, "held", each.where)
                pool.holders[each.place].append(edge)
            if key[0] == "thread" or key[1] not in pool.waiting:
                pool.busy |= any(_is_method_of(number, each) for each in frames)

    def _add(self, key: Key, pool: _Pool, known: MembersKnown) -> Job[None]:
        node = self._nodes[key] = Node("slots", either=True)
        node.name, node.size = pool.name, len(pool.places)
        for serial, since in pool.waiting.items():
            self._nodes.setdefault(("task", serial), Node("task", since))
            self._edges.append(Edge(("task", serial), key, "waits"))
        held = [edge for edges in pool.holders.values() for edge in edges]
        self._edges += held
        self.unheld[key] = len(pool.places) - len(pool.holders)
        state = yield from self._state(key[1], pool, {edge.on for edge in held}, known)
        if state is None or not _is_final(pool, state):
            self._edges.append(Edge(key, ELSEWHERE, "held"))
        elif not held:
            lines = yield from self._lines(key[1], pool)
            since = min(pool.waiting.values())
            self.unreturned += (
                model.Unreturned(
                    "members", pool.name, node.size, since, len(pool.waiting), lines, closed=state.closed
                ),
            )

    def _state(
        self, number: int, pool: _Pool, holders: set[Key], known: MembersKnown
    ) -> Job[members.Members | None]:
        """What has become of its members; None if some may be given back, or that is not known."""
        still = [self._nodes[each].since for each in holders if each[0] == "task" and each in self._nodes]
        if pool.busy or len(still) < len(holders) or (yield from known.timers_lead_to(number)):
            return None
        since = max((*pool.waiting.values(), *(each or self._now for each in still)))
        serials = {*islice(pool.waiting, MAX_STILL), *(each[1] for each in holders)}
        tasks = [OwnRef(task) for each in serials if (task := self._registry.find(each)) is not None]
        return (yield from known.of(number, partial(self._again, number, pool), tasks, since))

    def _again(self, number: int, pool: _Pool) -> client_pools.Pool | None:
        """The pool, by one that waits for it."""
        found = self._pool_of(next(iter(pool.waiting)), {})
        return found if found is not None and id(found.thing) == number else None

    def _lines(self, number: int, pool: _Pool) -> Job[tuple[model.WaitingAt, ...]]:
        """The lines of those that use it, at which they wait."""
        lines: Counter[model.Frame] = Counter()
        for serial in pool.waiting:
            task = self._registry.find(serial)
            if task is not None:
                stack = stacks.describe(_beyond(number, stacks.await_chain(futures.coroutine(task))))
                line = model.user_line(stack) or model.library_line(stack)
                lines.update([line] if line is not None else [])
            del task
            if spent():
                yield
        return tuple(model.WaitingAt(*each) for each in lines.most_common(MAX_LINES))


def _beyond(number: int, frames: list[FrameType]) -> list[FrameType]:
    """The frames of those that use the pool with that ``id``."""
    own = [at for at, each in enumerate(frames) if _is_method_of(number, each)]
    return frames[own[-1] + 1 :] if own else frames


def _is_method_of(number: int, frame: FrameType) -> bool:
    return id(variables_of(frame).get("self")) == number


def _is_final(pool: _Pool, state: members.Members) -> bool:
    """Whether each member is held by tasks that stand still and nobody else, or is a connection and lost."""
    return all(
        fate == "waiting" if at in pool.holders else fate == "lost" and state.connected == len(state.fates)
        for at, fate in enumerate(state.fates)
    )
