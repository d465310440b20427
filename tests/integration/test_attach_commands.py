"""The verbs around attaching: doctor touches nothing, any other verb injects the agent, detach removes it."""

from __future__ import annotations

import json
import os
import pty
import re
import shutil
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from taskscope.attach.presence import agent_in
from taskscope.interpreter import READ_ONLY
from tests import pythons, targets
from tests.integration.children import taskscope

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("version", ["3.11", "3.14"])
def test_from_an_unprepared_process_to_a_snapshot_and_back(version: str, tmp_path: Path) -> None:
    with targets.running(pythons.require(version), "asyncio idle") as program:
        before = program.threads(), program.descriptors()

        told = taskscope("doctor", program.pid)
        assert told.returncode == 0
        assert f"Process {program.pid} can be attached to." in told.stdout
        assert f"CPython {version}." in told.stdout
        assert "none; it would listen at" in told.stdout
        packed = json.loads(taskscope("doctor", program.pid, "--json").stdout)
        assert (packed["pid"], packed["attachable"], packed["obstacle"]) == (program.pid, True, None)
        assert packed["facts"]["python"].startswith(f"CPython {version}.")
        assert (program.threads(), program.descriptors()) == before

        taken = taskscope("snapshot", program.pid, "-o", tmp_path / "state.json")
        assert taken.returncode == 0, taken.stderr
        assert "was stopped for" in taken.stderr
        assert f"until `taskscope detach {program.pid}`" in taken.stderr
        assert json.loads((tmp_path / "state.json").read_text())["process"]["pid"] == program.pid

        assert "already running" in taskscope("doctor", program.pid).stdout
        gone = taskscope("detach", program.pid)
        assert (gone.returncode, gone.stderr) == (0, f"Agent removed from process {program.pid}.\n")
        assert (program.threads(), program.descriptors()) == before
        assert program.alive


def test_a_refusal_is_one_sentence_and_status_3() -> None:
    with targets.running(pythons.require("3.11"), "asyncio idle") as program:
        told = taskscope("detach", program.pid)
        assert told.returncode == 3
        assert told.stderr == f"taskscope detach: no agent in process {program.pid}\n"
    for verb in ("detach", "doctor"):
        told = taskscope(verb, program.pid)
        assert (told.returncode, told.stderr) == (3, f"taskscope {verb}: no such process: {program.pid}\n")
    packed = json.loads(taskscope("doctor", program.pid, "--json").stdout)
    assert (packed["attachable"], packed["obstacle"]) == (False, f"no such process: {program.pid}")
    with subprocess.Popen(["sleep", "60"]) as child:
        for verb in ("doctor", "attach"):
            told = taskscope(verb, child.pid)
            assert told.returncode == 3
            assert "not CPython" in told.stderr
        child.kill()
    assert taskscope("doctor", "me").returncode == 3


@pytest.mark.skipif(os.geteuid() != 0 or shutil.which("setpriv") is None, reason="takes root and setpriv")
def test_doctor_says_what_a_container_lacks() -> None:
    """Root without the capability: as in `docker run` without options."""
    with targets.running(pythons.require("3.11"), "asyncio idle") as program:
        lesser = ["setpriv", "--bounding-set=-sys_ptrace", sys.executable, "-m", "taskscope", "doctor"]
        told = subprocess.run([*lesser, str(program.pid)], capture_output=True, text=True, check=False)
        assert told.returncode == 3
        assert "root lacks CAP_SYS_PTRACE here" in told.stderr
        for line in (
            "docker run --cap-add=SYS_PTRACE",
            "capabilities: {add: [SYS_PTRACE]}",
            "--target=CONTAINER --profile=general",
            "shareProcessNamespace: true",
        ):
            assert line in told.stdout
        packed = subprocess.run([*lesser, "999999999", "--json"], capture_output=True, text=True, check=False)
        said = json.loads(packed.stdout)
        assert said["obstacle"] == "no such process: 999999999"
        assert set(said["ways"]) == {"docker", "pod", "debug", "sidecar"}


def test_doctor_says_that_a_process_is_stopped() -> None:
    with targets.running(pythons.require("3.11"), "asyncio idle") as program:
        os.kill(program.pid, signal.SIGSTOP)
        told = taskscope("doctor", program.pid)
        assert (told.returncode, told.stdout.splitlines()[0]) == (
            3,
            f"Process {program.pid} cannot be attached to.",
        )
        assert told.stderr == (
            f"taskscope doctor: process {program.pid} is stopped, so no agent can start in it; "
            f"kill -CONT {program.pid}, then attach again; {READ_ONLY}\n"
        )
        assert "way in" not in told.stdout
        assert "safe point" not in told.stdout


def test_doctor_says_why_not_before_all_else() -> None:
    with targets.running(pythons.require("3.11"), "asyncio idle") as program:
        os.kill(program.pid, signal.SIGSTOP)
        command = [sys.executable, "-m", "taskscope", "doctor", str(program.pid)]
        both = subprocess.run(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
        ).stdout
        assert both.startswith(f"taskscope doctor: process {program.pid} is stopped")


SLEEPS = """
import asyncio, os
async def main():
    waiting = [asyncio.create_task(asyncio.sleep(3600)) for _ in range(9)]
    print("ready", os.getpid())
    await asyncio.gather(*waiting)
asyncio.run(main())
"""
LEFT = b"\x1b[?1049l"
"""With it the app gives the terminal back."""


def in_a_terminal(
    *arguments: object, shows: bytes = b"injected", keys: bytes = b"q"
) -> tuple[int, list[str]]:
    """Runs the app in a terminal of its own, and types ``keys`` once ``shows`` is there.

    Returns its exit status, and the lines that it leaves below what was on the terminal before.
    """
    pid, terminal = pty.fork()
    if pid == 0:
        os.environ.update(TERM="xterm-256color", LINES="40", COLUMNS="120")
        os.execv(sys.executable, [sys.executable, "-m", "taskscope", *map(str, arguments)])
    drawn = b""
    deadline = time.monotonic() + 45
    with os.fdopen(terminal, "rb", buffering=0) as screen:
        while time.monotonic() < deadline:
            try:
                drawn += screen.read(65536)
            except OSError:  # the app has closed the terminal
                break
            if keys and shows in drawn:
                os.write(terminal, keys)
                keys = b""
    assert not keys, drawn[-2000:]
    after = re.sub(rb"\x1b\[[0-9;?>=<]*[a-zA-Z]", b"", drawn.partition(LEFT)[2]).decode()
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), after.split("\r\n")[:-1]


def test_detach_on_exit_leaves_the_process_as_it_was() -> None:
    with targets.running(pythons.require("3.11"), SLEEPS) as program:
        before = program.threads(), program.descriptors()
        left = in_a_terminal("attach", program.pid, "--detach-on-exit")
        assert left == (0, [f"Agent removed from process {program.pid}."])
        assert (program.threads(), program.descriptors()) == before
        assert program.alive


def test_an_agent_that_stays_is_told_of_when_the_app_is_left() -> None:
    with targets.running(pythons.require("3.11"), SLEEPS) as program:
        assert in_a_terminal("attach", program.pid, "--read-only", shows=b"sleep") == (0, [])
        stays = f"the agent stays in process {program.pid}, idle, until `taskscope detach {program.pid}`"
        for _ in ("brought in", "there already"):
            assert in_a_terminal("attach", program.pid) == (0, [stays])


def test_one_command_is_named_that_removes_the_agents_of_a_group() -> None:
    python = pythons.require("3.11")
    with targets.running(python, SLEEPS) as one, targets.running(python, SLEEPS) as other:
        status, (said,) = in_a_terminal("attach", one.pid, other.pid, shows=b"2 processes")
        assert (status, said.partition(", until ")[0]) == (0, "agents stay in 2 processes, idle")
        command = said.partition("`")[2].removesuffix("`").split()
        assert command[:2] == ["taskscope", "detach"]
        assert taskscope(*command[1:]).returncode == 0
        assert [agent_in(each.pid) for each in (one, other)] == [None, None]


def test_detach_on_exit_wants_a_pid() -> None:
    told = taskscope("attach", "orders", "--detach-on-exit")
    assert (told.returncode, told.stderr) == (
        2,
        "taskscope attach: --detach-on-exit requires the pid of a process, or a group\n",
    )
