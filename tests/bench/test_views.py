"""What each view asks of a large process: how long a person waits, and what the program notices of it.

Through the real client, which checks every value: once, then once a second as the views do, when the agent
still has what was expensive.  On a machine that others use, run it as ``chrt -r 1 pytest …``.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import pytest

from taskscope.agent.answers.groups import parked_key
from taskscope.model import requests
from tests.bench.harness import Child, cpu_seconds, subscribed, table

if TYPE_CHECKING:
    from taskscope.sources.live import LiveSource

pytestmark = [pytest.mark.bench, pytest.mark.timeout(600)]

SECONDS = 4
"""Length of the windows without a request, and with one a second."""

WAIT = 2.0
"""Most seconds until an answer is there."""

AS_LONG_AS_TOLD = {"CPU view": 1.0, "turns": 0.5}
"""Seconds for which these observe before they answer."""


async def views(source: LiveSource) -> dict[str, requests.Request[Any]]:
    """A request of each view, of the site with the most tasks where it takes one."""
    task = (await source.ask(requests.Tasks(limit=1))).tasks[0]
    assert task.parked is not None
    return {
        "ages": requests.Ages(),
        "tasks, a page": requests.Tasks(limit=200),
        "tasks, newest": requests.Tasks(limit=200, order="newest"),
        "tasks of a site": requests.Tasks(sites=(task.site,), limit=200),
        "tasks of one place": requests.Tasks(parked=parked_key(task.parked), limit=200),
        "a task": requests.Task(serial=task.serial),
        "a site": requests.Site(site=task.site),
        "parked at": requests.Parked(),
        "groups by place": requests.Groups(by="parked"),
        "groups by parent": requests.Groups(by="parent"),
        "tree by await": requests.Tree(by="await"),
        "tree by parent": requests.Tree(by="parent"),
        "facts of a site": requests.Facts(site=task.site),
        "looks": requests.Looks(sites=(task.site,)),
        "waits": requests.Waits(),
        "mishaps": requests.Mishaps(),
        "timers": requests.Timers(keeps=1),
        "resources": requests.Resources(),
        "loops": requests.Loops(),
        "turns": requests.Turns(),
        "CPU view": requests.Cpu(1.0),
        "threads": requests.Threads(),
        "stalls": requests.Stalls(),
        "ended": requests.Ended(),
        "history": requests.History(seconds=600),
    }


@pytest.mark.parametrize(
    ("title", "given"),
    [
        ("100,000 tasks on 10 futures", {"do": "share", "tasks": 100_000, "futures": 10}),
        ("150,000 tasks of 1,500 sites", {"do": "sites", "sites": 1_500, "each_second": 0, "each": 100}),
    ],
)
async def test_every_view_is_there_soon_and_hardly_felt(title: str, given: dict[str, Any]) -> None:
    name = given.pop("do")
    rows, slow = [], []
    async with Child("agent") as child:
        await child.do(name, **given)
        async with subscribed(child.pid) as source:
            for view, request in (await views(source)).items():
                quiet = await child.lateness(SECONDS)
                took, cpu, first = await asked(child, source, request, at_least=1.0, pause=0.0)
                _, _, steady = await asked(child, source, request, at_least=SECONDS, pause=1.0)
                p99 = [each["p99"] * 1e3 for each in (quiet, first, steady)]
                rows.append(
                    [
                        view,
                        f"{took:.2f}",
                        f"{cpu:.2f}",
                        *(f"{value:.2f}" for value in (*p99, p99[2] - p99[0])),
                    ]
                )
                if took - AS_LONG_AS_TOLD.get(view, 0.0) > WAIT:
                    slow.append(view)
    table(
        f"{title}: each view, and the lateness of the loop, p99 in ms",
        ["", "wall s", "agent CPU s", "without", "asked without a pause", "once a second", "extra"],
        rows,
    )
    assert not slow


async def asked(
    child: Child, source: LiveSource, request: requests.Request[Any], *, at_least: float, pause: float
) -> tuple[float, float, dict[str, float]]:
    """Seconds until the first answer, and of CPU; the lateness of the loop while it is asked for so long."""
    await child.do("probe_start")
    began, used = time.monotonic(), cpu_seconds(child.pid, but_main=True)
    await source.ask(request)
    took, cpu = time.monotonic() - began, cpu_seconds(child.pid, but_main=True) - used
    while time.monotonic() - began < at_least:
        await asyncio.sleep(pause)
        await source.ask(request)
    return took, cpu, await child.do("probe_stop")
