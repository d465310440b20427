"""What a stall is blamed on: the call and what it waits for, or the collector, or that there was no CPU.

Shows: collector ran, loop held
"""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from taskscope.analysis.patterns.stalls import collections, paused, stalled
from tests.integration.children import says
from tests.integration.test_agent_stalls import say, until, watched

if TYPE_CHECKING:
    from taskscope.sources.live import LiveSource

HEAD = """
import asyncio, gc, os, socket, sys, time
def read(): return sys.stdin.readline()
def main(work):
    async def serve():
        print("standing", flush=True)
        while await asyncio.get_running_loop().run_in_executor(None, read):
            work()
            print("over", flush=True)
    asyncio.run(serve())
"""

RECEIVES = (
    HEAD
    + """
listener = socket.create_server(("127.0.0.1", 0))
client = socket.create_connection(listener.getsockname())
server, _ = listener.accept()
server.settimeout(60)
client.settimeout(1.2)
def fetch():
    try:
        client.recv(10)
    except TimeoutError:
        pass
print(*client.getsockname(), *client.getpeername(), flush=True)
main(fetch)
"""
)

COLLECTS = (
    HEAD
    + """
kept = [[] for _ in range(1_000_000)]
def read():
    line = sys.stdin.readline()
    while not gc.callbacks: time.sleep(0.001)
    return line
def work():
    began = time.monotonic()
    while time.monotonic() < began + 0.6:
        gc.collect()
main(work)
"""
)

COMPUTES = (
    HEAD
    + """
def work():
    began = time.thread_time()
    while time.thread_time() < began + 0.4: pass
main(work)
"""
)


@pytest.mark.parametrize("version", ["3.11", "3.14"])
async def test_a_stall_names_the_call_and_what_it_waits_for(version: str) -> None:
    async with watched(RECEIVES, version=version) as (child, source):
        assert child.stdout is not None
        host, port, peer, peer_port = child.stdout.readline().split()
        says(child, "standing")
        say(child)
        stall = await until(source, lambda each: each.over)
    assert stall.call == "recv"
    (on,) = stall.descriptors
    assert (on.local, on.remote, on.unread) == (f"{host}:{port}", f"{peer}:{peer_port}", 0)
    (finding,) = stalled([replace(stall, paused=0.0, starved=0.0)], stall.began)  # this machine may be busy
    assert finding.cause is not None
    assert "recv in fetch blocked the loop for 1.2" in finding.cause.text
    assert f"it waits for a socket, fd {on.number}, tcp to {peer}:{peer_port}" in finding.cause.text


@pytest.mark.parametrize("version", ["3.11", "3.14"])
async def test_a_stall_by_the_collector_is_not_blamed_on_a_line(version: str) -> None:
    async with watched(COLLECTS, version=version) as (child, source):
        says(child, "standing")
        await subscribed(source)
        say(child)
        stall = await until(source, lambda each: each.over and each.collected > 0)
    assert stall.collected > 0.6 * stall.duration
    assert stalled([stall], stall.began) == ()
    (finding,) = collections(
        [replace(stall, paused=0.0, starved=0.0)], stall.began
    )  # this machine may be busy
    assert finding.why == "collected"


async def subscribed(source: LiveSource) -> None:
    """Once the agent knows that a client is there, it listens to the collector at its next look."""
    async for _ in source.samples():
        break


async def test_without_cpu_no_line_is_to_blame() -> None:
    cpu = min(os.sched_getaffinity(0))
    hog = f"import os\nos.sched_setaffinity(0, {{{cpu}}})\nprint(flush=True)\nwhile True: pass"
    hogs: list[subprocess.Popen[bytes]] = []
    try:
        async with watched(COMPUTES) as (child, source):
            says(child, "standing")
            for thread in os.listdir(f"/proc/{child.pid}/task"):
                os.sched_setaffinity(int(thread), {cpu})
            hogs += [subprocess.Popen([sys.executable, "-c", hog], stdout=-1) for _ in range(4)]
            for each in hogs:
                assert each.stdout is not None
                each.stdout.readline()
            say(child)
            stall = await until(source, lambda each: each.over)
    finally:
        for each in hogs:
            each.kill()
            each.communicate()
    assert stall.starved > stall.duration / 2
    assert stall.shortage == "contended"
    assert stalled([stall], stall.began) == ()
    (finding,) = paused([stall], stall.began)
    assert "a loop could have run once" in finding.text


async def test_the_callback_of_the_collector_is_there_while_somebody_watches() -> None:
    """And while our thread works, whoever watches: a few of the looks see that."""
    program = """
import gc, sys, time
import taskscope
def share():
    seen = 0
    for _ in range(200):
        seen += len(gc.callbacks)
        time.sleep(0.001)
    return round(seen / 200)
print("standing", flush=True)
for line in sys.stdin:
    if line == "stop\\n":
        taskscope.stop()
    print(share(), flush=True)
"""
    async with watched(program) as (child, source):
        says(child, "standing")
        say(child)
        says(child, "0")
        await subscribed(source)
        say(child)
        says(child, "1")
        assert child.stdin is not None
        child.stdin.write("stop\n")
        child.stdin.flush()
        says(child, "0")


def test_what_took_most_of_a_stall_is_named() -> None:
    from taskscope.model import Frame, Stall

    frame = Frame("/app/service.py", 40, "work")

    def of(**taken: float | str) -> Stall:
        return Stall(1, 10.0, 1.0, True, None, (frame,), **taken)  # type: ignore[arg-type]

    for innocent in (of(starved=0.6), of(paused=0.3, starved=0.3), of(collected=0.6)):
        assert stalled([innocent], 20.0) == ()
    for guilty in (of(), of(starved=0.4), of(collected=0.4), of(paused=0.4)):
        assert len(stalled([guilty], 20.0)) == 1
        assert paused([guilty], 20.0) == () and collections([guilty], 20.0) == ()
    (throttled,) = paused([of(starved=0.9, shortage="throttled")], 20.0)
    assert throttled.cause is not None and "throttled" in throttled.cause.text
