"""What an hour of recording takes on the disk: 120 samples of 200 busy sites, twice as fast.

Everything that happens by the clock is as much faster, so that the file holds what two minutes' would.
"""

from __future__ import annotations

import sys
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from taskscope.export.recording import RecordingWriter
from taskscope.sources import recorder as recording
from taskscope.sources.live import LiveSource
from taskscope.sources.recorded import RecordedSource
from tests.bench.harness import cpu_seconds, socket_of, table
from tests.integration.children import running, says

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.bench, pytest.mark.timeout(900)]

SITES, SPEED, SAMPLES = 200, 2, 120
HOUR = 3600
MOST = 20e6
BUSY = 0.8
"""Share of the sites in a sample at least: on a busy machine, some samples lie between two births."""

PROGRAM = f"""
import asyncio, random, sys
sys.path.insert(0, sys.argv[1])
import lines
async def main():
    chance = random.Random(1)
    for start in lines.EVERY:  # some that stay
        for _ in range(10):
            start(3600.0)
    print("standing", flush=True)
    while True:  # one a second for each line; they live for up to three minutes
        for start in lines.EVERY:
            start(chance.random() * 180 / {SPEED})
        await asyncio.sleep(1 / {SPEED})
asyncio.run(main())
"""


def module(folder: Path) -> None:
    """A module with one line for each site."""
    starts = "".join(
        f"def handle_event_{n}(seconds):\n    KEPT.append(asyncio.create_task(work_{n}(seconds)))\n"
        f"async def work_{n}(seconds):\n    await asyncio.sleep(seconds)\n"
        for n in range(SITES)
    )
    names = ", ".join(f"handle_event_{n}" for n in range(SITES))
    text = (
        f"import asyncio, collections\nKEPT = collections.deque(maxlen=100_000)\n{starts}EVERY = [{names}]\n"
    )
    (folder / "lines.py").write_text(text)


async def test_an_hour_of_200_sites(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MEMBER_SECONDS", "FINDINGS_EVERY", "DETAILS_EVERY", "DETAILS_SOON", "DETAILS_KEPT"):
        monkeypatch.setattr(recording, name, getattr(recording, name) / SPEED)
    module(tmp_path)
    path, taken, rows = tmp_path / "hour.rec", 0, 0
    with running(PROGRAM, "--name", "hour", "--interval", "500ms", arguments=[str(tmp_path)]) as child:
        says(child, "standing")
        source = LiveSource(socket_of(child.pid))
        hello = await source.open()
        used = cpu_seconds(child.pid)
        with closing(RecordingWriter(path)) as writer:
            samples = recording.Recorder(source, hello, writer).record(0.0)
            async for sample in samples:
                taken += 1
                rows += len(sample.sites)
                if taken == SAMPLES:
                    break
            await samples.aclose()
        used = cpu_seconds(child.pid) - used
        await source.close()
    size = path.stat().st_size
    replay = RecordedSource(str(path))
    await replay.open()
    table(
        f"a recording of {taken:,} samples, {rows / taken:.0f} sites in each, Python {sys.version[:6]}",
        ["", "value"],
        [
            ["MB an hour", f"{size / taken * HOUR / 1e6:.1f}"],
            ["bytes a sample", f"{size / taken:,.0f}"],
            ["seconds recorded, by the clock", f"{replay.end - replay.begin:.0f}"],
            ["CPU of the program and its agent, seconds", f"{used:.0f}"],
        ],
    )
    await replay.close()
    assert rows / taken > BUSY * SITES
    assert size / taken * HOUR < MOST
