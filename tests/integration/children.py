"""Real child processes with the agent in them, started as users start them, ready when it answers."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from taskscope.attach.presence import agent_in
from tests.integration import prepared
from tests.patience import FACTOR

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

REPO = Path(__file__).parents[2]

STANDING = """
import asyncio, threading
async def sleeper(): await asyncio.sleep(3600)
async def waiter(event): await event.wait()
async def outer(inner): await inner
async def spawn(kept):
    kept.append(asyncio.create_task(sleeper(), name="left behind"))
async def main():
    kept, event = [], asyncio.Event()
    kept += [asyncio.create_task(sleeper(), name=f"s{i}") for i in range(300)]
    kept += [asyncio.create_task(waiter(event)) for i in range(20)]
    kept += [asyncio.create_task(outer(kept[0])), asyncio.create_task(outer(kept[1]))]
    await asyncio.create_task(spawn(kept))
    threading.Thread(target=threading.Event().wait, daemon=True, name="idle").start()
    print("standing", flush=True)
    await event.wait()
asyncio.run(main())
"""
"""After ``standing`` nothing changes any more: 323 sleepers, waiters and tasks that wait for tasks."""

GROWING = """
import asyncio
async def forgotten(): await asyncio.sleep(3600)
async def main():
    kept = []; print("growing", flush=True)
    while True:
        kept.append(asyncio.create_task(forgotten()))
        await asyncio.sleep(0.02)
asyncio.run(main())
"""
"""From ``growing`` on it starts 50 tasks each second."""


@contextmanager
def running(
    program: str,
    *options: str,
    arguments: Sequence[str] = (),
    python: str = sys.executable,
    stdin: int | None = None,
) -> Iterator[subprocess.Popen[str]]:
    """``taskscope run OPTIONS -c PROGRAM ARGUMENTS``, ended afterwards.  ``stdin`` as for Popen."""
    command = [python, "-m", "taskscope", "run", *options, "-c", program, *arguments]
    environment = {**os.environ, "PYTHONPATH": str(REPO)}
    with subprocess.Popen(command, stdin=stdin, stdout=subprocess.PIPE, text=True, env=environment) as child:
        try:
            wait_for_agent(child)
            yield child
        finally:
            child.kill()


def wait_for_agent(child: subprocess.Popen[str]) -> None:
    give_up = time.monotonic() + 20 * FACTOR
    while agent_in(child.pid) is None:
        assert child.poll() is None, f"the child ended with {child.returncode}"
        assert time.monotonic() < give_up, "no agent answers in the child"
        time.sleep(0.01)


def says(child: subprocess.Popen[str], word: str) -> None:
    """Waits for a line of the child."""
    assert child.stdout is not None
    assert child.stdout.readline() == word + "\n"


def taskscope(*words: object, timeout: float = 40) -> subprocess.CompletedProcess[str]:
    """A command line in a process of its own, without a terminal, for so many seconds at most."""
    return prepared.run(*map(str, words), timeout=timeout * FACTOR)


def started(*words: str) -> subprocess.CompletedProcess[str]:
    """The same of a Python that is started for it, as users do."""
    return subprocess.run(
        [sys.executable, "-m", "taskscope", *words],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=40 * FACTOR,
        check=False,
    )
