"""The wait graph of the tasks and threads that have not moved since an earlier look.

Nothing is woken or called: a call into a loop could resolve the very hang it looks for.  Between slices,
tasks and locks are referenced weakly, everything else by number.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any

from taskscope import model
from taskscope.agent.answers import standing
from taskscope.agent.answers.channels import Channels
from taskscope.agent.answers.client_pools import ClientPools
from taskscope.agent.answers.full_pools import FullPools
from taskscope.agent.answers.full_slots import SlotOwners
from taskscope.agent.answers.held import Held
from taskscope.agent.answers.nodes import REST, Edge, Node, shown_of, with_rest
from taskscope.agent.answers.returning import Returning
from taskscope.agent.answers.unreturned import Unreturned
from taskscope.agent.inspect import futures, processes, stacks, task_facts, turns, waited
from taskscope.agent.inspect.island import OwnRef
from taskscope.agent.inspect.looking import items
from taskscope.agent.inspect.runs import is_run
from taskscope.agent.inspect.seclusion import is_secluded, registered_of
from taskscope.agent.inspect.slots import Slots, is_forked, is_left_behind, slots_of
from taskscope.agent.inspect.threads import ident_of, known_threads, native_id, native_ids
from taskscope.agent.inspect.walk import spent
from taskscope.agent.inspect.workers import Workers
from taskscope.system import clock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from types import FrameType

    from taskscope.agent.answers.client_pools import MembersKnown
    from taskscope.agent.answers.nodes import Key
    from taskscope.agent.answers.unreached import Unreached
    from taskscope.agent.answers.unreturned import GiversRead
    from taskscope.agent.counts.loops import LoopWatch
    from taskscope.agent.counts.registry import Registry
    from taskscope.agent.inspect.stillness import Stillness
    from taskscope.agent.inspect.walk import Job
    from taskscope.model.vocabulary import EdgeKind, NodeKind

PER_SITE, MAX_TASKS = 300, 10_000
"""Most tasks inspected, the oldest of each site: whoever holds what others wait for is older than they."""

MAX_READY = 1_000
"""Callbacks of a loop searched for calls made from another thread."""


class Look:
    """One look at everything."""

    def __init__(self, registry: Registry, still: Stillness, watch: LoopWatch) -> None:
        self._registry = registry
        self._watch = watch
        self._still = still
        self._now = clock.monotonic()
        self._nodes: dict[Key, Node] = {}
        self._edges: list[Edge] = []
        self._things: dict[int, OwnRef] = {}
        self._workers = Workers()
        self._pools = FullPools(self._workers)
        self._partial = False
        self._alive: set[int] = set()
        self._natives: dict[int | None, int] = {}
        self._cancelled: dict[int, float] = {}
        self._standing: dict[int, float] = {}  # since when each thread has not moved
        self._turning: set[int] = set()  # threads that sleep in a loop, which goes on running tasks
        self._secluded = False  # whether nothing else can make anything move
        self._enclosed = False  # likewise, but for tasks and threads that move
        self._runs: dict[int, int] = {}  # the thread of each loop
        self._unreturned = Unreturned()
        self._returning = Returning(still, self._now)
        self._channels = Channels(self._nodes, self._edges, still, registry)
        self._clients = ClientPools(registry, self._nodes, self._edges, self._not_moved_since)

    # -- who waits -----------------------------------------------------------------------------

    def threads(self, agent: int) -> Job[None]:
        """Adds the threads that have not moved."""
        here = native_ids()
        self._natives = {ident_of(each): native_id(each, here) for each in known_threads()}
        idents = [each for each in stacks.current_frames() if each != agent]
        self._alive.update(idents)
        self._runs = yield from turns.claims(self._watch.loops(), self._watch.born)
        all_known = len(here) <= len(idents) + 1
        leaving = all_known and waited.is_leaving(stacks.current_frames())
        loops = {thread: loop for loop, thread in self._loops()}
        every = [each for id, each in self._watch.loops() if id in self._runs or is_run(each)]
        self._secluded = self._enclosed = all_known and (yield from is_secluded(every))
        every.clear()
        for ident in idents:
            frame = stacks.current_frames().get(ident)
            native = self._natives.get(ident)
            if frame is not None and native:
                since = self._still.thread(ident, native, frame)
                still = since is not None and since < self._now
                if still:
                    self._standing[ident] = since or 0.0
                if still and not (leaving and self._add_leaving(ident, since or 0.0, frame)):
                    self._add(("thread", ident), since or 0.0, waited.by_thread(frame))
                    self._add_any(("thread", ident), since or 0.0, waited.of_thread_by_anybody, frame)
                    self._clients.note_thread(ident, since or 0.0, frame)
                elif not still and (back := self._returning.note(ident, native, frame)) is not None:
                    self._add(("thread", ident), back, waited.by_thread(frame))
                if self._secluded and ident not in loops and since is not None:
                    self._channels.add_thread(ident, native, since, still=still)
            del frame
            if spent():
                yield
        for loop, thread in self._loops() if self._secluded else ():
            frame = stacks.current_frames().get(thread)
            self._channels.add_loop(thread)
            if frame is not None and thread in self._standing and waited.is_asleep_in_loop(frame):
                self._turning.add(thread)
                self._add_any(("thread", thread), self._standing[thread], lambda _: "waits", frame)
                self._channels.add_registered(thread, registered_of(loop) or ())

    def _add_leaving(self, ident: int, since: float, frame: FrameType) -> bool:
        """Adds a thread of a process that is ending if it waits for its loop, or for any other thread."""
        future = waited.runs_until(frame)
        if future is not None:
            self._turning.add(ident)
            self._add(("thread", ident), since, waited.Waited([waited.Ahead("ends", future)]))
        elif waited.is_inside(frame):
            others = [Edge(("thread", ident), ("thread", each), "woken") for each in self._alive - {ident}]
            self._nodes["thread", ident] = Node("thread", since, either=True)
            self._edges += others
        return ("thread", ident) in self._nodes

    def tasks(self) -> Job[None]:
        """Adds the tasks that have not moved."""
        blocked = {
            id(loop): thread
            for loop, thread in self._loops()
            if ("thread", thread) in self._nodes and thread not in self._turning
        }
        for task in self._sampled():
            if task is None:
                yield
            else:
                self._look_at(task, blocked)

    def _look_at(self, task: object, blocked: Mapping[int, int]) -> None:
        """Adds a task that has not moved.  ``blocked``: threads that stand still, by ``id`` of the loop."""
        serial = futures.serial_of(task) or 0
        since = self._still.task(serial, task)
        self._pools.note(task)
        if task_facts.is_cancelling(task):
            self._cancelled[serial] = self._still.cancelled(serial)
        if self._enclosed:
            self._channels.add_task(serial, since, task, still=since < self._now)
        if since < self._now and not stacks.is_running(futures.coroutine(task)):
            self._add(("task", serial), since, waited.by_task(task))
            self._add_any(("task", serial), since, waited.of_task_by_anybody, task)
            self._unreturned.note(task, since)
            self._clients.note(serial, since, task)
            thread = blocked.get(id(futures.loop_of(task)))
            if thread is not None:
                self._nodes.setdefault(("task", serial), Node("task", since))
                self._edges.append(Edge(("task", serial), ("thread", thread), "loop"))
        else:
            self._secluded = False

    def _not_moved_since(self, key: Key) -> float | None:
        return self._still.of_task(key[1]) if key[0] == "task" else self._standing.get(key[1])

    def _loops(self) -> list[tuple[object, int]]:
        """Loops with the thread that runs each."""
        return [(loop, self._runs[id]) for id, loop in self._watch.loops() if id in self._runs]

    def _sampled(self) -> Iterator[Any | None]:
        """The tasks looked at; None wherever a pause is due, as in ``live_tasks``."""
        left = MAX_TASKS
        for record in self._registry.task_records():
            references = list(islice(record.references(), min(PER_SITE + 1, left)))
            self._partial = self._partial or len(references) > PER_SITE or left <= PER_SITE
            left -= len(references)
            for reference in references[:PER_SITE]:
                task = reference()
                if task is not None and not futures.is_done(task) and futures.serial_of(task) is not None:
                    yield task
                del task
                if spent():
                    yield None
            if spent():
                yield None

    def _add(self, key: Key, since: float, found: waited.Waited) -> None:
        """Adds a task or thread, and what it waits for."""
        edges = [edge for how, thing in found.ahead for edge in self._ahead(key, how, thing)]
        if edges:
            kind: NodeKind = "task" if key[0] == "task" else "thread"
            self._nodes[key] = Node(kind, since, either=found.either)
            self._edges += edges

    def _add_any(self, key: Key, since: float, how: Callable[[Any], EdgeKind | None], of: object) -> None:
        """Adds a task or thread, unless what it waits for is known, as one that anything may wake."""
        found = how(of) if self._secluded and key not in self._nodes else None
        if found is not None:
            self._nodes.setdefault(key, Node("task" if key[0] == "task" else "thread", since))
            self._edges.append(Edge(key, REST, found))

    def channels(self, agent: int) -> Job[None]:
        """Adds who has to read and write what is waited for, here and in other processes."""
        if self._enclosed:
            yield from self._channels.follow(self._natives, agent)

    def pools(self, known: MembersKnown, agent: int) -> Job[None]:
        """Adds the pools of connections that are waited for."""
        yield from self._clients.follow(self._sampled, agent, known, sampled=self._partial)

    def rest(self) -> None:
        """Adds the process as a whole, if all that could make it move is in the graph."""
        closed = self._secluded and not self._partial
        self._edges = with_rest(self._nodes, self._edges, self._alive, closed=closed)

    def unreached(self, proofs: Unreached) -> Job[None]:
        """Adds tasks that others wait for and that nothing can wake."""
        wanted = {each.on for each in self._edges if each.on[0] == "task" and each.on not in self._nodes}
        still = {serial: since for _, serial in wanted if (since := self._still.of_task(serial)) is not None}
        for serial in (yield from proofs.among(still)):
            self._nodes["task", serial] = Node("task", still[serial], gone="nobody")

    def unreturned(self, read: GiversRead, agent: int) -> Job[tuple[model.Unreturned, ...]]:
        """What was taken and nobody will give back."""
        if self._partial:
            return ()
        found = yield from self._unreturned.found(self._sampled, read, agent)
        return found + self._clients.unreturned

    def _ahead(self, key: Key, how: EdgeKind, thing: object) -> Iterator[Edge]:
        if how == "waits":
            try:
                self._things.setdefault(id(thing), OwnRef(thing))
            except TypeError:
                return
            yield Edge(key, ("thing", id(thing)), how)
        elif how == "runs":
            yield from self._to_worker(key, thing)
        elif how == "loop":
            yield from (Edge(key, ("thread", thread), how) for loop, thread in self._loops() if loop is thing)
        elif futures.is_task(thing):
            serial = futures.serial_of(thing)
            if serial is not None:
                yield Edge(key, ("task", serial), how)
        else:
            ident = ident_of(thing)
            if ident in self._alive:
                yield Edge(key, ("thread", ident or 0), how)

    def _to_worker(self, key: Key, future: object) -> Iterator[Edge]:
        """Adds the edge to the thread that runs a job, its pool's queue, or the task whose result it is."""
        thread, queue = self._workers.running.get(id(future)), self._workers.queued.get(id(future))
        task = waited.task_behind(future)
        if thread is not None:
            yield Edge(key, ("thread", thread), "runs")
        elif queue is not None:
            yield Edge(key, ("pool", queue), "waits")
        elif task is not None and (serial := futures.serial_of(task)) is not None:
            yield Edge(key, ("task", serial), "ends")
        elif key[0] == "thread":
            for loop, thread in self._loops():
                if any(
                    waited.is_call_for(each, future)
                    for each in items(turns.variable(loop, "_ready"), MAX_READY)
                ):
                    yield Edge(key, ("thread", thread), "loop")

    # -- who holds -----------------------------------------------------------------------------

    def holders(self, agent: int) -> Job[None]:
        """Adds what is waited for and what holds it."""
        self._add_pools()
        held = Held(self._things)
        if self._things:
            yield from held.note_threads(self._alive - {agent})
            yield from held.note_tasks(self._sampled())
        for number, reference in self._things.items():
            thing = reference()
            if thing is not None:
                self._add_thing(number, slots_of(thing), held.by[number])
                waiting = {edge.waiter[1] for edge in self._edges if edge.on == ("thing", number)}
                if not held.by[number] and is_left_behind(thing, stacks.current_frames(), waiting):
                    self._nodes["thing", number].gone = "fork"
            del thing
            if spent():
                yield

    def _add_thing(self, number: int, slots: Slots, held: list[Edge]) -> None:
        key: Key = ("thing", number)
        node = self._nodes[key] = Node(slots.kind, either=slots.kind == "slots")
        node.name, node.size = slots.name, slots.size
        before = len(self._edges)
        if slots.known:
            owners: list[Key] = [("task", each) for each in slots.tasks]
            if slots.thread in self._alive:
                owners.append(("thread", slots.thread or 0))
            elif slots.thread is not None:
                node.gone = "fork" if is_forked() else "thread"
            if slots.ended:
                node.gone = "task"
            places = {edge.on: edge for edge in reversed(held)}
            self._edges += [places.get(owner, Edge(key, owner, "held")) for owner in owners]
        elif slots.kind == "lock":
            self._edges += held[:1] if len({edge.on for edge in held}) == 1 else []
        elif slots.size is not None:
            self._edges += held if len(held) >= slots.size else []
        elif not self._partial:
            self._edges += held
        if self._secluded and not node.gone and len(self._edges) == before:
            self._edges.append(Edge(key, REST, "woken"))

    def _add_pools(self) -> None:
        """Adds the pools that something waits for."""
        for number in {edge.on[1] for edge in self._edges if edge.on[0] == "pool"}:
            pool = self._workers.pools[number]
            node = self._nodes["pool", number] = Node("pool", either=True)
            node.name, node.size = pool.name, pool.most
            if not pool.workers:
                node.gone = "fork" if is_forked() else "thread"
            elif pool.most is None or len(pool.workers) >= pool.most:
                self._edges += [Edge(("pool", number), ("thread", each), "runs") for each in pool.workers]

    # -- the answer ----------------------------------------------------------------------------

    def _stays(self, key: Key, node: Node) -> bool:
        """Whether it has not moved during the look either, while locks were passed on."""
        if key[0] == "task":
            task = self._registry.find(key[1])
            return task is not None and self._still.task(key[1], task) == node.since
        if key[0] == "thread":
            frame, native = stacks.current_frames().get(key[1]), self._natives.get(key[1])
            return frame is not None and self._still.thread(key[1], native or 0, frame) == node.since
        if key[0] == "process":
            return self._still.process(key[1], processes.threads_of(key[1])) == node.since
        return True

    def graph(self) -> Job[model.WaitGraph]:
        """The part that cannot continue; of nodes that merely wait, ``MAX_WAITING`` per thing."""
        numbers = {key: at for at, key in enumerate(self._nodes, 1)}
        nodes = [standing.bare(numbers[key], key, node) for key, node in self._nodes.items()]
        edges = [
            model.WaitEdge(numbers[each.waiter], numbers.get(each.on, 0), each.how, each.where)
            for each in self._edges
            if each.waiter in numbers
        ]
        yield
        kept = model.deadlocked(nodes, edges)
        stuck = [key for key in self._nodes if numbers[key] in kept]
        moved = {numbers[each] for each in self._returning.moved(stuck, self._edges)}
        for key in stuck:
            if key not in self._returning and not self._stays(key, self._nodes[key]):
                moved.add(numbers[key])
            if spent():
                yield
        if moved:
            kept = model.deadlocked([each for each in nodes if each.id not in moved], edges)
        between_kept = [each for each in edges if each.waiter in kept and each.on in kept]
        gone = {each.id for each in nodes if each.gone and each.id in kept}
        waiting, shown = shown_of(between_kept, gone, numbers.get(REST))
        described = []
        for key, node in self._nodes.items():
            if (id := numbers[key]) in shown:
                described.append(standing.described(id, key, node, waiting[id], self._registry))
            if spent():
                yield
        owners = SlotOwners(self._registry, self._still, self._standing, self._now)
        slots = yield from owners.full(self._nodes, self._edges, self._clients.unheld)
        held = {(numbers[each.waiter], numbers.get(each.on)): each for each in self._edges if each.frame}
        return model.WaitGraph(
            self._now,
            tuple(described),
            tuple(
                standing.with_interruption(each, held.get((each.waiter, each.on)), self._edges)
                for each in between_kept
                if each.waiter in shown and each.on in shown
            ),
            tuple(standing.running_on(self._registry, self._cancelled, self._now)),
            tuple(self._pools.found(self._standing, self._now)),
            slots=slots,
        )
