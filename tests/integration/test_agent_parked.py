"""What a task is parked at, in words, for every primitive, on the oldest and the newest Python and uvloop."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.pythons import SUPPORTED, installed

WAYS = Path(__file__).with_name("parked_ways.py")
ROOT = Path(__file__).parents[2]

EXPECTED = {
    "sleep": ("sleep", "asyncio.sleep", ""),
    "queue_get": ("queue.get", "Queue.get", "0 items, unbounded"),
    "queue_put": ("queue.put", "Queue.put", "1 of 1 item"),
    "queue_join": ("event", "Queue.join", "1 item unfinished"),
    "lock_holder": ("event", "Event.wait", "1 waiting"),
    "lock_waiter": ("lock", "Lock.acquire", "1 waiting"),
    "semaphore": ("semaphore", "Semaphore.acquire", "1 waiting"),
    "condition": ("condition", "Condition.wait", "1 waiting"),
    "event_with_timeout": ("event", "Event.wait", "1 waiting"),
    "barrier": ("barrier", "Barrier.wait", "1 of 3 there"),
    "gather": ("gather", "gather", "2 of 2 left"),
    "wait": ("gather", "asyncio.wait", "2 of 2 left"),
    "as_completed": ("gather", "as_completed", None),
    "group": ("gather", "TaskGroup", "1 task left"),
    "task": ("task", "task sleep", ""),
    "shield": ("task", "a shielded task", ""),
    "future": ("future", "a bare Future", ""),
    "executor": ("executor", "a job in an executor", None),
    "to_thread": ("executor", "asyncio.to_thread", "in job"),
    "read": ("socket", "StreamReader.readline", "127.0.0.1:"),
    "write": ("socket", "StreamWriter.drain", "127.0.0.1:"),
    "sock_recv": ("socket", "loop.sock_recv", ""),
    "process": ("subprocess", "Process.wait", "pid "),
    "serve": ("server", "Server.serve_forever", ""),
    "generator": ("sleep", "asyncio.sleep", ""),
}
ANYIO = {
    "anyio_send": ("queue.put", "anyio send", "1 of 1 item"),
    "anyio_receive": ("queue.get", "anyio receive", "0 of 1 item"),
    "anyio_sleep": ("sleep", "anyio.sleep", ""),
    "anyio_event": ("event", "anyio Event.wait", ""),
    "anyio_lock": ("lock", "anyio Lock.acquire", "held by Task-1"),
    "anyio_limiter": ("semaphore", "anyio CapacityLimiter", "1 of 1 taken"),
    "anyio_group": ("gather", "anyio TaskGroup", "1 task left"),
    "anyio_thread": ("executor", "anyio to_thread.run_sync", "in job"),
    "anyio.sleep_forever": ("sleep", "anyio.sleep_forever", ""),
}
UVLOOP = {
    "sock_recv": ("socket", "uvloop sock_recv", ""),
    "serve": ("server", "uvloop serve_forever", ""),
}

_versions = [each for each in SUPPORTED if each in installed()]
NEWEST = _versions[-1] if _versions else SUPPORTED[-1]


def _run(python: Path | str, tmp_path: Path, *options: str) -> dict[str, Any]:
    tmp_path.chmod(0o700)
    done = subprocess.run(
        [python, "-W", "error", WAYS, *options],
        capture_output=True,
        text=True,
        timeout=50,
        env=os.environ | {"PYTHONPATH": str(ROOT), "TASKSCOPE_DIR": str(tmp_path)},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout, parse_constant=pytest.fail)
    return answer


def _check(answer: dict[str, Any], expected: dict[str, tuple[str, str, str | None]]) -> None:
    tasks = {task["name"]: task for task in answer["snapshot"]["tasks"]}
    for name, (wait, text, detail) in expected.items():
        parked = tasks[name]["parked"]
        assert (parked["wait"], parked["text"]) == (wait, text), name
        found = parked.get("detail", "")
        if detail is not None:
            assert found == detail or (detail and detail[-1] in ": " and found.startswith(detail)), name
    assert 490 < tasks["sleep"]["parked"]["remaining"] < 500
    other = tasks["other"]["serial"]
    assert tasks["task"]["parked"]["task"] == tasks["shield"]["parked"]["task"] == other
    assert answer["held_by"] == ["lock_holder"]


@pytest.mark.parametrize("version", sorted({"3.11", NEWEST}))
def test_default_loop(version: str, tmp_path: Path) -> None:
    if version not in installed():
        pytest.skip(f"no Python {version} here")
    _check(_run(installed()[version], tmp_path), EXPECTED)


def test_anyio(tmp_path: Path) -> None:
    _check(_run(sys.executable, tmp_path, "anyio"), EXPECTED | ANYIO)


def test_uvloop(tmp_path: Path) -> None:
    _check(_run(sys.executable, tmp_path, "uvloop", "anyio"), EXPECTED | ANYIO | UVLOOP)
