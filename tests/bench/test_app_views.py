"""How long each view of the app takes to open on a process of 100,000 tasks: from the key to the screen."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import pytest

from taskscope.sources.live import LiveSource
from tests.bench.harness import Child, cpu_seconds, socket_of, table
from tests.tui.running import running
from tests.tui.screen_text import screen_text

if TYPE_CHECKING:
    from collections.abc import Callable

    from textual.pilot import Pilot

pytestmark = [pytest.mark.bench, pytest.mark.timeout(300)]

WAIT = 2.0
"""Most seconds from a key to the view."""

GIVE_UP = 60.0


SAME = "v"
"""The key that shows something else in the same screen."""


PAUSE = 0.03
"""Seconds between two looks at the screen, which cost the app as well."""


def is_read(text: str) -> bool:
    return "Reading" not in text


STEPS: tuple[tuple[str, str, Callable[[str], bool]], ...] = (
    ("site, its tasks, where they wait", "enter", is_read),
    ("overview", "1", lambda text: "creation sites" in text),
    ("tree by parent", "t", lambda text: "by parent" in text and is_read(text)),
    ("tree by await", SAME, lambda text: "by await" in text and is_read(text)),
    ("threads", "2", lambda text: "MainThread" in text),
    ("ended tasks", "3", is_read),
    ("loops", "5", is_read),
    ("resources", "6", is_read),
)
"""What is opened, by which key, and whether it is there."""


@pytest.mark.parametrize(
    ("title", "given"),
    [
        ("100,000 tasks on 10 futures", {"do": "share", "tasks": 100_000, "futures": 10}),
        ("100,000 tasks of 1,000 sites", {"do": "sites", "sites": 1_000, "each_second": 0, "each": 100}),
    ],
)
async def test_every_view_of_the_app_opens_soon(title: str, given: dict[str, Any]) -> None:
    name = given.pop("do")
    rows, slow = [], []
    async with Child("agent") as child:
        await child.do(name, **given)
        async with running(LiveSource(socket_of(child.pid)), (160, 50)) as (_, pilot):
            await opened(pilot, "", lambda text: "target.py" in text or "many_sites.py" in text)
            for view, key, is_there in STEPS:
                own, agents = time.process_time(), cpu_seconds(child.pid, but_main=True)
                took = await opened(pilot, key, is_there)
                own, agents = time.process_time() - own, cpu_seconds(child.pid, but_main=True) - agents
                rows.append([view, f"{took:.2f}", f"{own:.2f}", f"{agents:.2f}"])
                slow += [view] if took > WAIT else []
    table(f"{title}: from the key to the view", ["", "s", "CPU of the app", "of the agent"], rows)
    assert not slow


async def opened(pilot: Pilot[None], key: str, is_there: Callable[[str], bool]) -> float:
    """Seconds until it is on the screen."""
    before, began = pilot.app.screen, time.monotonic()
    pressing = asyncio.ensure_future(pilot.press(key)) if key else None
    while key not in ("", SAME) and pilot.app.screen is before:
        await asyncio.sleep(PAUSE)
    await pilot.pause()
    while not is_there(screen_text(pilot.app)):
        assert time.monotonic() - began < GIVE_UP, screen_text(pilot.app)
        await asyncio.sleep(PAUSE)
    took = time.monotonic() - began
    if pressing is not None:
        await pressing
    return took
