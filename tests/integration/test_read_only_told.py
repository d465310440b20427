"""What is said of a process that is only read: why nothing runs in it, and what is not known."""

from __future__ import annotations

import asyncio
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from taskscope.attach.reading import kernel_threads
from taskscope.sources.outside.source import OutsideSource
from taskscope.sources.saved import SavedSource
from taskscope.tui.app import TaskScopeApp
from tests import pythons, targets
from tests.integration.children import taskscope
from tests.integration.test_read_only import HOLDS_THE_GIL, STANDING, halted
from tests.patience import FACTOR, settled
from tests.tui.screen_text import screen_text

if TYPE_CHECKING:
    from tests.targets import Program


def told(program: Program, folder: Path) -> dict[str, str]:
    """What each verb says of a process in which nothing runs, and the app on its snapshot."""
    pid, saved = str(program.pid), folder / "saved.json"
    report = taskscope("report", "--read-only", pid, "--for", "2s", "-o", "-")
    snapshot = taskscope("snapshot", "--read-only", pid, "-o", str(saved))
    watch = taskscope("watch", "--read-only", pid, "--for", "2s")
    again = taskscope("report", str(saved), "-o", "-")
    assert [each.returncode for each in (report, snapshot, watch, again)] == [0, 0, 1, 0]
    return {
        "report": report.stdout,
        "snapshot": snapshot.stderr,
        "watch": watch.stderr,
        "report of the snapshot": again.stdout,
    }


async def test_a_kept_gil_is_in_the_report_in_the_snapshot_and_in_the_app_on_that(tmp_path: Path) -> None:
    with targets.running(pythons.require("3.11"), HOLDS_THE_GIL) as program:
        settled(lambda: kernel_threads.thread(program.pid, program.pid).call, "pause")
        settled(lambda: (kernel_threads.asleep_for(program.pid, program.pid) or 0.0) >= 1.0, True)
        said = await asyncio.to_thread(told, program, tmp_path)
    for text in said.values():
        assert re.search(r"[Nn]o Python code for \d+ s", text)
        assert f"hread {program.pid} has held the GIL for" in text
        assert "no leak or hang found" not in text
    assert re.match(r"# .*: no Python code for \d+ s\n", said["report"])
    app = TaskScopeApp(SavedSource(str(tmp_path / "saved.json")))
    async with app.run_test(size=(80, 24)), asyncio.timeout(20 * FACTOR):
        while "has held the GIL for" not in screen_text(app):
            await asyncio.sleep(0.05)


def test_a_stopped_process_is_reported_as_stopped(tmp_path: Path) -> None:
    with targets.running(pythons.require("3.11"), STANDING) as program:
        halted(program)
        said = told(program, tmp_path)
    for text in said.values():
        assert re.search(r"[Nn]o Python code", text)
        assert f"rocess {program.pid} is stopped (kill -CONT {program.pid})" in text
        assert "no leak or hang found" not in text


def test_a_report_on_several_says_which_of_them_say_nothing() -> None:
    with (
        targets.running(pythons.require("3.11"), STANDING) as stopped,
        targets.running(pythons.require("3.11"), STANDING) as other,
    ):
        halted(stopped)
        pids = str(stopped.pid), str(other.pid)
        text = taskscope("report", "--read-only", *pids, "--for", "7s", "-o", "-").stdout
    assert ": 1 of 2 processes said nothing\n" in text
    assert "Read from outside: nothing enters the process." in text
    assert f"says nothing: process {stopped.pid} is stopped" in text


def test_a_report_from_outside_says_so_and_what_it_leaves_out() -> None:
    with targets.running(pythons.require(pythons.NEWEST), STANDING) as program:
        text = taskscope("report", "--read-only", str(program.pid), "--for", "20s", "-o", "-").stdout
    assert ": no growth found\n" in text
    assert "Read from outside: nothing enters the process." in text
    assert "Only an agent finds what hangs, and causes." in text
    assert "| line | coroutine | live | change |\n" in text
    assert "## Waits at \\<string>" in text
    assert "read from outside for 2" in text
    for wrong in ("with the agent", "Started at", "that start tasks", "nothing awaits it", "– old", "\\~"):
        assert wrong not in text


LOCK_CIRCLE = """
import os, threading
first, second, gate = threading.Lock(), threading.Lock(), threading.Barrier(3)
def takes(one, other):
    with one:
        gate.wait()
        with other: pass
threading.Thread(target=takes, args=(first, second)).start()
threading.Thread(target=takes, args=(second, first)).start()
gate.wait()
print("ready", os.getpid())
"""


def test_of_a_circle_of_locks_is_said_that_it_takes_an_agent_to_find_it() -> None:
    with targets.running(pythons.require("3.11"), LOCK_CIRCLE) as program:
        done = taskscope("watch", "--read-only", str(program.pid), "--for", "20s")
    assert "No growth found.  Only an agent finds what hangs, and causes." in done.stdout
    assert "No findings" not in done.stdout


TRIO = """
import os, trio
async def session(): await trio.sleep(3600)
async def main():
    async with trio.open_nursery() as nursery:
        for _ in range(5): nursery.start_soon(session)
        print("ready", os.getpid(), flush=True)
trio.run(main)
"""


async def test_tasks_of_trio_are_unknown_and_not_none(tmp_path: Path) -> None:
    pytest.importorskip("trio")
    with targets.running(Path(sys.executable), TRIO) as program:
        done = taskscope("watch", "--read-only", str(program.pid), "--for", "1s")
        report = taskscope("report", "--read-only", str(program.pid), "--for", "1s", "-o", "-").stdout
        app = TaskScopeApp(OutsideSource(program.pid))
        async with app.run_test(size=(120, 30)), asyncio.timeout(20 * FACTOR):
            while "its tasks cannot be seen from outside" not in screen_text(app):
                await asyncio.sleep(0.05)
            assert "tasks –" in screen_text(app)
            assert "No tasks" not in screen_text(app)
    assert "runs trio: its tasks cannot be seen from outside; threads are shown" in done.stderr
    assert "tasks –" in done.stdout
    assert "0 tasks" not in done.stdout + done.stderr + report
    assert "runs trio: its tasks cannot be seen from outside" in report
