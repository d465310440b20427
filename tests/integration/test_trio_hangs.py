"""Tasks of trio that can never continue are a hang, as asyncio's are; what only waits is none."""

from __future__ import annotations

import asyncio
import os
import subprocess
from pathlib import Path

import pytest

from taskscope.model import requests
from tests import pythons
from tests.integration.children import REPO, running, says
from tests.integration.test_agent_hangs import agent_of, hang_in, judged

trio = pytest.importorskip("trio")

HEAD = """
import signal, sys, threading, time
import anyio, trio
async def tick():
    while True: await trio.sleep(0.1)
def say(): print("standing", flush=True)
async def standing(*started, ticks=True, then=None):
    async with trio.open_nursery() as nursery:
        for function, *arguments in started: nursery.start_soon(function, *arguments)
        if ticks: nursery.start_soon(tick)
        await trio.testing.wait_all_tasks_blocked(0.02)
        say()
        if then is not None: then()
import trio.testing
"""

HANGS = {
    "two locks": (
        "deadlock",
        "one",
        """
async def one(first, second):
    async with first:
        await trio.sleep(0)
        async with second: pass
a, b = trio.Lock(), trio.StrictFIFOLock()
trio.run(lambda: standing((one, a, b), (one, b, a)))
""",
    ),
    "a parent that holds what its child wants": (
        "deadlock",
        "parent",
        """
lock = trio.Lock()
async def child():
    async with lock: pass
async def parent():
    async with lock, trio.open_nursery() as nursery:
        nursery.start_soon(child)
trio.run(lambda: standing((parent,)))
""",
    ),
    "a limiter taken by those that want it again": (
        "deadlock",
        "job",
        """
limiter = trio.CapacityLimiter(2)
async def part():
    async with limiter: pass
async def job():
    async with limiter, trio.open_nursery() as nursery:
        nursery.start_soon(part)
trio.run(lambda: standing((job,), (job,)))
""",
    ),
    "a semaphore taken twice": (
        "deadlocked with itself",
        "job",
        """
slots = trio.Semaphore(1)
async def job():
    async with slots, slots: pass
trio.run(lambda: standing((job,)))
""",
    ),
    "the lock and the semaphore of anyio": (
        "deadlock",
        "one",
        """
async def one(first, second):
    async with first:
        await anyio.sleep(0)
        async with second: pass
a, b = anyio.Lock(), anyio.Semaphore(1)
trio.run(lambda: standing((one, a, b), (one, b, a)))
""",
    ),
    "a job in a thread, and one that asks for what its owner has": (
        "deadlock",
        "want",
        """
lock, both, shared = threading.Lock(), threading.Barrier(2), trio.Lock()
async def take():
    async with shared: pass
def ask():
    with lock:
        both.wait()
        trio.from_thread.run(take)
def want():
    both.wait()
    with lock: pass
async def hold():
    async with shared: await trio.to_thread.run_sync(want)
trio.run(lambda: standing((hold,), (trio.to_thread.run_sync, ask)))
""",
    ),
    "a run that waits for the lock of a thread that asks it": (
        "deadlock",
        "ask",
        """
lock, has = threading.Lock(), threading.Event()
def ask():
    with lock:
        has.set()
        while not blocked: time.sleep(0.01)
        trio.from_thread.run_sync(print)
blocked = []
def block():
    has.wait()
    blocked.append(1)
    with lock: pass
trio.run(lambda: standing((trio.to_thread.run_sync, ask), then=block))
""",
    ),
    "an event that is set by whoever waits for it": (
        "deadlock",
        "one",
        """
async def one(mine, other):
    await other.wait()
    mine.set()
a, b = trio.Event(), trio.Event()
trio.run(lambda: standing((one, a, b), (one, b, a), ticks=False))
""",
    ),
    "channels that are full both ways": (
        "deadlock",
        "feed",
        """
async def feed(send):
    while True: await send.send(1)
ways = [trio.open_memory_channel(0) for _ in range(2)]
trio.run(lambda: standing(*((feed, send) for send, _ in ways), ticks=False))
""",
    ),
}

HEALTHY = {
    "locks that a deadline takes back": """
async def one(first, second):
    with trio.move_on_after(3600):
        async with first:
            await trio.sleep(0)
            async with second: pass
a, b = trio.Lock(), trio.Lock()
trio.run(lambda: standing((one, a, b), (one, b, a)))
""",
    "a lock of one that sleeps": """
lock = trio.Lock()
async def hold():
    async with lock: await trio.sleep(3600)
async def want():
    async with lock: pass
trio.run(lambda: standing((hold,), (want,)))
""",
    "a limiter of jobs in threads, and of one that waits for its part": """
limiter = trio.CapacityLimiter(2)
async def part():
    async with limiter: pass
async def job():
    async with limiter, trio.open_nursery() as nursery:
        nursery.start_soon(part)
def work(): time.sleep(3600)
async def in_thread(): await trio.to_thread.run_sync(work, limiter=limiter)
trio.run(lambda: standing((in_thread,), (job,)))
""",
    "a thread that asks its task for something that takes long": """
async def ask(): await trio.to_thread.run_sync(trio.from_thread.run, trio.sleep_forever)
trio.run(lambda: standing((ask,)))
""",
    "a thread that asks its task while the run computes": """
computes = []
def ask():
    while not computes: time.sleep(0.01)
    trio.from_thread.run_sync(print)
def compute():
    computes.append(1)
    time.sleep(3600)
trio.run(lambda: standing((trio.to_thread.run_sync, ask), then=compute))
""",
    "an event that a deadline stops waiting for": """
async def wait():
    with trio.move_on_after(3600): await trio.Event().wait()
trio.run(lambda: standing((wait,), ticks=False))
""",
    "an event that a thread sets later": """
event = trio.Event()
async def main():
    token = trio.lowlevel.current_trio_token()
    def later():
        time.sleep(3600)
        trio.from_thread.run_sync(event.set, trio_token=token)
    threading.Thread(target=later, daemon=True).start()
    await standing((event.wait,), ticks=False)
trio.run(main)
""",
    "an event that a signal sets": """
event = trio.Event()
async def hear():
    with trio.open_signal_receiver(signal.SIGTERM) as signals:
        async for _ in signals: event.set()
trio.run(lambda: standing((hear,), (event.wait,), ticks=False))
""",
    "an event that the first client sets": """
event = trio.Event()
async def handler(stream): event.set()
async def serve(): await trio.serve_tcp(handler, 0, host="127.0.0.1")
trio.run(lambda: standing((serve,), (event.wait,), ticks=False))
""",
    "an event that the end of a child sets": """
event = trio.Event()
async def child():
    await trio.run_process(["sleep", "3600"])
    event.set()
trio.run(lambda: standing((child,), (event.wait,), ticks=False))
""",
    "idle workers": """
async def work(receive):
    async for _ in receive: pass
send, receive = trio.open_memory_channel(0)
trio.run(lambda: standing(*(3 * [(work, receive)]), ticks=False))
""",
    "a task that keeps the run going": """
trio.run(lambda: standing((trio.sleep_forever,), ticks=False))
""",
    "a guest whose host will set its event": """
import asyncio
event = trio.Event()
async def host():
    loop = asyncio.get_running_loop()
    ended = loop.create_future()
    trio.lowlevel.start_guest_run(
        lambda: standing((event.wait,), ticks=False),
        run_sync_soon_threadsafe=loop.call_soon_threadsafe, done_callback=ended.set_result,
    )
    loop.call_later(3600, event.set)
    await ended
asyncio.run(host())
""",
}


@pytest.mark.parametrize("name", HANGS)
async def test_tasks_that_can_never_continue_are_a_hang(name: str) -> None:
    pattern, function, program = HANGS[name]
    with running(HEAD + program) as child:
        says(child, "standing")
        async with agent_of(child.pid) as source:
            finding = await hang_in(source)
    assert finding.cause is not None
    assert (finding.level, finding.cause.pattern, finding.site.function) == ("hang", pattern, function)


@pytest.mark.parametrize("name", HEALTHY)
async def test_what_only_waits_is_none(name: str) -> None:
    with running(HEAD + HEALTHY[name]) as child:
        says(child, "standing")
        async with agent_of(child.pid) as source:
            for _ in range(10):
                assert judged(await source.ask(requests.Waits())) == []
                await asyncio.sleep(0.1)


async def test_a_cycle_names_both_lines_of_each_task() -> None:
    program = HEAD + HANGS["two locks"][2]
    with running(program) as child:
        says(child, "standing")
        async with agent_of(child.pid) as source:
            finding = await hang_in(source)
    assert finding.cause is not None
    lines = program.split("\n")
    taken, wanted = (
        f"<string>:{lines.index(each) + 1} in one"
        for each in ("    async with first:", "        async with second: pass")
    )
    steps = [line for line in finding.cause.evidence if "<string>" in line]
    assert [wanted in line for line in steps] == [True, False, True, False]
    assert [f"taken at {taken}" in line for line in steps] == [False, True, False, True]
    assert finding.evidence["waiting"] == 1, "main waits behind them"


@pytest.mark.parametrize("name", ["two locks", "an event that is set by whoever waits for it"])
@pytest.mark.parametrize("version", pythons.versions("3.12", "3.13", "3.14", "3.15"))
async def test_other_versions_find_them_as_well(name: str, version: str) -> None:
    """Under another Python, with this one's trio, which is written in Python."""
    packages = os.pathsep.join([str(REPO), str(Path(trio.__file__).parents[1])])
    _, function, program = HANGS[name]
    command = [str(pythons.require(version)), "-m", "taskscope", "run", "-c", HEAD + program]
    environment = {**os.environ, "PYTHONPATH": packages}
    with subprocess.Popen(command, text=True, stdout=subprocess.PIPE, env=environment) as child:
        try:
            says(child, "standing")
            async with agent_of(child.pid) as source:
                assert (await hang_in(source)).site.function == function
        finally:
            child.kill()
