"""An agent's socket appears when it answers, and not a moment before."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any

import taskscope
from taskscope import endpoint

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_another_agents_sweep_does_not_take_one_that_is_about_to_listen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tmp_path.chmod(0o700)
    monkeypatch.setenv("TASKSCOPE_DIR", str(tmp_path))
    listen = socket.socket.listen

    def swept(self: socket.socket, *args: Any) -> None:
        endpoint.sweep()
        listen(self, *args)

    monkeypatch.setattr(socket.socket, "listen", swept)
    taskscope.start("mine")
    try:
        (point,) = endpoint.listing()
        assert endpoint.answers(point.path)
    finally:
        taskscope.stop()
    assert list(tmp_path.iterdir()) == []
