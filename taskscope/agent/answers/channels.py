"""Pipes and sockets in the wait graph: who waits for room or data, and who has to take or give it.

The kernel says which call a thread stands in, of this process and of those at the other end, and where that
end is.  Who will use an end that nobody uses now is not known to it: so this counts only where every task and
thread of the process stands still.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from taskscope.agent.answers.nodes import REST, Edge, Node
from taskscope.agent.inspect import (
    futures,
    handles,
    open_files,
    origins,
    other_ends,
    processes,
    stacks,
    system_calls,
)
from taskscope.agent.inspect.walk import spent

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from types import FrameType

    from taskscope import model
    from taskscope.agent.answers.nodes import Key
    from taskscope.agent.counts.registry import Registry
    from taskscope.agent.inspect.stillness import Stillness
    from taskscope.agent.inspect.system_calls import On, SystemCall
    from taskscope.agent.inspect.walk import Job
    from taskscope.model.vocabulary import EdgeKind

BATCH = 10
"""Descriptors followed at a time: most often the first few show that somebody can continue."""

MAX_PROCESSES, MAX_NEEDS, MAX_ACTORS = 50, 200, 200
"""Other processes and descriptors followed; tasks and threads whose variables are searched for the latter."""


class Need(NamedTuple):
    """A descriptor of a process, 0 for this one, and whether data is awaited there; else it is room."""

    pid: int
    number: int
    reads: bool


class Channels:
    """What one look finds; adds to its nodes and edges."""

    def __init__(
        self, nodes: dict[Key, Node], edges: list[Edge], still: Stillness, registry: Registry
    ) -> None:
        self._nodes = nodes
        self._edges = edges
        self._still = still
        self._registry = registry
        self._keys: dict[Need, Key] = {}
        self._needs: list[Need] = []
        self._pids: list[int] = []
        self._known: set[int] = set()
        self._loops: set[int] = set()

    # -- who waits -----------------------------------------------------------------------------

    def add_thread(self, ident: int, native: int, since: float, *, still: bool) -> None:
        """Adds a thread that only another process, or the other end of a descriptor, can release.

        One that is not known to be ``still`` is only followed, so that the next look knows about the others.
        """
        key: Key = ("thread", ident)
        call = system_calls.of_thread(native) if key not in self._nodes else None
        ahead = self._ahead(key, 0, call) if call is not None else None
        if ahead and still:
            self._nodes[key] = Node("thread", since, either=True)
            self._edges += ahead

    def add_task(self, serial: int, since: float, task: object, *, still: bool) -> None:
        """Likewise a task that waits for room, or for a child to end."""
        on = handles.of_task(task)
        if on is not None:
            key: Key = ("task", serial)
            ahead = self._to_process(key, on.pid) if on.pid else self._to(key, 0, on.number)
            if still:
                self._nodes[key] = Node("task", since)
                self._edges.append(ahead)

    def add_loop(self, thread: int) -> None:
        """Notes a thread that runs a loop: its variables lead to what the tasks use."""
        self._loops.add(thread)

    def add_registered(self, thread: int, registered: Iterable[On]) -> None:
        """Adds that a thread asleep in its loop may also be woken by these."""
        key: Key = ("thread", thread)
        if key in self._nodes:
            self._nodes[key].either = True
            self._edges += [edge for each in registered for edge in self._on(key, 0, each)]

    def _ahead(self, key: Key, pid: int, call: SystemCall) -> list[Edge] | None:
        """What a thread waits for; None if it may continue by itself, or this is unknown."""
        if not call.endless:
            return None
        if call.name in ("wait4", "waitid"):
            pids = [call.pid] if call.pid else processes.children_of(pid)
            return [self._to_process(key, each) for each in pids] or None
        if call.on and all(each.reads or each.writes for each in call.on):
            return [edge for each in call.on for edge in self._on(key, pid, each)]
        return None

    def _on(self, key: Key, pid: int, on: On) -> Iterator[Edge]:
        child = processes.behind(on.number) if on.reads and not pid else 0
        if child:
            yield self._to_process(key, child)
        elif on.reads:
            yield self._to(key, pid, on.number, reads=True)
        if on.writes:
            yield self._to(key, pid, on.number)

    def _to(self, key: Key, pid: int, number: int, *, reads: bool = False) -> Edge:
        need = Need(pid, number, reads)
        if need not in self._keys:
            self._keys[need] = "channel", len(self._keys)
            if len(self._keys) <= MAX_NEEDS:
                self._needs.append(need)
        return Edge(key, self._keys[need], "waits")

    def _to_process(self, key: Key, pid: int) -> Edge:
        if pid not in self._known and len(self._known) < MAX_PROCESSES:
            self._known.add(pid)
            self._pids.append(pid)
        return Edge(key, ("process", pid), "ends")

    # -- who has to read or write --------------------------------------------------------------

    def follow(self, natives: Mapping[int | None, int], agent: int) -> Job[None]:
        """Adds the other ends, and the processes that are waited for.

        All of them are needed for a standstill, so the first that can continue ends the search.
        """
        if not self._needs and not self._pids:
            return
        if not processes.are_readable():
            return  # whoever cannot be seen may have the other end too
        used = yield from _used(natives, agent)
        having: dict[Key, set[int]] = {}
        while self._needs or self._pids:
            if not (yield from self._add_processes()):
                return
            needs, self._needs = self._needs[:BATCH], self._needs[BATCH:]
            ends = yield from _other_ends(needs)
            held = yield from other_ends.held_by(set(ends.values()))
            if not having and any(each.here for found in held.values() for each in found):
                having = yield from self._having()
            for need in needs:
                self._add_channel(need, held.get(ends[need], ()) if need in ends else (), used, having)
                if self._keys[need] not in self._nodes:
                    return
                if spent():
                    yield

    def _add_processes(self) -> Job[bool]:
        """Whether none of them can continue."""
        pids, self._pids = self._pids, []
        for pid in pids:
            self._add_process(pid)
            if ("process", pid) not in self._nodes:
                return False
            if spent():
                yield
        return True

    def _add_process(self, pid: int) -> None:
        """Adds another process if all its threads wait for what has no time-out."""
        natives = processes.threads_of(pid)
        since = self._still.process(pid, natives)
        if since is None or processes.has_timers(pid):
            return
        key: Key = ("process", pid)
        edges: list[Edge] = []
        for native in natives:
            call = system_calls.of_thread(native, pid)
            if call is not None and call.endless and call.inside:
                continue  # for another thread of its own
            ahead = self._ahead(key, pid, call) if call is not None else None
            if ahead is None:
                return
            edges += ahead
        if edges:
            node = self._nodes[key] = Node("process", since, either=True)
            node.name = processes.name_of(pid)
            self._edges += edges

    def _add_channel(
        self,
        need: Need,
        ends: tuple[model.OtherEnd, ...],
        used: set[On],
        having: Mapping[Key, set[int]],
    ) -> None:
        """Adds what is awaited, unless somebody reads or writes at one of these other ends."""
        if not 0 < len(ends) < other_ends.MOST_ENDS:
            return
        here = [each.number for each in ends if each.here]
        if any(each.number in here and (each.writes if need.reads else each.reads) for each in used):
            return
        key = self._keys[need]
        node = self._nodes[key] = Node("channel", either=True)
        node.name = f"{'data' if need.reads else 'room'} in {_named(need)}"
        node.text = " and ".join(each.text for each in ends[: other_ends.MOST_NAMED])
        how: EdgeKind = "writes" if need.reads else "reads"
        for each in ends:
            if not each.here:
                self._edges.append(Edge(key, self._to_process(key, each.pid).on, how))
        if here:
            self._edges.append(Edge(key, REST, "waits" if need.reads else "woken"))
            alone = len(having) == 1  # with others, to wait for data may be to wait for work
            self._edges += [
                Edge(key, actor, how)
                for actor, numbers in having.items()
                if not numbers.isdisjoint(here) and (alone or not need.reads)
            ]

    def _having(self) -> Job[dict[Key, set[int]]]:
        """The descriptors that variables of the tasks' and threads' own code lead to."""
        found: dict[Key, set[int]] = {}
        actors = [key for key in self._nodes if key[0] in ("task", "thread") and key[1] not in self._loops]
        for key in actors[:MAX_ACTORS]:
            if key[0] == "task":
                task = self._registry.find(key[1])
                frames = stacks.await_chain(futures.coroutine(task)) if task is not None else []
                del task
            else:
                frames = stacks.thread_frames(stacks.current_frames().get(key[1]))
            own = [each for each in frames if _is_own(each)]
            found[key] = yield from handles.reached_by(own)
            del frames, own
        return found


def _used(natives: Mapping[int | None, int], agent: int) -> Job[set[On]]:
    """What the threads of this process wait on."""
    found: set[On] = set()
    for ident, native in natives.items():
        call = system_calls.of_thread(native) if ident != agent else None
        found.update(call.on if call is not None else ())
        if spent():
            yield
    return found


def _other_ends(needs: Iterable[Need]) -> Job[dict[Need, other_ends.End]]:
    found: dict[Need, other_ends.End] = {}
    for need in needs:
        end = other_ends.other_end(need.number, need.pid or "self")
        if end is not None:
            found[need] = end
        if spent():
            yield
    return found


def _is_own(frame: FrameType) -> bool:
    file = origins.file_of(frame.f_code)
    return not origins.is_plumbing(file) and origins.origin(file) != "stdlib"


def _named(need: Need) -> str:
    if need.pid:
        return f"its fd {need.number}"
    known = open_files.describe(need.number)
    return f"fd {need.number}, {known.kind}" if known is not None else f"fd {need.number}"
