"""The demo services as TaskScope sees them: the guilty places are exact sites with the most tasks."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections import Counter
from pathlib import PurePath
from typing import TYPE_CHECKING

import pytest

from taskscope.demo import SYSTEMS, System
from tests.integration.test_agent_hangs import agent_of

if TYPE_CHECKING:
    from pathlib import Path

    from taskscope.model import Site
    from taskscope.sources.live import LiveSource

SPEED = {"orders": "1", "heartbeat": "60", "backend": "30", "restarts": "300", "rotation": "30"}
GAINED = {"orders": 100, "heartbeat": 50, "backend": 8, "restarts": 1600, "rotation": 50}
"""How many tasks of a guilty place must have come to stay."""


def place(site: Site) -> tuple[str, str]:
    return PurePath(site.frame.file).name, site.frame.function.rpartition(".")[2]


async def others_once_gained(source: LiveSource, system: System) -> dict[tuple[str, str], int]:
    """The live tasks of all other exact places once the guilty ones have gained enough."""
    places: dict[int, tuple[str, str]] = {}
    counts: dict[int, int] = {}
    first: Counter[tuple[str, str]] | None = None
    async for sample in source.samples():
        places |= {
            each.id: place(each) for each in sample.new_sites if each.kind == "task" and each.known == "exact"
        }
        counts |= {each.site: each.counts.live for each in sample.sites}
        now: Counter[tuple[str, str]] = Counter()
        for site, where in places.items():
            now[where] += counts.get(site, 0)
        first = now if first is None else first
        if all(now[guilty] - first[guilty] >= GAINED[system.name] for guilty in system.guilty):
            return {where: live for where, live in now.items() if where not in system.guilty}
    raise AssertionError("the service ended")


@pytest.mark.parametrize("system", SYSTEMS.values(), ids=list(SYSTEMS))
async def test_the_guilty_places_gain_tasks(
    system: System, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "run"
    home.mkdir(0o700)
    monkeypatch.setenv("TASKSCOPE_DIR", str(home))
    service = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "taskscope", "run", "-m", f"taskscope.demo.{system.name}"),
        *("--speed", SPEED[system.name]),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with agent_of(service.pid) as source:
            others = await asyncio.wait_for(others_once_gained(source, system), 50)
        assert max(others.values()) <= 60
    finally:
        service.send_signal(signal.SIGTERM)
        _, log = await asyncio.wait_for(service.communicate(), 5)
    assert service.returncode == 0, log
