"""The await graph in both directions, read from the futures in between, without a walk.

A task that awaits another registers its wake-up as a callback.  Between the two may be a gather, a wait, a
shield or a task group, each of which leaves a callback that refers to what the awaiting task waits on.
"""

from __future__ import annotations

from itertools import islice
from types import FunctionType
from typing import TYPE_CHECKING

from taskscope.agent.inspect import futures, stacks
from taskscope.agent.inspect.foreign import StandIn
from taskscope.agent.inspect.looking import arguments_of, attribute, called, items, owner_of
from taskscope.agent.inspect.variables import variables_of
from taskscope.agent.inspect.waits import closed_over, todo_before_3_13, within_wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

    from taskscope.agent.inspect.waits import Recognised

MAX_TASKS = 1_000
"""Tasks inspected behind one future."""

MAX_DEPTH = 6
"""Futures between two tasks: a shield of a gather of a wait."""


def waited_tasks(task: object, frames: list[FrameType] | None = None) -> list[object]:
    """The live tasks that ``task`` waits for; of a gather or a wait, the first ``MAX_TASKS``.

    ``frames``: its await chain, if the caller has it.
    """
    waiter = futures.waiter_of(task)
    if waiter is None:
        return []
    if frames is None:
        frames = stacks.await_chain(futures.coroutine(task))
    if type(task) is StandIn:
        return task.children(frames)
    return _waited(waiter, task, frames, stacks.shape_of(frames).known)


class Waited:
    """The tasks that many wait for.  A shared future with no task behind it is read once per slice."""

    def __init__(self) -> None:
        self._barren: dict[int, object] = {}

    def pause(self) -> None:
        """Forgets the futures of this slice."""
        self._barren.clear()

    def of(self, task: object) -> list[object]:
        """As ``waited_tasks``: whoever waits in a group has a future of its own."""
        waiter = futures.waiter_of(task)
        if waiter is None or id(waiter) in self._barren:
            return []
        frames = stacks.await_chain(futures.coroutine(task))
        if type(task) is StandIn:
            return task.children(frames)
        known = stacks.shape_of(frames).known
        if known is not None and known.timed:  # nobody else knows the future of a sleep
            return []
        found = _waited(waiter, task, frames, known)
        if not found:
            self._barren[id(waiter)] = waiter
        return found


def _waited(waiter: object, task: object, frames: list[FrameType], known: Recognised | None) -> list[object]:
    """Tasks that must end before ``waiter``, for which ``task`` waits, is done."""
    plain = futures.is_plain(waiter)
    if not plain and futures.is_task(waiter):
        return [waiter] if not futures.is_done(waiter) else []
    between = list(_parts(waiter, plain=plain))
    if not between:
        return _in_a_group(task, frames, known)
    return list(islice((found for each in between for found in _behind(each, MAX_DEPTH - 1)), MAX_TASKS))


def _behind(future: object, depth: int) -> Iterator[object]:
    """Likewise, for a future between the two."""
    plain = futures.is_plain(future)
    if plain or not futures.is_task(future):
        for each in _parts(future, plain=plain) if depth else ():
            yield from _behind(each, depth - 1)
    elif not futures.is_done(future):
        yield future


def _parts(waiter: object, *, plain: bool) -> Iterator[object]:
    """The futures behind a gather or a shield."""
    for child in () if plain else items(attribute(waiter, "_children"), MAX_TASKS):
        if not futures.is_done(child):
            yield child
    for callback in futures.callbacks(waiter):
        if type(callback) is FunctionType and called(callback).startswith("shield"):
            inner = closed_over(callback, "inner")
            if inner is not None:
                yield inner


def _in_a_group(task: object, frames: list[FrameType], known: Recognised | None) -> list[object]:
    """Tasks that a wait, an as_completed or a task group still waits for, by asyncio's variable names."""
    inner = within_wait_for(frames)
    if inner is not None:
        return [inner] if futures.is_task(inner) else []
    if known is None or known.rule.wait != "gather":
        return []
    names = variables_of(frames[known.at])
    owner = names.get("self")
    todo = attribute(owner, "_todo")
    todo = todo if todo is not None else todo_before_3_13(task)
    found: list[object] = []
    for pending in (names.get("fs"), attribute(owner, "_tasks"), todo):
        tasks = (each for each in items(pending, MAX_TASKS) if futures.is_task(each))
        found.extend(each for each in tasks if not futures.is_done(each))
    return found


def awaiting_tasks(task: object) -> list[object]:
    """The tasks that wait for ``task``; only some if there are very many."""
    if type(task) is StandIn:
        return task.awaiters()
    return list({id(each): each for each in _ahead(task, MAX_DEPTH)}.values())


def is_awaited(task: object) -> bool:
    """Whether any task waits for its end."""
    if type(task) is StandIn:
        return task.awaiters() != []
    if futures.field(task, "_callbacks") is None:
        return False
    return next(_ahead(task, MAX_DEPTH), None) is not None


def _ahead(future: object, depth: int) -> Iterator[object]:
    """Tasks that resume when ``future`` is done."""
    if depth == 0:
        return
    for callback in futures.callbacks(future, futures.MAX_CALLBACKS):
        owner = owner_of(callback)
        if owner is not None:
            if futures.is_task(owner):  # its wake-up
                yield owner
            parent = attribute(owner, "_parent_task")  # a task group's
            if parent is not None:
                yield parent
        group = closed_over(callback, "self")  # anyio's task group
        host = attribute(attribute(group, "cancel_scope"), "_host_task") if group is not None else None
        if host is not None:
            yield host
        between = [closed_over(callback, name) for name in ("outer", "waiter")]
        for each in (*between, *arguments_of(callback), *_getters(callback)):
            if each is not None and futures.is_future(each):
                yield from _ahead(each, depth - 1)


def _getters(callback: object) -> list[object]:
    """The futures of who waits for the next result of an as_completed."""
    if "completion" not in called(callback):
        return []
    queue = closed_over(callback, "done")  # up to 3.12
    queue = queue if queue is not None else attribute(owner_of(callback), "_done")
    return items(attribute(queue, "_getters"), MAX_TASKS)
