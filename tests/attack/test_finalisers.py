"""The program's finalisers run in the program's threads, although ours makes most of the containers."""

from __future__ import annotations

import json
from contextlib import suppress

import pytest

from taskscope.attach.presence import agent_in
from tests.agent_client import AgentClient
from tests.integration.children import running, says
from tests.pythons import require

VERSIONS = ("3.11", "3.13", "3.14", "3.15")

PROGRAM = """
import asyncio, json, threading, time
run_by, main = [], threading.get_ident()
class Cycle:
    def __init__(self): self.me = self
    def __del__(self): run_by.append(threading.get_ident())
async def wait(event): await event.wait()
async def program():
    event = asyncio.Event()
    kept = [asyncio.create_task(wait(event)) for _ in range(1000)]
    print("begun", flush=True)
    await asyncio.sleep(3)  # the agent's start makes thousands of containers that stay
    run_by.clear()
    end = time.monotonic() + 15
    while time.monotonic() < end:
        for _ in range(50): Cycle()
        await asyncio.sleep(0.05)
    print(json.dumps([run_by.count(main), len(run_by)]), flush=True)
asyncio.run(program())
"""

TOLERATED = 0.05
"""Of the finalisers: a switch of threads in the middle of a turn of ours may leave us the last container."""


@pytest.mark.attack
@pytest.mark.parametrize("version", VERSIONS)
def test_the_programs_finalisers_run_in_its_own_thread(version: str) -> None:
    with running(PROGRAM, python=str(require(version))) as child:
        says(child, "begun")
        found = agent_in(child.pid)
        assert found is not None
        with (
            AgentClient(str(found.path)) as client,
            suppress(OSError, json.JSONDecodeError),
        ):  # until the child ends
            client.ask("subscribe")
            while True:
                for method in ("tasks", "parked", "waits", "resources", "threads"):
                    client.ask(method)
                client.next()
        assert child.stdout is not None
        theirs, every = json.loads(child.stdout.readline())
    print(f"{version}: {every - theirs} of {every} finalisers in our thread")
    assert every > 5_000
    assert every - theirs <= TOLERATED * every
