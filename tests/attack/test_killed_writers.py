"""``kill -9`` at random moments: what is left is whole, and a recording opens up to its last whole line."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from taskscope.export.recording_file import RecordingFile
from taskscope.export.snapshot import load
from taskscope.sources.recorded import RecordedSource
from tests.integration.children import REPO, STANDING, running, says

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.attack, pytest.mark.timeout(900)]

MOMENTS = 50


def killed(seed: int, longest: float, *words: str) -> Iterator[int]:
    """Yields after each kill."""
    command = [sys.executable, "-m", "tests.attack.killed_writers", str(seed), str(MOMENTS), str(longest)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    with subprocess.Popen([*command, *words], text=True, cwd=REPO, **pipes) as runner:  # type: ignore[call-overload]
        for number in range(MOMENTS):
            assert runner.stdout.readline() == "dead\n"
            yield number
            runner.stdin.write("on\n")
            runner.stdin.flush()


async def samples(path: Path) -> int:
    source = RecordedSource(str(path))
    await source.open()
    found = sum(1 for _ in source.every_sample())
    assert not source.damaged
    await source.close()
    return found


def test_a_recording_opens_and_goes_on_whenever_its_writer_was_killed(tmp_path: Path) -> None:
    path, known, grown = tmp_path / "a.rec", 0, 0
    with running(STANDING, "--interval", "100ms") as child:
        says(child, "standing")
        for _ in killed(1, 1.5, "record", str(child.pid), "-o", str(path), "--interval", "100ms"):
            if not path.exists() or not path.stat().st_size:
                continue  # before the first sample
            found = asyncio.run(samples(path))
            with closing(RecordingFile(path)) as file:
                ends = [list(file.raw_lines(number))[-1] for number in range(len(file.members))]
            assert all(line.endswith(b"}") for line in ends)
            assert found >= known
            grown += found > known
            known = found
    print(f"killed recorders: {MOMENTS}, of which {grown} had written samples, {known} in all")
    assert grown > MOMENTS / 4
    assert [each.name for each in tmp_path.iterdir()] == ["a.rec"]


@pytest.mark.parametrize("name", ["a.json", "a.json.gz"])
def test_a_snapshot_is_whole_or_not_there(tmp_path: Path, name: str) -> None:
    path, whole = tmp_path / name, 0
    with running(STANDING.replace("300", "3000")) as child:
        says(child, "standing")
        for _ in killed(2, 3.0, "snapshot", str(child.pid), "-o", str(path)):
            left = list(tmp_path.iterdir())
            assert left in ([], [path]), left
            if left:
                whole += 1
                load(path)
                path.unlink()
    print(f"killed snapshots: {MOMENTS}, of which {whole} were written")
    assert 0 < whole < MOMENTS
