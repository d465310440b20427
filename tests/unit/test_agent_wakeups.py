"""Whether a thread gets work shows in how often it runs, unless it wakes up by itself."""

from __future__ import annotations

import dataclasses
import queue
import threading
import time
from typing import TYPE_CHECKING

import pytest

from taskscope.agent.answers.wakeups import thread_marks
from taskscope.model import Thread

if TYPE_CHECKING:
    from collections.abc import Callable

ANY = Thread(0, 0, "any", True, True, None, None, None, None, "waiting", "", None, None, None, "queue.get")


def thread(run: Callable[[], object]) -> Thread:
    started = threading.Thread(target=run, daemon=True)
    started.start()
    return dataclasses.replace(ANY, ident=started.ident or 0, native_id=started.native_id or 0)


def settled(waiting: Thread) -> int:
    """Its mark once it has reached its wait."""
    before, now = -1, mark(waiting)
    while now != before:
        time.sleep(0.02)
        before, now = now, mark(waiting)
    return now


def mark(waiting: Thread) -> int:
    (found,) = thread_marks([waiting])
    return found.where


@pytest.mark.parametrize("kind", [queue.Queue, queue.SimpleQueue])
def test_a_thread_that_gets_an_item_has_moved(kind: type[queue.Queue[int]]) -> None:
    items, got = kind(), threading.Event()

    def work() -> None:
        while items.get():
            got.set()

    worker = thread(work)
    first = settled(worker)
    items.put(1)
    assert got.wait(10)
    assert mark(worker) != first
    items.put(0)


def test_of_a_thread_with_a_timeout_nothing_is_told() -> None:
    stop, begun = threading.Event(), threading.Event()

    def poll() -> None:
        begun.set()
        stop.wait(60)

    poller = thread(poll)
    assert begun.wait(10)
    deadline = time.monotonic() + 10
    while list(thread_marks([poller])) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not list(thread_marks([poller]))
    stop.set()
