"""Full pools, and semaphores and limiters of which every slot is taken: who took them, who waits."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from taskscope import model
from taskscope.agent.answers import standing
from taskscope.agent.inspect import futures, stacks
from taskscope.agent.inspect.walk import spent

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from taskscope.agent.answers.nodes import Edge, Key, Node
    from taskscope.agent.counts.registry import Registry
    from taskscope.agent.inspect.stillness import Stillness
    from taskscope.agent.inspect.walk import Job
    from taskscope.agent.inspect.workers import Workers

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


def find(
    nodes: Mapping[Key, Node], edges: Iterable[Edge], registry: Registry, still: Stillness, now: float
) -> Job[tuple[model.FullSlots, ...]]:
    """Those whose holders have not moved since an earlier look, and whose waiters neither."""
    holders: dict[Key, list[Edge]] = {}
    waiters: dict[Key, list[Key]] = {}
    for edge in edges:
        if edge.how == "held":
            holders.setdefault(edge.waiter, []).append(edge)
        elif edge.on[0] == "thing" and edge.waiter in nodes:
            waiters.setdefault(edge.on, []).append(edge.waiter)
    found = []
    for key in list(waiters)[:MAX_THINGS]:
        node, held = nodes.get(key), holders.get(key, [])
        if node is None or node.kind != "slots" or len(held) < max(1, node.size or 0):
            continue
        owners = yield from _owners(held, registry, still)
        since = [each.since for each in owners if each.since is not None]
        if owners and len(since) == len(owners) and max(since) < now:
            waiting = [nodes[each].since or now for each in waiters[key]]
            lines = yield from _lines(waiters[key], registry)
            found.append(
                model.FullSlots(
                    node.name, node.size or 0, max(since), len(waiting), min(waiting), tuple(owners), lines
                )
            )
    return tuple(found)


def _owners(held: list[Edge], registry: Registry, still: Stillness) -> Job[list[model.Holder]]:
    """The tasks that took slots; none if one has ended, or a thread took one: it may move."""
    found = []
    for each in held[:MAX_HOLDERS]:
        owner = _owner(each, registry, still)
        if owner is None:
            return []
        found.append(owner)
        if spent():
            yield
    return found


def _lines(waiters: list[Key], registry: Registry) -> Job[tuple[model.WaitingAt, ...]]:
    lines: Counter[model.Frame] = Counter()
    for each in waiters[:MAX_HOLDERS]:
        line = _line(each, registry)
        if line is not None:
            lines[line] += 1
        if spent():
            yield
    return tuple(model.WaitingAt(*each) for each in lines.most_common(MAX_LINES))


def _owner(edge: Edge, registry: Registry, still: Stillness) -> model.Holder | None:
    """The task that took a slot; None if it has ended, or a thread took it."""
    task = registry.find(edge.on[1]) if edge.on[0] == "task" else None
    if task is None or futures.is_done(task):
        return None
    since = still.task(edge.on[1], task)
    parked = stacks.parked(task, stacks.await_chain(futures.coroutine(task)))
    sleeps = parked is None or parked.wait == "sleep"
    node = standing.with_task(
        model.WaitNode(0, "task", "", since=None if sleeps else since), edge.on[1], task
    )
    return model.Holder(node.name, node.number, node.since, node.frame, edge.where, node.text)


def _line(key: Key, registry: Registry) -> model.Frame | None:
    task = registry.find(key[1]) if key[0] == "task" else None
    return standing.line_of(stacks.await_chain(futures.coroutine(task))) if task is not None else None
