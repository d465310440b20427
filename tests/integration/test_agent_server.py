"""The agent's socket: who may connect, what it answers while the loop is blocked, and what it survives."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import stat
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import taskscope
from taskscope import endpoint, model, wire
from taskscope.checked import unpack

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setenv("TASKSCOPE_DIR", str(tmp_path / "run"))
    taskscope.start("served", interval=0.1)
    yield endpoint.listing()[0].path
    taskscope.stop()


class Client:
    def __init__(self, path: str) -> None:
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(20)
        self.socket.connect(path)
        self.file = self.socket.makefile("rb")
        self.samples: list[dict[str, Any]] = []
        self._id = 0

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def read(self) -> dict[str, Any]:
        line = self.file.readline()
        message: dict[str, Any] = json.loads(line) if line else {}
        return message

    def ask(self, method: str, **params: Any) -> dict[str, Any]:
        self._id += 1
        self.send(wire.request(self._id, method, params))
        while True:
            message = self.read()
            if message.get("method") == "sample":
                self.samples.append(message["params"])
            elif message.get("id") == self._id or not message:
                return message

    def hello(self) -> dict[str, Any]:
        return self.ask("hello", protocol=wire.PROTOCOL, client="test")

    def next_sample(self) -> model.Sample:
        while not self.samples:
            message = self.read()
            if message.get("method") == "sample":
                self.samples.append(message["params"])
        return unpack(model.Sample, self.samples.pop(0))


@contextmanager
def connected(path: str, *, greet: bool = True) -> Iterator[Client]:
    client = Client(path)
    try:
        if greet:
            client.hello()
        yield client
    finally:
        client.file.close()
        client.socket.close()


def test_socket_and_directory_belong_to_the_user_alone(path: str) -> None:
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
    assert stat.S_IMODE(os.stat(os.path.dirname(path)).st_mode) == 0o700


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
@pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")  # nobody may not start our python
def test_another_user_is_turned_away(path: str) -> None:
    os.chmod(os.path.dirname(path), 0o711)
    os.chmod(path, 0o666)
    for folder in Path(path).parents:
        if folder != Path("/tmp"):
            folder.chmod(folder.stat().st_mode | 0o011)
    reader, writer = os.pipe()
    pid = os.fork()
    if not pid:
        try:
            os.setuid(65534)
            with socket.socket(socket.AF_UNIX) as client:
                client.connect(path)
                client.settimeout(10)
                try:
                    client.sendall(wire.request(1, "hello", {"protocol": wire.PROTOCOL}))
                    answer = client.recv(10)
                except (ConnectionResetError, BrokenPipeError):
                    answer = b""
                os.write(writer, b"turned away" if not answer else b"let in")
        except BaseException as error:
            os.write(writer, repr(error).encode())
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as said:
        assert said.read() == "turned away"
    os.waitpid(pid, 0)
    with connected(path) as client:
        assert "result" in client.ask("loops")


def test_hello_comes_first_and_versions_must_match(path: str) -> None:
    with connected(path, greet=False) as client:
        assert client.ask("tasks")["error"]["message"] == "say hello first"
        refused = client.ask("hello", protocol=99, client="x")["error"]
        assert refused["code"] == wire.MISMATCH
        assert "this client has protocol 99: use the same version of taskscope" in refused["message"]
        hello = client.hello()["result"]
        assert hello["process"]["pid"] == os.getpid()
        assert hello["process"]["name"] == "served"
        assert "result" in client.ask("loops")


async def test_it_answers_while_the_loop_is_blocked(path: str) -> None:
    gate = asyncio.Event()

    async def waits() -> None:
        await gate.wait()

    waiting = asyncio.create_task(waits())
    await asyncio.sleep(0)
    answers: list[Any] = []

    def client() -> None:
        with connected(path) as each:
            answers.append(each.ask("tasks")["result"]["tasks"])
            end = time.monotonic() + 10
            stalls: list[Any] = []
            while not stalls and time.monotonic() < end:
                stalls = each.ask("stalls")["result"]
            answers.append(stalls)

    thread = threading.Thread(target=client)
    thread.start()
    thread.join(20)  # this blocks the loop
    assert not thread.is_alive()
    tasks, stalls = answers
    assert any(task["coroutine"].endswith("waits") for task in tasks)
    assert not stalls[0]["over"]
    assert any("test_it_answers_while" in frame["function"] for frame in stalls[0]["stack"])
    gate.set()
    await waiting


async def test_samples_carry_what_changed_and_nothing_else(path: str) -> None:
    gate = asyncio.Event()

    async def waits() -> None:
        await gate.wait()

    flat = asyncio.create_task(waits())
    await asyncio.sleep(0)

    def first() -> tuple[Client, model.Sample]:
        client = Client(path)
        client.hello()
        client.ask("subscribe")
        return client, client.next_sample()

    client, full = await asyncio.to_thread(first)
    assert full.full
    assert {site.id for site in full.new_sites} == {each.site for each in full.sites}
    more = [asyncio.create_task(waits()) for _ in range(3)]

    def changed() -> tuple[model.Counts, bool]:
        site = None
        while True:
            sample = client.next_sample()
            for each in sample.new_sites:
                site = each.id if each.coroutine.endswith("waits") else site
            for counts in sample.sites:
                if counts.site == site and counts.counts.live == 3:
                    return counts.counts, sample.full

    counts, whole = await asyncio.to_thread(changed)
    assert not whole
    assert (counts.live, counts.born) == (3, 3)
    quiet = await asyncio.to_thread(lambda: [client.next_sample() for _ in range(3)][-1])
    assert not [each for each in quiet.sites if each.counts.live == 3]
    gate.set()
    await asyncio.wait([flat, *more])
    client.file.close()
    client.socket.close()


@pytest.mark.parametrize("garbage", [b"GET / HTTP/1.1\r\n\r\n", b"\x00" * 100 + b"\n", b"x" * (2 << 20)])
def test_garbage_costs_the_sender_its_connection_and_nobody_else(path: str, garbage: bytes) -> None:
    with connected(path) as good:
        with connected(path, greet=False) as bad:
            try:
                bad.send(garbage)
                bad.read()
                assert bad.read() == {}
            except (BrokenPipeError, ConnectionResetError):
                pass
        assert "result" in good.ask("loops")


def test_wrong_requests_are_answered_with_their_error(path: str) -> None:
    with connected(path) as client:
        assert client.ask("fly")["error"]["code"] == wire.NO_METHOD
        assert client.ask("tasks", colour="red")["error"]["code"] == wire.BAD_PARAMS
        assert client.ask("task", serial=10**9)["error"]["code"] == wire.NOT_FOUND
        assert client.ask("thread", ident=1)["error"]["code"] == wire.NOT_FOUND
        assert client.ask("cancel", serial=1)["error"]["code"] == wire.FORBIDDEN
        assert client.ask("source", file="/nonexistent", line=3)["result"]["lines"] == []


async def test_pages_cover_every_task_once(path: str) -> None:
    gate = asyncio.Event()

    async def waits() -> None:
        await gate.wait()

    tasks = [asyncio.create_task(waits()) for _ in range(2_500)]
    await asyncio.sleep(0)
    for task in tasks[100:600]:
        task.cancel()
    await asyncio.wait(tasks[100:600])
    del task
    del tasks[100:600]
    await asyncio.sleep(0)

    def pages(order: str) -> list[int]:
        found: list[int] = []
        with connected(path) as client:
            after = None
            while True:
                page = client.ask("tasks", order=order, after=after, limit=300)["result"]
                found += [task["serial"] for task in page["tasks"] if task["coroutine"].endswith("waits")]
                after = page["after"]
                if after is None:
                    return found

    oldest = await asyncio.to_thread(pages, "oldest")
    newest = await asyncio.to_thread(pages, "newest")
    assert len(oldest) == 2_000
    assert oldest == sorted(set(oldest))
    assert newest == oldest[::-1]
    gate.set()
    await asyncio.wait(tasks)


def test_a_client_that_does_not_read_holds_up_nobody(path: str) -> None:
    with connected(path) as lazy, connected(path) as good:
        lazy.ask("subscribe")
        for number in range(20):
            lazy.send(wire.request(100 + number, "snapshot", {}))
        for _ in range(3):
            assert "result" in good.ask("loops")


def test_detach_over_the_socket_removes_the_agent(path: str) -> None:
    with connected(path) as client:
        assert "result" in client.ask("detach")
        assert client.read() == {}
    end = time.monotonic() + 10
    while (os.path.exists(path) or taskscope._agent is not None) and time.monotonic() < end:
        time.sleep(0.005)
    assert not os.path.exists(path)
    taskscope.start("served")
    assert os.path.exists(path)
