"""The path from a helper out to its site is examined once; later births only look it up."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any

import pytest

import taskscope
from taskscope.agent.inspect import handed

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator
    from pathlib import Path
    from types import FrameType


@pytest.fixture
def looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Functions whose arguments were inspected."""
    found: list[str] = []
    ask = handed.what_was_handed

    def asked(frame: FrameType, given: handed.Given) -> handed.Handed | None:
        if frame.f_code.co_filename == __file__:
            found.append(frame.f_code.co_name)
        return ask(frame, given)

    monkeypatch.setenv("TASKSCOPE_DIR", str(tmp_path / "run"))
    monkeypatch.setattr(handed, "what_was_handed", asked)
    taskscope.start("ways", interval=10)
    yield found
    taskscope.stop()


async def work() -> None:
    pass


def spawn(coro: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
    return asyncio.create_task(coro)


def run(target: Callable[[], Any]) -> None:
    thread = threading.Thread(target=target)
    thread.start()
    thread.join()


async def test_tasks(looked_at: list[str]) -> None:
    for _ in range(20):
        await spawn(work())
    assert looked_at == ["spawn", "test_tasks"]
    await spawn(work())
    assert looked_at == ["spawn", "test_tasks"] * 2  # another line, another way


def test_threads(looked_at: list[str]) -> None:
    for _ in range(20):
        run(int)
    assert looked_at == ["run", "test_threads"]
