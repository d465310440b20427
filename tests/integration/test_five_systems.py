"""The five demo systems: leaky ones are named with line, cause and rate; fixed ones get no finding.

Shows: fire and forget
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
from typing import TYPE_CHECKING

import pytest

from taskscope.sources.pump import Pump
from taskscope.sources.resolve import resolve

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from taskscope.model import Finding

pytestmark = [pytest.mark.soak, pytest.mark.timeout(420)]

LEAKS = {
    "orders": {"DecayingFailures.decay_after": ("sleeper per event", 6000.0)},
    "heartbeat": {"FeedClient.heartbeat": ("orphan", 36.0)},
    "restarts": {"ChaosController.run": ("started twice", 1600 * 60 / 22.5)},
    "rotation": {
        "LogReader.read": ("closed under its reader", 34.2),
        "LogReader.write": ("generations overlap", 34.2),
    },
    "backend": {
        "Client.read": ("stuck handing over", 20.0),
        "Notices.deliver": ("fire and forget", 30.0),
        "RiskMonitor.halt": ("lock not released", 20.0),
        "SignalProcessor.score": ("stuck handing over", 20.0),
        "CleanupService.work": ("orphan", 20.0),
    },
}
"""The guilty coroutines with cause and rate a minute; `restarts` at 20 times its speed, which is slow."""


@contextlib.asynccontextmanager
async def demo(name: str, *options: str) -> AsyncIterator[int]:
    """A running demo, ended as a user would end it."""
    speed = "20" if name == "restarts" else "1"
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "taskscope", "demo", name, "--headless", "--speed", speed, *options,
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert child.stdout is not None
    try:
        yield int((await child.stdout.readline()).split()[1])
    finally:
        child.send_signal(signal.SIGINT)
        await child.wait()


async def said(pid: int, seconds: float) -> list[tuple[float, tuple[Finding, ...]]]:
    """What was said at each sample."""
    source = await asyncio.to_thread(resolve, str(pid))
    pump = Pump(source, await source.open())
    told = []
    begun = None
    try:
        async for sample in pump.samples():
            begun = sample.monotonic if begun is None else begun
            told.append((sample.monotonic - begun, await pump.judged()))
            if sample.monotonic - begun >= seconds:
                break
    finally:
        await source.close()
    return told


@pytest.mark.parametrize("name", LEAKS)
async def test_within_a_minute_the_leak_is_named_with_cause_and_rate_and_nothing_else(name: str) -> None:
    async with demo(name) as pid:
        findings = (await said(pid, 58))[-1][1]
    leaks = {finding.coroutine: finding for finding in findings if finding.level == "leak"}
    assert set(leaks) == set(LEAKS[name])
    for coroutine, (pattern, rate) in LEAKS[name].items():
        cause = leaks[coroutine].cause
        assert cause is not None
        assert cause.pattern == pattern
        assert leaks[coroutine].rate_per_min == pytest.approx(rate, rel=0.15)


@pytest.mark.parametrize("name", LEAKS)
async def test_for_five_minutes_the_fixed_one_gets_no_finding(name: str) -> None:
    async with demo(name, "--fixed") as pid:
        told = await said(pid, 300)
    loud = [
        (at, each.coroutine, each.text) for at, findings in told for each in findings if each.level != "info"
    ]
    assert [each for each in loud if each[0] > 30] == []
    assert not any(each.level == "leak" for _, findings in told for each in findings)
