"""Threads: who started them where, what they wait for, which pool they belong to, which loop they run."""

from __future__ import annotations

import _thread
import asyncio
import concurrent.futures
import queue
import socket
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

import taskscope
from taskscope.agent.walk import run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from taskscope import model


@pytest.fixture(autouse=True)
def agent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TASKSCOPE_DIR", str(tmp_path / "run"))
    taskscope.start("threads", interval=0.1)
    yield
    taskscope.stop()


def threads() -> dict[str, model.Thread]:
    assert taskscope._agent is not None
    return {thread.name: thread for thread in taskscope._agent.thread_view.all()}


def until_says(name: str, text: str) -> model.Thread:
    """The thread once it says so: it takes a moment to get to where it waits."""
    end = time.monotonic() + 10
    while True:
        thread = threads().get(name)
        if thread is not None and thread.text == text:
            return thread
        assert time.monotonic() < end, thread
        time.sleep(0.005)


def start(target: Callable[[], Any], name: str) -> threading.Thread:
    thread = threading.Thread(target=target, name=name, daemon=True)
    thread.start()
    return thread


def test_what_threads_wait_for() -> None:
    event, jobs = threading.Event(), queue.Queue[int](7)
    near, far = socket.socketpair()
    listener = socket.create_server(("127.0.0.1", 0))
    client = socket.create_connection(listener.getsockname())
    server = listener.accept()[0]
    host, port = client.getpeername()
    waiting = start(event.wait, "event")
    stop = threading.Event()
    ways: dict[str, tuple[Callable[[], Any], str]] = {
        "queue": (jobs.get, "waits for queue.get, 0 of 7 items"),
        "join": (waiting.join, "waits for the end of another thread, event"),
        "read": (lambda: client.makefile("rb").read(1), f"waits for a socket, {host}:{port}"),
        "accept": (lambda: listener.accept()[0].close(), "waits for a connection"),
    }
    started = [start(target, name) for name, (target, _) in ways.items()]
    try:
        for name, (_, text) in ways.items():
            assert until_says(name, text).state == "waiting"
        assert until_says("event", "waits for a condition or event").state == "waiting"
    finally:
        event.set()
        jobs.put(1)
        server.sendall(b"x")
        last = socket.create_connection(listener.getsockname())
        for thread in [waiting, *started]:
            thread.join(5)
        stop.set()
        for each in (near, far, listener, client, server, last):
            each.close()


def test_a_running_thread_runs() -> None:
    done = False

    def spin() -> None:
        while not done:
            sum(range(1000))

    thread = start(spin, "spinner")
    found = until_says("spinner", "in test_a_running_thread_runs.spin")
    assert (found.state, found.daemon, found.python) == ("running", True, True)
    assert found.native_id == thread.native_id
    done = True
    thread.join()


def test_pools_and_their_jobs() -> None:
    gate = threading.Event()
    with concurrent.futures.ThreadPoolExecutor(2, thread_name_prefix="pool") as pool:
        pool.submit(int).result()
        until_says("pool_0", "waits for a job")
        assert threads()["pool_0"].state == "idle"
        jobs = [pool.submit(gate.wait) for _ in range(5)]
        busy = until_says("pool_1", "waits for a condition or event")
        assert busy.state == "waiting"
        assert busy.executor is not None
        assert (busy.executor.name, busy.executor.workers, busy.executor.max_workers) == ("pool", 2, 2)
        assert busy.executor.queued == 3
        gate.set()
        concurrent.futures.wait(jobs)


def test_a_worker_in_a_c_call_is_not_idle() -> None:
    with concurrent.futures.ThreadPoolExecutor(1, thread_name_prefix="c") as pool:
        job = pool.submit(time.sleep, 0.6)
        runner = "WorkerContext.run" if sys.version_info >= (3, 14) else "_WorkItem.run"
        assert until_says("c_0", f"in a call made by {runner}").state == "waiting"
        job.result()


def test_sites_and_starters() -> None:
    gate = threading.Event()
    first = start(gate.wait, "first")
    assert taskscope._agent is not None
    view, registry = taskscope._agent.thread_view, taskscope._agent.registry
    found = threads()["first"]
    assert found.parent == threading.get_ident()
    assert found.birth is not None
    assert found.site is not None
    site = registry.by_id[found.site].site
    assert (site.kind, site.frame.function, site.coroutine) == ("thread", "start", "Event.wait")
    detail = view.detail(found.ident)
    assert detail is not None
    assert [frame.function for frame in detail.creation[:2]] == ["start", "test_sites_and_starters"]
    gate.set()
    first.join()


def test_threads_unknown_to_threading_are_listed() -> None:
    gate, ready = _thread.allocate_lock(), threading.Event()
    gate.acquire()

    def raw() -> None:
        ready.set()
        gate.acquire()

    _thread.start_new_thread(raw, ())
    ready.wait(5)
    assert taskscope._agent is not None
    found: list[model.Thread] = []
    end = time.monotonic() + 10
    while not found and time.monotonic() < end:  # it may still be on its way out of `ready.set`
        everyone = taskscope._agent.thread_view.all()
        found = [each for each in everyone if each.frame and each.frame.function.endswith("raw")]
    assert [(each.name, each.python) for each in found] == [("(not started by threading)", True)]
    assert until_says("taskscope agent", "observes").daemon
    gate.release()


async def test_the_loop_that_a_thread_runs() -> None:
    end = time.monotonic() + 10
    main: model.Thread | None = None
    while (main is None or main.loop is None) and time.monotonic() < end:
        await asyncio.sleep(0.01)
        main = threads()["MainThread"]
    assert main is not None
    assert taskscope._agent is not None
    loops = run(taskscope._agent.loops())
    assert [loop.id for loop in loops if loop.thread == main.ident] == [main.loop]
