"""The agent's thread ends when it is told to, whatever it waits for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from taskscope.agent.agent import Agent

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_a_forked_child_that_ends_at_once_does_not_wait_until_its_agent_listens(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tmp_path.chmod(0o700)
    monkeypatch.setenv("TASKSCOPE_DIR", str(tmp_path))
    server = Agent("forked", interval=1.0, control=False, version="0").server
    server.start(delay=3_600)
    assert server.stop(timeout=20)
    assert list(tmp_path.iterdir()) == []
