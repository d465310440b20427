"""Who waits for whom: both ways along an await, read off the futures in between, without a walk.

A task that awaits another one is its wake-up callback.  Between the two may stand a gather, a wait, a
shield or a task group, each of which leaves a callback that refers to what the awaiting task waits on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from taskscope.agent import stacks
from taskscope.agent.variables import variables_of
from taskscope.agent.waits import callbacks, closed_over, todo_before_3_13, within_wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_DEPTH = 6
"""Futures between two tasks: a shield of a gather of a wait."""


def waited_tasks(task: Any) -> list[Any]:
    """The living tasks that ``task`` waits for."""
    waiter = getattr(task, "_fut_waiter", None)
    return [] if waiter is None else list(_behind(waiter, task, MAX_DEPTH))


def _behind(waiter: Any, task: Any, depth: int) -> Iterator[Any]:
    """Tasks that have to end before ``waiter`` is done."""
    if hasattr(waiter, "get_coro"):
        if not waiter.done():
            yield waiter
        return
    between = list(_parts(waiter)) if depth else []
    for each in between:
        yield from _behind(each, None, depth - 1)
    if not between and task is not None:
        yield from _in_a_group(task)


def _parts(waiter: Any) -> Iterator[Any]:
    """The futures behind a gather or a shield."""
    for child in list(getattr(waiter, "_children", None) or ()):
        if not child.done():
            yield child
    for callback in callbacks(waiter):
        if getattr(callback, "__qualname__", "").startswith("shield"):
            inner = closed_over(callback, "inner")
            if inner is not None:
                yield inner


def _in_a_group(task: Any) -> list[Any]:
    """Tasks that a wait, an as_completed or a task group still waits for: the names are theirs."""
    frames = stacks.await_chain(task.get_coro())
    known = stacks.shape_of(frames).known
    inner = within_wait_for(frames)
    if inner is not None:
        return [inner] if hasattr(inner, "get_coro") else []
    if known is None or known.rule.wait != "gather":
        return []
    names = variables_of(frames[known.at])
    owner = names.get("self")
    found: list[Any] = []
    todo = getattr(owner, "_todo", None) or todo_before_3_13(task)
    for pending in (names.get("fs"), getattr(owner, "_tasks", None), todo):
        if isinstance(pending, (set, frozenset, list, tuple)):
            found.extend(each for each in list(pending) if hasattr(each, "get_coro") and not each.done())
    return found


def awaiting_tasks(task: Any) -> list[Any]:
    """The tasks that wait for the end of ``task``."""
    found: dict[int, Any] = {}
    for each in _ahead(task, MAX_DEPTH):
        found[id(each)] = each
    return list(found.values())


def _ahead(future: Any, depth: int) -> Iterator[Any]:
    """Tasks that go on when ``future`` is done."""
    if depth == 0:
        return
    for callback in callbacks(future):
        owner = getattr(callback, "__self__", None)
        if hasattr(owner, "get_coro"):  # its wake-up
            yield owner
        parent = getattr(owner, "_parent_task", None)  # a task group's
        if parent is not None:
            yield parent
        group = closed_over(callback, "self")  # anyio's task group
        host = getattr(getattr(group, "cancel_scope", None), "_host_task", None)
        if host is not None:
            yield host
        between = [closed_over(callback, name) for name in ("outer", "waiter")]
        between.extend(getattr(callback, "args", ()) if hasattr(callback, "func") else ())
        for each in between:
            if hasattr(each, "add_done_callback"):
                yield from _ahead(each, depth - 1)
