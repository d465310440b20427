"""Tasks older than the agent: grouped at the line that starts them, marked as imputed, within seconds."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import textwrap
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from taskscope.attach.inject import ensure_agent
from taskscope.sources.live import LiveSource
from tests.pythons import installed, versions

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from taskscope import model

HELPER = """
    import asyncio, background
    class Orders:
        async def decay_after(self, seconds):
            await asyncio.sleep(seconds)
        def failed(self):
            background.spawn(self.decay_after(300))
    async def main():
        orders = Orders()
        for _ in range(6000):
            orders.failed()
        await asyncio.sleep(0)
        print("ready", flush=True)
        await asyncio.sleep(600)
    asyncio.run(main())
"""
SPAWN = """
    import asyncio
    kept = set()
    def spawn(coro):
        task = asyncio.get_running_loop().create_task(coro)
        kept.add(task)
        task.add_done_callback(kept.discard)
        return task
"""


@contextmanager
def program(python: Path | str, folder: Path, *options: str) -> Iterator[subprocess.Popen[str]]:
    (folder / "orders.py").write_text(textwrap.dedent(HELPER))
    (folder / "background.py").write_text(textwrap.dedent(SPAWN))
    command = [str(python), *options, str(folder / "orders.py")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        try:
            yield child
        finally:
            child.kill()


async def first_view(path: str, until: str) -> tuple[model.Site, model.SiteCounts]:
    """The site of the older tasks and its counts, once it is ``until`` and all are there."""
    source = LiveSource(path)
    await source.open()
    site: model.Site | None = None
    counts: model.SiteCounts | None = None
    try:
        async for sample in source.samples():
            for each in sample.new_sites:
                site = each if each.coroutine == "Orders.decay_after" else site
            for seen in sample.sites:
                counts = seen if site is not None and seen.site == site.id else counts
            if site is not None and site.known == until and counts and counts.counts.live == 6000:
                return site, counts
    finally:
        await source.close()
    raise AssertionError("the samples ended")


def view(pid: int, until: str) -> tuple[Any, Any]:
    endpoint = ensure_agent(pid)
    return asyncio.run(asyncio.wait_for(first_view(endpoint.path, until), 15))


@pytest.mark.parametrize("version", versions())
def test_older_tasks_stand_at_the_line_that_starts_them(version: str, tmp_path: Path) -> None:
    if version not in installed():
        pytest.skip(f"no Python {version} here")
    begun = time.monotonic()
    with program(installed()[version], tmp_path) as child:
        ready = time.monotonic()
        site, counts = view(child.pid, "imputed")
    assert (site.frame.file, site.frame.line) == (str(tmp_path / "orders.py"), 7)
    assert site.frame.function == "Orders.failed"
    assert (counts.counts.live, counts.adopted) == (6000, 6000)
    assert counts.oldest is not None  # each tells by its sleep when it was born
    assert begun < counts.oldest < ready


def test_debug_mode_knows_the_line(tmp_path: Path) -> None:
    with program(sys.executable, tmp_path, "-X", "dev") as child:
        site, counts = view(child.pid, "exact")
    assert (site.frame.file, site.frame.line) == (str(tmp_path / "background.py"), 5)
    assert counts.counts.live == 6000


@pytest.fixture(autouse=True)
def directory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TASKSCOPE_DIR", str(tmp_path / "run"))
    assert os.environ["TASKSCOPE_DIR"]
