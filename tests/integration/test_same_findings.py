"""All clients of a target say the same at one moment: the app's judge, ``watch --json``, a snapshot."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

from taskscope.attach.presence import agent_in
from taskscope.commands.contract import finding_of_contract
from taskscope.model import requests
from taskscope.sources.live import LiveSource
from taskscope.sources.pump import Pump
from tests.integration.children import running, says

if TYPE_CHECKING:
    from collections.abc import Sequence

    from taskscope.model import Finding

FAULTY = """
import asyncio, time
async def decay(): await asyncio.sleep(3600)
async def reader(queue): await queue.get()
async def server(): await asyncio.Event().wait()
def render(): time.sleep(0.6)
async def fail(): raise ValueError("no such order")
async def main():
    kept = [asyncio.create_task(server()) for _ in range(3)]
    render()
    print("going", flush=True)
    for step in range(10_000):
        asyncio.create_task(decay())
        if step % 4 == 0:
            kept.append(asyncio.create_task(reader(asyncio.Queue())))
        await asyncio.sleep(0.1)
asyncio.run(main())
"""
"""Forgotten sleepers, readers of queues that nobody feeds, a stall, and three that are there to stay."""


def essence(findings: Sequence[dict[str, Any]]) -> list[tuple[Any, ...]]:
    """What must be equal, in the order told; a moment to a few seconds, since histories are by the second."""
    return sorted(
        (
            found["level"],
            found["kind"],
            json.dumps([found["site"]["file"], found["site"]["line"]]),
            json.dumps(found["user_site"] and found["user_site"]["line"]),
            (found["cause"] or {}).get("pattern"),
            found["since_at_least"],
        )
        for found in findings
    )


async def app(path: str, seconds: float) -> tuple[LiveSource, Pump]:
    """A judge as the app has one, that has watched for so long."""
    source = LiveSource(path)
    pump = Pump(source, await source.open())
    begun = None
    async for sample in pump.samples():
        await pump.judged()
        begun = sample.monotonic if begun is None else begun
        if sample.monotonic - begun >= seconds:
            break
    return source, pump


async def one_moment(path: str, pid: int) -> tuple[list[Finding], dict[str, Any], dict[str, Any]]:
    source, pump = await app(path, 20)
    snapshot = await source.ask(requests.Snapshot(stacks=False))
    command = [sys.executable, "-m", "taskscope", "watch", str(pid), "--for", "1s", "--json"]
    child = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    output, _ = await child.communicate()
    found = list(await pump.judged())
    await source.close()
    return found, snapshot, json.loads(output)


def test_the_app_watch_and_a_snapshot_say_the_same_at_the_same_moment() -> None:
    with running(FAULTY) as child:
        says(child, "going")
        agent = agent_in(child.pid)
        assert agent is not None
        found, snapshot, watched = asyncio.run(one_moment(agent.path, child.pid))
    told = [json.loads(json.dumps(finding_of_contract(each))) for each in found]
    assert {"leak", "info"} <= {each["level"] for each in told}
    assert {"task", "stall"} <= {each["kind"] for each in told}
    assert all(each["cause"] for each in told if each["level"] == "leak")
    assert essence(told) == essence(snapshot["findings"]) == essence(watched["findings"])
    for other in (snapshot["findings"], watched["findings"]):
        for mine, theirs in zip(told, other, strict=True):
            assert abs(mine["since"] - theirs["since"]) < 3
            assert abs(mine["since_wall"] - theirs["since_wall"]) < 3


MANY = """
import asyncio, json, taskscope
lines = range(20)
code = "".join(f"async def work{n}(): await asyncio.Event().wait()\\n" for n in lines)
code += "def start(): return [\\n" + "".join(f"    asyncio.create_task(work{n}()),\\n" for n in lines) + "]"
exec(compile(code, "many.py", "exec"))
async def main():
    taskscope.start()
    kept = []
    for _ in range(20):
        kept += start()
        await asyncio.sleep(0.2)
    return taskscope.snapshot()["findings"]
print(json.dumps([each["cause"] and each["cause"]["pattern"] for each in asyncio.run(main())]))
"""


def test_a_snapshot_from_inside_asks_about_as_many_lines_as_one_from_outside() -> None:
    """One round of questions is about a few of them."""
    done = subprocess.run(
        [sys.executable, "-c", MANY], capture_output=True, text=True, check=True, timeout=50
    )
    causes = json.loads(done.stdout)
    assert len(causes) >= 20
    assert None not in causes
