"""Threads: who started them and where, what they wait for, their pool and their loop."""

from __future__ import annotations

import _thread
import asyncio
import concurrent.futures
import json
import os
import re
import subprocess
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import taskscope
from taskscope.agent.inspect.walk import run
from tests import pythons
from tests.pythons import versions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from taskscope import model


@pytest.fixture(autouse=True)
def agent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TASKSCOPE_DIR", str(tmp_path / "run"))
    taskscope.start("threads", interval=0.1)
    yield
    taskscope.stop()


def threads() -> dict[str, model.Thread]:
    assert taskscope._agent is not None
    return {thread.name: thread for thread in run(taskscope._agent.thread_view.all())}


def until_says(name: str, text: str, queued: int | None = None) -> model.Thread:
    """The thread once it says so: it takes a moment to get to where it waits.

    ``queued``: jobs that wait for its pool.
    """
    end = time.monotonic() + 10
    while True:
        thread = threads().get(name)
        if thread is not None and thread.doing == text:
            pool = thread.executor
            if queued is None or (pool is not None and pool.queued == queued):
                return thread
        assert time.monotonic() < end, thread
        time.sleep(0.005)


def start(target: Callable[[], Any], name: str) -> threading.Thread:
    thread = threading.Thread(target=target, name=name, daemon=True)
    thread.start()
    return thread


WAYS = Path(__file__).with_name("thread_ways.py")
ROOT = Path(__file__).parents[2]
UNKNOWN = "waits for a lock, holder unknown to Python"
EXPECTED = {
    "holder": "waits for an event",
    "in_with": "waits for a lock, held by holder",
    "in_acquire": "waits for a lock, held by holder",
    "simple_queue": "waits for SimpleQueue.get, 0 items",
    "condition": "waits for a condition",
    "condition_holder": "waits for an event",
    "in_condition": "waits for a lock, held by condition_holder",
    "reentrant_holder": "waits for an event",
    "in_reentrant": "waits for a lock, held by reentrant_holder",
    "itself": "waits for a lock, held by itself",
    "in_bare": UNKNOWN,
    "sleep": "sleeps",
    "sleep_by_another_name": "sleeps",
    "recv": "waits for a socket, 127.0.0.1:",
    "recv_unix": "waits for a socket, in recv",
    "read": "waits for a socket, 127.0.0.1:",
    "accept": "waits for a connection, on 127.0.0.1:",
    "ready": "waits for descriptors, fd N, unix, 0 bytes unread",
    "child": "waits for a child process, pid ",
    "pipe": "waits for a file or pipe, fd N, pipe, 0 bytes unread",
    "barrier": "waits for a barrier, 1 of 3 there",
    "semaphore": "waits for a semaphore",
    "event": "waits for an event",
    "result": "waits for the result of a job, sleep",
    "queue_get": "waits for queue.get, 0 of 7 items",
    "queue_join": "waits for queue.join, 1 unfinished",
    "join": "waits for the end of another thread, sleep",
    "pool_0": "sleeps",
}
"""What is said of each thread; where it ends in ``:`` or a blank, a number follows."""

WAITS: dict[str, list[str]] = {
    "event": ["holder", "condition_holder", "reentrant_holder", "event", "queue_join"],
    "lock": ["in_with", "in_acquire", "in_condition", "in_reentrant", "itself", "in_bare"],
    "queue.get": ["simple_queue", "queue_get"],
    "condition": ["condition"],
    "sleep": ["sleep", "sleep_by_another_name", "pool_0"],
    "socket": ["recv", "recv_unix", "read", "accept"],
    "descriptors": ["ready"],
    "subprocess": ["child"],
    "file": ["pipe"],
    "barrier": ["barrier"],
    "semaphore": ["semaphore"],
    "executor": ["result"],
    "thread": ["join"],
}
"""The word for it."""


@pytest.mark.parametrize("version", versions())
def test_what_threads_wait_for(version: str, tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    done = subprocess.run(
        [pythons.require(version), "-W", "error", WAYS],
        capture_output=True,
        text=True,
        timeout=50,
        env=os.environ | {"PYTHONPATH": str(ROOT), "TASKSCOPE_DIR": str(tmp_path)},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    for name, text in EXPECTED.items():
        state, wait, said = found[name]
        said = re.sub(r"fd \d+", "fd N", said)
        assert name in WAITS[wait]
        assert state == "waiting", name
        assert said == text or (text[-1] in ": " and said[len(text) :].isdigit()), name
        assert said.startswith(text), name
    assert found["rested_0"] == ["idle", "job", "waits for a job"]


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
        assert until_says("pool_0", "waits for a job").state == "idle"
        jobs = [pool.submit(gate.wait) for _ in range(5)]
        until_says("pool_0", "waits for an event")
        busy = until_says("pool_1", "waits for an event", queued=3)  # the last job may just be being taken
        assert busy.state == "waiting"
        assert busy.executor is not None
        assert (busy.executor.name, busy.executor.workers, busy.executor.max_workers) == ("pool", 2, 2)
        gate.set()
        concurrent.futures.wait(jobs)


async def test_workers_of_anyio() -> None:
    import anyio.to_thread

    gate = threading.Event()
    await anyio.to_thread.run_sync(int)
    idle = until_says("AnyIO worker thread", "waits for a job")
    assert idle.executor is not None
    assert (idle.state, idle.executor.name, idle.executor.workers) == ("idle", "anyio worker threads", 1)
    job = asyncio.create_task(anyio.to_thread.run_sync(gate.wait))
    busy = await asyncio.to_thread(until_says, "AnyIO worker thread", "waits for an event")
    assert busy.state == "waiting"
    gate.set()
    await job


def test_a_worker_in_a_c_call_is_not_idle() -> None:
    with concurrent.futures.ThreadPoolExecutor(1, thread_name_prefix="c") as pool:
        job = pool.submit(time.sleep, 0.6)
        assert until_says("c_0", "sleeps").state == "waiting"
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
    assert (site.kind, site.coroutine) == ("thread", "Event.wait")
    assert site.via is not None
    assert (site.frame.function, site.via.function) == ("test_sites_and_starters", "start")
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
        everyone = run(taskscope._agent.thread_view.all())
        found = [each for each in everyone if each.frame and each.frame.function.endswith("raw")]
    assert [(each.name, each.python) for each in found] == [("(not started by threading)", True)]
    assert until_says("taskscope agent", "TaskScope agent").daemon
    gate.release()


def test_a_loop_that_waits_is_idle_and_one_that_is_held_up_is_not() -> None:
    gate = threading.Event()

    async def rest() -> None:
        await asyncio.to_thread(gate.wait)

    async def hold() -> None:
        gate.wait()

    waiting = start(lambda: asyncio.run(rest()), "resting loop")
    held = start(lambda: asyncio.run(hold()), "held loop")
    assert until_says("resting loop", "idle in event loop").state == "idle"
    assert until_says("held loop", "waits for an event").state == "waiting"
    gate.set()
    waiting.join()
    held.join()


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
