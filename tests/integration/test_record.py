"""``taskscope record``: on real processes, killed at any moment, continued, refused."""

from __future__ import annotations

import asyncio
import os
import random
import resource
import signal
import subprocess
import sys
import time
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from taskscope.export.recording import RecordingError
from taskscope.export.recording_file import RecordingFile
from taskscope.model import requests
from taskscope.sources.recorded import RecordedSource
from tests.integration.children import GROWING, STANDING, running, says, taskscope

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from taskscope.model import Sample


@pytest.fixture(scope="module")
def pid() -> Iterator[int]:
    """A target that gains 50 tasks a second, sampled ten times a second."""
    with running(GROWING, "--name", "growing", "--interval", "100ms") as child:
        says(child, "growing")
        yield child.pid


def recorder(pid: int | str, path: Path, *options: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "taskscope", "record", str(pid), "-o", str(path), *options]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True)


def until(true: object, within: float = 30.0) -> None:
    end = time.monotonic() + within
    while not true():  # type: ignore[operator]
        assert time.monotonic() < end
        time.sleep(0.01)


def size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


async def walked(path: Path) -> list[Sample]:
    """The first and the last moment of a recording; nothing in it is damaged."""
    source = RecordedSource(str(path))
    await source.open()
    found = []
    for moment in (source.begin, source.end):
        await source.seek(moment)
        found += [each async for each in source.samples()]
    assert source.damaged == 0
    await source.close()
    return found


def lines(path: Path) -> int:
    """Samples that can be read; none if the first one was not whole."""
    if not size(path):
        return 0
    try:
        file = RecordingFile(path)
    except RecordingError as error:
        assert "no whole line yet" in str(error)
        return 0
    with closing(file):
        return sum(kind == "sample" for number in range(len(file.members)) for kind, _ in file.lines(number))


def test_it_records_for_a_while_and_says_what_is_there(pid: int, tmp_path: Path) -> None:
    path = tmp_path / "a.rec"
    done = taskscope("record", str(pid), "-o", str(path), "--for", "2s", "--interval", "100ms")
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr.startswith(f"{path}: ")
    assert done.stderr.endswith(f"`taskscope open {path}` plays it\n")
    first, last = asyncio.run(walked(path))
    assert last.tasks.live > first.tasks.live
    assert 1 < last.monotonic - first.monotonic < 3


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_well(pid: int, tmp_path: Path, number: signal.Signals) -> None:
    path = tmp_path / "a.rec"
    with recorder(pid, path) as child:
        until(lambda: size(path) > 0)
        child.send_signal(number)
        assert child.wait(20) == 0
    assert len(asyncio.run(walked(path))) == 2


def kill_at_random(pid: int, path: Path, chance: random.Random) -> None:
    """Kills a recorder of this file: half of the time while it starts, else while it writes."""
    before = lines(path)
    with recorder(pid, path, "--interval", "50ms") as child:
        if chance.random() < 0.5:
            until(lambda: lines(path) > before or child.poll() is not None)
        time.sleep(chance.random())
        child.kill()
        assert child.wait() == -signal.SIGKILL
    after = lines(path)
    assert after >= before
    if after:
        assert len(asyncio.run(walked(path))) == 2


def test_killed_at_any_moment_it_is_read_and_continued(pid: int, tmp_path: Path) -> None:
    path, chance = tmp_path / "a.rec", random.Random(7)
    for _ in range(5):
        kill_at_random(pid, path, chance)
    assert lines(path) > 5


@pytest.mark.attack
@pytest.mark.timeout(900)
def test_killed_at_fifty_moments_it_is_read_and_continued(pid: int, tmp_path: Path) -> None:
    chance = random.Random(11)
    for number in range(50):  # ten files, each continued four times
        kill_at_random(pid, tmp_path / f"{number % 10}.rec", chance)
    print([lines(tmp_path / f"{number}.rec") for number in range(10)])


def test_when_the_target_ends_the_recording_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "a.rec"
    with running(STANDING, "--name", "short", "--interval", "100ms") as target:
        says(target, "standing")
        with recorder(target.pid, path) as child:
            until(lambda: size(path) > 0)
            target.kill()
            _, said = child.communicate(timeout=30)
        assert child.returncode == 0
        assert said.startswith("taskscope record: the ")
    assert asyncio.run(walked(path))[-1].tasks.live > 300


def test_it_follows_a_target_that_restarts(tmp_path: Path) -> None:
    path = tmp_path / "a.rec"
    with running(STANDING, "--name", "phoenix", "--interval", "100ms") as target:
        says(target, "standing")
        child = recorder("phoenix", path, "--follow", "--interval", "100ms")
        until(lambda: lines(path) > 1)
        target.kill()
    assert child.stderr is not None
    while "waiting for phoenix" not in child.stderr.readline():
        assert child.poll() is None
    before = lines(path)
    with running(GROWING, "--name", "phoenix", "--interval", "100ms") as again:
        until(lambda: lines(path) > before)
        child.send_signal(signal.SIGTERM)
        said = child.communicate(timeout=30)[1].splitlines()
        assert said[-1].endswith("plays it")
        assert child.returncode == 0
        first, last = asyncio.run(walked(path))
        assert last.wall > first.wall

        async def last_pid() -> int:
            source = RecordedSource(str(path))
            return (await source.open()).process.pid

        assert asyncio.run(last_pid()) == again.pid


def test_details_of_a_leak_are_in_it(tmp_path: Path) -> None:
    """Stacks and source of the growing site, read while it was recorded."""
    path = tmp_path / "a.rec"

    async def site() -> tuple[str, int]:
        source = RecordedSource(str(path))
        await source.open()
        sample = await anext(source.samples())
        grown = max(sample.sites, key=lambda each: each.counts.live).site
        detail = await source.ask(requests.Site(grown))
        page = await source.ask(requests.Tasks((grown,), limit=5))
        stack = (await source.ask(requests.Task(page.tasks[0].serial))).stack
        return detail.site.coroutine, len(stack)

    with running(GROWING, "--interval", "100ms") as target:
        says(target, "growing")
        done = taskscope("record", str(target.pid), "-o", str(path), "--for", "3s")
        assert done.returncode == 0
    name, frames = asyncio.run(site())
    assert name == "forgotten"
    assert frames >= 1


def test_a_full_disk_is_one_sentence_and_what_was_written_is_read(pid: int, tmp_path: Path) -> None:
    path = tmp_path / "a.rec"
    limit = 6_000
    command = [sys.executable, "-m", "taskscope", "record", str(pid), "-o", str(path), "--interval", "50ms"]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=40,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
    )
    assert done.returncode == 3
    assert f"taskscope record: cannot write {path}: File too large" in done.stderr
    assert "Traceback" not in done.stderr
    assert os.path.getsize(path) == limit
    assert lines(path) > 0


def refused(status: int, *words: str) -> str:
    done = taskscope("record", *words)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (status, "", 1), done
    return done.stderr


def test_what_cannot_be_recorded_is_refused_and_nothing_is_made(pid: int, tmp_path: Path) -> None:
    out, notes = tmp_path / "a.rec", tmp_path / "notes.txt"
    notes.write_text("mine")
    assert "no agent is named 'nobody'" in refused(3, "nobody", "-o", str(out))
    assert "needs a running process" in refused(2, str(notes), "-o", str(out))
    assert "exists and is not a TaskScope recording" in refused(3, str(pid), "-o", str(notes))
    assert "No such file or directory" in refused(3, str(pid), "-o", str(tmp_path / "no" / "a.rec"))
    assert "not a duration" in refused(2, str(pid), "-o", str(out), "--for", "never")
    assert "required: -o" in refused(2, str(pid))
    assert not out.exists()
    assert notes.read_text() == "mine"
