"""The agent's descriptors: whatever fails, it closes none that has become the program's."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING, Any

import pytest

from taskscope.agent.agent import Agent
from taskscope.agent.counts import descriptors
from taskscope.agent.counts.descriptors import Channel, Held
from taskscope.system import system

if TYPE_CHECKING:
    from pathlib import Path


def test_a_connection_that_cannot_be_taken_costs_the_program_no_file_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The program gets the connection's number as soon as the agent has moved the connection up."""
    tmp_path.chmod(0o700)
    monkeypatch.setenv("TASKSCOPE_DIR", str(tmp_path))
    server = Agent("accepting", interval=1.0, control=False, version="0").server
    server.start()
    null = os.open(os.devnull, os.O_RDONLY)
    moved: list[int] = []
    taken: list[int] = []
    raised, made = descriptors._raised, system.socket

    def noted(number: int) -> int:
        moved.append(number)
        return raised(number)

    def failing(*words: Any) -> Any:
        if len(words) == 4:
            taken.append(os.dup2(null, moved[-1]))
            raise MemoryError
        return made(*words)

    try:
        monkeypatch.setattr(descriptors, "_raised", noted)
        monkeypatch.setattr(type(system), "socket", staticmethod(failing))
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(20)
            client.connect(str(next(tmp_path.iterdir())))
            assert client.recv(1) == b""
        assert os.path.sameopenfile(taken[0], null)
    finally:
        monkeypatch.undo()
        assert server.stop(timeout=20)
        for number in (null, *taken):
            os.close(number)


@pytest.mark.parametrize("kind", [Held, Channel])
def test_a_descriptor_that_cannot_be_kept_is_closed_once(
    kind: type[Held], monkeypatch: pytest.MonkeyPatch
) -> None:
    reading, writing = os.pipe()

    def failing(number: int) -> int:
        raise MemoryError

    monkeypatch.setattr(descriptors, "_raised", failing)
    with pytest.raises(MemoryError):
        kind(writing)
    assert os.read(reading, 1) == b""
    os.close(reading)
