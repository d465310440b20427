"""Threads leak until none can be started: the forecast time and the actual one."""

from __future__ import annotations

import asyncio
import os
import resource
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from taskscope.sources.live import LiveSource
from taskscope.sources.pump import Pump
from tests.integration.children import REPO

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from taskscope.model import Finding, Projection

LEAKING = """
import os, sys, threading, time
import pwd, resource, taskscope, taskscope.agent  # as long as the files can be read
if "nobody" in sys.argv:
    os.chown(os.environ["TASKSCOPE_DIR"], 65534, 65534)
    os.setgroups([]); os.setresgid(65534, 65534, 65534); os.setresuid(65534, 65534, 65534)
taskscope.start("leaking")
over = threading.Event()
def monitor(): over.wait()
def connect():
    threading.Thread(target=monitor, daemon=True).start()
try:
    while True:
        connect()
        time.sleep(0.2)
except RuntimeError:
    print(time.monotonic(), flush=True)
sys.stdin.read()
"""

ROOM = 200
"""Threads until the limit: 40 seconds."""


@pytest.fixture
def sockets() -> Iterator[Path]:
    """Where the child listens.  The user nobody cannot access pytest's directories."""
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


@contextmanager
def leaking(sockets: Path, prepare: Callable[[], None], *arguments: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", LEAKING, *arguments]
    environment = {**os.environ, "PYTHONPATH": str(REPO), "TASKSCOPE_DIR": str(sockets)}
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
        preexec_fn=prepare,
    ) as child:
        try:
            yield child
        finally:
            child.kill()


@contextmanager
def in_a_group() -> Iterator[Callable[[], None]]:
    """What puts a child into a control group of its own with room for few threads."""
    mounted = [Path("/sys/fs/cgroup/pids"), Path("/sys/fs/cgroup")]
    group = next((each for each in mounted if (each / "cgroup.procs").exists()), mounted[0])
    group /= f"taskscope-test-{os.getpid()}"
    try:
        group.mkdir()
    except OSError as error:
        pytest.skip(f"no control group can be made here: {error}")
    try:
        if not (group / "pids.max").exists():
            pytest.skip("control groups do not count processes here")
        (group / "pids.max").write_text(str(ROOM))
        yield lambda: print(os.getpid(), file=(group / "cgroup.procs").open("w"), flush=True)
    finally:
        deadline = time.monotonic() + 5
        while group.exists() and time.monotonic() < deadline:
            try:
                group.rmdir()
            except OSError:  # the child is still ending
                time.sleep(0.05)


def lowered() -> None:
    """The limit of the user that the child becomes: nobody has any processes here."""
    resource.setrlimit(resource.RLIMIT_NPROC, (ROOM, ROOM))


async def said(sockets: Path) -> tuple[Finding, Projection, float]:
    """The first finding with an end, and when it was said."""
    give_up = time.monotonic() + 20
    while not (found := list(sockets.glob("*.sock"))):
        assert time.monotonic() < give_up, "no agent answers in the child"
        await asyncio.sleep(0.01)
    source = LiveSource(str(found[0]))
    pump = Pump(source, await source.open())
    try:
        async for sample in pump.samples():
            for finding in await pump.judged():
                if finding.level in {"leak", "suspect"} and finding.projection is not None:
                    return finding, finding.projection, sample.monotonic
    finally:
        await source.close()
    raise AssertionError("the child ended before anything was said")


@pytest.mark.soak
@pytest.mark.parametrize("way", ["pids.max of the control group", "RLIMIT_NPROC of the user"])
async def test_the_exhaustion_of_threads_is_forecast_and_the_site_named(way: str, sockets: Path) -> None:
    if way.startswith("pids"):
        with in_a_group() as enter, leaking(sockets, enter) as child:
            await foretold(child, sockets, way)
        return
    if os.getuid() != 0:
        pytest.skip("another user's processes would count: run as root")
    with leaking(sockets, lowered, "nobody") as child:
        await foretold(child, sockets, way)


async def foretold(child: subprocess.Popen[str], sockets: Path, way: str) -> None:
    finding, projection, at = await said(sockets)
    assert (finding.kind, finding.coroutine) == ("thread", "monitor")
    assert finding.site.function == "connect"
    assert projection.resource == "threads"
    assert projection.limit_by == way
    assert projection.sites == (finding.id,)
    assert child.stdout is not None
    ended = float(child.stdout.readline())
    print(f"{way}: {projection.seconds:.1f} s were said to be left, it took {ended - at:.1f} s")
    assert projection.seconds == pytest.approx(ended - at, rel=0.2)
