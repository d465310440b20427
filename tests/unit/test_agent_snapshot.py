"""A snapshot tells that it is under way, also where it has nothing to send for long."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from taskscope.agent.answers import snapshot
from taskscope.agent.inspect import walk

if TYPE_CHECKING:
    import pytest


def test_a_long_walk_is_heard_of_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr("taskscope.agent.answers.snapshot.clock.monotonic", lambda: now)
    sent: list[tuple[str, Any]] = []

    def walking() -> walk.Job[str]:
        nonlocal now
        for _ in range(30):
            now += 0.1
            yield
        return "found"

    assert walk.run(snapshot._heard(walking(), sent.extend)) == "found"
    assert len(sent) in (2, 3)
    assert set(map(str, sent)) == {"('tasks', [])"}
