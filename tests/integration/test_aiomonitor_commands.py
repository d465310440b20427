"""TaskScope's commands typed into aiomonitor's console."""

from __future__ import annotations

import json
import os
import re
import socket
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Self

import pytest

from taskscope.attach.presence import agent_in
from tests.integration.monitored import monitored

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.packages

_CONTROL = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b[=>]|\r")
TERMINAL = b"\xff\xfa\x18\x00xterm\xff\xf0" + b"\xff\xfa\x1f\x00\xc8\x00\x32\xff\xf0"


class Session:
    """A telnet client that types commands and reads what they print."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), 20)
        self._socket.sendall(TERMINAL)
        self._said = ""
        self._until("monitor >>> ")

    def types(self, command: str) -> str:
        """What came between the command and the next prompt."""
        self._said = ""
        self._socket.sendall(command.encode() + b"\r")
        return self._until(r"monitor >>> \s*$", after=command)

    def _until(self, pattern: str, after: str = "") -> str:
        give_up = time.monotonic() + 20
        while True:
            said = _CONTROL.sub("", self._said)
            shown = said.rpartition(f"monitor >>> {after}\n")[2] if after else said
            if (not after or shown != said) and re.search(pattern, shown):
                return shown.rpartition("monitor >>>")[0]
            assert time.monotonic() < give_up, f"no prompt after {said!r}"
            data = self._socket.recv(4096)
            assert data, f"the console closed after {said!r}"
            self._said += data.replace(b"\xff", b"").decode(errors="replace")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.sendall(b"\x04")
        while self._socket.recv(4096):
            pass
        self._socket.close()


@contextmanager
def console(*rest: str) -> Iterator[tuple[Session, int]]:
    with monitored("hook", "commands", *rest) as child:
        child.do("start 5")
        with Session(child.telnet) as session:
            yield session, child.pid


def test_without_an_agent_it_says_how_to_get_one_and_starts_it() -> None:
    with console() as (session, pid):
        assert "No agent in this process: `taskscope start` starts one." in session.types("taskscope status")
        assert f"taskscope attach {pid}" in session.types("taskscope start")
        assert agent_in(pid) is not None
        assert "The agent is already running." in session.types("taskscope start")
        assert f"pid {pid}" in session.types("taskscope status")


def test_status_tells_what_the_agent_counts() -> None:
    with console("before") as (session, _):
        shown = session.types("taskscope status")
        assert "monitored  pid" in shown
        assert "only observes" in shown
        assert re.search(r"tasks \d+ live, \d+ born, \d+ ended", shown)


def test_sites_are_listed_most_first() -> None:
    with console("before") as (session, _):
        shown = session.types("taskscope sites")
        first = shown.splitlines()[1]
        assert re.match(r"\s*5\s+5\s+0\s+.*monitored.py:\d+ Program.do  leaf", first), shown
        assert "(1 of" in session.types("taskscope sites -n 1")


def test_a_snapshot_is_saved_where_one_says(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    with console("before") as (session, pid):
        assert "Snapshot written:" in session.types(f"taskscope snapshot {path}")
        assert json.loads(path.read_text())["process"]["pid"] == pid
        assert "No snapshot:" in session.types("taskscope snapshot /nowhere/state.json")
    assert os.listdir(tmp_path) == ["state.json"]


@pytest.mark.parametrize("words", ["taskscope", "taskscope --help", "help"])
def test_help_names_the_commands_and_the_session_continues(words: str) -> None:
    with console() as (session, _):
        assert "taskscope" in session.types(words)
        assert "No such command" in session.types("taskscope nonsense")
        assert "not in the range" in session.types("taskscope sites -n 0")
        assert "starts one" in session.types("taskscope status")
