"""Waits inside libraries: named after the library's function, the primitive beside it."""

from __future__ import annotations

import asyncio
import queue
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from taskscope.agent.inspect import blocking, futures, stacks

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from pathlib import Path

LIBRARY = """
import asyncio

class Pool:
    def __init__(self):
        self._queue = asyncio.Queue()
    async def _acquire(self):
        async def _acquire_impl():
            return await self._queue.get()
        return await _acquire_impl()
    async def __aenter__(self):
        return await self._acquire()
    async def __aexit__(self, *error): pass

class AsyncEvent:
    async def wait(self):
        await asyncio.Event().wait()

class Request:
    async def wait_for_connection(self):
        await AsyncEvent().wait()

class Client:
    async def get(self):
        await Request().wait_for_connection()

async def resolve():
    async with asyncio.timeout(100):
        await asyncio.open_connection("localhost", 1)

class Connections:
    def __init__(self, items):
        self.items = items
    def get_connection(self):
        return self.items.get()
"""


@pytest.fixture
def library(tmp_path: Path) -> dict[str, Any]:
    """A package as pip installs one."""
    file = tmp_path / "site-packages" / "quickdb" / "pool.py"
    file.parent.mkdir(parents=True)
    file.write_text(LIBRARY)
    names: dict[str, Any] = {"__name__": "quickdb.pool"}
    exec(compile(LIBRARY, str(file), "exec"), names)
    return names


async def parked(work: Callable[[], Coroutine[Any, Any, Any]]) -> tuple[str, str]:
    """The word and the text for a task of the user's that awaits ``work``."""

    async def mine() -> None:
        await work()

    task = asyncio.create_task(mine())
    while (waits := futures.waiter_of(task)) is None:
        assert not task.done()
        await asyncio.sleep(0)
    assert waits is not None
    frames = stacks.await_chain(futures.coroutine(task))
    found = stacks.parked(task, frames)
    assert found is not None
    task.cancel()
    await asyncio.wait([task])
    return found.wait, found.text


async def test_the_innermost_function_that_means_something_is_named(library: dict[str, Any]) -> None:
    async def enters() -> None:
        async with library["Pool"]():
            pass

    assert await parked(enters) == ("queue.get", "quickdb Pool._acquire (Queue.get)")
    assert await parked(library["Client"]().get) == (
        "event",
        "quickdb Request.wait_for_connection (Event.wait)",
    )


async def test_a_wait_of_the_users_own_is_named_after_the_primitive() -> None:
    assert await parked(asyncio.Event().wait) == ("event", "Event.wait")
    assert await parked(lambda: asyncio.sleep(100)) == ("sleep", "asyncio.sleep")


async def test_a_look_up_is_named_before_the_connection_that_needs_it(
    library: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = threading.Event()
    monkeypatch.setattr("socket.getaddrinfo", lambda *_args, **_kwargs: gate.wait() and [])
    try:
        assert await parked(library["resolve"]) == ("dns", "quickdb resolve (a DNS look-up)")
    finally:
        gate.set()


def test_of_a_thread_likewise(library: dict[str, Any]) -> None:
    items: queue.Queue[Any] = queue.Queue()
    connections = library["Connections"](items)
    thread = threading.Thread(target=lambda: connections.get_connection(), daemon=True)
    thread.start()
    end = time.monotonic() + 10
    text = ""
    while text != "waits for queue.get in quickdb Connections.get_connection":
        assert time.monotonic() < end, text
        frame = sys._current_frames()[thread.ident or 0]
        text = blocking.activity(frame, running=False, loop=None).text
    items.put(None)
    thread.join(10)
