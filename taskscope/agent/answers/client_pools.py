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
from taskscope.agent.inspect import client_pools, futures, had, holdings, members, stacks, turns, waited
from taskscope.agent.inspect.island import OwnRef
from taskscope.agent.inspect.looking import attribute, class_name, items
from taskscope.agent.inspect.variables import variables_of
from taskscope.agent.inspect.walk import spent
from taskscope.system import clock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
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

MAX_HAD, KEEP = 10_000, 30.0
"""Tasks and threads of which it is known what they have of pools, and for how many seconds."""

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
        self._pools: frozenset[int] = frozenset()
        self._had: dict[Key, tuple[float, float, list[had.Had]]] = {}

    def of(
        self,
        number: int,
        find: Callable[[], Job[client_pools.Pool | None]],
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

    def had_by(
        self, key: Key, since: float | None, pools: frozenset[int], search: Callable[[], Job[list[had.Had]]]
    ) -> Job[list[had.Had]]:
        """What a task or thread has of these pools; searched anew if that has moved, or now and then."""
        if pools != self._pools or len(self._had) >= MAX_HAD:
            self._had.clear()
            self._pools = pools
        known, until, found = self._had.get(key, (None, 0.0, []))
        if since is None or known != since or until < clock.monotonic():
            found = yield from search()
            if since is not None:
                self._had[key] = since, clock.monotonic() + KEEP, found
        return found

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
    """``waiting``: since when each task and thread has waited for it; ``busy``: its code runs elsewhere.

    ``places``: of its members or their connections, by ``id``; ``lends``: what it does not keep itself.
    """

    def __init__(self, found: client_pools.Pool) -> None:
        self.name = class_name(found.thing)
        self.places = {id(each): at for at, each in enumerate(found.members)}
        self.lends = found.lends
        self.size = len(found.members) if found.lends is None else found.lends.size
        self.waiting: dict[Key, float] = {}
        self.holders: dict[int, list[Edge]] = defaultdict(list)
        self.busy = False

    def place_of(self, things: frozenset[int]) -> int:
        """The place of a member; of one that is lent, by its connections, which may be found one by one."""
        place = next((self.places[each] for each in things if each in self.places), len(self.holders))
        self.places.update(dict.fromkeys(things, place))
        return place


class ClientPools:
    """What one look finds.  ``unreturned``: pools of which nobody has any member.

    ``unheld``: how many members of each no task or thread has.
    """

    def __init__(
        self,
        registry: Registry,
        nodes: dict[Key, Node],
        edges: list[Edge],
        since: Callable[[Key], float | None],
    ) -> None:
        """``since``: since when a task or thread has not moved; None: it moves, or that is not known."""
        self._registry = registry
        self._since = since
        self._nodes = nodes
        self._edges = edges
        self._now = clock.monotonic()
        self._candidates: dict[Key, float] = {}
        self._pools: dict[int, _Pool] = {}
        self.unheld: dict[Key, int] = {}
        self.unreturned: tuple[model.Unreturned, ...] = ()

    def note(self, serial: int, since: float, task: object) -> None:
        """Notes a task that has not moved since then."""
        if self._is_worth(since) and waited.wait_of_task(task)[1] in client_pools.WAITS:
            self._candidates["task", serial] = since

    def note_thread(self, ident: int, since: float, frame: FrameType) -> None:
        """Notes a thread that has not moved since then."""
        if self._is_worth(since) and waited.wait_of_thread(frame) in client_pools.WAITS:
            self._candidates["thread", ident] = since

    def _is_worth(self, since: float) -> bool:
        return since <= self._now - STILL and len(self._candidates) < MAX_WAITING

    def follow(
        self,
        tasks: Callable[[], Iterator[object | None]],
        agent: int,
        known: MembersKnown,
        *,
        sampled: bool = False,
    ) -> Job[None]:
        """Adds the pools that are waited for, who waits, and who has their members.

        ``sampled``: not all tasks are among these.
        """
        yield from self._recognise()
        for task in tasks() if self._pools else ():
            if task is None:
                yield
            else:
                key = "task", futures.serial_of(task) or 0
                yield from self._note(key, known)
            del task
        for ident in stacks.current_frames() if self._pools else ():
            if ident != agent:
                yield from self._note(("thread", ident), known)
        for number, pool in self._pools.items():
            yield from self._add(("thing", number), pool, known, sampled=sampled)

    def _recognise(self) -> Job[None]:
        known: client_pools.Known = {}
        for key, since in self._candidates.items():
            yield from client_pools.read_classes(self._frames(key))
            found = yield from self._pool_of(key, known)
            number = id(found.thing) if found is not None else 0
            if found is not None and (found.members or found.lends) and len(self._pools) < MAX_POOLS:
                self._pools.setdefault(number, _Pool(found))
            if number in self._pools:
                self._pools[number].waiting[key] = since
            del found
            if spent():
                yield

    def _frames(self, key: Key) -> list[FrameType]:
        """Of one that waits, innermost first; none if it has ended."""
        if key[0] == "thread":
            return stacks.thread_frames(stacks.current_frames().get(key[1]))
        task = self._registry.find(key[1])
        return client_pools.frames_of(task) if task is not None and not futures.is_done(task) else []

    def _pool_of(self, key: Key, known: client_pools.Known) -> Job[client_pools.Pool | None]:
        task = self._registry.find(key[1]) if key[0] == "task" else None
        waiter = futures.waiter_of(task) if task is not None else None
        return (yield from client_pools.waited_for(self._frames(key), waiter, known))

    def _note(self, key: Key, known: MembersKnown) -> Job[None]:
        """Notes what somebody has, or that it runs the code of a pool, and may give back any member."""
        found = yield from known.had_by(
            key, self._since(key), frozenset(self._pools), partial(self._had, key)
        )
        for each in found:
            pool = self._pools[each.pool]
            edges = pool.holders[pool.place_of(each.things)]
            if all(other.on != key for other in edges):
                edges.append(Edge(("thing", each.pool), key, "held", each.where))
        frames = self._frames(key)
        selves = {id(variables_of(each).get("self")) for each in frames} if self._pools else set()
        for number, pool in self._pools.items():
            pool.busy |= number in selves and key not in pool.waiting
        if spent():
            yield

    def _had(self, key: Key) -> Job[list[had.Had]]:
        if key[0] == "task":
            task = self._registry.find(key[1])
            if task is None:
                return []
            yield from holdings.read(task)
            held = holdings.of_task(task)
        else:
            yield from holdings.read_frames(stacks.current_frames().get(key[1]))
            held = [each for each, _ in holdings.of_frames(stacks.current_frames().get(key[1]))]
        lends = {number: pool.lends for number, pool in self._pools.items()}
        kept = {
            each: number for number, pool in self._pools.items() if not pool.lends for each in pool.places
        }
        return (yield from had.had(lends, kept, held, self._frames(key)))

    def _add(self, key: Key, pool: _Pool, known: MembersKnown, *, sampled: bool) -> Job[None]:
        node = self._nodes[key] = Node("slots", either=True)
        node.name, node.size = pool.name, pool.size
        for waiter, since in pool.waiting.items():
            self._nodes.setdefault(waiter, Node("task" if waiter[0] == "task" else "thread", since))
            self._edges.append(Edge(waiter, key, "waits"))
        held = [edge for edges in pool.holders.values() for edge in edges]
        self._edges += held
        if not sampled and (pool.lends is None or (pool.lends.connects and not pool.busy)):
            self.unheld[key] = max(0, pool.size - len(pool.holders))
        if (yield from self._is_settled(key[1], pool, {edge.on for edge in held}, known)):
            return
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

    def _is_settled(self, number: int, pool: _Pool, holders: set[Key], known: MembersKnown) -> Job[bool]:
        """Whether each member is with somebody whose variables show it, where no proof is to be had.

        That is if the pool keeps none of them, or if threads have some: what runs may lead to any object.
        """
        shown = pool.lends is not None or any(each[0] == "thread" for each in holders)
        if not shown or pool.busy or len(pool.holders) != pool.size:
            return False
        return not (yield from known.timers_lead_to(number))

    def _state(
        self, number: int, pool: _Pool, holders: set[Key], known: MembersKnown
    ) -> Job[members.Members | None]:
        """What has become of its members; None if some may be given back, or that is not known."""
        still = [self._nodes[each].since for each in holders if each[0] == "task" and each in self._nodes]
        if pool.lends is not None or pool.busy or len(still) < len(holders):
            return None
        if (yield from known.timers_lead_to(number)):
            return None
        since = max((*pool.waiting.values(), *(each or self._now for each in still)))
        serials = {each for kind, each in (*islice(pool.waiting, MAX_STILL), *holders) if kind == "task"}
        tasks = [OwnRef(task) for each in serials if (task := self._registry.find(each)) is not None]
        return (yield from known.of(number, partial(self._again, number, pool), tasks, since))

    def _again(self, number: int, pool: _Pool) -> Job[client_pools.Pool | None]:
        """The pool, by one that waits for it."""
        found = yield from self._pool_of(next(iter(pool.waiting)), {})
        return found if found is not None and id(found.thing) == number else None

    def _lines(self, number: int, pool: _Pool) -> Job[tuple[model.WaitingAt, ...]]:
        """The lines of those that use it, at which they wait."""
        lines: Counter[model.Frame] = Counter()
        for key in pool.waiting:
            stack = stacks.describe(_beyond(number, self._frames(key)))
            line = model.user_line(stack) or model.library_line(stack)
            lines.update([line] if line is not None else [])
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
