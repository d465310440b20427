"""Where the tasks and threads of the wait graph stand, and what they wait for in words."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from taskscope import model
from taskscope.agent.inspect import awaiting, futures, stacks, swallowing
from taskscope.agent.inspect.blocking import activity
from taskscope.agent.inspect.interruptions import between
from taskscope.agent.inspect.looking import attribute, text
from taskscope.agent.inspect.threads import ident_of, known_threads

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from types import FrameType

    from taskscope.agent.answers.nodes import Edge, Key, Node
    from taskscope.agent.counts.registry import Registry

MAX_CANCELLED = 20
"""Cancelled tasks described in one answer."""

MAX_AWAITERS = 3
"""Tasks named that wait for a cancelled one."""


def running_on(registry: Registry, cancelled: Mapping[int, float], now: float) -> Iterator[model.Cancelled]:
    """Of tasks seen cancelled before ``now``, those that others wait for, or that swallow it.

    Not those that wait for one of them: they end with it.
    """
    for serial, since in list(cancelled.items())[:MAX_CANCELLED]:
        task = registry.find(serial) if since < now else None
        if task is None or futures.is_done(task):
            continue
        behind = awaiting.awaiting_tasks(task)
        caught = swallowing.place_of(stacks.await_chain(futures.coroutine(task)))
        if (behind or caught is not None) and not any(
            futures.serial_of(each) in cancelled for each in awaiting.waited_tasks(task)
        ):
            node = model.WaitNode(0, "task", "", since=since, waiting=len(behind))
            yield model.Cancelled(
                with_task(node, serial, task),
                futures.cancels_of(task),
                caught,
                tuple(_awaiter(each) for each in behind[:MAX_AWAITERS]),
            )


def _awaiter(task: object) -> model.Awaiter:
    frames = stacks.outside_plumbing(stacks.await_chain(futures.coroutine(task)))
    place = model.library_line(stacks.describe(frames))
    cancels = (swallowing.cancel_before(each) for each in frames)
    return model.Awaiter(
        futures.serial_of(task) or 0,
        futures.name_of(task),
        place,
        next((each for each in cancels if each is not None), None),
    )


def bare(number: int, key: Key, node: Node, waiting: int = 0) -> model.WaitNode:
    """A node without what describes a task or thread.  ``waiting``: how many wait for it."""
    return model.WaitNode(
        number,
        node.kind,
        node.name,
        key[1] if key[0] == "process" else 0,
        text=node.text,
        since=node.since,
        either=node.either,
        gone=node.gone,
        size=node.size,
        waiting=waiting,
    )


def described(number: int, key: Key, node: Node, waiting: int, registry: Registry) -> model.WaitNode:
    """A node as it is sent."""
    made = bare(number, key, node, waiting)
    if key[0] == "task":
        return with_task(made, key[1], registry.find(key[1]))
    return with_thread(made, key[1]) if key[0] == "thread" else made


def with_task(node: model.WaitNode, serial: int, task: object) -> model.WaitNode:
    frames = stacks.await_chain(futures.coroutine(task)) if task is not None else []
    parked = stacks.parked(task, frames)
    doing = parked.text if parked is not None else ""
    return _at(replace(node, name=futures.name_of(task), number=serial, text=doing), frames)


def with_thread(node: model.WaitNode, ident: int) -> model.WaitNode:
    frame = stacks.current_frames().get(ident)
    thread = next((each for each in known_threads() if ident_of(each) == ident), None)
    doing = activity(frame, running=False, loop=None).text
    name = text(attribute(thread, "_name"))
    return _at(replace(node, name=name, number=ident, text=doing), stacks.thread_frames(frame))


def line_of(frames: list[FrameType]) -> model.Frame | None:
    """The line that called plumbing."""
    return model.library_line(stacks.describe(stacks.outside_plumbing(frames)))


def _at(node: model.WaitNode, frames: list[FrameType]) -> model.WaitNode:
    stack = stacks.describe(stacks.outside_plumbing(frames))
    return replace(node, frame=model.library_line(stack), user_frame=model.user_line(stack))


def with_interruption(edge: model.WaitEdge, held: Edge | None, edges: list[Edge]) -> model.WaitEdge:
    """Adds what ran in between if a thread waits for a lock that it holds."""
    if held is None or not any(held.on == each.waiter and each.on == held.waiter for each in edges):
        return edge
    found = between(stacks.current_frames().get(held.on[1]), held.frame)
    return replace(edge, interrupted=found.what, by=found.by)
