"""Demos attached to after five minutes of leaking: the verdict, its cause and its start."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from taskscope.sources.pump import Pump
from taskscope.sources.resolve import resolve

if TYPE_CHECKING:
    from collections.abc import Iterator

    from taskscope.model import Finding

pytestmark = [pytest.mark.soak, pytest.mark.timeout(420)]

RAN = 290.0
"""Seconds that they run alone; less than the life of a sleeper of ``orders``."""

WITHIN = 10.0
"""Seconds from attaching to the verdict, by the target's clock."""


@contextmanager
def plain(name: str, speed: float) -> Iterator[subprocess.Popen[bytes]]:
    """A demo without an agent."""
    command = [sys.executable, "-m", f"taskscope.demo.{name}", "--speed", f"{speed:g}"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as child:
        try:
            yield child
        finally:
            child.terminate()


async def first_leak(pid: int, coroutine: str) -> tuple[Finding | None, float]:
    """The verdict on the tasks of that coroutine, and how long after attaching it came."""
    source = await asyncio.to_thread(resolve, str(pid))
    try:
        hello = await source.open()
        pump = Pump(source, hello)
        async for sample in pump.samples():
            passed = sample.monotonic - hello.agent_since
            for finding in await pump.judged():
                if finding.coroutine == coroutine and finding.level == "leak":
                    return finding, passed
            if passed > 3 * WITHIN:
                break
        return None, passed
    finally:
        await source.close()


@pytest.mark.parametrize(
    ("name", "speed", "coroutine", "cause", "begins"),
    [
        ("orders", 1.0, "DecayingFailures.decay_after", "sleeper per event", 1.0),
        ("rotation", 1.0, "LogReader.write", "generations overlap", 1.0),
        ("restarts", 30.0, "ChaosController.run", "started twice", 180.0 / 30),
    ],
)
def test_the_verdict_comes_within_ten_seconds(
    name: str, speed: float, coroutine: str, cause: str, begins: float
) -> None:
    with plain(name, speed) as child:
        begun = time.monotonic()
        time.sleep(RAN)
        finding, passed = asyncio.run(first_leak(child.pid, coroutine))
    assert finding is not None
    assert passed < WITHIN, finding.text
    assert finding.cause is not None
    assert finding.cause.pattern == cause
    assert not finding.since_at_least
    assert finding.since - begun == pytest.approx(begins, abs=0.1 * RAN)
