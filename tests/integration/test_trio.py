"""Tasks of trio are seen as asyncio's are: where they start, their parents, their waits, their ends."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections import Counter
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import taskscope
from taskscope.attach import inject
from taskscope.attach.presence import agent_in
from taskscope.model import requests
from taskscope.sources.detaching import detach
from tests import pythons
from tests.agent_client import AgentClient, Refused
from tests.integration.children import REPO, running, says, wait_for_agent

if TYPE_CHECKING:
    from collections.abc import Iterator

trio = pytest.importorskip("trio")

WAYS = Path(__file__).with_name("trio_ways.py")
LINES = {
    line.rpartition("# @ ")[2]: number
    for number, line in enumerate(WAYS.read_text().splitlines(), 1)
    if "# @ " in line
}
WAITS = {
    "main": ("executor", "trio to_thread.run_sync"),
    "waiter": ("event", "trio Event.wait"),
    "receiver": ("queue.get", "trio receive"),
    "sender": ("queue.put", "trio send"),
    "locked": ("lock", "trio Lock.acquire"),
    "limited": ("semaphore", "trio CapacityLimiter"),
    "in_thread": ("executor", "trio to_thread.run_sync"),
    "group": ("gather", "trio nursery"),
    "serve_tcp": ("gather", "trio nursery"),
    "_serve_one_listener": ("socket", "trio accept"),
    "handler": ("socket", "trio SocketStream.receive_some"),
    "sleeper": ("sleep", "trio.sleep"),
}
LIVE = dict.fromkeys(WAITS, 1) | {"sleeper": 8}


@contextmanager
def ways(*arguments: str, agent: bool, options: tuple[str, ...] = ()) -> Iterator[subprocess.Popen[str]]:
    """The program, with an agent from the start or none, standing."""
    before = ["-m", "taskscope", "run", *options] if agent else []
    command = [sys.executable, *before, str(WAYS), *arguments]
    environment = {**os.environ, "PYTHONPATH": str(REPO)}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, text=True, env=environment, **pipes) as child:  # type: ignore[call-overload]
        try:
            if agent:
                wait_for_agent(child)
            says(child, "standing")
            yield child
        finally:
            child.kill()


def goes_on(child: subprocess.Popen[str]) -> None:
    assert child.stdin is not None
    child.stdin.write("\n")
    child.stdin.flush()


def snapshot(child: subprocess.Popen[str]) -> dict[str, Any]:
    return snapshot_of(child.pid)


def snapshot_of(pid: int) -> dict[str, Any]:
    with taskscope.attach(pid) as service:
        found: dict[str, Any] = service.ask(requests.Snapshot(stacks=True))
        return found


def check_live(found: dict[str, Any]) -> None:
    """What stands in the program is there once, waits as it should, and has the right parent."""
    assert found["sample"]["disarmed"] == []
    assert found["process"]["unseen"] == []
    assert Counter(task["coroutine"] for task in found["tasks"]) == LIVE
    serial = {task["coroutine"]: task["serial"] for task in found["tasks"]}
    for task in found["tasks"]:
        parked = task["parked"]
        assert (parked["wait"], parked["text"]) == WAITS[task["coroutine"]]
        if parked["wait"] == "sleep":
            assert 3500 < parked["remaining"] < 3600
    parents = Counter((task["coroutine"], task["parent"]) for task in found["tasks"])
    assert parents["sleeper", serial["group"]] == 3
    assert parents["sleeper", serial["main"]] == 5
    assert parents["main", 0] == 1
    assert parents["handler", serial["serve_tcp"]] + parents["handler", serial["_serve_one_listener"]] == 1


def leaves_nothing(child: subprocess.Popen[str]) -> None:
    """Nothing of the agent stays behind, and the program ends as it should."""
    detach(child.pid, print)
    goes_on(child)
    says(child, "clean")
    assert child.wait(20) == 0


def lines_of(found: dict[str, Any], coroutine: str) -> dict[int, str]:
    """Line and certainty of the sites in the program that start a coroutine."""
    frames = found["frames"]
    sites = [
        (site["known"], frames[site["frame"]] if isinstance(site["frame"], int) else site["frame"])
        for site in found["sites"]
        if site["coroutine"] == coroutine
    ]
    return {frame["line"]: known for known, frame in sites if frame["file"] == str(WAYS)}


def test_tasks_are_seen_from_their_birth_to_their_end() -> None:
    with ways(agent=True) as child:
        found = snapshot(child)
        check_live(found)
        assert lines_of(found, "sleeper") == {LINES["sleepers"]: "exact", LINES["in a group"]: "exact"}
        assert lines_of(found, "handler") != {}
        counts = {each["site"]: each["counts"] for each in found["sample"]["sites"]}
        ended = {site["coroutine"]: counts[site["id"]] for site in found["sites"] if site["kind"] == "task"}
        assert (ended["quick"]["born"], ended["quick"]["finished"]) == (10, 10)
        assert (ended["failing"]["failed"], ended["cancelled"]["cancelled"]) == (1, 4)
        assert [each["error"] for each in found["failures"]] == ["ValueError: oh"]
        check_awaits(child, found)
        goes_on(child)
        says(child, "later")
        leaves_nothing(child)


def check_awaits(child: subprocess.Popen[str], found: dict[str, Any]) -> None:
    """A nursery's parent waits for its tasks, and they are awaited by it."""
    serial = {task["coroutine"]: task["serial"] for task in found["tasks"]}
    with taskscope.attach(child.pid) as service:
        group = service.task(serial["group"])
        assert [each.coroutine for each in group.waits_for] == ["sleeper"] * 3
        assert [each.serial for each in group.created_by] == [serial["main"]]
        sleeper = service.task(group.waits_for[0].serial)
        assert [each.serial for each in sleeper.awaited_by] == [serial["group"]]
        assert sleeper.siblings == 2
        tree = service.ask(requests.Tree(by="await", of=serial["group"]))
        assert [each.live for each in tree] == [3]


def test_tasks_older_than_the_agent_are_found_and_later_ones_seen() -> None:
    with ways(agent=False) as child:
        check_live(snapshot(child))
        goes_on(child)
        says(child, "later")
        found = snapshot(child)
        assert lines_of(found, "sleeper")[LINES["later"]] == "exact"
        assert sum(task["coroutine"] == "sleeper" for task in found["tasks"]) == 9
        leaves_nothing(child)


def test_a_task_of_trio_is_not_cancelled_from_outside() -> None:
    with ways(agent=True, options=("--control",)) as child:
        client = AgentClient(inject.ensure_agent(child.pid).path)
        (first, *_) = client.ask("tasks", limit=1)["tasks"]
        with pytest.raises(Refused, match="tasks of trio are only cancelled by their program"):
            client.ask("cancel", serial=first["serial"])
        client.close()


def test_anyio_on_trio_is_seen_too() -> None:
    with ways("anyio", agent=True) as child:
        found = snapshot(child)
        assert lines_of(found, "anyio_sleeper") == {LINES["of anyio"]: "exact"}
        waits = Counter(task["parked"]["text"] for task in found["tasks"])
        assert waits == {"anyio.sleep": 3, "anyio.sleep_forever": 1, "anyio receive": 1, "trio nursery": 1}


FAILS = """
import taskscope, trio
async def nothing(): await trio.sleep(0)
async def main():
    async with trio.open_nursery() as nursery:
        nursery.start_soon(nothing)
    taskscope._agent.registry.next_serial = None  # a bug of ours
    async with trio.open_nursery() as nursery:
        for _ in range(10):
            nursery.start_soon(nothing)
    print("goes on", flush=True)
    await trio.sleep_forever()
trio.run(main)
"""


def test_a_failure_of_ours_is_said_and_harms_nothing() -> None:
    with running(FAILS) as child:
        says(child, "goes on")
        give_up = time.monotonic() + 20
        while "trio" not in (found := snapshot(child))["process"]["unseen"]:
            assert time.monotonic() < give_up
        assert found["sample"]["disarmed"][0].startswith("trio: ")


INTERRUPTED = """
import signal, taskscope, trio
async def nothing(): await trio.sleep(0)
async def main():
    registry, interrupts = taskscope._agent.registry, [1]
    serial = registry.next_serial
    def interrupted():
        if interrupts:
            interrupts.clear()
            signal.raise_signal(signal.SIGINT)
        return serial()
    registry.next_serial = interrupted
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(nothing)
            await trio.sleep(3600)
    except* KeyboardInterrupt:
        print("interrupted", flush=True)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.sleep_forever)
        nursery.start_soon(trio.sleep_forever)
trio.run(main)
"""


def test_ctrl_c_during_our_hook_reaches_the_program() -> None:
    with running(INTERRUPTED) as child:
        says(child, "interrupted")
        give_up = time.monotonic() + 20
        while (found := snapshot(child))["sample"]["tasks"]["live"] != 3:
            assert time.monotonic() < give_up
        assert found["sample"]["disarmed"] == []


FORKS = """
import os, trio
async def main():
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.sleep_forever)
        await trio.sleep(0.01)
        child = os.fork()
        print(child or "child", flush=True)
        if not child:
            __import__("time").sleep(3600)
        await trio.sleep_forever()
trio.run(main)
"""


def test_a_forked_child_has_none_of_its_parents_tasks() -> None:
    with running(FORKS) as parent:
        assert parent.stdout is not None
        first, second = parent.stdout.readline(), parent.stdout.readline()
        pid = int(first if first.strip().isdigit() else second)
        try:
            give_up = time.monotonic() + 20
            while agent_in(pid) is None:
                assert time.monotonic() < give_up
                time.sleep(0.05)
            assert snapshot_of(pid)["sample"]["tasks"]["live"] == 0
            assert snapshot(parent)["sample"]["tasks"]["live"] == 2
        finally:
            os.kill(pid, 9)


@pytest.mark.parametrize("version", pythons.versions("3.12", "3.13", "3.14", "3.15"))
def test_other_versions_see_them_as_well(version: str) -> None:
    """Under another Python, with this one's trio, which is written in Python."""
    packages = os.pathsep.join([str(REPO), str(Path(trio.__file__).parents[1])])
    environment = {**os.environ, "PYTHONPATH": packages}
    command = [str(pythons.require(version)), "-m", "taskscope", "run", "-c", FORKS.replace("os.fork()", "1")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as child:
        try:
            says(child, "1")
            assert snapshot(child)["sample"]["tasks"]["live"] == 2
        finally:
            child.kill()
