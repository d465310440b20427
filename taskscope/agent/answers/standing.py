"""Where the tasks and threads of the wait graph stand, and what they wait for in words."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from taskscope import model
from taskscope.agent.inspect import futures, stacks
from taskscope.agent.inspect.blocking import activity
from taskscope.agent.inspect.looking import attribute, text
from taskscope.agent.inspect.threads import ident_of, known_threads

if TYPE_CHECKING:
    from types import FrameType


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


def _at(node: model.WaitNode, frames: list[FrameType]) -> model.WaitNode:
    stack = stacks.describe(stacks.outside_plumbing(frames))
    return replace(node, frame=model.library_line(stack), user_frame=model.user_line(stack))
