"""What holds a run of trio is found as for a loop of asyncio's, also where the run is a guest in one."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

import taskscope
from taskscope import model
from taskscope.model import requests
from tests import pythons
from tests.integration.children import REPO, running, says

if TYPE_CHECKING:
    from collections.abc import Callable

trio = pytest.importorskip("trio")

HEAD = """
import sys, time, trio
async def main():
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.sleep_forever)
        nursery.start_soon(work)
        await trio.sleep_forever()
async def told():
    print("standing", flush=True)
    await trio.to_thread.run_sync(sys.stdin.readline)
"""

HOLDS = (
    HEAD
    + """
async def work():
    await told()
    time.sleep(1)
    print("over", flush=True)
    await trio.sleep_forever()
"""
)

CROWDS = (
    HEAD
    + """
async def portion():
    began = time.thread_time()
    while time.thread_time() < began + 0.01: pass
async def work():
    await told()
    async with trio.open_nursery() as nursery:
        for _ in range(150):
            nursery.start_soon(portion)
    print("over", flush=True)
"""
)

ALONE = "trio.run(main)\n"

GUEST = """
import asyncio
async def host():
    loop = asyncio.get_running_loop()
    ended = loop.create_future()
    trio.lowlevel.start_guest_run(
        main, run_sync_soon_threadsafe=loop.call_soon_threadsafe, done_callback=ended.set_result
    )
    await ended
asyncio.run(host())
"""


def until(pid: int, holds: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """A snapshot of which that is true."""
    give_up = time.monotonic() + 20
    while True:
        with taskscope.attach(pid) as service:
            found: dict[str, Any] = service.ask(requests.Snapshot(stacks=True))
        if holds(found):
            return found
        assert time.monotonic() < give_up, found["stalls"]


def goes_on(child: subprocess.Popen[str]) -> None:
    assert child.stdin is not None
    child.stdin.write("\n")
    child.stdin.flush()


def is_over(found: dict[str, Any]) -> bool:
    return any(each["over"] for each in found["stalls"])


@pytest.mark.parametrize("runs", [ALONE, GUEST], ids=["alone", "a guest"])
def test_what_holds_a_run_is_named(runs: str) -> None:
    with running(HOLDS + runs, stdin=subprocess.PIPE) as child:
        says(child, "standing")
        goes_on(child)
        says(child, "over")
        found = until(child.pid, is_over)
    (stall,) = found["stalls"]  # once, though the loop around it was held as well
    assert stall["why"] == "held"
    assert (stall["call"], stall["doing"]) == ("sleep", "sleeps")
    assert 0.9 < stall["duration"] < 10
    (task,) = (each for each in found["tasks"] if each["serial"] == stall["task"])
    assert task["coroutine"] == "work"
    run = next(each for each in found["loops"] if each["kind"] == "trio.run")
    assert stall["loop"] == run["id"]
    assert run["latency_max"] > 0.9


def test_many_short_steps_are_a_crowd() -> None:
    with running(CROWDS + ALONE, stdin=subprocess.PIPE) as child:
        says(child, "standing")
        goes_on(child)
        says(child, "over")
        found = until(child.pid, is_over)
    assert {each["why"] for each in found["stalls"]} == {"crowd"}


BURNS = """
import time, trio
def crunch():
    began = time.thread_time()
    while time.thread_time() < began + 0.01: pass
async def burn():
    while True:
        crunch()
        await trio.sleep(0)
async def main():
    async with trio.open_nursery() as nursery:
        nursery.start_soon(burn)
        nursery.start_soon(trio.sleep_forever)
        print("standing", flush=True)
"""


@pytest.mark.parametrize("runs", [ALONE, GUEST], ids=["alone", "a guest"])
def test_cpu_is_charged_to_the_task_that_uses_it(runs: str) -> None:
    with running(BURNS + runs) as child:
        says(child, "standing")
        with taskscope.attach(child.pid) as service:
            found = service.ask(requests.Cpu(seconds=1.0))
            task = next(each for each in service.tasks() if each.coroutine == "burn")
    most = max(found.stacks, key=lambda each: each.seconds)
    assert (most.work, most.loop, most.site) == ("burn", True, task.site)
    assert [found.frames[each].function for each in most.frames] == ["burn", "crunch"]
    assert most.seconds > 0.5 * sum(each.seconds for each in found.threads if not each.agent)


SPINS = """
import trio
over = []
async def poll():
    while not over: await trio.sleep(0)
async def throw(send, receive):
    await send.send(0)
    async for ball in receive: await send.send(ball)
async def main():
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.sleep_forever)
        begin(nursery)
        print("standing", flush=True)
def play(nursery):
    (send, receive), (back, again) = trio.open_memory_channel(1), trio.open_memory_channel(1)
    for ends in ((send, again), (back, receive)): nursery.start_soon(throw, *ends)
"""


def turns_of(program: str) -> model.LoopTurns:
    """An answer with a task that was always queued."""
    give_up = time.monotonic() + 30
    with running(program) as child:
        says(child, "standing")
        with taskscope.attach(child.pid) as service:
            while True:
                found = service.ask(requests.Turns())
                if found and found[0].rearmed:
                    return found[0]
                assert time.monotonic() < give_up, found


def test_a_task_that_only_asks_again_keeps_its_run_awake() -> None:
    found = turns_of(SPINS + "def begin(nursery): nursery.start_soon(poll)\n" + ALONE)
    (poll,) = found.rearmed
    assert (poll.function, poll.of_task, poll.changes, poll.counts) == ("poll", True, False, False)
    assert poll.user_frame is not None
    assert poll.user_frame.function == "poll"
    assert found.asleep == 0
    assert found.iterations is not None
    assert found.iterations > 100


def test_tasks_that_pass_something_on_are_not_that() -> None:
    found = turns_of(SPINS + "begin = play\n" + ALONE)
    assert all(each.changes for each in found.rearmed)
    assert {each.function for each in found.callbacks} <= {"throw"}


def test_a_run_that_waits_is_idle() -> None:
    with running(HOLDS + ALONE, stdin=subprocess.PIPE) as child:
        says(child, "standing")
        found = until(child.pid, lambda each: each["loops"] and each["loops"][0]["latency_p50"] is not None)
    (run,) = found["loops"]
    assert (run["kind"], run["running"], run["live"]) == ("trio.run", True, 3)
    assert found["stalls"] == []
    (main,) = (each for each in found["threads"] if each["name"] == "MainThread")
    assert (main["state"], main["loop"]) == ("idle", run["id"])


def test_a_guest_older_than_the_agent_is_found() -> None:
    environment = {**os.environ, "PYTHONPATH": str(REPO)}
    command = [sys.executable, "-c", HOLDS + GUEST]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, text=True, env=environment, **pipes) as child:  # type: ignore[call-overload]
        try:
            says(child, "standing")
            found = until(child.pid, lambda each: each["sample"]["tasks"]["live"] == 4)
            assert {each["kind"] for each in found["loops"]} >= {"trio.run"}
        finally:
            child.kill()


FORKS = """
import os, sys, time, trio
async def main():
    await trio.sleep(0.01)
    if not os.fork():
        print("forked", flush=True)
        time.sleep(3600)
    os.wait()
trio.run(main)
"""


def test_a_forked_child_is_not_held_by_its_copy_of_the_run() -> None:
    with running(FORKS) as parent:
        says(parent, "forked")
        (pid,) = children_of(parent.pid)
        try:
            found = until(pid, lambda each: each["sample"]["seq"] >= 2)
            assert (found["loops"], found["stalls"]) == ([], [])
        finally:
            os.kill(pid, 9)


def children_of(pid: int) -> list[int]:
    with open(f"/proc/{pid}/task/{pid}/children") as listed:
        return [int(each) for each in listed.read().split()]


@pytest.mark.parametrize("version", pythons.versions("3.12", "3.13", "3.14", "3.15"))
def test_other_versions_find_it_as_well(version: str) -> None:
    """Under another Python, with this one's trio, which is written in Python."""
    from pathlib import Path

    packages = os.pathsep.join([str(REPO), str(Path(trio.__file__).parents[1])])
    environment = {**os.environ, "PYTHONPATH": packages}
    command = [str(pythons.require(version)), "-m", "taskscope", "run", "-c", HOLDS + ALONE]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, text=True, env=environment, **pipes) as child:  # type: ignore[call-overload]
        try:
            says(child, "standing")
            goes_on(child)
            says(child, "over")
            (stall,) = until(child.pid, is_over)["stalls"]
            assert (stall["why"], stall["call"]) == ("held", "sleep")
        finally:
            child.kill()
