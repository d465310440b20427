"""What a task waits for, by the functions of asyncio in which it is suspended, and what it awaits."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from taskscope import model
from taskscope.attach.reading.coroutines import MOST_AWAITED

if TYPE_CHECKING:
    from taskscope.attach.reading.coroutines import Chain
    from taskscope.model.vocabulary import Wait

_WAITS: dict[tuple[str, str], tuple[Wait, str]] = {
    ("tasks.py", "sleep"): ("sleep", "asyncio.sleep"),
    ("tasks.py", "wait"): ("gather", "asyncio.wait"),
    ("tasks.py", "_wait"): ("gather", "asyncio.wait"),
    ("tasks.py", "as_completed._wait_for_one"): ("gather", "as_completed"),
    ("tasks.py", "_AsCompletedIterator._wait_for_one"): ("gather", "as_completed"),
    ("queues.py", "Queue.get"): ("queue.get", "Queue.get"),
    ("queues.py", "Queue.put"): ("queue.put", "Queue.put"),
    ("queues.py", "Queue.join"): ("event", "Queue.join"),
    ("locks.py", "Lock.acquire"): ("lock", "Lock.acquire"),
    ("locks.py", "Event.wait"): ("event", "Event.wait"),
    ("locks.py", "Condition.wait"): ("condition", "Condition.wait"),
    ("locks.py", "Semaphore.acquire"): ("semaphore", "Semaphore.acquire"),
    ("locks.py", "Barrier._wait"): ("barrier", "Barrier.wait"),
    ("locks.py", "Barrier._block"): ("barrier", "Barrier.wait"),
    ("streams.py", "StreamReader._wait_for_data"): ("socket", "a stream's data"),
    ("streams.py", "FlowControlMixin._drain_helper"): ("socket", "a stream to drain"),
    ("selector_events.py", "BaseSelectorEventLoop.sock_recv"): ("socket", "sock_recv"),
    ("selector_events.py", "BaseSelectorEventLoop.sock_accept"): ("socket", "sock_accept"),
    ("taskgroups.py", "TaskGroup._aexit"): ("gather", "the tasks of a TaskGroup"),
    ("taskgroups.py", "TaskGroup.__aexit__"): ("gather", "the tasks of a TaskGroup"),
    ("base_events.py", "Server.serve_forever"): ("server", "Server.serve_forever"),
}
"""By asyncio's file and function; the one that the program called counts."""


def parked(chain: Chain, task: int | None) -> model.Parked | None:
    """Where a task is suspended; ``task``: the serial of the one that it awaits.  None: it runs."""
    if not chain.stack or chain.place:
        return None
    inner = itertools.takewhile(lambda frame: "/asyncio/" in frame.file, chain.stack)
    found = (_WAITS.get((frame.file.rpartition("/")[2], frame.function)) for frame in inner)
    known = next(filter(None, reversed(list(found))), None)
    if task is not None:
        known = known or ("task", "another task")
    elif chain.cut:
        known = ("unknown", f"suspended {MOST_AWAITED} or more calls deep")
    elif chain.kind == "_GatheringFuture":
        known = ("gather", "gather")
    elif chain.future:
        known = known or ("future", "a future")
    wait, text = known or ("unknown", f"suspended in {chain.stack[0].function}")
    return model.Parked(
        model.library_line(chain.stack) or chain.stack[0], model.user_line(chain.stack), wait, text, task
    )
