"""Rules on real services: these capture themselves, no more than allowed, and every file is whole."""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

import pytest

import taskscope as api
from taskscope.export import snapshot
from taskscope.export.evidence import LOG
from taskscope.sources.recorded import RecordedSource
from tests.integration.children import GROWING, REPO, running, taskscope

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

DEADLOCKED = """
import asyncio, sys
async def holds(mine, other):
    async with mine:
        await asyncio.sleep(0.1)
        async with other: pass
async def main():
    one, two = asyncio.Lock(), asyncio.Lock()
    await asyncio.gather(holds(one, two), holds(two, one))
asyncio.run(main())
"""


def until(true: Callable[[], object], within: float = 40.0) -> None:
    end = time.monotonic() + within
    while not true():
        assert time.monotonic() < end
        time.sleep(0.02)


@contextmanager
def watching(*options: str) -> Iterator[subprocess.Popen[str]]:
    """``watch OPTIONS``, ended by SIGTERM, which is a clean end."""
    command = [sys.executable, "-m", "taskscope", "watch", "--interval", "100ms", *options]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as child:
        try:
            yield child
        finally:
            child.send_signal(signal.SIGTERM)
            assert child.wait(20) in (0, -signal.SIGKILL)


def files(folder: Path, suffix: str = "") -> list[Path]:
    found = sorted(folder.iterdir()) if folder.exists() else []
    return [each for each in found if each.name.endswith(suffix) and not each.name.startswith(LOG)]


def log(folder: Path) -> list[dict[str, str]]:
    path = folder / LOG
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def test_a_service_that_grows_at_night_captures_itself_and_no_more_than_allowed(tmp_path: Path) -> None:
    """From inside, nobody attached; the night takes seconds, because the rule's window does."""
    rules = "growth=5%/1s,most=2/h"
    options = ["--name", "night", "--interval", "100ms", "--on", rules, f"report:{tmp_path}"]
    with running(GROWING, *options) as child:
        until(lambda: any(not each["file"] for each in log(tmp_path)))  # the third was refused
        with open(f"/proc/{child.pid}/task/{child.pid}/children") as file:
            assert not file.read(), "the companion is no child of the program"
    pages = files(tmp_path)
    assert len(pages) == 2
    told = log(tmp_path)
    assert [each["file"] for each in told[:2]] == [str(each) for each in pages]
    assert told[2]["why_not"] == "2 files were written within the hour"
    assert "forgotten" in pages[-1].read_text()  # the line that grows is named


def test_a_hang_and_a_command_get_the_finding(tmp_path: Path) -> None:
    found = tmp_path / "finding.json"
    with (
        running(DEADLOCKED, "--name", "stuck", "--interval", "100ms") as child,
        watching(str(child.pid), "--on", "hang", f"cat > {found}.part && mv {found}.part {found}"),
    ):
        until(found.exists)
    told = json.loads(found.read_text())
    assert told["target"]["pid"] == child.pid
    assert (told["word"], told["finding"]["level"]) == ("hang", "hang")
    assert told["finding"]["site"]["line"] > 0


def test_it_survives_restarts_by_name_and_waits_for_a_name_that_is_not_there_yet(tmp_path: Path) -> None:
    on = ("--on", "growth=1%/500ms", f"snapshot:{tmp_path}")
    with watching("phoenix", *on) as watcher:
        assert watcher.stderr is not None
        assert "waiting for phoenix" in watcher.stderr.readline()
        pids = []
        for _ in range(2):
            with running(GROWING, "--name", "phoenix", "--interval", "100ms") as target:
                pids.append(target.pid)
                before = len(files(tmp_path))
                until(partial(_has_more, tmp_path, before))
    of = [snapshot.load(each)["process"]["pid"] for each in files(tmp_path)]
    assert list(dict.fromkeys(of)) == pids


def test_a_recording_begins_with_the_event_and_says_so_at_once(tmp_path: Path) -> None:
    with (
        running(GROWING, "--name", "grows", "--interval", "100ms") as target,
        watching(str(target.pid), "--on", "growth=1%/500ms", f"record:{tmp_path}") as watcher,
    ):
        until(lambda: log(tmp_path))
        target.kill()
        assert watcher.wait(20) == 0  # a pid does not come back
    (path,) = files(tmp_path)
    assert log(tmp_path)[0]["file"] == str(path)
    assert opens(path)


def test_in_a_group_rules_fire_for_each_process_within_bounds_for_all(tmp_path: Path) -> None:
    """Two that grow, and a third that comes later; it says which process each file and command is about."""
    name, told = f"crew{os.getpid()}", tmp_path / "told"
    grows = partial(running, GROWING, "--name", name, "--interval", "100ms")
    rules = "growth=1%/500ms,most=3/h"
    on = ("--on", rules, f"snapshot:{tmp_path / 'files'}", "--on", rules, f"cat >> {told}")
    with grows() as one, grows() as two, watching(f"{name}*", *on) as watcher:
        until(lambda: _pids(tmp_path / "files") >= {one.pid, two.pid})
        with grows() as three:
            until(lambda: three.pid in _pids(tmp_path / "files"))
            until(lambda: any(each["why_not"] for each in log(tmp_path / "files")))
        assert watcher.poll() is None
    assert len(written := files(tmp_path / "files")) == 3
    assert all(opens(each) for each in written)
    lines = [json.loads(line) for line in told.read_text().splitlines()]
    assert len(lines) == 3
    assert {each["target"]["pid"] for each in lines} >= {one.pid, two.pid}


def _pids(folder: Path) -> set[int]:
    """Of which processes the log tells."""
    return {int(each["pid"]) for each in log(folder)}


def _has_more(folder: Path, before: int) -> bool:
    return len(files(folder)) > before


def opens(path: Path) -> bool:
    """Whether a file is whole."""
    if path.name.endswith(".json.gz"):
        return bool(snapshot.load(path)["sites"])
    if path.suffix == ".html":
        return path.read_text().rstrip().endswith("</html>")

    async def walked() -> int:
        source = RecordedSource(str(path))
        await source.open()
        found = [each async for each in source.samples()]
        await source.close()
        return len(found)

    return asyncio.run(walked()) > 0


def kill_at_random(pid: int, folder: Path, kind: str, chance: random.Random) -> None:
    """Kills a watch whose rule fires at its first sample, at any moment from then on."""
    on = "fds=0.01%,most=1000/h", f"{kind}:{folder}"
    before = len(files(folder))
    with watching(str(pid), "--on", *on) as child:
        assert child.stderr is not None
        assert "watching" in child.stderr.readline()
        if chance.random() < 0.5:
            until(lambda: len(files(folder)) > before)
        time.sleep(chance.random() / 2)
        child.kill()
        child.wait()
    assert all(map(opens, files(folder)))  # no other file is there, hidden or not


def test_killed_at_any_moment_there_are_only_whole_files(tmp_path: Path) -> None:
    chance = random.Random(3)
    with running(GROWING, "--interval", "100ms") as target:
        for kind in ("snapshot", "record", "report"):
            kill_at_random(target.pid, tmp_path / kind, kind, chance)


@pytest.mark.attack
@pytest.mark.timeout(900)
def test_killed_at_fifty_moments_there_are_only_whole_files(tmp_path: Path) -> None:
    chance = random.Random(5)
    with running(GROWING, "--interval", "100ms") as target:
        for number in range(51):
            kind = ("snapshot", "record", "report")[number % 3]
            kill_at_random(target.pid, tmp_path / kind, kind, chance)
    print({each.name: len(files(each)) for each in tmp_path.iterdir()})


@pytest.mark.parametrize("verb", [("watch", "1"), ("run",)])
def test_a_rule_that_cannot_be_read_is_one_sentence_and_status_2(verb: tuple[str, ...]) -> None:
    done = taskscope(*verb, "--on", "leek", "report:/nowhere", *(["-c", "pass"] if verb == ("run",) else []))
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"taskscope {verb[0]}: unknown word 'leek' in a rule")
    assert done.stderr.count("\n") == 1


def test_start_refuses_a_rule_and_leaves_nothing() -> None:
    with pytest.raises(api.StartError, match="unknown word 'leek' in a rule"):
        api.start(on="leek report:/nowhere")
    assert api._agent is None


@pytest.mark.parametrize("verb", [("watch", "1"), ("run",)])
def test_a_folder_that_cannot_be_written_is_refused_at_once(verb: tuple[str, ...], tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.touch()
    program = ["-c", "print('ran')"] if verb == ("run",) else []
    done = taskscope(*verb, "--on", "leak", f"report:{blocked}/x", *program)
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr == f"taskscope {verb[0]}: cannot write {blocked}/x: Not a directory\n"


def test_a_folder_that_goes_away_is_said_and_the_watch_goes_on(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    with (
        running(GROWING, "--interval", "100ms") as target,
        watching(str(target.pid), "--on", "growth=1%/1s", f"report:{folder}") as watcher,
    ):
        assert watcher.stderr is not None
        assert watcher.stderr.readline().startswith("taskscope watch: watching ")
        folder.rmdir()
        folder.touch()
        assert f"nothing done, cannot write {folder}: File exists" in watcher.stderr.readline()
        assert watcher.poll() is None


def test_a_companion_ends_with_the_agent_and_the_program_reaps_only_its_own(tmp_path: Path) -> None:
    program = """
import os, sys, taskscope
taskscope.start("brief", on=f"leak report:{sys.argv[1]}")
try:
    os.wait()
except ChildProcessError:
    print("no child")
taskscope.stop()
"""
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)],
        capture_output=True, text=True, timeout=40, check=False, env={**os.environ, "PYTHONPATH": str(REPO)},
    )  # fmt: skip
    assert done.stdout == "no child\n"  # and that its stderr ended says that the companion has ended
    assert done.returncode == 0


def test_rules_write_no_report_of_watch() -> None:
    done = taskscope("watch", "1", "--on", "leak", "report:/nowhere", "--json")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "taskscope watch: --on writes no report: leave out --json\n"


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_a_night_of_crashes_and_a_leak_leaves_the_files_that_explain_it_and_no_more(tmp_path: Path) -> None:
    """The service is killed again and again, and captures itself from inside."""
    command = [sys.executable, "-m", "taskscope", "run", "--name", "night"]
    on = [
        "--on",
        "growth=5%/1s,leak,most=3/h",
        f"report:{tmp_path}",
        "--on",
        "leak",
        f"snapshot:{tmp_path}/s",
    ]
    for crash in (True, True, True, False):
        with subprocess.Popen([*command, *on, "-c", GROWING], stderr=subprocess.DEVNULL) as child:
            before = len(log(tmp_path))
            if crash:
                until(partial(_logs_more, tmp_path, before), 60)
            else:
                until(lambda: files(tmp_path / "s"), 100)
            child.kill()
    assert len(files(tmp_path, ".html")) == 3
    (saved,) = files(tmp_path / "s")
    leaks = [each for each in snapshot.load(saved)["findings"] if each["level"] == "leak"]
    assert leaks[0]["coroutine"] == "forgotten"


def _logs_more(folder: Path, before: int) -> bool:
    return len(log(folder)) > before
