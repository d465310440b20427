"""An agent's socket appears when it answers, and not a moment before."""

from __future__ import annotations

import _socket
from typing import TYPE_CHECKING, Any

import taskscope
from taskscope import endpoint
from taskscope.system import system

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_another_agents_sweep_does_not_take_one_that_is_about_to_listen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tmp_path.chmod(0o700)
    monkeypatch.setenv("TASKSCOPE_DIR", str(tmp_path))

    class Swept(_socket.socket):
        def listen(self, *args: Any) -> None:
            endpoint.sweep()
            super().listen(*args)

    monkeypatch.setattr(system, "socket", Swept)
    taskscope.start("mine")
    try:
        (point,) = endpoint.listing()
        assert endpoint.answers(point.path)
    finally:
        taskscope.stop()
    assert list(tmp_path.iterdir()) == []
