"""How much later a 1 ms sleep ends while somebody watches, by the number of live tasks.

The target itself measures (``target.py``: a 1 ms ticker that also starts a short task at each tick); whoever
watches is another process.  Windows with and without take turns, in processes of the same size.
"""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import time
import urllib.error
import urllib.request
from typing import TYPE_CHECKING

import pytest

from taskscope.model import requests
from tests.bench.harness import HAS_AIOMONITOR, Child, median, subscribed, table
from tests.pythons import installed

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

pytestmark = [pytest.mark.bench, pytest.mark.timeout(900)]

SIZES = (10_000, 100_000, 300_000)
WINDOW = 3.0
"""Seconds: three samples."""
TURNS = 7
BUDGET = 0.0005
"""Seconds of extra latency, p99."""

Lateness = dict[str, float]


def row(name: str, windows: Sequence[Lateness], bare: Sequence[Lateness], took: str = "") -> list[str]:
    """A line of the table: medians over windows, in ms."""
    p99 = median(each["p99"] for each in windows)
    cells = [median(each["p50"] for each in windows), p99, median(each["max"] for each in windows)]
    extra = p99 - median(each["p99"] for each in bare)
    return [name, *(f"{value * 1e3:.2f}" for value in cells), f"{extra * 1e3:+.2f}", took]


HEAD = ["", "p50 ms", "p99 ms", "worst ms", "extra p99", "an answer took"]


@pytest.mark.parametrize("size", SIZES)
async def test_latency_while_a_client_is_attached(size: int) -> None:
    async with contextlib.AsyncExitStack() as stack:
        bare, watched = [await stack.enter_async_context(Child(mode)) for mode in ("bare", "agent")]
        await bare.do("grow", tasks=size)
        await watched.do("grow", tasks=size)
        await stack.enter_async_context(subscribed(watched.pid))
        without: list[Lateness] = []
        with_us: list[Lateness] = []
        for _ in range(TURNS):
            without.append(await bare.lateness(WINDOW))
            with_us.append(await watched.lateness(WINDOW))
    rows = [row("no agent", without, without), row("client at 1 Hz", with_us, without)]
    if HAS_AIOMONITOR:
        rows.append(await aiomonitor_list(size, without))
    table(f"Loop latency with {size:,} live tasks (medians of {TURNS} windows of {WINDOW:g} s)", HEAD, rows)
    assert extra(with_us, without) < BUDGET


def extra(some: Sequence[Lateness], bare: Sequence[Lateness]) -> float:
    """Seconds by which p99 is later: the median of neighbouring windows' differences."""
    return median(one["p99"] - other["p99"] for one, other in zip(some, bare, strict=True))


async def aiomonitor_list(size: int, bare: Sequence[Lateness]) -> list[str]:
    """The same with aiomonitor's list of live tasks asked for once and again."""
    async with Child("aiomonitor") as child:
        await child.do("grow", tasks=size)
        failed: list[str] = []

        def ask() -> None:
            try:
                _list(int(child.name) + 1)
            except urllib.error.HTTPError as error:
                failed.append(str(error.code))

        windows, took = await asked(child, ask, 3)
    name = "aiomonitor's list" + (f" ({len(failed)} of 3 failed)" if failed else "")
    return row(name, windows, bare, f"{took:.1f} s")


def _list(port: int) -> None:
    ask = urllib.request.Request(
        f"http://127.0.0.1:{port}/api/live-tasks", data=b"filter=&persistent=false", method="POST"
    )
    with urllib.request.urlopen(ask, timeout=200) as answer:
        while answer.read(1 << 20):
            pass


async def asked(child: Child, ask: Callable[[], object], times: int) -> tuple[list[Lateness], float]:
    """The lateness while ``ask`` runs in a thread of this process, and how long it took."""
    windows, seconds = [], []
    for _ in range(times):
        await child.do("probe_start")
        began = time.monotonic()
        await asyncio.to_thread(ask)
        seconds.append(time.monotonic() - began)
        windows.append(await child.do("probe_stop"))
    return windows, median(seconds)


async def test_latency_while_a_snapshot_with_stacks_is_taken() -> None:
    size = 100_000
    async with Child("bare") as bare, Child("agent") as child:
        await bare.do("grow", tasks=size)
        await child.do("grow", tasks=size)
        without: list[Lateness] = []
        windows: list[Lateness] = []
        seconds: list[float] = []
        async with subscribed(child.pid) as source:
            for _ in range(5):
                without.append(await bare.lateness(WINDOW))
                await child.do("probe_start")
                began = time.monotonic()
                snapshot = await source.ask(requests.Snapshot(stacks=True))
                seconds.append(time.monotonic() - began)
                windows.append(await child.do("probe_stop"))
                assert len(snapshot["tasks"]) >= size
                del snapshot
    took = median(seconds)
    table(
        f"A snapshot of {size:,} tasks with stacks (medians of 5)",
        HEAD,
        [row("no agent", without, without), row("snapshot under way", windows, without, f"{took:.1f} s")],
    )
    assert took < 5
    assert extra(windows, without) < BUDGET


@pytest.mark.parametrize("size", [10_000, 100_000])
async def test_latency_while_python_314_lists_its_tasks(size: int) -> None:
    """``python -m asyncio ps``, the standard library's own tool, for comparison."""
    python = installed().get("3.14")
    if python is None:
        pytest.skip("no Python 3.14 here")
    answers: list[subprocess.CompletedProcess[bytes]] = []
    async with Child("bare", python) as bare, Child("agent", python) as child:
        await bare.do("grow", tasks=size)
        await child.do("grow", tasks=size)
        without = [await bare.lateness(WINDOW) for _ in range(3)]
        command = [str(python), "-m", "asyncio", "ps", str(bare.pid)]
        windows, took = await asked(
            bare, lambda: answers.append(subprocess.run(command, capture_output=True, check=False)), 3
        )
        async with subscribed(child.pid):
            ours = [await child.lateness(WINDOW) for _ in range(3)]
    failed = sum(answer.returncode != 0 for answer in answers)
    name = "asyncio ps" + (f" ({failed} of 3 failed)" if failed else "")
    rows = [row("no agent", without, without), row("client at 1 Hz", ours, without)]
    rows.append(row(name, windows, without, f"{took:.1f} s"))
    table(f"Python 3.14 with {size:,} live tasks (medians of 3 windows)", HEAD, rows)
