"""Targets that stop answering while observed: stopped, blocked in a C call, replaced by exec."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING
from xml.etree import ElementTree as Xml

from taskscope.sources.live import LiveSource
from taskscope.sources.resolve import agent_of
from taskscope.tui.app import TaskScopeApp
from taskscope.tui.banner import sentence
from taskscope.tui.context import State
from tests.integration.children import running, taskscope

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

OBEYING = """
import asyncio, ctypes, os, sys
async def main():
    loop = asyncio.get_running_loop()
    while True:
        word = await loop.run_in_executor(None, sys.stdin.readline)
        if word.startswith("hold"):
            ctypes.PyDLL(None).sleep(int(word.split()[1]))
        if word == "exec\\n":
            os.execvp("sleep", ["sleep", "60"])
asyncio.run(main())
"""
"""Told ``hold 8``, it keeps the GIL for 8 s; told ``exec``, it runs another program."""


@contextmanager
def obeying() -> Iterator[subprocess.Popen[str]]:
    with running(OBEYING, "--interval", "200ms", stdin=subprocess.PIPE) as child:
        yield child
        child.send_signal(signal.SIGCONT)


def tell(child: subprocess.Popen[str], word: str) -> None:
    assert child.stdin is not None
    child.stdin.write(f"{word}\n")
    child.stdin.flush()


def stop(child: subprocess.Popen[str]) -> None:
    child.send_signal(signal.SIGSTOP)
    os.waitpid(child.pid, os.WUNTRACED)


@contextmanager
def watching(pid: int, *options: str) -> Iterator[subprocess.Popen[str]]:
    """A watch that has seen its first sample."""
    command = [sys.executable, "-m", "taskscope", "watch", str(pid), "--interval", "200ms", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as child:
        until(child, "1 task")
        yield child


def until(child: subprocess.Popen[str], word: str) -> str:
    """The line of its stderr that holds ``word``."""
    assert child.stderr is not None
    for line in child.stderr:
        if word in line:
            return line
    raise AssertionError(f"it ended without {word!r}")


def test_a_watch_that_stops_seeing_says_why_and_fails(tmp_path: Path) -> None:
    junit = tmp_path / "junit.xml"
    with obeying() as target:
        options = ("--for", "7s", "--json", "--github", "--junit", str(junit))
        with watching(target.pid, *options) as watch:
            tell(target, "hold 8")
            said = until(watch, "no samples")
            out, err = watch.communicate(timeout=20)
    why = f"process {target.pid} runs no Python: a C call from <string>:8 main holds the GIL"
    assert said.startswith(f"no samples for 5 s: {why}")
    assert watch.returncode == 1
    (silence,) = json.loads(out)["silences"]
    assert (silence["state"], silence["text"].startswith(why)) == ("held", True)
    assert 5 <= silence["seconds"] < 9
    assert "::error title=TaskScope%3A samples came throughout::no samples for" in err
    (case,) = [each for each in Xml.parse(junit).getroot() if len(each)]
    assert case.get("name") == "samples came throughout"


def test_a_watch_says_at_once_that_the_target_is_stopped_and_resumes_with_it() -> None:
    with obeying() as target, watching(target.pid, "--for", "60s") as watch:
        stop(target)
        said = until(watch, "no samples")
        assert f"process {target.pid} is stopped (kill -CONT {target.pid})" in said
        target.send_signal(signal.SIGCONT)
        until(watch, "samples resumed")
        watch.send_signal(signal.SIGINT)
        out, err = watch.communicate(timeout=20)
    assert "Too early to judge: watched for" in out
    assert watch.returncode == 0  # it was short
    assert "that it passed is no all-clear" in err


def test_a_stopped_target_is_not_waited_for() -> None:
    with obeying() as target:
        stop(target)
        done = taskscope("snapshot", str(target.pid))  # to wait would take until it goes on
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr == f"taskscope snapshot: process {target.pid} is stopped (kill -CONT {target.pid})\n"


def test_another_program_by_exec_is_not_the_end_of_the_process() -> None:
    with obeying() as target, watching(target.pid, "--for", "60s") as watch:
        tell(target, "exec")
        _, err = watch.communicate(timeout=20)
    why = f"process {target.pid} now runs another program (sleep)"
    assert f"taskscope watch: {why}; the report covers the time before\n" in err
    assert f"taskscope watch: {why}\n" in err
    assert watch.returncode == 1


def test_a_client_that_waits_for_a_process_whose_gil_is_held_learns_it_early() -> None:
    with obeying() as target:
        tell(target, "hold 600")
        command = [sys.executable, "-m", "taskscope", "snapshot", str(target.pid)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as child:
            said = until(child, "no answer")
            child.send_signal(signal.SIGINT)
            assert child.wait(10) == 130
    held = "a C call from <string>:8 main holds the GIL (its main thread waits in clock_nanosleep)"
    assert f"{held}; still waiting" in said


async def seen(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(15):
        while not true():
            await asyncio.sleep(0.05)


async def test_the_app_says_why_it_is_not_connected_and_why_no_sample_comes() -> None:
    with obeying() as target:
        path = agent_of(target.pid, inject=False).path
        why = f"{target.pid} is stopped (kill -CONT {target.pid})."
        stop(target)
        app = TaskScopeApp(LiveSource(path))
        async with app.run_test():
            await seen(lambda: why in sentence(app.context))
            assert app.context.state is State.CONNECTING
            target.send_signal(signal.SIGCONT)
            await seen(lambda: app.context.state is State.LIVE)
            stop(target)
            await seen(lambda: why in sentence(app.context) and "No sample for" in sentence(app.context))
            target.send_signal(signal.SIGCONT)
            await seen(lambda: sentence(app.context) == "")
