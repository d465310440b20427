"""Which real tasks nothing can wake: see ``waking_ways.py``."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from taskscope.attach.inject import ensure_agent
from taskscope.sources.live import LiveSource
from taskscope.sources.pump import Pump
from tests.agent_client import AgentClient
from tests.pythons import require, versions

if TYPE_CHECKING:
    from taskscope import model

WAYS = Path(__file__).with_name("waking_ways.py")
ROOT = Path(__file__).parents[2]

MOST, JUGGLED = 3, 20
"""Tasks of one way that are asked about."""

FATES = {"stuck": "stuck", "endless": "endless", "lost": "lost", "woken": "may wake"}

NAMED = {
    "woken_by_owner": "Room.closed",
    "woken_by_timeout": "a timer that leads to the task",
    "woken_by_wait_for": "a timer",
    "woken_by_variable": "forwarder in woken_by_variable.session",
    "woken_by_attribute": "Room.worker",
    "woken_by_sibling": "event in woken_by_sibling.impatient",
}


PROGRAM = """
import asyncio, sys
async def answer(event):
    await event.wait()
async def main():
    kept = [asyncio.create_task(answer(asyncio.Event())) for _ in range(int(sys.argv[1]))]
    events = [asyncio.Event() for _ in range(9)]
    kept += [asyncio.create_task(answer(event)) for event in events]
    await asyncio.sleep(0)
    print("ready", flush=True)
    await asyncio.sleep(600)
asyncio.run(main())
"""


async def first_finding(path: str) -> model.Finding:
    """The first finding about the tasks."""
    source = LiveSource(path)
    pump = Pump(source, await source.open())
    try:
        async for _ in pump.samples():
            found = [each for each in await pump.judged() if each.coroutine == "answer"]
            if found:
                return found[0]
    finally:
        await source.close()
    raise AssertionError("the samples ended")


def finding_after_attach(stuck: int) -> model.Finding:
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(stuck)], stdout=subprocess.PIPE, text=True
    ) as child:
        try:
            assert child.stdout is not None
            assert child.stdout.readline() == "ready\n"
            return asyncio.run(asyncio.wait_for(first_finding(ensure_agent(child.pid).path), 30))
        finally:
            child.kill()


def test_two_that_nothing_can_wake_are_a_leak_at_once() -> None:
    finding = finding_after_attach(stuck=2)
    assert finding.level == "leak"
    assert finding.text.startswith("11 live, nothing can wake at least 2, not growing")
    assert finding.cause is not None
    assert finding.cause.pattern == "nobody can set it"
    assert finding.cause.proof == "2 of 11 traced are stuck: nothing can wake them"


def test_one_that_nothing_can_wake_is_noted() -> None:
    finding = finding_after_attach(stuck=1)
    assert (finding.level, finding.why) == ("info", "stuck")
    assert finding.text == "nothing can wake 1 task: no living code can reach what it waits for"


@pytest.mark.parametrize("version", versions("3.11", "3.12", "3.14"))
def test_only_those_are_called_stuck_that_nothing_can_wake(version: str, tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    found = fates(require(version), tmp_path)
    assert len(found) > 60
    for name, each in found.items():
        assert {fate for fate, _ in each} == {FATES[name.partition("_")[0]]}, name
    for name, by in NAMED.items():
        assert any(text.startswith(by) for _, text in found[name]), name


def fates(python: Path | str, tmp_path: Path) -> dict[str, list[tuple[str, str]]]:
    """By the name of the way: of each task its fate, and through what it may be woken."""
    child = subprocess.Popen(
        [python, WAYS],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT), "TASKSCOPE_DIR": str(tmp_path)},
    )
    with child:
        try:
            assert child.stdout is not None
            told = json.loads(child.stdout.readline())
            with AgentClient(told["agent"]) as client:
                client.ask(
                    "waits"
                )  # what another request remembers of them must not count as a way to wake them
                return {
                    name: [fate(client.ask("task", serial=serial)) for serial in serials[: most(name)]]
                    for name, serials in told["serials"].items()
                }
        finally:
            child.kill()


def most(name: str) -> int:
    return JUGGLED if name == "woken_by_juggler" else MOST


def fate(detail: dict[str, Any]) -> tuple[str, str]:
    """Waits that a thread ends are never examined."""
    return detail.get("fate") or "may wake", detail.get("woken_by") or ""
