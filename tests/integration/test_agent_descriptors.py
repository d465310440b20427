"""Waits on descriptors: number, kind, addresses, bytes unread and the other end, of tasks and of threads."""

from __future__ import annotations

import asyncio
import re
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from taskscope.agent.inspect import system_calls
from taskscope.attach.presence import agent_in
from taskscope.model import requests
from taskscope.sources.live import LiveSource
from tests.integration.children import running
from tests.pythons import require

if TYPE_CHECKING:
    import subprocess

    from taskscope.model import Task, TaskDetail, Thread, ThreadDetail

THREADS = """
import os, select, socket, subprocess, sys, threading, time
path = sys.argv[1]
pair = socket.socketpair()
pair_too = socket.socketpair()
listener = socket.create_server(("127.0.0.1", 0))
client = socket.create_connection(listener.getsockname())
server, _ = listener.accept()
listener_6 = socket.create_server(("::1", 0), family=socket.AF_INET6)
client_6 = socket.create_connection(listener_6.getsockname()[:2])
server_6, _ = listener_6.accept()
served = socket.socket(socket.AF_UNIX)
served.bind(path)
served.listen()
caller = socket.socket(socket.AF_UNIX)
caller.connect(path)
answerer, _ = served.accept()
child = subprocess.Popen(["sleep", "3600"], stdout=subprocess.PIPE)
lock = threading.Lock()
lock.acquire()
def peek():
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, 10)
    server.send(b"four")
    select.select([client], [], [])
def polls():
    poll = select.poll()
    poll.register(pair_too[0], select.POLLIN)
    poll.register(listener, select.POLLIN)
    poll.poll()
def epolls():
    epoll = select.epoll()
    epoll.register(listener_6, select.POLLIN)
    epoll.poll()
ways = {
    "pair": lambda: pair[0].recv(1),
    "tcp": peek,
    "tcp 6": lambda: client_6.recv(1),
    "unix": lambda: caller.recv(1),
    "accept": lambda: served.accept(),
    "pipe": lambda: os.read(child.stdout.fileno(), 1),
    "select": lambda: select.select([pair_too[1]], [], []),
    "poll": polls,
    "epoll": epolls,
    "lock": lock.acquire,
}
for name, way in ways.items():
    threading.Thread(target=way, name=name, daemon=True).start()
print("standing", child.pid, flush=True)
sys.stdin.readline()
child.kill()
"""

TASKS = """
import asyncio, socket, sys
async def answer(reader, writer):
    writer.write(b"four")
    await asyncio.Event().wait()
async def main():
    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    pair = socket.socketpair()
    pair[0].setblocking(False)
    loop = asyncio.get_running_loop()
    child = await asyncio.create_subprocess_exec("sleep", "3600", stdout=asyncio.subprocess.PIPE)
    tasks = [
        asyncio.create_task(reader.readexactly(10), name="stream"),
        asyncio.create_task(child.stdout.read(), name="pipe"),
        asyncio.create_task(asyncio.sleep(3600), name="sleep"),
    ]
    if len(sys.argv) == 1:
        tasks.append(asyncio.create_task(loop.sock_recv(pair[0], 1), name="pair"))
    print("standing", child.pid, flush=True)
    await loop.run_in_executor(None, sys.stdin.readline)
    child.kill()
if len(sys.argv) > 1:
    import uvloop
    uvloop.run(main())
else:
    asyncio.run(main())
"""


def standing(child: subprocess.Popen[str]) -> int:
    """The pid of the child's child."""
    assert child.stdout is not None
    word, pid = child.stdout.readline().split()
    assert word == "standing"
    return int(pid)


async def opened(child: subprocess.Popen[str]) -> LiveSource:
    point = agent_in(child.pid)
    assert point is not None
    source = LiveSource(point.path)
    await source.open()
    return source


async def threads_at(source: LiveSource, names: set[str]) -> dict[str, ThreadDetail]:
    """These threads once each waits in a system call on a descriptor."""
    give_up = time.monotonic() + 20
    while True:
        threads: dict[str, Thread] = {each.name: each for each in await source.ask(requests.Threads())}
        if all(name in threads and threads[name].descriptors for name in names):
            return {name: await source.ask(requests.Thread(threads[name].ident)) for name in threads}
        assert time.monotonic() < give_up, threads
        await asyncio.sleep(0.05)


@pytest.mark.skipif(not Path("/proc/self/syscall").exists(), reason="this kernel does not show system calls")
@pytest.mark.parametrize("version", ["3.11", "3.14"])
async def test_threads_say_what_they_wait_on(version: str, tmp_path: Path) -> None:
    path = str(tmp_path / "served")
    with running(THREADS, arguments=[path], python=str(require(version)), stdin=-1) as child:
        other = standing(child)
        source = await opened(child)
        try:
            found = await threads_at(
                source, {"pair", "tcp", "tcp 6", "unix", "accept", "pipe", "poll", "epoll"}
            )
        finally:
            await source.close()
        told = {name: [on.text for on in each.thread.descriptors] for name, each in found.items()}
        calls = {name: each.thread.system_call for name, each in found.items()}
        child.communicate("\n", timeout=10)

    def says_of(name: str, *patterns: str) -> None:
        assert len(told[name]) == len(patterns), told[name]
        for pattern in patterns:
            assert any(re.fullmatch(pattern, text) for text in told[name]), told[name]

    here = r"other end fd \d+ of this process"
    says_of("pair", rf"fd \d+, unix, 0 bytes unread, {here}")
    says_of("tcp", rf"fd \d+, tcp to 127\.0\.0\.1:\d+ from 127\.0\.0\.1:\d+, 4 bytes unread, {here}")
    says_of("tcp 6", rf"fd \d+, tcp to \[::1\]:\d+ from \[::1\]:\d+, 0 bytes unread, {here}")
    says_of("unix", rf"fd \d+, unix to {path}, 0 bytes unread, {here}")
    says_of("accept", rf"fd \d+, unix {path}(, 0 bytes unread)?")
    says_of("pipe", rf"fd \d+, pipe, 0 bytes unread, other end fd 1 of process {other} \(sleep\)")
    says_of("select", rf"fd \d+, unix, 0 bytes unread, {here}")
    says_of("poll", rf"fd \d+, unix, 0 bytes unread, {here}", r"fd \d+, tcp 127\.0\.0\.1:\d+")
    says_of("epoll", r"fd \d+, tcp \[::1\]:\d+")
    assert told["lock"] == [] and calls["lock"] == ""
    assert calls["pair"] == "recvfrom" and calls["pipe"] == "read"
    assert "poll" in calls["poll"] and "epoll" in calls["epoll"] and "select" in calls["select"]


@pytest.mark.parametrize(("version", "loop"), [("3.11", "asyncio"), ("3.14", "asyncio"), ("3.11", "uvloop")])
async def test_tasks_say_what_they_wait_on(version: str, loop: str) -> None:
    arguments, python = [], str(require(version))
    if loop == "uvloop":
        pytest.importorskip("uvloop")
        arguments, python = ["uvloop"], sys.executable
    with running(TASKS, arguments=arguments, python=python, stdin=-1) as child:
        other = standing(child)
        source = await opened(child)
        try:
            named = await tasks_at(source, {"stream", "pipe"})
        finally:
            await source.close()
        child.communicate("\n", timeout=10)
    told = {name: on_of(detail) for name, detail in named.items()}
    here = r"other end fd \d+ of this process"
    # what asyncio's reader has read already is in the program's buffer, no longer unread
    tcp = rf"fd \d+, tcp to 127\.0\.0\.1:\d+ from 127\.0\.0\.1:\d+, 0 bytes unread, {here}"
    assert re.fullmatch(tcp, told["stream"]), told
    assert told["sleep"] == ""
    if loop == "asyncio":
        pipe = rf"fd \d+, pipe, 0 bytes unread, other end fd 1 of process {other} \(sleep\)"
        assert re.fullmatch(pipe, told["pipe"]), told
        assert re.fullmatch(rf"fd \d+, unix, 0 bytes unread, {here}", told["pair"]), told


def on_of(detail: TaskDetail) -> str:
    parked = detail.task.parked
    return parked.descriptor.text if parked is not None and parked.descriptor is not None else ""


async def tasks_at(source: LiveSource, names: set[str]) -> dict[str, TaskDetail]:
    """All tasks once these are parked on a socket."""
    give_up = time.monotonic() + 20
    while True:
        tasks: dict[str, Task] = {each.name: each for each in (await source.ask(requests.Tasks())).tasks}
        parked = {name: tasks[name].parked for name in names if name in tasks}
        if len(parked) == len(names) and all(each and each.wait == "socket" for each in parked.values()):
            return {name: await source.ask(requests.Task(tasks[name].serial)) for name in tasks}
        assert time.monotonic() < give_up, parked
        await asyncio.sleep(0.05)


def test_a_thread_that_has_ended_waits_in_no_call() -> None:
    assert system_calls.of_thread(0) is None
    assert system_calls.of_thread(2**22 + 1) is None
