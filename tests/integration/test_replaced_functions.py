"""Programs and tests that replace the clock, files or sockets disturb neither the agent nor ``no_leaks``."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.agent_client import AgentClient
from tests.integration.children import REPO
from tests.pythons import require, versions

if TYPE_CHECKING:
    from pathlib import Path

FREEZE = """
import datetime, sys, time
def freeze():
    # as freezegun does: in `time`, and under every name that a loaded module has for the functions
    names = ("time", "monotonic", "perf_counter")
    fakes = {id(getattr(time, name)): (lambda: 1e9) for name in names}
    for module in list(sys.modules.values()):
        for name, value in list(getattr(module, "__dict__", {}).items()):
            if id(value) in fakes:
                setattr(module, name, fakes[id(value)])
    real, time.sleep = time.sleep, lambda seconds: None
    return real
"""

WATCHED = f"""
{FREEZE}
import os, socket, builtins
def broken(*args, **options): raise RuntimeError("replaced by the program")
if sys.argv[1] == "before":
    freeze()
import taskscope
taskscope.start("patched", interval=0.1)
if sys.argv[1] == "after":
    freeze()
path = taskscope._agent.server.listener.path
os.read = os.write = os.close = os.stat = os.listdir = builtins.open = socket.socket.recv = broken
os.geteuid = os.lstat = os.mkdir = os.access = os.unlink = os.path.isdir = os.path.lexists = broken
socket.socket = broken
print(path, flush=True)
sys.stdin.readline()
taskscope.stop()
taskscope.start("again")
taskscope.stop()
print("left", flush=True)
"""

LEAKING = """
import asyncio, sys, threading, time
import freezegun, taskscope
from taskscope.testing.guard import LeakError

async def forgotten():
    await asyncio.get_running_loop().create_future()

async def within():
    async with taskscope.no_leaks(grace=0.1):
        kept.append(asyncio.create_task(forgotten()))

@taskscope.no_leaks(grace=0.1)
def thread():
    threading.Thread(target=threading.Event().wait, daemon=True).start()

@taskscope.no_leaks(grace=0.1)
def runner():
    asyncio.run(leaves())

async def leaves():
    kept.append(asyncio.create_task(forgotten()))

kept = []
with freezegun.freeze_time("2020-02-02"):
    for code in (thread, lambda: asyncio.run(within()), runner):
        try:
            code()
        except LeakError as error:
            print(str(error).splitlines()[0])
"""


def child(program: str, *arguments: str, python: Path | str = sys.executable) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [python, "-c", program, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(REPO)},
    )


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("version", versions())
def test_an_agent_in_a_program_that_replaces_the_clock_and_files_works(version: str, moment: str) -> None:
    with child(WATCHED, moment, python=require(version)) as target:
        assert target.stdout is not None
        path = target.stdout.readline().strip()
        with AgentClient(path) as client:
            first = client.sample()
            samples = [client.next()["params"] for _ in range(3)]
            assert client.ask("threads")
        assert first["disarmed"] == []
        times = [first["monotonic"], *(each["monotonic"] for each in samples)]
        assert times == sorted(set(times))
        assert all(each["fds"] for each in samples)
        said, _ = target.communicate("\n", timeout=20)
        assert said == "left\n"
        assert not os.path.exists(path)


def test_no_leaks_ends_and_tells_while_freezegun_holds_the_clock() -> None:
    pytest.importorskip("freezegun")
    with child(LEAKING) as target:
        said, _ = target.communicate(timeout=20)
    assert said.splitlines() == ["left behind: 1 thread", "left behind: 1 task", "left behind: 1 task"]
