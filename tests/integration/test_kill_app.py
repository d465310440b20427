"""A client may be killed at any moment; the service is as before."""

from __future__ import annotations

import asyncio
import json
import os
import random
import subprocess
import sys
import time
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from taskscope.attach.presence import agent_in
from tests.integration.children import running
from tests.terminal import Terminal

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

SERVICE = """
import asyncio, json, sys, threading
async def parked(): await asyncio.Event().wait()
async def brief(): pass
async def churn():
    while True:
        asyncio.create_task(brief())
        await asyncio.sleep(0.005)
async def main():
    kept = [asyncio.create_task(parked(), name=f"p{n}") for n in range(3000)] + [asyncio.create_task(churn())]
    loop, reader = asyncio.get_running_loop(), asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while await reader.readline():
        tasks = sum(task.get_coro().__name__ != "brief" for task in asyncio.all_tasks())
        print(json.dumps({"tasks": tasks, "threads": threading.active_count()}), flush=True)
asyncio.run(main())
"""
"""For each line on stdin: its tasks, but for those that come and go, and its threads."""

CLIENT = """
import json, random, socket, sys
path, seed = sys.argv[1:]
dice = random.Random(int(seed))
link = socket.socket(socket.AF_UNIX)
link.connect(path)
asked = [("hello", {"protocol": 1, "client": "killed"}), ("subscribe", {})]
for _ in range(20):
    asked.append(dice.choice([
        ("snapshot", {"stacks": True}), ("tasks", {"limit": 1000}), ("parked", {"sites": None}),
        ("groups", {"by": "parked"}), ("tree", {"by": "await", "of": None}), ("threads", {}),
    ]))
reads = dice.random() < 0.5
for number, (method, params) in enumerate(asked):
    request = {"jsonrpc": "2.0", "id": number, "method": method, "params": params}
    link.sendall(json.dumps(request).encode() + b"\\n")
    if reads:
        link.recv(1 << 16)
while True:
    link.recv(1 << 16) if reads else input()
"""
"""What the app asks, all at once; half of these clients never read an answer."""


def look(child: subprocess.Popen[str]) -> dict[str, int]:
    """What the service has: its own count of tasks and threads, the kernel's of threads and descriptors."""
    assert child.stdin is not None
    assert child.stdout is not None
    child.stdin.write("\n")
    child.stdin.flush()
    own: dict[str, int] = json.loads(child.stdout.readline())
    folder = Path(f"/proc/{child.pid}")
    return {
        "tasks": own["tasks"],
        "threads": own["threads"],
        "native threads": len(os.listdir(folder / "task")),
        "descriptors": len(os.listdir(folder / "fd")),
    }


async def at_rest(child: subprocess.Popen[str]) -> dict[str, int]:
    """The least over a while: whoever looked for the agent is let go of a moment later."""
    looks = []
    for _ in range(20):
        looks.append(look(child))
        await asyncio.sleep(0.02)
    return {name: min(each[name] for each in looks) for name in looks[0]}


async def settles(child: subprocess.Popen[str], before: dict[str, int]) -> None:
    """The agent may need a moment to see that somebody has gone."""
    end = time.monotonic() + 20
    while (after := look(child)) != before:
        assert time.monotonic() < end, f"before {before}, after {after}"
        await asyncio.sleep(0.02)


@asynccontextmanager
async def service() -> AsyncIterator[tuple[subprocess.Popen[str], str, dict[str, int]]]:
    """The running service, where its agent listens, and what it has while nobody is attached."""
    with running(SERVICE, "--name", "victim", stdin=subprocess.PIPE) as child:
        look(child)  # the first answer says that it runs
        point = agent_in(child.pid)
        assert point is not None
        yield child, point.path, await at_rest(child)
        assert child.poll() is None


async def test_fifty_clients_killed_at_random_moments_leave_nothing_behind() -> None:
    dice = random.Random(2)
    async with service() as (child, path, before):
        for number in range(50):
            command = [sys.executable, "-I", "-S", "-c", CLIENT, path, str(number)]
            client = subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL)
            await asyncio.sleep(dice.uniform(0.0, 0.12))  # the moment is the point, not a wait for something
            client.kill()
            client.communicate()
        await settles(child, before)


async def killed_apps(times: int, latest: float) -> None:
    dice = random.Random(5)
    async with service() as (child, _, before):
        for _ in range(times):
            async with Terminal([sys.executable, "-m", "taskscope", "attach", str(child.pid)]) as app:
                await asyncio.sleep(dice.uniform(0.2, latest))
                await app.kill()
        await settles(child, before)


async def test_the_app_killed_while_it_opens_and_while_it_runs_leaves_nothing_behind() -> None:
    await killed_apps(3, 2.0)


@pytest.mark.soak
@pytest.mark.timeout(600)
async def test_the_app_killed_fifty_times_leaves_nothing_behind() -> None:
    await killed_apps(50, 4.0)
