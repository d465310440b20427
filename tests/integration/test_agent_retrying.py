"""Errors that long-lived tasks catch, sleep after and run into again.

Shows: errors swallowed
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import pytest

from taskscope.model import requests
from tests.corpus.program import CORPUS
from tests.integration.children import running, says
from tests.integration.test_agent_hangs import agent_of
from tests.pythons import NEWEST, SUPPORTED, require

if TYPE_CHECKING:
    from taskscope.model import Retried
    from taskscope.sources.live import LiveSource

START = """
import asyncio
class Gone(ConnectionError): pass
def fetch(): raise Gone("no route")
"""

POLLERS = (
    START
    + """
async def poll():
    while True:
        try: fetch()
        except OSError: await asyncio.sleep(0.05)
async def main():
    tasks = [asyncio.create_task(poll()) for _ in range(3)]
    await asyncio.sleep(0)
    print("standing", flush=True)
    await asyncio.wait(tasks)
asyncio.run(main())
"""
)

ONCE = (
    START
    + """
async def go_on():
    kept = None
    try: fetch()
    except OSError as error: kept = error
    while kept: await asyncio.sleep(0.05)
async def stay():
    try: fetch()
    except OSError: await asyncio.sleep(3600)
async def main():
    tasks = [asyncio.create_task(each) for each in (go_on(), stay())]
    await asyncio.sleep(0)
    print("standing", flush=True)
    await asyncio.wait(tasks)
asyncio.run(main())
"""
)


async def look(source: LiveSource) -> tuple[Retried, ...]:
    return (await source.ask(requests.Mishaps())).retried


@pytest.mark.parametrize("version", dict.fromkeys((SUPPORTED[0], NEWEST)))
async def test_an_error_that_tasks_handle_again_and_again_is_told_with_its_lines(version: str) -> None:
    with running(POLLERS, python=str(require(version))) as child:
        says(child, "standing")
        async with agent_of(child.pid) as source:
            give_up = time.monotonic() + 20
            found = await look(source)
            while not any(each.count == 3 for each in found):
                assert time.monotonic() < give_up, found
                await asyncio.sleep(0.2)
                found = await look(source)
    (told,) = found
    lines = POLLERS.split("\n")
    assert (told.error, told.looked_at) == ("Gone", 3)
    assert "except OSError" in lines[told.frame.line - 1]
    assert told.raised is not None
    assert "raise Gone" in lines[told.raised.line - 1]


@pytest.mark.parametrize("program", ["once", "jobs_polled_now_and_then"])
async def test_one_that_was_handled_once_or_only_says_that_there_is_nothing_is_not(program: str) -> None:
    text = ONCE if program == "once" else (CORPUS / "healthy" / f"{program}.py").read_text()
    with running(text) as child:
        async with agent_of(child.pid) as source:
            for _ in range(4):
                assert await look(source) == ()
                await asyncio.sleep(0.2)
