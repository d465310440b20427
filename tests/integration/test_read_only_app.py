"""The app on a process that no agent can enter now: it is read from outside meanwhile."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from typing import TYPE_CHECKING

import pytest

from taskscope.attach import attempt
from taskscope.attach.presence import agent_in
from taskscope.attach.reading import kernel_threads
from taskscope.sources.live import LiveSource
from taskscope.sources.outside.meanwhile import MeanwhileSource, entered
from taskscope.sources.outside.source import OutsideSource
from taskscope.tui.app import TaskScopeApp
from taskscope.tui.banner import sentence
from taskscope.tui.coming_back import coming_back
from taskscope.tui.context import State
from tests import pythons, targets
from tests.integration.children import taskscope
from tests.patience import FACTOR, settled
from tests.tui.screen_text import screen_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

HOLDS_THE_GIL = """
import ctypes, os, signal, time
signal.signal(signal.SIGUSR1, lambda *_: None)
def heartbeat():
    ctypes.PyDLL(None).pause()
os.write(1, b"ready %d\\n" % os.getpid())
heartbeat()
time.sleep(60)
"""


@pytest.fixture
def held() -> Iterator[targets.Program]:
    with targets.running(pythons.require("3.11"), HOLDS_THE_GIL) as program:
        settled(lambda: kernel_threads.thread(program.pid, program.pid).call, "pause")
        yield program


async def becomes(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(20 * FACTOR):
        while not true():
            await asyncio.sleep(0.05)


async def test_the_app_shows_it_from_outside_and_follows_the_agent_once_it_comes(
    held: targets.Program,
) -> None:
    begun = time.monotonic()
    source = await asyncio.to_thread(entered, held.pid, lambda text: None)
    assert time.monotonic() - begun < 4 * FACTOR
    assert isinstance(source, MeanwhileSource)
    app = TaskScopeApp(source, reconnect=coming_back(source))
    async with app.run_test(size=(120, 30)):
        context = app.context
        await becomes(lambda: "has held the GIL for" in sentence(context))
        assert "in `pause`, called from <string>:5 heartbeat; no Python code can run" in sentence(context)
        assert sentence(context).startswith(f"No agent yet (K keeps it out): thread {held.pid} has held")
        await becomes(lambda: "read-only" in screen_text(app))
        os.kill(held.pid, signal.SIGUSR1)
        await becomes(lambda: isinstance(context.source, LiveSource) and context.state is State.LIVE)
        assert context.store.hello is not None
        assert context.store.hello.arrived == "injected"


async def test_the_agent_stays_out_if_one_says_so(held: targets.Program) -> None:
    source = await asyncio.to_thread(entered, held.pid, lambda text: None)
    app = TaskScopeApp(source, reconnect=coming_back(source))
    async with app.run_test(size=(120, 30)) as pilot:
        await becomes(lambda: app.context.store.sample is not None)
        await pilot.press("K")
        os.kill(held.pid, signal.SIGUSR1)
        await becomes(lambda: "nothing enters the process" in sentence(app.context))
        assert sentence(app.context).endswith("K lets the agent in.")
        assert attempt.waiting(held.pid) is None
        assert agent_in(held.pid) is None
        assert app.context.state is State.LIVE
        await pilot.press("K")
        await becomes(lambda: isinstance(app.context.source, LiveSource))


async def test_why_no_agent_came_is_not_said_once_it_is_over_and_the_key_is_named() -> None:
    with targets.running(pythons.require("3.11"), "asyncio idle") as program:
        os.kill(program.pid, signal.SIGSTOP)
        source = await asyncio.to_thread(entered, program.pid, lambda text: None)
        app = TaskScopeApp(source, reconnect=coming_back(source))
        async with app.run_test(size=(80, 24)) as pilot:
            stopped = f"process {program.pid} is stopped (kill -CONT {program.pid})."
            await becomes(lambda: sentence(app.context) == f"No agent (K tries again): {stopped}")
            await becomes(lambda: "While nothing runs, nothing is found to leak" in screen_text(app))
            os.kill(program.pid, signal.SIGCONT)
            over = "No agent (K tries again): what kept it out is over."
            await becomes(lambda: over in screen_text(app))
            await pilot.press("K")
            await becomes(lambda: isinstance(app.context.source, LiveSource))


async def test_leaving_the_app_takes_the_attempt_back(held: targets.Program) -> None:
    source = await asyncio.to_thread(entered, held.pid, lambda text: None)
    assert isinstance(source, MeanwhileSource)
    assert source.trying
    await source.close()
    assert not source.trying
    os.kill(held.pid, signal.SIGUSR1)
    settled(lambda: attempt.waiting(held.pid), None)
    assert agent_in(held.pid) is None


@pytest.mark.parametrize("size", [(80, 24), (120, 30)])
async def test_the_app_says_on_every_view_that_a_process_is_only_read(size: tuple[int, int]) -> None:
    with targets.running(pythons.require(pythons.NEWEST), "asyncio idle") as program:
        app = TaskScopeApp(OutsideSource(program.pid))
        async with app.run_test(size=size) as pilot:
            await becomes(lambda: app.context.store.sample is not None)
            for key in "1234567t":
                await pilot.press(key)
                await becomes(lambda: "read-only" in screen_text(app))
                await becomes(lambda: "what hangs." in screen_text(app))
        assert agent_in(program.pid) is None


COMES_AND_GOES = """
import asyncio, os
async def one(): await asyncio.sleep(0.5)
async def main():
    asyncio.get_running_loop().call_later(0.05, print, "ready", os.getpid())
    while True:
        kept = [asyncio.create_task(one()) for _ in range(50)]
        await asyncio.sleep(0.4)
asyncio.run(main())
"""


async def test_births_and_ends_are_unknown_where_only_looks_show_them() -> None:
    with targets.running(pythons.require(pythons.NEWEST), COMES_AND_GOES) as program:
        app = TaskScopeApp(OutsideSource(program.pid))
        async with app.run_test(size=(200, 50)) as pilot:
            context = app.context
            await becomes(lambda: context.store.sample is not None and context.store.sample.seq > 3)
            (row,) = [each for each in context.store.sites.values() if each.coroutine == "one"]
            found = row.births(context.store.now), row.ends(context.store.now), row.errors()
            assert found == (None, None, None)
            await pilot.press("enter")
            await becomes(lambda: "births –/s, ends –/s" in screen_text(app))
            assert "births/s" not in screen_text(app)


async def test_of_tasks_and_sites_the_app_claims_nothing_that_is_not_seen() -> None:
    with targets.running(pythons.require(pythons.NEWEST), COMES_AND_GOES) as program:
        app = TaskScopeApp(OutsideSource(program.pid))
        async with app.run_test(size=(140, 50)) as pilot:
            await becomes(lambda: app.context.store.sample is not None)
            await pilot.press("enter")
            await becomes(lambda: "Only an agent tells when tasks were created." in screen_text(app))
            await becomes(lambda: "Only an agent tells what creates tasks." in screen_text(app))
            await becomes(lambda: "tasks: 1 to" in screen_text(app))
            assert "oldest first" not in screen_text(app)
            await pilot.press("enter")
            await becomes(lambda: "only an agent tells" in screen_text(app))
            for wrong in ("nothing awaits it", "before the agent", "created outside any task", "none live"):
                assert wrong not in screen_text(app)


def test_a_report_from_outside_claims_no_births(tmp_path: Path) -> None:
    with targets.running(pythons.require(pythons.NEWEST), COMES_AND_GOES) as program:
        done = taskscope("report", "--read-only", str(program.pid), "-o", str(tmp_path / "it.md"))
    assert done.returncode == 0
    assert "| line | coroutine | live | change |\n" in (tmp_path / "it.md").read_text()
