"""What holds a loop and for how long, and loops that sleep with work to do.

Shows: lost wake-up, process paused
"""

from __future__ import annotations

import asyncio
import os
import select
import signal
import subprocess
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from taskscope.analysis.patterns.stalls import overslept, paused, stalled
from taskscope.attach.presence import agent_in
from taskscope.model import requests
from taskscope.sources.live import LiveSource
from tests.integration.children import running, says
from tests.pythons import require, versions

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from taskscope.model import Stall

HEAD = """
import asyncio, sys, threading, time
def asleep(thread):
    while sys._current_frames()[thread.ident].f_code.co_name != "select": time.sleep(0.01)
"""

LOST = (
    HEAD
    + """
async def waiter(future): await future
def called(): print("called", flush=True)
def other(loop, future, main, how):
    asleep(main)
    if how == "future": future.set_result(None)
    elif how == "stranded":
        future.set_result(None)
        loop._ready.clear()
    elif how == "call": loop.call_soon(called)
    else: loop.call_later(0.1, called)
    print("lost", flush=True)
    sys.stdin.readline()
    loop.call_soon_threadsafe(future.cancel)
async def main(how):
    loop = asyncio.get_running_loop()
    future = loop.create_future()
    loop.call_later(3600, print)
    task = asyncio.create_task(waiter(future), name="stuck")
    threading.Thread(target=other, args=(loop, future, threading.current_thread(), how)).start()
    await asyncio.wait([task])
    print("woken", flush=True)
    await asyncio.sleep(3600)
asyncio.run(main(sys.argv[1]))
"""
)

HELD = """
import asyncio, sys, time
def hold():
    begun = time.monotonic()
    time.sleep(0.8)
    asyncio.get_running_loop().call_soon(tell, begun, time.monotonic())
def tell(begun, ended): print(begun, ended, time.monotonic(), flush=True)
async def main():
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    print("standing", flush=True)
    while await reader.readline(): hold()
if len(sys.argv) > 1:
    import uvloop
    uvloop.run(main())
else:
    asyncio.run(main())
"""

STOPPED = """
import asyncio, sys
def hold():
    print("holding", flush=True)
    sys.stdin.readline()
async def main():
    await asyncio.sleep(0.1)
    hold()
    await asyncio.sleep(3600)
asyncio.run(main())
"""


@asynccontextmanager
async def watched(
    program: str, *arguments: str, version: str = "3.11"
) -> AsyncIterator[tuple[subprocess.Popen[str], LiveSource]]:
    python = str(require(version))
    with running(program, arguments=arguments, python=python, stdin=subprocess.PIPE) as child:
        point = agent_in(child.pid)
        assert point is not None
        source = LiveSource(point.path)
        await source.open()
        try:
            yield child, source
        finally:
            await source.close()


async def until(source: LiveSource, wanted: Callable[[Stall], bool]) -> Stall:
    give_up = time.monotonic() + 15
    while True:
        stalls = await source.ask(requests.Stalls())
        found = next((each for each in stalls if wanted(each)), None)
        if found is not None:
            return found
        assert time.monotonic() < give_up, stalls
        await asyncio.sleep(0.05)


def say(child: subprocess.Popen[str]) -> None:
    assert child.stdin is not None
    child.stdin.write("\n")
    child.stdin.flush()


def is_silent(child: subprocess.Popen[str]) -> bool:
    assert child.stdout is not None
    return not select.select([child.stdout], [], [], 0)[0]


@pytest.mark.parametrize(
    ("version", "how", "queued"),
    [
        ("3.11", "future", 1),
        ("3.13", "future", 1),
        ("3.15", "stranded", 1),
        ("3.13", "call", 1),
        ("3.11", "timer", 0),
    ],
)
async def test_a_lost_wake_up_is_reported_and_not_healed(version: str, how: str, queued: int) -> None:
    async with watched(LOST, how, version=version) as (child, source):
        says(child, "lost")
        stall = await until(source, lambda each: each.why in ("asleep", "stranded"))
        (
            await source.ask(requests.Threads()),
            await source.ask(requests.Loops()),
            await source.ask(requests.Snapshot(stacks=True)),
        )
        assert is_silent(child), "the loop was woken"
        assert (stall.queued, stall.over, stall.at_least) == (queued, False, how == "stranded")
        (finding,) = overslept([stall], stall.began)
        if how in ("future", "stranded"):
            assert finding.user_site is not None
            assert finding.user_site.function == "waiter"
            assert stall.task is not None
        else:
            line = (
                'elif how == "call": loop.call_soon(called)'
                if how == "call"
                else "else: loop.call_later(0.1, called)"
            )
            assert LOST.split("\n")[finding.site.line - 1].strip() == line
            assert finding.cause is not None
            assert (
                finding.cause.text
                == "other, in another thread, gave this loop work (called) without waking it"
            )
        if how == "stranded":
            return  # nothing but its task's end ends it
        say(child)
        over = await until(source, lambda each: each.over)
        assert over.began == stall.began
        assert over.duration > stall.duration


async def test_a_loop_that_sleeps_with_nothing_to_do_has_lost_nothing_and_is_not_late() -> None:
    program = "import asyncio\nasync def main():\n    await asyncio.sleep(3600)\nasyncio.run(main())"
    async with watched(program) as (_, source):
        give_up = time.monotonic() + 10
        while not (loops := await source.ask(requests.Loops())) or loops[0].latency_p50 is None:
            assert time.monotonic() < give_up
            await asyncio.sleep(0.1)
        assert loops[0].latency_p50 < 0.1
        assert await source.ask(requests.Stalls()) == ()


@pytest.mark.parametrize("version", versions("3.11", "3.13", "3.15"))
async def test_a_stall_is_as_long_as_it_was(version: str) -> None:
    async with watched(HELD, version=version) as (child, source):
        await _held(child, source, at_least=False)


async def test_a_stall_whose_start_is_unknown_is_shown_as_at_least() -> None:
    pytest.importorskip("uvloop")
    import sys

    with running(HELD, arguments=["uvloop"], python=sys.executable, stdin=subprocess.PIPE) as child:
        point = agent_in(child.pid)
        assert point is not None
        for thread in os.listdir(f"/proc/{child.pid}/task"):  # the kernel's times of one CPU can be compared
            os.sched_setaffinity(int(thread), {min(os.sched_getaffinity(0))})
        source = LiveSource(point.path)
        await source.open()
        await _held(child, source, at_least=True)
        await source.close()


async def _held(child: subprocess.Popen[str], source: LiveSource, *, at_least: bool) -> None:
    says(child, "standing")
    told = time.monotonic()
    say(child)
    stall = await until(source, lambda each: each.over)
    assert child.stdout is not None
    begun, ended, turned = map(float, child.stdout.readline().split())
    assert (stall.why, stall.at_least, stall.paused) == ("held", at_least, 0.0)
    assert [each.function for each in stall.stack[:2]] == ["hold", "main"]
    if at_least:
        assert begun - 0.05 <= stall.began <= begun + 0.4
        assert stall.began + stall.duration >= ended - 0.05
        if os.path.exists("/proc/self/sched"):
            assert abs(stall.duration - (ended - begun)) < 0.1
    else:  # however long the process waits for a CPU: it includes that
        assert told - 0.1 <= stall.began <= begun + 0.1
        assert ended - 0.1 <= stall.began + stall.duration <= turned + 0.1
    assert len(stalled([stall], stall.began)) == 1


async def test_a_stall_in_which_the_process_was_stopped_is_not_blamed_on_a_line() -> None:
    async with watched(STOPPED) as (child, source):
        says(child, "holding")
        await until(source, lambda each: not each.over)
        os.kill(child.pid, signal.SIGSTOP)
        await asyncio.sleep(1.5)
        os.kill(child.pid, signal.SIGCONT)
        say(child)
        stall = await until(source, lambda each: each.over)
        assert 1.0 < stall.paused <= stall.duration
        assert stalled([stall], stall.began) == ()
        assert len(paused([stall], stall.began)) == 1
