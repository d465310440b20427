"""aiomonitor's own console: found, started where that is allowed, entered from the app and left."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

import psutil
import pytest

from taskscope import model
from taskscope.model import requests
from taskscope.sources.base import NotAvailable
from taskscope.sources.live import LiveSource
from taskscope.sources.resolve import resolve
from tests.agent_client import Refused
from tests.integration.children import REPO
from tests.integration.monitored import Child, monitored
from tests.integration.test_aiomonitor_beside_agent import OLDER, agent, settled
from tests.terminal import Terminal

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.packages


async def test_a_running_console_is_found_by_the_agent_and_over_the_web_api() -> None:
    with monitored("hook", "after") as child:
        with agent(child) as client:
            answer = client.ask("console")
            source = LiveSource(client.path)
        assert answer == {"host": "127.0.0.1", "port": child.telnet, "started": False}
        await source.open()
        assert await source.ask(requests.Console()) == model.ConsoleAddress("127.0.0.1", child.telnet)
        await source.close()
        web = resolve(child.target)
        await web.open()
        assert await web.ask(requests.Console()) == model.ConsoleAddress("127.0.0.1", child.telnet)
        await web.close()


def test_an_agent_that_only_observes_starts_none() -> None:
    with (
        monitored("plain", "alone", "before") as child,
        agent(child) as client,
        pytest.raises(Refused, match="control=True, or aiomonitor"),
    ):
        client.ask("console")


def test_with_control_one_is_opened_on_request_and_closed_with_its_client() -> None:
    with monitored("plain", "alone") as child:
        child.do("agent control")
        child.do("start 3")
        before = ports(child)
        with agent(child) as client:
            assert client.ask("console") == {"host": None, "port": None, "started": False}
            assert ports(child) == before
            answer = client.ask("console", start=True)
            assert answer["started"]
            assert client.ask("console") == answer
            assert len(ports(child) - before) == 2
            client.ask("leave_console")
            assert ports(child) == before
            client.ask("console", start=True)
        assert settled(child, 3 + OLDER) == (3 + OLDER, 3 + OLDER, OLDER)
        until(lambda: ports(child) == before, "the console outlives its client")
        with agent(child) as client:
            client.ask("console", start=True)
            agent(child).detach()
            until(lambda: ports(child) == before, "the console outlives the agent")
        assert child.do("factory") == "None"


def test_none_is_opened_for_a_client_that_has_left() -> None:
    with monitored("plain", "alone") as child:
        child.do("agent control")
        before = ports(child)
        child.do("block 2")
        with agent(child) as client, pytest.raises(TimeoutError):
            client._socket.settimeout(0.5)
            client.ask("console", start=True)
        child.do("start 1")  # answers when the loop runs again
        child.do("start 1")
        assert ports(child) == before


def until(condition: Callable[[], bool], otherwise: str) -> None:
    give_up = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < give_up, otherwise
        time.sleep(0.02)


def ports(child: Child) -> set[int]:
    """Where it listens."""
    return {
        each.laddr.port
        for each in psutil.Process(child.pid).net_connections("tcp")
        if each.status == "LISTEN"
    }


async def test_the_app_asks_before_it_opens_one_and_takes_it_away_again() -> None:
    with monitored("plain", "alone") as child:
        child.do("agent control")
        before = ports(child)
        command = [sys.executable, "-m", "taskscope", "attach", str(child.pid)]
        async with Terminal(command, environment={"PYTHONPATH": str(REPO)}) as terminal:
            await terminal.until("leaf")
            terminal.press("c")
            await terminal.until("two TCP ports on 127.0.0.1")
            terminal.press("\x1b")
            await terminal.until("No console opened.")
            assert ports(child) == before
            terminal.output.clear()
            terminal.press("c")
            await terminal.until("no authentication")
            terminal.press("y")
            await terminal.until("monitor >>> ")
            assert len(ports(child) - before) == 2
            terminal.press("exit\r")
            await terminal.until("Left the console")
            until(lambda: ports(child) == before, "the console outlives the visit")
            terminal.press("q")
            assert await terminal.ended() == 0


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
        await terminal.until("Type exit to leave")  # before its client prints anything
        terminal.press("\x04\x04")  # typed ahead: no end of file for the client that starts
        await terminal.until("monitor >>> ")
        terminal.press("where 5\r")
        await terminal.until("No task 5")
        terminal.press("exit\r")
        await terminal.until(f"Left the console at 127.0.0.1:{child.telnet}")
        terminal.press("q")
        assert await terminal.ended() == 0


async def test_without_a_console_the_app_says_what_to_do() -> None:
    with monitored("plain", "alone", "before") as child:
        command = [sys.executable, "-m", "taskscope", "attach", str(child.pid)]
        async with Terminal(command, environment={"PYTHONPATH": str(REPO)}, columns=200) as terminal:
            await terminal.until("leaf")
            terminal.press("c")
            await terminal.until("start the agent with control=True")


async def test_a_console_that_is_not_found_is_reported() -> None:
    with monitored("hook") as child:
        source = resolve(child.target)
        await source.open()
        child.do("close")
        with pytest.raises(NotAvailable, match="-H HOST -p PORT"):
            await source.ask(requests.Console())
        await source.close()
