"""What keeps a site's tasks alive is named as in the program."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from taskscope.attach.inject import ensure_agent
from taskscope.model import requests
from taskscope.sources.live import LiveSource

if TYPE_CHECKING:
    from pathlib import Path

    from taskscope.model import Keeper

PROGRAM = """
import asyncio, sys
class Client:
    def __init__(self, task):
        vars(self)["task"] = task
class Hub:
    def __init__(self):
        self._clients = set()
        self._tasks = []
        self._by_name = {{}}
    async def serve(self):
        {serve}
        print("ready", flush=True)
        await asyncio.sleep(600)
async def work():
    {work}
HUB = Hub()
KEPT = []
async def main():
    await HUB.serve()
if __name__ == "__main__":
    asyncio.run(main())
"""
WAITS = "await asyncio.sleep(600)"
START = "[asyncio.create_task(work()) for _ in range(40)]"


@pytest.mark.parametrize(
    ("serve", "name", "kind", "module"),
    [
        (f"self._tasks = {START}", "Hub._tasks", "list", "__main__"),
        (f"self._clients = {{Client(task) for task in {START}}}", "Hub._clients", "set", "__main__"),
        (f"self._by_name = dict(enumerate({START}))", "Hub._by_name", "dict", "__main__"),
        (f"self._by_name['a'] = {START}", "Hub._by_name[…]", "list", "__main__"),
        (
            f"self._by_name = {{at: [task] for at, task in enumerate({START})}}",
            "Hub._by_name",
            "dict",
            "__main__",
        ),
        (f"KEPT.extend({START})", "KEPT of module __main__", "list", ""),
        (f"kept = {START}", "kept in Hub.serve", "list", ""),
    ],
)
def test_the_container_has_its_name(serve: str, name: str, kind: str, module: str, tmp_path: Path) -> None:
    found = keeper(PROGRAM.format(serve=serve, work=WAITS), tmp_path)
    assert (found.name, found.type, found.size, found.module) == (name, kind, 40, module)
    assert found.each is None
    assert found.entry == ("Client" if "Client" in serve else "")
    assert not found.emptied


def test_a_container_is_known_to_lose_entries_too(tmp_path: Path) -> None:
    serve = f"self._tasks = {START}; self._tasks.pop()"
    assert keeper(PROGRAM.format(serve=serve, work=WAITS), tmp_path).emptied


@pytest.mark.parametrize(
    ("what", "wait"),
    [("asyncio.Queue()", "get"), ("asyncio.Event()", "wait"), ("asyncio.Semaphore(0)", "acquire")],
)
def test_who_waits_in_a_primitive_is_not_kept_by_its_list_of_waiters(
    what: str, wait: str, tmp_path: Path
) -> None:
    serve = f"self._tasks = [{what} for _ in range(40)]; [asyncio.create_task(work(x)) for x in self._tasks]"
    program = PROGRAM.replace("work():", "work(thing):").format(serve=serve, work=f"await thing.{wait}()")
    found = keeper(program, tmp_path)
    assert (found.name, found.type, found.size) == ("Hub._tasks", "list", 40)


def test_ended_tasks_are_reported_with_what_each_keeps(tmp_path: Path) -> None:
    serve = f"self._tasks = {START}; await asyncio.wait(self._tasks)"
    found = keeper(PROGRAM.format(serve=serve, work="return [bytearray(100_000)]"), tmp_path)
    assert (found.name, found.size) == ("Hub._tasks", 40)
    assert found.each is not None
    assert 100_000 <= found.each < 101_000


@pytest.mark.parametrize(
    ("serve", "more", "unread"),
    [
        ("[KEPT.append(task) for task in {start}]", "", True),
        ("[KEPT.append((task, 'work')) for task in {start}]", "", True),
        ("[KEPT.append(task) for task in {start}]", "def stop(): KEPT.clear()", False),
        ("[KEPT.append(task) for task in {start}] and asyncio.gather(*KEPT)", "", False),
    ],
)
def test_a_container_that_the_program_only_adds_to_is_never_read(
    serve: str,
    more: str,
    unread: bool,
    tmp_path: Path,
) -> None:
    program = PROGRAM.format(serve=serve.format(start=START), work=WAITS)
    found = keeper(program.replace("KEPT = []", f"KEPT = []\n{more}"), tmp_path)
    assert (found.name, found.size, found.unread) == ("KEPT of module __main__", 40, unread)


def test_the_newest_entries_of_a_long_list_are_looked_at_as_well(tmp_path: Path) -> None:
    serve = f"self._tasks = [0.5] * 300; self._tasks += {START}"
    found = keeper(PROGRAM.format(serve=serve, work=WAITS).replace("[0.5]", "[[0]]"), tmp_path)
    assert (found.name, found.size) == ("Hub._tasks", 340)


THREADS = """
import threading, time
class Tenant:
    def __init__(self):
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()
    def run(self):
        while True:
            time.sleep(600)
TENANTS = []
for _ in range(5):
    TENANTS.append(Tenant())
print("ready", flush=True)
time.sleep(600)
"""


def test_what_keeps_threads_is_named_and_whether_anybody_looks(tmp_path: Path) -> None:
    found = keeper(THREADS, tmp_path, "Tenant.run")
    assert (found.name, found.type, found.size, found.unread) == (
        "TENANTS of module __main__",
        "list",
        5,
        True,
    )


def keeper(program: str, tmp_path: Path, coroutine: str = "work") -> Keeper:
    file = tmp_path / "service.py"
    file.write_text(program)
    with subprocess.Popen(
        [sys.executable, "-m", "taskscope", "run", str(file)], stdout=subprocess.PIPE, text=True
    ) as child:
        try:
            assert child.stdout is not None
            assert child.stdout.readline() == "ready\n"
            return asyncio.run(asyncio.wait_for(told(ensure_agent(child.pid).path, coroutine), 30))
        finally:
            child.kill()


async def told(path: str, coroutine: str) -> Keeper:
    source = LiveSource(path)
    await source.open()
    try:
        ids: list[int] = []
        async for sample in source.samples():
            ids += [site.id for site in sample.new_sites if site.coroutine == coroutine]
            for id in ids:
                facts = await source.ask(requests.Facts(id))
                if facts.keeper is not None:
                    return facts.keeper
    finally:
        await source.close()
    raise AssertionError("the samples ended")
