"""Where a task is parked, in words, for every primitive, on the oldest and newest Python and on uvloop."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.packages import require
from tests.pythons import NEWEST, installed

WAYS = Path(__file__).with_name("parked_ways.py")
ROOT = Path(__file__).parents[2]

EXPECTED: dict[str, tuple[str, str, str]] = {
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
    "as_completed": ("gather", "as_completed", "2 left"),
    "group": ("gather", "TaskGroup", "1 task left"),
    "task": ("task", "task sleep", ""),
    "shield": ("task", "a shielded task", ""),
    "future": ("future", "a bare Future", ""),
    "executor": ("executor", "a job in an executor", "in job"),
    "to_thread": ("executor", "asyncio.to_thread", "in job"),
    "read": ("socket", "StreamReader.readline", "127.0.0.1:"),
    "write": ("socket", "StreamWriter.drain", "127.0.0.1:"),
    "sock_recv": ("socket", "loop.sock_recv", ""),
    "tls": ("socket", "StreamWriter.start_tls", "127.0.0.1:"),
    "process": ("subprocess", "Process.wait", "pid "),
    "serve": ("server", "Server.serve_forever", ""),
    "generator": ("sleep", "asyncio.sleep", ""),
    "dns": ("dns", "a DNS look-up", "localhost:80"),
    "connect": ("dns", "a DNS look-up", "localhost:9"),
    "keeper": ("sleep", "asyncio.sleep", ""),
    **dict.fromkeys(
        ("in_attribute", "in_dict", "in_deque", "one_further", "in_variable", "in_module", "in_timer"),
        ("future", "a bare Future", ""),
    ),
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
    "anyio_semaphore": ("semaphore", "anyio Semaphore.acquire", "1 waiting"),
    "anyio_condition": ("condition", "anyio Condition.wait", "1 waiting"),
    "anyio_scope": ("sleep", "anyio.sleep", ""),
    "anyio_start": ("event", "anyio TaskGroup.start", ""),
    "anyio_accept": ("gather", "anyio TaskGroup", "1 task left"),
    "anyio_read": ("socket", "anyio SocketStream.receive", "127.0.0.1:"),
    "anyio_process": ("subprocess", "anyio Process.wait", "pid "),
    "anyio_signal": ("event", "a signal", ""),
    "anyio_datagram": ("socket", "anyio UDPSocket.receive", ""),
    "anyio_ready": ("socket", "anyio wait_readable", ""),
    "anyio.abc._sockets.SocketListener.serve": ("socket", "anyio accept", ""),
    "anyio.sleep_forever": ("sleep", "anyio.sleep_forever", ""),
}
HOLDERS = {
    "future": "nothing: no other reference to it exists",
    "in_attribute": "Client.reply",
    "in_dict": "Client.replies[7]",
    "in_deque": "Slotted.waiters[…]",
    "one_further": "Client.reply",
    "in_variable": "keeper, future in keeper",
    "in_module": "PENDING['a'] of module __main__",
    "in_timer": "a timer of the loop, Future.set_result in 4",
    "in_thread": "Elsewhere.futures[0]",
    "in_thread_variable": "thread holder, held in hold",
}
"""Who holds a bare future, or how that begins."""
UVLOOP = {
    "connect": ("socket", "asyncio.open_connection", "localhost:9"),
    "sock_recv": ("socket", "uvloop sock_recv", ""),
    "serve": ("server", "uvloop serve_forever", ""),
    "dns": ("dns", "a DNS look-up", ""),
}
UVLOOP_HOLDERS = {"in_timer": "a callback, Future.set_result"}
"""uvloop does not show its timers."""


def _run(python: Path | str, tmp_path: Path, *options: str, packages: Path | str = "") -> dict[str, Any]:
    tmp_path.chmod(0o700)
    path = os.pathsep.join([str(ROOT), str(packages)])
    done = subprocess.run(
        [python, "-W", "error", WAYS, *options],
        capture_output=True,
        text=True,
        timeout=50,
        env=os.environ | {"PYTHONPATH": path, "TASKSCOPE_DIR": str(tmp_path)},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout, parse_constant=pytest.fail)
    return answer


def _check(
    answer: dict[str, Any],
    expected: dict[str, tuple[str, str, str]],
    holders: dict[str, str] = HOLDERS,
) -> None:
    tasks = {task["name"]: task for task in answer["snapshot"]["tasks"]}
    for name, (wait, text, detail) in expected.items():
        parked = tasks[name]["parked"]
        assert (parked["wait"], parked["text"]) == (wait, text), name
        found = parked.get("detail", "")
        assert found == detail or (detail and detail[-1] in ": " and found.startswith(detail)), name
    for name in ("sleep", "keeper"):
        assert 490 < tasks[name]["parked"]["remaining"] < 500
    other = tasks["other"]["serial"]
    assert tasks["task"]["parked"]["task"] == tasks["shield"]["parked"]["task"] == other
    assert answer["held_by"] == ["lock_holder"]
    assert {name: len(each) for name, each in answer["holders"].items()} == dict.fromkeys(holders, 1)
    for name, holder in holders.items():
        assert answer["holders"][name][0].startswith(holder), name
    timed_out = tasks["timed_out"]["parked"]
    if timed_out["wait"] == "task":  # 3.11's wait_for
        assert timed_out["text"] == "wait_for, task Event.wait"
        timed_out = next(task for task in tasks.values() if task["serial"] == timed_out["task"])["parked"]
    assert (timed_out["wait"], timed_out["text"]) == ("event", "Event.wait")


@pytest.mark.parametrize("version", sorted({"3.11", NEWEST}))
def test_default_loop(version: str, tmp_path: Path) -> None:
    if version not in installed():
        pytest.skip(f"no Python {version} here")
    _check(_run(installed()[version], tmp_path), EXPECTED)


def test_anyio(tmp_path: Path) -> None:
    _check(_run(sys.executable, tmp_path, "anyio"), EXPECTED | ANYIO)


def test_uvloop(tmp_path: Path) -> None:
    answer = _run(sys.executable, tmp_path, "uvloop", "anyio")
    _check(answer, EXPECTED | ANYIO | UVLOOP, HOLDERS | UVLOOP_HOLDERS)


@pytest.mark.parametrize("loop", ["default", "uvloop"])
def test_anyio_on_the_newest_python(loop: str, tmp_path: Path) -> None:
    packages = require(NEWEST, "anyio", "uvloop")
    answer = _run(installed()[NEWEST], tmp_path, loop, "anyio", packages=packages)
    uvloop = loop == "uvloop"
    expected = EXPECTED | ANYIO | (UVLOOP if uvloop else {})
    _check(answer, expected, HOLDERS | (UVLOOP_HOLDERS if uvloop else {}))
