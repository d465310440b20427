"""A process that needs ever more CPU while its tasks stay as they are.

Shows: CPU climbs without tasks
"""

from __future__ import annotations

import time

import pytest

from taskscope.analysis import busier
from taskscope.analysis.busier import CpuTrack
from taskscope.analysis.patterns.limits import CPU_CLIMBS
from taskscope.analysis.patterns.limits import busier as found_in
from taskscope.model import requests
from tests.integration.children import running, says
from tests.integration.test_agent_hangs import agent_of

SEARCHES = """
import asyncio, time
def search(seconds):
    until = time.thread_time() + seconds
    while time.thread_time() < until: pass
async def main():
    print("standing", flush=True)
    begun = time.monotonic()
    while True:
        search(0.001 + (time.monotonic() - begun) / 400)
        await asyncio.sleep(0.1)
asyncio.run(main())
"""


@pytest.mark.slow
async def test_a_search_that_takes_ever_longer_is_noted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(busier, "WIDTH", 0.8)
    track, give_up = CpuTrack(), time.monotonic() + 50
    with running(SEARCHES) as child:
        says(child, "standing")
        async with agent_of(child.pid) as source:
            await source.ask(requests.SetInterval(0.2))
            async for sample in source.samples():
                track.add(sample.monotonic, sample.cpu, sample.tasks.live, sample.tasks.born)
                if track.found() is not None:
                    break
                assert time.monotonic() < give_up, "no climb is found"
    climb = track.found()
    assert climb is not None
    (note,) = found_in(climb, climb.since + 60)
    assert note.cause is not None
    assert note.cause.pattern == CPU_CLIMBS.name
    assert climb.last > climb.first + 0.1
