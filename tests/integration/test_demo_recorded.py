"""Recordings of the demos, leaky and fixed: replay shows what live did, diff names the guilty line first."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from taskscope.analysis.diff import compare
from taskscope.attach.presence import agent_in
from taskscope.demo import SYSTEMS
from taskscope.export.recording import RecordingWriter
from taskscope.sources.live import LiveSource
from taskscope.sources.recorded import RecordedSource
from taskscope.sources.recorder import Recorder
from taskscope.sources.sides import side_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from taskscope.model import Finding
    from taskscope.model.changes import Side

pytestmark = [pytest.mark.soak, pytest.mark.timeout(400)]

SECONDS = 120
SPEED = {"orders": 1, "heartbeat": 60, "backend": 30, "restarts": 30, "rotation": 30}

SKEW = 0.1
"""Seconds between the readings of a sample's two clocks at most; a file tells time by the monotonic one."""

Verdicts = frozenset[tuple[object, ...]]
FAULTS = ("leak", "hang", "spin")


@contextmanager
def demo(name: str, *options: str) -> Iterator[int]:
    """The pid of a demo, many times faster than life."""
    command = [
        sys.executable,
        "-m",
        "taskscope",
        "demo",
        name,
        "--headless",
        "--speed",
        str(SPEED[name]),
        *options,
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        ready, pid, *_ = child.stdout.readline().split()
        assert ready == "ready"
        try:
            yield int(pid)
        finally:
            child.terminate()


def verdicts(findings: Sequence[Finding]) -> Verdicts:
    return frozenset((each.level, each.kind, each.id, each.why, each.site) for each in findings)


async def record(pid: int, path: Path) -> list[tuple[float, Verdicts]]:
    """What a judge says live at each moment, while it is recorded."""
    point = agent_in(pid)
    assert point is not None
    source = LiveSource(point.path)
    hello, seen = await source.open(), []
    with closing(RecordingWriter(path)) as writer:
        recorder = Recorder(source, hello, writer)
        samples = recorder.record(0.0)
        async for sample in samples:
            await recorder.caught_up()
            seen.append((sample.wall, verdicts(recorder.findings)))
            if seen[-1][0] - seen[0][0] >= SECONDS:
                break
        await samples.aclose()
    await source.close()
    return seen


async def replay(path: Path, moments: Sequence[float]) -> list[tuple[float, Verdicts]]:
    source = RecordedSource(str(path))
    await source.open()
    shown = []
    for wall in moments:
        await source.seek(wall + SKEW)
        shown.append((wall, verdicts(source.findings)))
    await source.close()
    return shown


def side(path: Path) -> Side:
    return asyncio.run(side_of(RecordedSource(str(path))))


async def record_both(pids: Sequence[int], paths: Sequence[Path]) -> list[list[tuple[float, Verdicts]]]:
    """What was said live of the leaky and of the fixed one, side by side."""
    return await asyncio.gather(*map(record, pids, paths))


@pytest.mark.parametrize("name", SPEED)
def test_replay_is_as_live_was_and_diff_names_the_guilty_line(name: str, tmp_path: Path) -> None:
    paths = [tmp_path / "leaky.rec", tmp_path / "fixed.rec"]
    with demo(name) as leaking, demo(name, "--fixed") as mended:
        both = asyncio.run(record_both([leaking, mended], paths))
    for path, live in zip(paths, both, strict=True):
        shown = asyncio.run(replay(path, [wall for wall, _ in live[::5]]))
        assert shown == live[::5], path.name
    leaky, fixed = map(side, paths)
    guilty = [each.site for each in leaky.findings if each.level in FAULTS and each.id]
    assert guilty
    named = {(Path(each.file).name, each.function.rpartition(".")[2]) for each in guilty}
    assert named <= set(SYSTEMS[name].guilty)
    assert not [each for each in fixed.findings if each.level in FAULTS]
    for before, after in ((leaky, fixed), (fixed, leaky)):
        first = compare(before, after).sites[0]
        assert first.turned
        assert {first.site.frame, first.was.frame if first.was else None} & set(guilty)
