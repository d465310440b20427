"""A wait that takes long is said on stderr, whether or not that is a terminal."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from taskscope.commands import common

if TYPE_CHECKING:
    import pytest


def test_only_a_long_wait_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    told = threading.Event()

    def say(text: str) -> None:
        said.append(text)
        told.set()

    monkeypatch.setattr(common, "say", say)
    with common.waiting("attaching to 7…", after=threading.TIMEOUT_MAX / 2):
        pass
    assert said == []
    with common.waiting("attaching to 7…", after=0.0):
        assert told.wait(20)
    assert said == ["attaching to 7…"]
