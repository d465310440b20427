"""A group of 64 processes in the app: CPU, time to the first picture, time to a key.

``pytest tests/bench/test_group.py -m bench -n 0 -s``
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import pytest

from taskscope.sources.group import GroupSource, observed
from taskscope.tui.opening import PATIENCE
from tests.integration.groups import workers
from tests.tui.running import running
from tests.tui.screen_text import screen_text

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.bench, pytest.mark.timeout(300)]

MEMBERS = 64
SECONDS = 30.0
KEYS = 40


async def test_64_processes_at_one_sample_a_second(tmp_path: Path) -> None:
    with workers(tmp_path, "fork", "--name", "shop", count=MEMBERS) as service:
        source = observed([str(service.parent.pid)], children=True, patience=PATIENCE)
        assert isinstance(source, GroupSource)
        async with running(source, (200, 60)) as (app, pilot):
            while sum(each.tasks is not None for each in source.members()) <= MEMBERS:
                await asyncio.sleep(0.05)
            attached = time.monotonic()
            while f"{MEMBERS + 1} processes" not in screen_text(app):
                await asyncio.sleep(0.05)
            first = time.monotonic() - attached
            await asyncio.sleep(10)  # first verdicts are over
            cpu, wall = time.process_time(), time.monotonic()
            await asyncio.sleep(SECONDS)
            share = (time.process_time() - cpu) / (time.monotonic() - wall)
            waits = []
            for _ in range(KEYS):
                pressed = time.monotonic()
                await pilot.press("j")
                waits.append(time.monotonic() - pressed)
                await asyncio.sleep(0.1)
    waits.sort()
    print(
        f"\n{MEMBERS} processes: drawn {first:.1f} s after the last one was attached, {share:.1%} of a core, "
        f"a key in {waits[KEYS // 2] * 1e3:.0f} ms, the slowest in {waits[-1] * 1e3:.0f} ms"
    )
    assert share < 0.10
