"""A bad client loses its connection; the agent survives, and the program loses no memory or time."""

from __future__ import annotations

import json
import os
import socket
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from taskscope import wire
from taskscope.attach.presence import agent_in
from tests.agent_client import AgentClient, Refused
from tests.integration.children import running, says
from tests.pythons import require
from tests.targets import Program

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator

QUIET = """
import sys, threading
for line in sys.stdin:
    print("alive", flush=True)
"""

SMALL_STACK = (
    """
import sys, threading, taskscope
threading.stack_size(int(sys.argv[1]) << 10)
taskscope.start("small")
print(taskscope._agent.server.listener.path, flush=True)
"""
    + QUIET
)

BEFORE_THE_GREETING = [
    b'{"jsonrpc":"2.0","id":1,"error":{"code":"x"}}',
    b'{"jsonrpc":"2.0","id":1,"error":{"code":null}}',
    b'{"jsonrpc":"2.0","id":1,"error":{"code":Infinity}}',
    b'{"jsonrpc":"2.0","id":1,"error":{"code":1,"message":{}}}',
    b'{"jsonrpc":"2.0","id":NaN,"method":"hello"}',
    b'{"jsonrpc":"2.0","id":true,"method":"hello"}',
    b'{"jsonrpc":"2.0","id":1' + b"0" * 400 + b',"method":"hello"}',
    b"[" * 2_000 + rb'"\u001b"' + b"]" * 2_000,
    b'{"jsonrpc":"2.0","id":' + b"1" * 5_000 + b"}",
    b'{"jsonrpc":"2.0","result":' + b'{"a":' * 900 + b"1" + b"}" * 901,
    b"\xff\xfe{\0}\0",
    b'"' * 99_999,
]


@contextmanager
def target(program: str = QUIET) -> Iterator[tuple[subprocess.Popen[str], str]]:
    with running(program, "--interval", "100ms", stdin=-1) as child:
        point = agent_in(child.pid)
        assert point is not None
        yield child, point.path


def alive(child: subprocess.Popen[str]) -> bool:
    assert child.stdin is not None
    assert child.stdout is not None
    child.stdin.write("\n")
    child.stdin.flush()
    return child.stdout.readline() == "alive\n"


def exchange(path: str, *frames: bytes) -> list[dict[str, Any]]:
    """What comes back until the agent closes the connection."""
    with socket.socket(socket.AF_UNIX) as bad:
        bad.settimeout(20)
        bad.connect(path)
        received = b""
        try:
            bad.sendall(b"\n".join((*frames, b"")))
            while data := bad.recv(65536):
                received += data
        except (BrokenPipeError, ConnectionResetError):
            pass
    return [json.loads(line) for line in received.splitlines()]


def test_a_frame_that_is_not_the_protocols_costs_the_connection_only() -> None:
    with target() as (child, path):
        for frame in BEFORE_THE_GREETING:
            for answer in exchange(path, frame):
                assert answer["error"]["code"] == wire.PARSE_ERROR
        with AgentClient(path) as client:
            assert client.ask("loops") == []
            assert not client.sample()["dropped"]
        assert alive(child)


@pytest.mark.parametrize("version", ["3.11", "3.13"])
def test_deep_frames_do_not_overflow_the_small_stack_of_a_thread(version: str, tmp_path: Path) -> None:
    import subprocess

    python = require(version)
    with subprocess.Popen(
        [python, "-c", SMALL_STACK, "128"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "TASKSCOPE_DIR": str(tmp_path)},
    ) as child:
        assert child.stdout is not None
        path = child.stdout.readline().strip()
        for frame in (b"[" * 90_000, b'{"a":' * 900 + b"1" + b"}" * 900, b"[" * 900 + b"]" * 900):
            exchange(path, frame)
        deepest = (
            b'{"jsonrpc":"2.0","id":2,"method":"task","params":{"serial":' + b"[" * 29 + b"]" * 29 + b"}}"
        )
        with AgentClient(path) as client:
            client._socket.sendall(deepest + b"\n")
            assert client.next()["error"]["code"] == wire.BAD_PARAMS
        assert alive(child)
        child.kill()


def test_two_subscriptions_under_way_and_an_interval_that_is_no_number_are_borne() -> None:
    with target() as (child, path):
        with AgentClient(path) as client:
            with pytest.raises(Refused, match="set_interval: seconds is nan, must be a number from 0"):
                client.ask("set_interval", seconds=float("nan"))
            for id in (90, 91, 92):
                client._socket.sendall(wire.request(id, "subscribe", {}))
            while (message := client.next()).get("method") != "sample":
                assert "error" not in message
            assert client.ask("set_interval", seconds=0.2) == {"interval": 0.2}
        assert alive(child)


def test_a_client_that_asks_and_does_not_read_is_not_listened_to_any_more() -> None:
    with target() as (child, path):
        program = Path(f"/proc/{child.pid}/statm")
        rss = int(program.read_text().split()[1])
        with socket.socket(socket.AF_UNIX) as lazy, AgentClient(path) as other:
            lazy.connect(path)
            lazy.settimeout(0.5)
            frame = wire.request(1, "hello", {"protocol": wire.PROTOCOL, "client": "lazy"}) * 100
            sent = 0
            try:
                while sent < 40 << 20:
                    sent += lazy.send(frame)
            except TimeoutError:
                pass
            assert sent < 4 << 20
            assert other.ask("loops") == []
            grown = (int(program.read_text().split()[1]) - rss) * os.sysconf("SC_PAGE_SIZE")
            assert grown < 16 << 20
        assert alive(child)


def test_a_client_beyond_the_limit_takes_the_place_of_the_idlest_which_is_told_so() -> None:
    with target() as (child, path):
        clients = [AgentClient(path) for _ in range(16)]
        watcher = clients[0]
        watcher.sample()
        for client in clients[2:]:
            client.ask("loops")
        with AgentClient(path) as late:
            assert late.ask("loops") == []
        said = clients[1].next()
        assert said["method"] == "leaving"
        assert "this connection was idle longest" in said["params"]["reason"]
        assert watcher.next()["method"] == "sample"
        for client in clients:
            client.close()
        assert alive(child)


def test_a_client_that_leaves_before_its_answer_does_not_end_a_program_with_the_default_sigpipe() -> None:
    with target(f"import signal; signal.signal(signal.SIGPIPE, signal.SIG_DFL)\n{QUIET}") as (child, path):
        assert alive(child)  # so it has set the signal
        with AgentClient(path) as leaving, AgentClient(path) as client:
            leaving._socket.shutdown(socket.SHUT_RD)
            leaving._socket.sendall(wire.request(100, "loops", {}))
            for _ in range(5):
                assert client.ask("loops") == []
        assert alive(child)


SOURCES = (
    """
import os, sys, types, asyncio
folder = sys.argv[1]
os.mkfifo(folder + "/fifo.py")
with open(folder + "/huge.py", "wb") as file:
    file.truncate(120 << 20)
for name in ("/dev/zero", folder + "/fifo.py", folder + "/huge.py"):
    module = types.ModuleType("m")
    module.__file__ = name
    sys.modules["m" + name] = module
class Rude(types.ModuleType):
    def __getattribute__(self, name):
        if name != "__class__": print("asked for", name, flush=True)
        return super().__getattribute__(name)
sys.modules["rude"] = Rude("rude")
with open(folder + "/latin.py", "wb") as file:
    file.write("# -*- coding: latin-1 -*-\\r\\nname = 'd\\xe9j\\xe0'\\r\\n".encode("latin-1"))
sys.path.insert(0, folder)
import latin, json
del sys.path[0]
print('ready', flush=True)
"""
    + QUIET
)


def test_source_is_read_of_loaded_code_only_and_of_ordinary_files_only(tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_text("secret")
    with running(SOURCES, "--interval", "100ms", stdin=-1, arguments=[str(tmp_path)]) as child:
        says(child, "ready")
        point = agent_in(child.pid)
        assert point is not None
        program = Program.__new__(Program)
        program.pid = child.pid
        rss = program.rss()
        with AgentClient(point.path) as client:
            for name in ("/dev/zero", "fifo.py", "huge.py", "secret.txt", "/etc/hostname", "no\0name"):
                file = name if name.startswith("/") else f"{tmp_path}/{name}"
                assert client.ask("source", file=file, line=5)["lines"] == []
            said = client.ask("source", file=f"{tmp_path}/latin.py", line=2, context=1)
            assert said["lines"] == ["# -*- coding: latin-1 -*-", "name = 'd\u00e9j\u00e0'"]
            client.ask("modules")
            assert len(client.ask("source", file=json.__file__, line=50)["lines"]) == 21
        assert program.rss() - rss < 8 << 20
        assert alive(child)
