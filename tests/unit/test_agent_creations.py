"""Tasks whose creation debug mode recorded get the same site as those the agent observed."""

from __future__ import annotations

import asyncio
import functools
import weakref
from typing import TYPE_CHECKING, Any, cast

import pytest

import taskscope

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture(autouse=True)
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TASKSCOPE_DIR", str(tmp_path / "run"))
    yield
    taskscope.stop()


async def stays() -> None:
    await asyncio.Event().wait()


def noisy(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def wrapper(*args: Any) -> Any:
        return function(*args)

    return wrapper


class Service:
    class Part:
        def method(self) -> asyncio.Task[None]:
            return asyncio.get_running_loop().create_task(stays())

    @staticmethod
    def static() -> asyncio.Task[None]:
        return asyncio.get_running_loop().create_task(stays())

    @noisy
    def decorated(self) -> asyncio.Task[None]:
        return asyncio.get_running_loop().create_task(stays())

    def nested(self) -> asyncio.Task[None]:
        def inner() -> asyncio.Task[None]:
            return asyncio.get_running_loop().create_task(stays())

        return inner()

    def through_the_library(self) -> asyncio.Task[None]:
        task: Any = weakref.finalize(self, asyncio.create_task, stays())()
        return cast("asyncio.Task[None]", task)


WAYS: dict[str, Callable[[], asyncio.Task[None]]] = {
    "Service.Part.method": lambda: Service.Part().method(),
    "Service.static": Service.static,
    "Service.decorated": lambda: Service().decorated(),
    "Service.nested.inner": lambda: Service().nested(),
    "Service.through_the_library": lambda: Service().through_the_library(),
}


@pytest.mark.parametrize("name", WAYS)
def test_one_site_before_and_after_the_agent(name: str) -> None:
    async def main() -> list[dict[str, Any]]:
        before = WAYS[name]()
        await asyncio.sleep(0)
        taskscope.start("creations", interval=0.1)
        after = WAYS[name]()
        await asyncio.sleep(0)
        while True:
            snapshot = taskscope.snapshot()
            if sum(task["coroutine"] == "stays" for task in snapshot["tasks"]) == 2:
                break
            await asyncio.sleep(0.01)
        before.cancel()
        after.cancel()
        return [site for site in snapshot["sites"] if site["coroutine"] == "stays"]

    (site,) = asyncio.run(main(), debug=True)
    assert (site["known"], site["frame"]["function"]) == ("exact", name)


def test_a_callback_is_not_attributed_to_what_runs_the_loop() -> None:
    async def main() -> list[dict[str, Any]]:
        loop = asyncio.get_running_loop()
        loop.call_soon(asyncio.ensure_future, stays())
        await asyncio.sleep(0)
        kept = asyncio.all_tasks()
        taskscope.start("creations", interval=0.1)
        while len(kept) == 2:
            snapshot = taskscope.snapshot()
            found = [site for site in snapshot["sites"] if site["coroutine"] == "stays"]
            if found:
                return found
            await asyncio.sleep(0.01)
        return []

    (site,) = asyncio.run(main(), debug=True)
    assert (site["frame"]["function"], site["user_frame"]) == ("ensure_future", None)
