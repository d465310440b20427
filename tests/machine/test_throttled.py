"""A loop that its control group's CPU limit stops: the limit is named, not the line that was running."""

from __future__ import annotations

import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from taskscope.attach.presence import agent_in
from taskscope.sources.live import LiveSource
from taskscope.sources.pump import Pump
from tests.integration.children import running

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.machine, pytest.mark.timeout(180)]

WORKS = """
import asyncio, time
def work():
    until = time.thread_time() + 0.1
    while time.thread_time() < until: pass
async def main():
    while True:
        work()
        await asyncio.sleep(0.05)
asyncio.run(main())
"""
PERIOD = 100_000


@contextmanager
def limited(pid: int, share: float) -> Iterator[None]:
    """In a control group, of either version, that gets this share of a core."""
    quota = int(share * PERIOD)
    for top, files in (
        (Path("/sys/fs/cgroup/cpu"), {"cpu.cfs_period_us": f"{PERIOD}", "cpu.cfs_quota_us": f"{quota}"}),
        (Path("/sys/fs/cgroup"), {"cpu.max": f"{quota} {PERIOD}"}),
    ):
        group = top / f"taskscope-test-{pid}"
        try:
            group.mkdir()
            for name, value in files.items():
                (group / name).write_text(value)
        except OSError:
            continue
        (group / "cgroup.procs").write_text(str(pid))
        try:
            yield
        finally:
            (top / "cgroup.procs").write_text(str(pid))
            group.rmdir()
        return
    pytest.skip("no control group with a limit of CPU time can be made here")


async def test_a_stall_of_a_throttled_process_is_not_blamed_on_its_code() -> None:
    with running(WORKS, "--interval", "200ms") as child, limited(child.pid, 0.05):
        point = agent_in(child.pid)
        assert point is not None
        source = LiveSource(point.path, patience=60)
        pump = Pump(source, await source.open())
        deadline, said = time.monotonic() + 100, ""
        async for _ in pump.samples():
            pump._next.clear()  # look each time
            found = [each.cause for each in await pump.judged() if each.cause is not None]
            said = next((each.text for each in found if each.pattern == "process paused"), said)
            if "it was throttled" in said or time.monotonic() > deadline:
                break
        await source.close()
    assert "it was throttled" in said
    assert "loop held" not in [each.pattern for each in found]
