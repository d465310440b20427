"""Tasks of one coroutine from before and after the attach are one site, with the line that starts them."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import textwrap
from typing import TYPE_CHECKING

from taskscope.attach.inject import ensure_agent
from taskscope.sources.live import LiveSource

if TYPE_CHECKING:
    from pathlib import Path

    from taskscope.model import Sample, Site, SiteCounts

PROGRAM = """
    import asyncio, sys
    kept = set()
    async def serve(end):
        await end.wait()
    def accept(end):
        kept.add(asyncio.create_task(serve(end)))
    async def main():
        end = asyncio.Event()
        for _ in range(40):
            accept(end)
        await asyncio.sleep(0)
        print("ready", flush=True)
        while await asyncio.to_thread(sys.stdin.readline):
            accept(end)
    asyncio.run(main())
"""


class View:
    """What a client knows: a full sample drops what it does not mention."""

    def __init__(self) -> None:
        self.sites: dict[int, Site] = {}
        self.counts: dict[int, SiteCounts] = {}

    def take(self, sample: Sample) -> None:
        if sample.full:
            self.counts.clear()
        self.sites.update((site.id, site) for site in sample.new_sites)
        self.counts.update((each.site, each) for each in sample.sites)

    def rows(self) -> list[tuple[str, int, int, int]]:
        """Of ``serve``: how the line is known, its function's line, live and older tasks."""
        named = ((self.sites[id], counts) for id, counts in self.counts.items())
        return [
            (site.known, site.frame.line, counts.counts.live, counts.adopted)
            for site, counts in named
            if site.coroutine == "serve"
        ]


async def watch(child: subprocess.Popen[str]) -> list[tuple[str, int, int, int]]:
    source = LiveSource((await asyncio.to_thread(ensure_agent, child.pid)).path)
    await source.open()
    view = View()
    assert child.stdin is not None
    told = False
    try:
        async with asyncio.timeout(30):
            async for sample in source.samples():
                view.take(sample)
                if not told and sum(live for _, _, live, _ in view.rows()) == 40:
                    child.stdin.write("one\n" * 3)
                    child.stdin.flush()
                    told = True
                if sum(live for _, _, live, _ in view.rows()) == 43:
                    break
    finally:
        await source.close()
    return view.rows()


def test_older_and_younger_tasks_are_one_row(tmp_path: Path) -> None:
    path = tmp_path / "service.py"
    path.write_text(textwrap.dedent(PROGRAM))
    with subprocess.Popen(
        [sys.executable, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        try:
            assert asyncio.run(watch(child)) == [("exact", 7, 43, 40)]
        finally:
            child.kill()
