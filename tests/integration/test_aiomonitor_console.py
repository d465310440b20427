"""aiomonitor's own console: found, started where that is allowed, entered from the app and left."""

from __future__ import annotations

import sys
import time
from typing import Any

import psutil
import pytest

from taskscope.sources.base import NotAvailable
from taskscope.sources.live import LiveSource
from taskscope.sources.resolve import resolve
from tests.agent_client import Refused
from tests.integration.children import REPO
from tests.integration.monitored import Child, monitored
from tests.integration.test_aiomonitor_beside_agent import agent, settled
from tests.terminal import Terminal


async def test_a_running_console_is_found_by_the_agent_and_over_the_web_api() -> None:
    with monitored("hook", "after") as child:
        with agent(child) as client:
            answer = client.ask("console")
            source = LiveSource(client.path)
        assert answer == {"host": "127.0.0.1", "port": child.telnet, "started": False}
        await source.open()
        assert await source.console() == ("127.0.0.1", child.telnet)
        await source.close()
        web = resolve(child.target)
        await web.open()
        assert await web.console() == ("127.0.0.1", child.telnet)  # type: ignore[attr-defined]
        await web.close()


def test_an_agent_that_only_observes_starts_none() -> None:
    with (
        monitored("plain", "alone", "before") as child,
        agent(child) as client,
        pytest.raises(Refused, match="control=True, or aiomonitor"),
    ):
        client.ask("console")


def test_with_control_one_is_started_and_goes_with_the_agent() -> None:
    with monitored("plain", "alone") as child:
        child.do("agent control")
        child.do("start 3")
        with agent(child) as client:
            answer = client.ask("console")
            assert answer["started"]
            assert client.ask("console") == answer
        assert listens(answer)
        assert settled(child, 3) == (3, 3, 0)
        child.do("start 1")
        assert settled(child, 4) == (4, 4, 0)
        agent(child).detach()
        give_up = time.monotonic() + 10
        while listens(answer):
            assert time.monotonic() < give_up, "the console outlives the agent"
        assert child.do("factory") == "None"


def listens(answer: dict[str, Any]) -> bool:
    return any(answer["port"] in tuple(each.laddr) for each in psutil.net_connections("tcp"))


async def test_the_app_goes_into_the_console_and_comes_back() -> None:
    with monitored("hook", "after") as child:
        command = [sys.executable, "-m", "taskscope", "attach", str(child.pid)]
        await enter_and_leave(command, child)


async def test_the_app_on_an_aiomonitor_goes_into_its_console_too() -> None:
    with monitored("hook") as child:
        await enter_and_leave([sys.executable, "-m", "taskscope", "attach", child.target], child)


async def enter_and_leave(command: list[str], child: Child) -> None:
    async with Terminal(command, environment={"PYTHONPATH": str(REPO)}) as terminal:
        await terminal.until("leaf")
        terminal.press("c")
        await terminal.until("monitor >>> ")
        terminal.press("where 5\r")
        await terminal.until("No task 5")
        terminal.press("exit\r")
        await terminal.until(f"Back from the console at 127.0.0.1:{child.telnet}")
        terminal.press("q")
        assert await terminal.ended() == 0


async def test_without_a_console_the_app_says_what_to_do() -> None:
    with monitored("plain", "alone", "before") as child:
        command = [sys.executable, "-m", "taskscope", "attach", str(child.pid)]
        async with Terminal(command, environment={"PYTHONPATH": str(REPO)}, columns=200) as terminal:
            await terminal.until("leaf")
            terminal.press("c")
            await terminal.until("start the agent with control=True")


async def test_a_console_that_is_not_found_is_said() -> None:
    with monitored("hook") as child:
        source = resolve(child.target)
        await source.open()
        child.do("close")
        with pytest.raises(NotAvailable, match="-H HOST -p PORT"):
            await source.console()  # type: ignore[attr-defined]
        await source.close()
