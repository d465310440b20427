"""Where the tasks and threads of the wait graph stand, and what they wait for in words."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from taskscope import model
from taskscope.agent.inspect import awaiting, futures, stacks
from taskscope.agent.inspect.blocking import activity
from taskscope.agent.inspect.looking import attribute, text
from taskscope.agent.inspect.threads import ident_of, known_threads

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from types import FrameType

    from taskscope.agent.counts.registry import Registry

MAX_CANCELLED = 20
"""Cancelled tasks described in one answer."""


def running_on(registry: Registry, cancelled: Mapping[int, float], now: float) -> Iterator[model.WaitNode]:
    """Of tasks seen cancelled before ``now``, those that others wait for and that wait for none of them."""
    for serial, since in list(cancelled.items())[:MAX_CANCELLED]:
        task = registry.find(serial) if since < now else None
        if task is None or futures.is_done(task):
            continue
        behind = len(awaiting.awaiting_tasks(task))
        if behind and not any(futures.serial_of(each) in cancelled for each in awaiting.waited_tasks(task)):
            yield with_task(model.WaitNode(0, "task", "", since=since, waiting=behind), serial, task)


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
