"""Reading the program's objects runs none of its code, answers in time, and leaves nothing behind.

Against ``hostile_objects.py``: objects of every kind that is read, each of which answers any attribute,
compares, hashes, writes itself and says when that happened in a thread that is not the program's.
"""

from __future__ import annotations

import json
import os
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from taskscope.attach.presence import agent_in
from tests.agent_client import AgentClient
from tests.pythons import require

if TYPE_CHECKING:
    from collections.abc import Iterator

PROGRAM = Path(__file__).with_name("hostile_objects.py")
ROOT = Path(__file__).parents[2]

IN_TIME = 5.0
"""Seconds for any one answer; the slowest takes 0.1."""


class Target:
    """The program; ``ran`` is what it has noticed."""

    def __init__(self, child: subprocess.Popen[str], *, lists_by_asking: bool) -> None:
        self.child = child
        self.lists_by_asking = lists_by_asking  # from 3.14 on asyncio asks each task itself to list them all
        assert child.stdout is not None and child.stdin is not None
        assert child.stdout.readline() == "ready\n"
        agent = agent_in(child.pid)
        assert agent is not None
        self.client = AgentClient(agent.path)

    def ran(self) -> list[str]:
        assert self.child.stdin is not None and self.child.stdout is not None
        self.child.stdin.write("what ran?\n")
        self.child.stdin.flush()
        found: list[str] = json.loads(self.child.stdout.readline())
        return [each for each in found if not (self.lists_by_asking and " from adopt.py" in each)]

    def ask(self, method: str, **params: Any) -> Any:
        began = time.monotonic()
        answer = self.client.ask(method, **params)
        assert time.monotonic() - began < IN_TIME, method
        return answer


@contextmanager
def hostile(version: str, folder: Path) -> Iterator[Target]:
    folder.chmod(0o700)
    child = subprocess.Popen(
        [require(version), PROGRAM],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT), "TASKSCOPE_DIR": str(folder)},
    )
    try:
        yield Target(child, lists_by_asking=version >= "3.14")
    finally:
        child.kill()
        child.communicate()


def everything(target: Target, rounds: int, *, each: int = 1) -> int:
    """Makes every request about each (or every so many) task and site that there is; returns how many."""
    asked = 0
    for _ in range(rounds):
        tasks = target.ask("tasks", limit=1000)["tasks"][::each]
        sites = sorted({task["site"] for task in tasks})
        for task in tasks:
            target.ask("task", serial=task["serial"])
        for site in sites:
            target.ask("facts", site=site)
            target.ask("site", site=site)
            target.ask("parked", sites=[site])
        groups = target.ask("parked")
        for group in groups[::each]:
            target.ask("tasks", parked=group["key"])
        for by in ("parent", "parked"):
            target.ask("groups", by=by)
        for by in ("parent", "await"):
            for of in (None, *(task["serial"] for task in tasks[:50:each])):
                target.ask("tree", by=by, of=of)
        threads = target.ask("threads")
        for thread in threads:
            if thread["python"]:
                target.ask("thread", ident=thread["ident"])
        for method in ("ages", "loops", "stalls", "ended", "modules"):
            target.ask(method)
        target.ask("timers", keeps=1)
        target.ask("resources")
        target.ask("snapshot")
        asked += len(tasks) + 3 * len(sites) + len(groups) + len(threads) + 113
    return asked


@pytest.mark.parametrize("version", ["3.11", "3.13", "3.15"])
@pytest.mark.attack
@pytest.mark.timeout(180)
def test_no_request_runs_code_of_the_program(version: str, tmp_path: Path) -> None:
    with hostile(version, tmp_path) as target:
        asked = everything(target, 3)
        print(f"{asked:,} requests on {version}")
        assert target.ran() == []
        target.client.detach()
        assert target.child.poll() is None
        assert target.ran() == []


def test_hostile_objects_are_listed_and_none_of_their_code_runs(tmp_path: Path) -> None:
    """The short form; every kind of object is there once."""
    with hostile("3.11", tmp_path) as target:
        everything(target, 1, each=7)
        assert target.ran() == []
        assert len(target.ask("tasks", limit=1000)["tasks"]) > 80
        target.client.detach()
