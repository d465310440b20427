"""The demo services as TaskScope sees them: the guilty places are exact sites with the most tasks."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
import time
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

import pytest

from taskscope.demo import SYSTEMS, System

if TYPE_CHECKING:
    from pathlib import Path

SPEED = {"orders": "1", "heartbeat": "60", "backend": "30", "restarts": "300", "rotation": "30"}
GAINED = {"orders": 100, "heartbeat": 50, "backend": 8, "restarts": 1600, "rotation": 50}
"""How many tasks of a guilty place must have come to stay."""


async def run(*arguments: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "taskscope",
        *arguments,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )


async def snapshot(pid: int, file: Path) -> dict[str, Any] | None:
    """What is there now; None as long as nobody answers."""
    process = await run("snapshot", str(pid), "-o", str(file))
    await process.communicate()
    found: dict[str, Any] = json.loads(file.read_text()) if process.returncode == 0 else {}
    return found or None


def live(state: dict[str, Any], kind: str = "task") -> dict[tuple[str, str], int]:
    """Live tasks (or threads) by (file name, function) of their site."""
    sites = {site["id"]: site for site in state["sites"] if site["kind"] == kind and site["known"] == "exact"}
    found: dict[tuple[str, str], int] = {}
    for entry in state["sample"]["sites"]:
        if (site := sites.get(entry["site"])) is not None:
            frame = site["frame"]
            place = PurePath(frame["file"]).name, frame["function"].rpartition(".")[2]
            found[place] = found.get(place, 0) + entry["counts"]["live"]
    return found


@pytest.mark.parametrize("system", SYSTEMS.values(), ids=list(SYSTEMS))
async def test_the_guilty_places_gain_tasks(
    system: System, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "run"
    home.mkdir(0o700)
    monkeypatch.setenv("TASKSCOPE_DIR", str(home))
    service = await run("run", "-m", f"taskscope.demo.{system.name}", "--speed", SPEED[system.name])
    try:
        give_up = time.monotonic() + 50
        first: dict[tuple[str, str], int] | None = None
        while True:
            assert time.monotonic() < give_up, f"not seen: {system.guilty}"
            if (state := await snapshot(service.pid, tmp_path / "state.json")) is None:
                continue
            now = live(state)
            first = now if first is None else first
            gained = {place: now.get(place, 0) - first.get(place, 0) for place in system.guilty}
            if min(gained.values()) >= GAINED[system.name]:
                break
        others = {place: count for place, count in now.items() if place not in system.guilty}
        assert max(others.values()) <= 60
    finally:
        service.send_signal(signal.SIGTERM)
        _, log = await asyncio.wait_for(service.communicate(), 5)
    assert service.returncode == 0, log
