"""Mishaps of single tasks: wrong loop, wrong thread, destroyed while pending, errors and time-outs at a rate.

Shows: wrong loop, wrong thread, most fail, most time out
"""

from __future__ import annotations

import asyncio
import sys
import time
from importlib.util import find_spec
from typing import TYPE_CHECKING

import pytest

from taskscope.attach.presence import agent_in
from taskscope.sources.live import LiveSource
from taskscope.sources.pump import Pump
from tests.integration.children import running
from tests.pythons import require

if TYPE_CHECKING:
    from collections.abc import Callable

    from taskscope.model import Finding

BOTH_LOOPS = """
import asyncio, threading, time
lock = asyncio.Lock()
async def look_up():
    async with lock:
        await asyncio.sleep(0.05)
async def serve():
    while True:
        tasks = [asyncio.create_task(look_up()) for _ in range(2)]
        await asyncio.wait(tasks)
        for each in tasks: each.exception()
        await asyncio.sleep(0.05)
threading.Thread(target=lambda: asyncio.run(serve()), daemon=True).start()
asyncio.run(serve())
"""

OTHER_THREAD = """
import asyncio, threading, time
async def job(): await asyncio.sleep(0.01)
async def main():
    loop = asyncio.get_running_loop()
    def feed():
        while True:
            kept.append(loop.create_task(job()))
            time.sleep(0.1)
            del kept[:-5]
    kept = []
    threading.Thread(target=feed, name="feeder", daemon=True).start()
    while True: await asyncio.sleep(0.3)
asyncio.run(main())
"""

WHILE_A_TASK_RUNS = OTHER_THREAD.replace(
    "    while True: await asyncio.sleep(0.3)", "    while True: time.sleep(0.3); await asyncio.sleep(0)"
)

UVLOOP = OTHER_THREAD.replace("asyncio.run(main())", "import uvloop; uvloop.run(main())")

RIGHT_THREAD = """
import asyncio, threading, time
async def job(): await asyncio.sleep(0.01)
async def main():
    loop = asyncio.get_running_loop()
    def feed():
        while True:
            asyncio.run_coroutine_threadsafe(job(), loop).result()
            loop.call_soon_threadsafe(loop.create_task, job())
            time.sleep(0.1)
    threading.Thread(target=feed, name="feeder", daemon=True).start()
    loop.create_task(job())
    while True: await asyncio.sleep(0.3)
asyncio.run(main())
"""

LOST = """
import asyncio, gc
async def forgotten():
    print("waits", flush=True)
    await asyncio.get_running_loop().create_future()
async def main():
    asyncio.create_task(forgotten())  # lost
    await asyncio.sleep(0.1)
    gc.collect()
    while True: await asyncio.sleep(1)
asyncio.run(main())
"""

FAILS = """
import asyncio
async def fetch():
    await asyncio.sleep(0.05)
    raise ConnectionError("no route to upstream")
async def main():
    while True:
        task = asyncio.create_task(fetch())
        await asyncio.wait([task])
        task.exception()
asyncio.run(main())
"""

FAILS_NOW_AND_THEN = """
import asyncio
async def fetch(number):
    await asyncio.sleep(0.05)
    if number % 5 == 0: raise ConnectionError("no route to upstream")
async def main():
    number = 0
    while True:
        task = asyncio.create_task(fetch(number))
        number += 1
        await asyncio.wait([task])
        task.exception()
asyncio.run(main())
"""

TIMES_OUT = """
import asyncio
async def price(gate):
    try:
        async with asyncio.timeout(1): await gate.wait()
    except TimeoutError: pass
async def main():
    gate = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        while True:
            group.create_task(price(gate))
            await asyncio.sleep(0.2)
asyncio.run(main())
"""

SLEEPS = """
import asyncio
async def price(): await asyncio.sleep(1)
async def main():
    async with asyncio.TaskGroup() as group:
        while True:
            group.create_task(price())
            await asyncio.sleep(0.2)
asyncio.run(main())
"""

ANSWERED = """
import asyncio, random
async def price(gate):
    async with asyncio.timeout(5): await gate.wait()
async def main():
    async with asyncio.TaskGroup() as group:
        while True:
            gate = asyncio.Event()
            group.create_task(price(gate))
            asyncio.get_running_loop().call_later(random.uniform(0.2, 1.8), gate.set)
            await asyncio.sleep(0.1)
asyncio.run(main())
"""

READ_AT_ONE_PACE = """
import asyncio
async def pages(queue):
    for _ in range(12): await queue.put(0)
async def read(queue):
    asyncio.create_task(pages(queue))
    for _ in range(12):
        await queue.get()
        await asyncio.sleep(0.1)
async def main():
    async with asyncio.TaskGroup() as group:
        while True:
            group.create_task(read(asyncio.Queue(2)))
            await asyncio.sleep(0.2)
asyncio.run(main())
"""


async def findings(
    program: str, version: str, enough: Callable[[list[Finding]], bool], seconds: float = 40
) -> list[Finding]:
    """The mishaps found, once they are ``enough`` or time is up.  ``version`` "": ours, with its packages."""
    end = time.monotonic() + seconds
    with running(program, python=str(require(version)) if version else sys.executable) as child:
        point = agent_in(child.pid)
        assert point is not None
        source = LiveSource(point.path)
        pump = Pump(source, await source.open())
        try:
            async for _ in pump.samples():
                found = [each for each in await pump.judged() if each.kind == "mishap" or each.why == "lost"]
                if enough(found) or time.monotonic() > end:
                    return found
        finally:
            await source.close()
    raise AssertionError("the target ended")


def told(why: str, said: str) -> Callable[[list[Finding]], bool]:
    """The details come up to ten seconds after the finding."""
    return lambda found: any(
        each.why == why and each.cause is not None and said in each.cause.text for each in found
    )


def never(_: list[Finding]) -> bool:
    return False


SAID = {
    "wrong loop": (BOTH_LOOPS, "suspect", "look_up", "used by two event loops"),
    "wrong thread": (OTHER_THREAD, "suspect", "feed", "thread feeder creates tasks"),
    "lost": (LOST, "info", "main", "waited at <string>:5 in forgotten"),
    "failing": (FAILS, "info", "fetch", "end with ConnectionError"),
    "timed out": (TIMES_OUT, "info", "price", "wait for Event.wait until a time-out of 1.0 s"),
}
"""By its kind: the program, the level, the function and words of the cause."""


async def first_told(why: str, version: str) -> tuple[str, str, bool]:
    """Level, function, and whether the cause is in the words that belong to it."""
    program, _, _, said = SAID[why]
    found = await findings(program, version, told(why, said))
    (finding,) = [each for each in found if each.why == why]
    words = finding.cause is not None and said in finding.cause.text
    return finding.level, finding.site.function.rpartition(".")[2], words


@pytest.mark.parametrize("version", ["3.11", "3.14"])
async def test_each_mishap_is_told(version: str) -> None:
    seen = await asyncio.gather(*(first_told(why, version) for why in SAID))
    assert dict(zip(SAID, seen, strict=True)) == {
        why: (level, function, True) for why, (_, level, function, _) in SAID.items()
    }


async def test_the_wrong_thread_is_told_while_the_loop_runs_a_task_and_of_uvloop() -> None:
    programs = {WHILE_A_TASK_RUNS: "3.11"} | ({UVLOOP: ""} if find_spec("uvloop") else {})
    seen = await asyncio.gather(
        *(findings(*each, told("wrong thread", "thread feeder creates tasks")) for each in programs.items())
    )
    assert [{each.site.function.rpartition(".")[2] for each in found} for found in seen] == [
        {"feed"} for _ in programs
    ]


async def test_of_what_only_looks_like_one_nothing_is_said() -> None:
    programs = dict.fromkeys((RIGHT_THREAD, FAILS_NOW_AND_THEN, SLEEPS, ANSWERED, READ_AT_ONE_PACE), "3.11")
    if find_spec("uvloop"):
        programs[RIGHT_THREAD.replace("asyncio.run(main())", "import uvloop; uvloop.run(main())")] = ""
    seen = await asyncio.gather(*(findings(*each, never, 16) for each in programs.items()))
    assert [each for found in seen for each in found] == []
