"""Agents' sockets: live agents keep theirs whatever happens; those of dead ones are removed."""

from __future__ import annotations

import os
import signal
import time
from typing import TYPE_CHECKING

import pytest

from taskscope import endpoint
from taskscope.attach.presence import agent_in
from tests.integration.children import running, says, taskscope

if TYPE_CHECKING:
    from pathlib import Path

WAITING = """
import os, signal, sys
print("ready", flush=True)
how = sys.stdin.readline().strip()
if how == "exec":
    os.execv("/bin/sleep", ["sleep", "60"])
elif how == "_exit":
    os._exit(0)
signal.pause()
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TASKSCOPE_DIR", str(tmp_path / "run"))
    return tmp_path / "run"


def test_a_stopped_agent_is_found_however_often_one_looks_and_keeps_its_socket() -> None:
    """Each look stays in its backlog until that is full; a full backlog is not a refusal."""
    with running(WAITING, stdin=-1) as child:
        point = agent_in(child.pid)
        assert point is not None
        os.kill(child.pid, signal.SIGSTOP)
        assert [agent_in(child.pid) for _ in range(30)] == [point] * 30
        endpoint.sweep()
        os.kill(child.pid, signal.SIGCONT)
        give_up = time.monotonic() + 10
        while (peer := _peer(point.path)) is None:
            assert time.monotonic() < give_up, "it does not answer again"
            time.sleep(0.01)
        assert peer.pid == child.pid


@pytest.mark.parametrize("how", ["exec", "_exit", "SIGTERM"])
def test_a_socket_left_behind_by_a_dead_process_is_removed_by_the_next_agent(how: str, folder: Path) -> None:
    with running(WAITING, "--name", "first", stdin=-1) as child:
        says(child, "ready")
        assert child.stdin is not None
        if how == "SIGTERM":
            child.terminate()
        else:
            child.stdin.write(how + "\n")
            child.stdin.flush()
        give_up = time.monotonic() + 10
        while agent_in(child.pid) is not None:
            assert time.monotonic() < give_up
            time.sleep(0.01)
        assert [path.name for path in folder.iterdir()] == [f"{child.pid}.first.sock"]
        assert taskscope("ps").returncode == 0
        assert list(folder.iterdir()) == []


def _peer(path: str) -> endpoint.Peer | None:
    try:
        return endpoint.peer(path)
    except endpoint.BusyError:
        return None
