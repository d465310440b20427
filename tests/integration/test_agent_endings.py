"""Processes that are ending and wait: for whom, in which system call, on which descriptor.

Shows: ends slowly
"""

from __future__ import annotations

import asyncio
import re
import time
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from taskscope.analysis.patterns.endings import LASTING, LONGER, SLOW, slow_endings
from taskscope.attach.presence import agent_in
from taskscope.model import requests
from taskscope.sources.live import LiveSource
from tests.integration.children import running, says
from tests.pythons import require

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from taskscope.model import WaitGraph

JOB_OF_A_LOOP = """
import asyncio, socket
here, there = socket.socketpair()
def fetch(): here.recv(1)
async def main():
    asyncio.get_running_loop().run_in_executor(None, fetch)
    print("standing", flush=True)
asyncio.run(main())
"""

AT_EXIT = """
import os, subprocess, sys
from concurrent.futures import ThreadPoolExecutor
child = subprocess.Popen(["sleep", "60"], stdout=subprocess.PIPE)
def read(): os.read(child.stdout.fileno(), 1)
ThreadPoolExecutor(1, "reader").submit(read)
print("standing", flush=True)
"""

OF_A_CHILD_THAT_WAITS = AT_EXIT.replace('["sleep", "60"], ', '["cat"], stdin=subprocess.PIPE, ')

HANDLER = """
import atexit, socket
here, there = socket.socketpair()
def flush(): here.recv(1)
atexit.register(flush)
atexit.register(print, "standing", flush=True)
"""

SLEEPS = """
import time
from concurrent.futures import ThreadPoolExecutor
def render(): time.sleep(120)
ThreadPoolExecutor(1, "renderer").submit(render)
print("standing", flush=True)
"""

SERVES = """
import socket, threading
listener = socket.create_server(("127.0.0.1", 0))
def serve(): listener.accept()
threading.Thread(target=serve, name="server").start()
print("standing", flush=True)
"""

RUNS = """
import socket, threading
here, there = socket.socketpair()
def serve(): here.recv(1)
thread = threading.Thread(target=serve, name="server", daemon=True)
thread.start()
print("standing", flush=True)
thread.join()
"""


@asynccontextmanager
async def agent_of(program: str, version: str) -> AsyncIterator[LiveSource]:
    with running(program, python=str(require(version))) as child:
        says(child, "standing")
        point = agent_in(child.pid)
        assert point is not None
        source = LiveSource(point.path)
        await source.open()
        try:
            yield source
        finally:
            await source.close()


async def ending(program: str, version: str, last: str) -> WaitGraph:
    """The graph once the process waits for the end of a thread, with this in its name."""
    async with agent_of(program, version) as source:
        end = time.monotonic() + 20
        while True:
            graph = await source.ask(requests.Waits())
            chain = graph.ending.chain if graph.ending is not None else ()
            if chain and last in chain[-1].name and graph.ending and graph.ending.system_call:
                return graph
            assert time.monotonic() < end, graph
            await asyncio.sleep(0.1)


def after(graph: WaitGraph, seconds: float) -> WaitGraph:
    assert graph.ending is not None
    return replace(graph, monotonic=graph.ending.since + seconds)


@pytest.mark.parametrize("version", ["3.11", "3.14"])
async def test_a_job_keeps_a_loop_from_closing(version: str) -> None:
    graph = await ending(JOB_OF_A_LOOP, version, "asyncio_0")
    assert slow_endings(after(graph, SLOW - 1)) == ()
    (slow,) = slow_endings(after(graph, SLOW + 1))
    (hang,) = slow_endings(after(graph, LASTING + 1))
    assert (slow.level, hang.level, hang.site.function) == ("suspect", "hang", "fetch")
    assert hang.text.startswith("asyncio.run is closing its loop, and has waited for thread asyncio_0")
    assert hang.cause is not None
    assert re.search(
        r"it waits for a socket.* in recvfrom, fd \d+, unix, .* other end fd \d+ of this process$",
        hang.cause.text,
    )
    assert hang.evidence["chain"].startswith("thread MainThread → ")


@pytest.mark.parametrize("version", ["3.11", "3.14"])
async def test_a_job_keeps_the_process_from_ending(version: str) -> None:
    graph = await ending(AT_EXIT, version, "reader")
    (slow,) = slow_endings(after(graph, LONGER - 1))  # the child may answer: it sleeps for a minute
    assert slow.level == "suspect"
    (hang,) = slow_endings(after(graph, LONGER + 1))
    assert (hang.level, hang.site.function) == ("hang", "read")
    assert hang.cause is not None
    assert re.search(r" in read, fd \d+, pipe, .* other end fd 1 of process \d+ \(sleep\)$", hang.cause.text)


async def test_a_child_that_waits_without_a_time_out_will_not_answer() -> None:
    graph = await ending(OF_A_CHILD_THAT_WAITS, "3.11", "reader")
    (hang,) = slow_endings(after(graph, LASTING + 1))
    assert hang.level == "hang"


@pytest.mark.parametrize("version", ["3.11", "3.14"])
async def test_a_function_that_atexit_calls_keeps_the_process_from_ending(version: str) -> None:
    graph = await ending(HANDLER, version, "MainThread")
    assert slow_endings(after(graph, SLOW - 1)) == ()
    (hang,) = slow_endings(after(graph, LASTING + 1))
    assert (hang.level, hang.site.function) == ("hang", "flush")
    assert hang.text.startswith(
        "the process is ending, and has waited for flush, which atexit called, for at"
    )
    assert hang.cause is not None
    assert re.search(r" in recvfrom, fd \d+, unix, .* other end fd \d+ of this process$", hang.cause.text)


async def test_a_job_that_ends_by_itself_is_no_hang_however_long_it_takes() -> None:
    graph = await ending(SLEEPS, "3.11", "renderer")
    (slow,) = slow_endings(after(graph, 10 * LASTING))
    assert slow.level == "suspect"


async def test_a_server_in_a_thread_is_a_note_once_the_main_thread_is_through() -> None:
    graph = await ending(SERVES, "3.11", "server")
    (note,) = slow_endings(after(graph, 10 * LASTING))
    assert (note.level, note.site.function) == ("info", "serve")


async def test_a_main_thread_that_joins_its_server_is_not_ending() -> None:
    async with agent_of(RUNS, "3.11") as source:
        for _ in range(5):
            assert (await source.ask(requests.Waits())).ending is None
