"""A group of 64 processes in the app: CPU, time to the first picture, time to a key.

``pytest tests/bench/test_group.py -m bench -n 0 -s``, on a machine that others use after ``chrt -r 1``.
Keys are timed in a terminal: Textual's ``pilot.press`` itself waits for at least 40 ms.
"""

from __future__ import annotations

import asyncio
import re
import sys
import time
from typing import TYPE_CHECKING

import pytest

from taskscope.sources.group import PICTURE, GroupSource, observed
from tests.bench.harness import cpu_seconds
from tests.integration.groups import workers
from tests.terminal import Terminal
from tests.tui.running import running
from tests.tui.screen_text import screen_text

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.bench, pytest.mark.timeout(300)]

MEMBERS = 64
SECONDS = 30.0
KEYS = 40
APART = 0.137
"""Seconds between two keys, so that they fall on every moment of the tick."""


async def test_64_processes_are_drawn_soon_after_the_last_was_attached(tmp_path: Path) -> None:
    with workers(tmp_path, "fork", "--name", "shop", count=MEMBERS) as service:
        source = observed([str(service.parent.pid)], children=True, patience=PICTURE)
        assert isinstance(source, GroupSource)
        async with running(source, (200, 60)) as (app, _):
            while sum(each.tasks is not None for each in source.members()) <= MEMBERS:
                await asyncio.sleep(0.05)
            attached = time.monotonic()
            while f"{MEMBERS + 1} processes" not in screen_text(app):
                await asyncio.sleep(0.05)
            first = time.monotonic() - attached
    print(f"\n{MEMBERS} processes: drawn {first:.1f} s after the last one was attached")
    assert first < 2.0


async def test_64_processes_at_one_sample_a_second(tmp_path: Path) -> None:
    with workers(tmp_path, "fork", "--name", "shop", count=MEMBERS) as service:
        pid = service.parent.pid
        rows = sorted([pid, *service.pids])
        command = [sys.executable, "-m", "taskscope", "attach", "--children", str(pid)]
        async with Terminal(command, columns=200, lines=60) as terminal:
            await terminal.until(f"{MEMBERS + 1} processes", 60)
            await asyncio.sleep(10)  # first verdicts are over
            cpu, wall = cpu_seconds(terminal.pid), time.monotonic()
            await asyncio.sleep(SECONDS)
            share = (cpu_seconds(terminal.pid) - cpu) / (time.monotonic() - wall)
            await terminal.pressed("p")  # the cursor is on the first process
            waits = sorted([await answered(terminal, "j", pid) for pid in rows[1 : KEYS + 1]])
    most = waits[KEYS * 9 // 10]
    print(
        f"\n{MEMBERS} processes: {share:.1%} of a core, a key in {waits[KEYS // 2] * 1e3:.0f} ms, "
        f"nine of ten in {most * 1e3:.0f} ms, the slowest in {waits[-1] * 1e3:.0f} ms"
    )
    assert share < 0.10
    assert most < 0.05


async def answered(terminal: Terminal, key: str, pid: int) -> float:
    """Seconds until the cursor is drawn on that process."""
    await asyncio.sleep(APART)
    terminal.output.clear()
    pressed = time.monotonic()
    terminal.press(key)
    while not re.search(rf"▌ *{pid}\b", terminal.text):
        await terminal.news()
    return time.monotonic() - pressed
