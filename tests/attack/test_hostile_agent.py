"""A lying agent against everything that listens to it: no traceback, no hang, bounded memory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from taskscope.sources.resolve import agent_of
from tests.integration.children import REPO, running, taskscope

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MAX_MB = 500

CHURNING = """
import asyncio, threading
async def parked(event): await event.wait()
async def short(): await asyncio.sleep(0.05)
async def main():
    event = asyncio.Event()
    kept = [asyncio.create_task(parked(event)) for _ in range(40)]
    threading.Thread(target=threading.Event().wait, daemon=True).start()
    while True:
        await asyncio.create_task(short())
asyncio.run(main())
"""


@contextmanager
def hostile(folder: Path, seed: int, rate: float) -> Iterator[str]:
    """Where a hostile agent listens, in front of a real one."""
    with running(CHURNING, "--interval", "50ms") as child:
        real, fake = agent_of(child.pid, inject=False).path, str(folder / "1.hostile.sock")
        words = [sys.executable, "-m", "tests.attack.hostile_agent", real, fake, str(seed), str(rate)]
        with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=REPO) as between:
            assert between.stdout is not None
            assert between.stdout.readline() == b"ready\n"
            try:
                yield fake
            finally:
                between.kill()


def attack(folder: Path, rounds: int, seed: int, app: int) -> dict[str, Any]:
    """What became of so many connections."""
    with hostile(folder, seed, 0.1) as fake:
        done = subprocess.run(
            [sys.executable, "-m", "tests.attack.hostile_rounds", fake, str(rounds), str(app)],
            stdout=subprocess.PIPE,
            text=True,
            check=True,
            cwd=folder,
            env={
                **os.environ,
                "PYTHONPATH": str(REPO),
                "TEXTUAL_ANIMATIONS": "none",
                "XDG_CONFIG_HOME": str(folder),
            },
        )
    counts: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    print(f"hostile agent: {counts}")
    return counts


def judge(counts: dict[str, Any]) -> None:
    assert not counts["faults"], json.dumps(counts, indent=1)
    assert counts["SourceMisbehaves"] > 0
    assert counts["peak MB"] < MAX_MB


def commands(fake: str, rounds: int) -> dict[str, int]:
    """Exit statuses of the commands themselves."""
    statuses: dict[str, int] = {}
    for number in range(rounds):
        words = (("watch", fake, "--for", "1s"), ("snapshot", fake), ("watch", fake, "--for", "1s", "--json"))
        done = taskscope(*words[number % 3])
        assert "Traceback" not in done.stderr, done.stderr
        assert done.returncode in (0, 1, 3), done
        if done.returncode == 3:
            assert done.stderr.splitlines()[-1].startswith("taskscope "), done.stderr
        key = f"{words[number % 3][0]} {done.returncode}"
        statuses[key] = statuses.get(key, 0) + 1
    return statuses


def test_a_few_lies(tmp_path: Path) -> None:
    judge(attack(tmp_path, 12, 1, 12))


@pytest.mark.attack
@pytest.mark.timeout(3600)
def test_thousands_of_lies(tmp_path: Path) -> None:
    judge(attack(tmp_path, 2_000, 2, 10))


@pytest.mark.attack
@pytest.mark.timeout(3600)
def test_the_commands_meet_a_liar(tmp_path: Path) -> None:
    with hostile(tmp_path, 3, 0.05) as fake:
        print(f"commands: {commands(fake, 200)}")
