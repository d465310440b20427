"""What holds up real programs: blocking calls, a full pool, more callbacks than a loop can handle.

Shows: loop held, pool saturated, callbacks queue up
"""

from __future__ import annotations

import pytest

from taskscope.attach.presence import agent_in
from taskscope.sources.live import LiveSource
from taskscope.sources.pump import Pump
from tests.integration.children import running

BLOCKED = """
import asyncio, time
def report(): time.sleep(0.6)
async def main():
    while True:
        report()
        await asyncio.sleep(0.05)
asyncio.run(main())
"""

FULL = """
import asyncio, threading
over = threading.Event()
def fetch(): over.wait()
async def main():
    await asyncio.gather(*(asyncio.to_thread(fetch) for _ in range(100)))
asyncio.run(main())
"""

CROWDED = """
import asyncio
def crunch(): return sum(range(3000))
async def worker():
    while True:
        crunch()
        await asyncio.sleep(0)
async def main():
    await asyncio.gather(*(worker() for _ in range({})))
asyncio.run(main())
"""


@pytest.mark.parametrize(
    ("program", "kind", "pattern", "function"),
    [
        (BLOCKED, "stall", "loop held", "report"),
        (FULL, "executor", "pool saturated", "fetch"),
        (CROWDED.format(2000), "loop", "callbacks queue up", "_UnixSelectorEventLoop"),
        (
            CROWDED.format(9000),
            "loop",
            "callbacks queue up",
            "_UnixSelectorEventLoop",
        ),  # turns as long as a stall
    ],
)
async def test_it_is_told_with_its_cause(program: str, kind: str, pattern: str, function: str) -> None:
    with running(program, "--interval", "200ms") as child:
        point = agent_in(child.pid)
        assert point is not None
        source = LiveSource(point.path)
        pump = Pump(source, await source.open())
        async for _ in pump.samples():
            pump._next.clear()  # look each time
            found = [each for each in await pump.judged() if each.kind == kind]
            if found:
                break
        await source.close()
    (finding,) = found
    assert (finding.level, finding.kind, finding.site.function) == ("info", kind, function)
    assert finding.cause is not None
    assert finding.cause.pattern == pattern
    assert finding.cause.explanation
