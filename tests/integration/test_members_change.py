"""Members of a group that live briefly, become another program or user, or close what they do not know.

Each way with agents that are injected and with those that come by themselves under ``taskscope run``.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from taskscope.attach.family import below, parents
from tests.attack.bad_moments import for_everybody
from tests.integration.children import REPO
from tests.integration.test_group import group_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from taskscope.model.members import Member
    from taskscope.sources.group import GroupSource

WAYS = ("injected", pytest.param("run", marks=pytest.mark.slow))
NOBODY = 65534

PARENT = f"""
import asyncio, os, signal, sys
async def forgotten(): await asyncio.sleep(3600)
async def main(seconds):
    kept, end = [], asyncio.get_running_loop().time() + seconds
    while asyncio.get_running_loop().time() < end:
        kept.append(asyncio.create_task(forgotten()))
        await asyncio.sleep(0.05)
def become(what, *words):
    if what == "exec": os.execv(words[0], words)
    elif what == "close": os.closerange(3, 1 << 16)
    elif what == "nobody":
        os.setgroups([]); os.setgid({NOBODY}); os.setuid({NOBODY})
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
for line in sys.stdin:
    seconds, *words = line.split()
    if not (pid := os.fork()):
        signal.signal(signal.SIGUSR1, lambda *_: become(*words))
        if words == ["close"]:  # a loop would not survive it
            signal.pause()
        asyncio.run(main(float(seconds)))
        os._exit(0)
    print(pid, flush=True)
"""
"""Forks a worker that lives so many seconds, and becomes what the line says when it gets SIGUSR1."""

OTHER = """
import asyncio
async def brought(): await asyncio.sleep(3600)
async def main(): await asyncio.gather(*(brought() for _ in range(7)))
asyncio.run(main())
"""


class Service:
    """The parent, and a group of it and its workers."""

    def __init__(self, parent: subprocess.Popen[str], group: GroupSource) -> None:
        self.parent = parent
        self.group = group

    async def fork(self, *words: str) -> int:
        assert self.parent.stdin is not None
        assert self.parent.stdout is not None
        self.parent.stdin.write(" ".join(words) + "\n")
        self.parent.stdin.flush()
        return int(await asyncio.to_thread(self.parent.stdout.readline))

    async def until(self, pid: int, condition: Callable[[Member], object]) -> Member:
        """The row of a worker once that is true of it."""
        give_up, row = time.monotonic() + 30, None
        while time.monotonic() < give_up:
            row = next((each for each in self.group.members() if each.pid == pid), None)
            if row is not None and condition(row):
                return row
            await asyncio.sleep(0.05)
        raise AssertionError(row)


@asynccontextmanager
async def service(folder: Path, how: str, python: str = sys.executable) -> AsyncIterator[Service]:
    folder.chmod(0o755)
    (program := folder / "parent.py").write_text(PARENT)
    run = ["-m", "taskscope", "run", "--name", "shop"] if how == "run" else []
    with subprocess.Popen(
        [python, "-W", "ignore", *run, str(program)],
        stdin=-1, stdout=-1, text=True, env={**os.environ, "PYTHONPATH": str(REPO)},
    ) as parent:  # fmt: skip
        try:
            group = group_of(str(parent.pid))
            await group.open()
            try:
                yield Service(parent, group)
            finally:
                await group.close()
        finally:
            for pid in below(parent.pid, parents()):
                os.kill(pid, signal.SIGKILL)


def attached(row: Member) -> bool:
    return row.state == "attached" and bool(row.tasks)


@pytest.mark.parametrize("how", WAYS)
async def test_a_worker_of_two_seconds_is_seen_and_those_that_are_gone_at_once_are_no_error(
    how: str, tmp_path: Path
) -> None:
    async with service(tmp_path, how) as shop:
        brief = [await shop.fork("0.3") for _ in range(3)]
        for _ in range(4):  # a busy machine may let one pass
            row = await shop.until(await shop.fork("2"), lambda row: row.state == "ended")
            if row.name:
                break
        assert row.name, "no agent was reached"
        await shop.until(row.pid, lambda _: shop.group.left == 1)
        sample = shop.group.gathered.sample(1.0)
        assert sample.tasks.born > 10
        assert sample.tasks.live == 0
        assert all(each.judge is None for each in shop.group.attendants if each.over), "hundreds may end"
        rows = [each for each in shop.group.members() if each.pid in brief]
        assert {each.state for each in rows} <= {"ended"}


@pytest.mark.parametrize("how", WAYS)
async def test_a_worker_that_executes_another_program_is_attached_to_again_or_said_to(
    how: str, tmp_path: Path
) -> None:
    (other := tmp_path / "other.py").write_text(OTHER)
    async with service(tmp_path, how) as shop:
        python = await shop.fork("600", "exec", sys.executable, str(other))
        sleep = await shop.fork("600", "exec", "/bin/sleep", "600")
        for pid in (python, sleep):
            await shop.until(pid, attached)
            os.kill(pid, signal.SIGUSR1)
        row = await shop.until(sleep, lambda row: row.state == "ended")
        assert row.why == f"process {sleep} now runs another program (sleep)"
        row = await shop.until(python, lambda row: attached(row) and row.tasks == 8)
        assert row.command.endswith("other.py")


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give up root")
@pytest.mark.parametrize("how", WAYS)
async def test_a_worker_that_gives_up_root_or_closes_all_descriptors_is_followed(
    how: str, tmp_path: Path
) -> None:
    async with service(tmp_path, how, for_everybody()) as shop:
        pids = [await shop.fork("600", what) for what in ("nobody", "close")]
        before = [await shop.until(pid, lambda row: row.tasks is not None) for pid in pids]
        for row in before:
            os.kill(row.pid, signal.SIGUSR1)
            more = (row.tasks or 0) + 20
            await shop.until(row.pid, lambda row, more=more: (row.tasks or 0) > more)  # type: ignore[misc]
        assert not any(each.state == "refused" for each in shop.group.members())
