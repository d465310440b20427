"""One program that leaks resources of every kind: each is found, at its line.

Time is stretched: to the judge, a second of the program's is twenty.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

from taskscope.analysis.onset import Onset
from taskscope.analysis.patterns import stock
from taskscope.analysis.patterns.pattern import ProcessFacts
from taskscope.analysis.stock import ALWAYS, Stock
from taskscope.model import requests
from tests.integration.children import running, says
from tests.integration.test_agent_hangs import agent_of

if TYPE_CHECKING:
    from pathlib import Path

    from taskscope.model import Finding
    from taskscope.sources.base import Source

STRETCH, MOST = 20, 40
"""``MOST``: seconds of ours until all must be found."""

LEAKS = """
import asyncio, contextvars, subprocess

loops, feeds, writers, zombies, children, served = [], [], [], [], [], []

class Echo(asyncio.Protocol):
    def connection_made(self, transport):
        served.append(transport)

async def prices():
    while True:
        yield 1  # generator

def variable():
    contextvars.ContextVar("unit").set(bytearray(200_000))  # context

async def leak(port):
    loops.append(asyncio.new_event_loop())  # loop
    feeds.append(prices())
    await anext(feeds[-1])
    writers.append((await asyncio.open_connection("127.0.0.1", port))[1])  # transport
    zombies.append(subprocess.Popen(["true"]))  # ended
    children.append(subprocess.Popen(["cat"], stdin=subprocess.PIPE))  # running
    variable()

async def main():
    server = await asyncio.get_running_loop().create_server(Echo, "127.0.0.1", 0)
    print("leaking", flush=True)
    for _ in range(120):
        await leak(server.sockets[0].getsockname()[1])
        await asyncio.sleep(0.1)
    await asyncio.Event().wait()
"""
KINDS = {"loop", "generator", "transport", "ended", "running", "context"}
ASKED = (*ALWAYS, "transport", "context")


def kind_of(finding: Finding) -> str:
    """The word in the program's comment."""
    evidence = finding.evidence
    return str(evidence["state"] if evidence["resource"] == "subprocess" else evidence["resource"])


async def findings_of(source: Source) -> dict[str, Finding]:
    """The last finding on each kind, once there is a leak of each."""
    judged = Stock(0.0)
    found: dict[str, Finding] = {}
    async with asyncio.timeout(MOST):
        while {kind for kind, each in found.items() if each.level == "leak"} < KINDS:
            rows = await source.ask(requests.Resources(ASKED, keeps=0))
            now = rows.monotonic * STRETCH
            judged.add(replace(rows, monotonic=now), ASKED)
            if judged.wanted is not None:
                told = await source.ask(judged.wanted)
                judged.inspect(replace(told, monotonic=told.monotonic * STRETCH))
            facts = ProcessFacts(now, (), (), (), Onset(0.0), piled=judged.found())
            found |= {kind_of(each): each for pattern in stock.PATTERNS for each in pattern.find(facts)}
            await asyncio.sleep(0.2)
    return found


async def test_every_kind_that_leaks_is_found_at_its_line(tmp_path: Path) -> None:
    file = tmp_path / "leaks.py"
    file.write_text(LEAKS)
    program = (
        f"import asyncio, sys; sys.path.insert(0, {str(tmp_path)!r}); import leaks; asyncio.run(leaks.main())"
    )
    with running(program) as child:
        says(child, "leaking")
        async with agent_of(child.pid) as source:
            found = await findings_of(source)
    lines = {line.rpartition("# ")[2]: at for at, line in enumerate(LEAKS.split("\n"), 1) if "# " in line}
    own = {kind: each for kind, each in found.items() if each.site.file == str(file)}
    assert {kind: each.site.line for kind, each in own.items()} == lines
    assert {each.coroutine for each in found.values()} == {
        "_UnixSelectorEventLoop", "prices", "StreamReaderProtocol", "true", "cat", "unit",
    }  # fmt: skip
    assert all(each.cause and each.cause.evidence for each in found.values())
