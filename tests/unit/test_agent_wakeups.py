"""Whether a thread gets work shows in how often it runs, unless it wakes up by itself."""

from __future__ import annotations

import dataclasses
import functools
import queue
import socket
import sys
import threading
import time
from typing import TYPE_CHECKING

import pytest

from taskscope.agent.answers.wakeups import listens, thread_marks
from taskscope.agent.inspect import system_calls
from taskscope.agent.inspect.stacks import thread_frames
from taskscope.agent.inspect.taking import at_work
from taskscope.model import Thread

if TYPE_CHECKING:
    from collections.abc import Callable

ANY = Thread(0, 0, "any", True, True, None, None, None, None, "waiting", "", None, None, None, "queue.get")
READS = ("recvfrom", "poll", "ppoll")


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


@pytest.mark.parametrize(("timeout", "told"), [(None, True), (60.0, False)])
def test_a_thread_listens_to_a_peer_if_no_timeout_ends_its_wait(timeout: float | None, told: bool) -> None:
    here, there = socket.socketpair()
    here.settimeout(timeout)
    done = threading.Event()

    def read() -> None:
        here.recv(1)
        done.set()

    reader = dataclasses.replace(thread(read), wait="socket")
    deadline = time.monotonic() + 10
    while (call := system_calls.of_thread(reader.native_id or 0)) is None or call.name not in READS:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert listens(reader) is told
    assert not listens(dataclasses.replace(reader, wait="file"))
    there.send(b"x")
    assert done.wait(10)
    for end in (here, there):
        end.close()


ERRANDS = queue.Queue[threading.Event]()


def run_errands() -> None:
    while errand := ERRANDS.get():
        if not errand.wait(10):
            return


def test_workers_of_a_queue_of_the_module_are_known() -> None:
    done = threading.Event()
    workers = {each.ident for each in (thread(run_errands), thread(run_errands))}
    for _ in workers:
        ERRANDS.put(done)
    deadline = time.monotonic() + 10
    while not workers <= at_work(
        {ident: thread_frames(each) for ident, each in sys._current_frames().items() if ident in workers}
    ):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    done.set()
    for _ in workers:
        ERRANDS.put(None)  # type: ignore[arg-type]


def test_threads_at_work_on_what_one_queue_gave_them_are_told_apart() -> None:
    shared, own, done = queue.Queue[int](), queue.Queue[int](), threading.Event()
    begun = threading.Barrier(5)

    def work(source: queue.Queue[int]) -> None:
        while source.get():
            begun.wait(10)
            done.wait(10)

    workers = [thread(functools.partial(work, each)) for each in (shared, shared, shared, shared, own)]
    for source in (shared, shared, shared, own):  # one of the workers gets nothing
        source.put(1)
    begun.wait(10)
    frames = sys._current_frames()
    stacks = {each.ident: thread_frames(frames[each.ident]) for each in workers}
    assert len(at_work(stacks) & {each.ident for each in workers[:4]}) == len(at_work(stacks)) == 3
    done.set()
    for source in (shared, shared, shared, shared, own):
        source.put(0)
