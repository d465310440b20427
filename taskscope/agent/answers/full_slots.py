"""Full pools, and semaphores and limiters of which every slot is taken: who took them, who waits."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from taskscope import model
from taskscope.agent.answers import standing
from taskscope.agent.inspect import futures, stacks, waited
from taskscope.agent.inspect.walk import spent

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from taskscope.agent.answers.nodes import Edge, Key, Node
    from taskscope.agent.counts.registry import Registry
    from taskscope.agent.inspect.stillness import Stillness
    from taskscope.agent.inspect.walk import Job
    from taskscope.agent.inspect.workers import Workers
    from taskscope.model.vocabulary import NodeKind

MAX_THINGS, MAX_HOLDERS = 10, 20
"""Most described in one answer, and holders of each."""

MAX_LINES = 5


def pools(
    workers: Workers,
    standing: Mapping[int, float],
    behind: Mapping[int, Counter[model.Frame]],
    submitted: tuple[model.Frame, ...],
    now: float,
) -> Iterator[model.FullPool]:
    """The pools with waiting jobs, most of whose workers have not moved.

    ``standing``: since when each thread has not; ``behind``: the lines at which tasks wait, by queue.
    """
    for number in set(workers.queued.values()):
        pool = workers.pools[number]
        since = sorted(standing.get(each, now) for each in pool.workers)
        if since and since[len(since) // 2] < now and pool.is_busy(workers):
            still = all(each in standing for each in pool.workers)
            yield model.FullPool(
                pool.id,
                since[-1] if still else since[len(since) // 2],
                tuple(
                    model.WaitingAt(*each)
                    for each in behind.get(number, Counter[model.Frame]()).most_common(MAX_LINES)
                ),
                still,
                submitted,
            )


class SlotOwners:
    """Who has the slots of semaphores and limiters, and who waits for one.

    ``standing``: since when each thread that stands still has not moved.
    """

    def __init__(
        self, registry: Registry, still: Stillness, standing: Mapping[int, float], now: float
    ) -> None:
        self._registry = registry
        self._still = still
        self._standing = standing
        self._now = now

    def full(
        self, nodes: Mapping[Key, Node], edges: Iterable[Edge], unheld: Mapping[Key, int]
    ) -> Job[tuple[model.FullSlots, ...]]:
        """Those whose holders have not moved since an earlier look, and whose waiters neither.

        ``unheld``: of a pool, how many members no task or thread has.
        """
        holders: dict[Key, list[Edge]] = {}
        waiters: dict[Key, list[Key]] = {}
        for edge in edges:
            if edge.how == "held" and edge.on[0] in ("task", "thread"):
                holders.setdefault(edge.waiter, []).append(edge)
            elif edge.on[0] == "thing" and edge.waiter in nodes:
                waiters.setdefault(edge.on, []).append(edge.waiter)
        found = []
        for key in list(waiters)[:MAX_THINGS]:
            node, held = nodes.get(key), holders.get(key, [])
            kept = unheld.get(key, 0)
            if node is None or node.kind != "slots" or len(held) + kept < max(1, node.size or 0):
                continue
            owners = yield from self._owners(held)
            oldest = min(nodes[each].since or self._now for each in waiters[key])
            since = [each.since for each in owners if each.since is not None] + [oldest] * (kept > 0)
            if since and len(since) == len(owners) + (kept > 0) and max(since) < self._now:
                lines = yield from self._lines(waiters[key])
                what: NodeKind = "thread" if waiters[key][0][0] == "thread" else "task"
                found.append(
                    model.FullSlots(
                        node.name,
                        node.size or 0,
                        max(since),
                        len(waiters[key]),
                        oldest,
                        tuple(owners),
                        lines,
                        what,
                        kept,
                    )
                )
        return tuple(found)

    def _owners(self, held: list[Edge]) -> Job[list[model.Holder]]:
        """Those that took slots; none if one of them has ended."""
        found = []
        for each in held[:MAX_HOLDERS]:
            owner = self._thread(each) if each.on[0] == "thread" else self._task(each)
            if owner is None:
                return []
            found.append(owner)
            if spent():
                yield
        return found

    def _lines(self, waiters: list[Key]) -> Job[tuple[model.WaitingAt, ...]]:
        lines: Counter[model.Frame] = Counter()
        for each in waiters[:MAX_HOLDERS]:
            line = self._line(each)
            if line is not None:
                lines[line] += 1
            if spent():
                yield
        return tuple(model.WaitingAt(*each) for each in lines.most_common(MAX_LINES))

    def _task(self, edge: Edge) -> model.Holder | None:
        """None if it has ended."""
        task = self._registry.find(edge.on[1])
        if task is None or futures.is_done(task):
            return None
        parked = stacks.parked(task, stacks.await_chain(futures.coroutine(task)))
        sleeps = parked is None or parked.wait == "sleep"
        since = None if sleeps else self._still.task(edge.on[1], task)
        node = model.WaitNode(0, "task", "", since=since)
        return _holder(standing.with_task(node, edge.on[1], task), edge)

    def _thread(self, edge: Edge) -> model.Holder:
        frame = stacks.current_frames().get(edge.on[1])
        sleeps = frame is None or waited.wait_of_thread(frame) == "sleep"
        del frame
        since = None if sleeps else self._standing.get(edge.on[1])
        return _holder(standing.with_thread(model.WaitNode(0, "thread", "", since=since), edge.on[1]), edge)

    def _line(self, key: Key) -> model.Frame | None:
        """The program's line at which one waits; a library's if there is none."""
        if key[0] == "thread":
            frames = stacks.thread_frames(stacks.current_frames().get(key[1]))
        else:
            task = self._registry.find(key[1])
            frames = stacks.await_chain(futures.coroutine(task)) if task is not None else []
        stack = stacks.describe(frames)
        return model.user_line(stack) or model.library_line(stack)


def _holder(node: model.WaitNode, edge: Edge) -> model.Holder:
    return model.Holder(node.name, node.number, node.since, node.frame, edge.where, node.text, kind=node.kind)
