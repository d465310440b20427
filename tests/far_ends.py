"""Far ends of ``--via`` for tests, and what has to be true once they are cut off."""

from __future__ import annotations

import asyncio
import os
import shlex
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from taskscope.attach.presence import agent_in
from taskscope.sources.base import SourceError

if TYPE_CHECKING:
    from collections.abc import Callable

    from taskscope import model
    from taskscope.sources.base import Source
    from taskscope.sources.live import LiveSource
    from tests.targets import Program

LINGERS = 3.0
"""Seconds that an injected agent stays alone here; outside tests it is thirty."""

_RELAY = """
import sys
from taskscope.__main__ import main
from taskscope.sources import relay
relay.LINGERS = {}
sys.exit(main(["relay"]))
"""


def here(lingers: float) -> str:
    """A far end on this machine, without anything between.  (The words that --via adds are not looked at.)"""
    return shlex.join([sys.executable, "-c", _RELAY.format(lingers)])


HERE = here(LINGERS)


def settled(value: Callable[[], object], wanted: object, within: float = 20) -> None:
    """Waits until ``value()`` is what is wanted."""
    deadline = time.monotonic() + within
    while (found := value()) != wanted:
        assert time.monotonic() < deadline, f"{found} instead of {wanted}"
        time.sleep(0.02)


def state(program: Program) -> tuple[int, int, bool]:
    """What an agent would change: threads, descriptors, and whether it listens."""
    return program.threads(), program.descriptors(), agent_in(program.pid) is not None


def children(pid: int) -> list[int]:
    """The processes that ``pid`` has started and that run."""
    found = []
    for folder in Path(f"/proc/{pid}/task").iterdir():
        with suppress(OSError):  # a thread that has just ended
            found += [int(each) for each in (folder / "children").read_text().split()]
    return found


def running(words: str) -> list[int]:
    """The processes whose command line holds these words."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            text = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if words in text and int(path.parent.name) != os.getpid():
            found.append(int(path.parent.name))
    return found


async def samples_until_the_end(source: Source, seen: Callable[[model.Sample], None]) -> SourceError:
    """Why the samples of an open source ended."""
    try:
        async for sample in source.samples():
            seen(sample)
    except SourceError as error:
        return error
    finally:
        await source.close()
    raise AssertionError("the samples ended without a reason")


def watching(*words: str) -> subprocess.Popen[str]:
    """A ``taskscope watch`` that has seen a first sample."""
    child = subprocess.Popen(
        [sys.executable, "-m", "taskscope", "watch", "--for", "60s", *words],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert child.stderr is not None
    said = ""
    while " tasks  " not in (line := child.stderr.readline()):
        said += line
        assert line, said
    return child


def cut(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)


async def first_sample(source: LiveSource) -> model.Sample:
    await source.open()
    async with asyncio.timeout(20):
        return await anext(source.samples())
