"""An agent gets into programs prepared for nothing, whatever they are doing, and leaves them as they were."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from taskscope.attach import attempt, inject
from taskscope.attach.diagnosis import diagnose
from taskscope.attach.errors import AttachError
from taskscope.attach.presence import agent_in
from taskscope.attach.reading import kernel_threads
from tests import pythons, targets
from tests.agent_client import AgentClient
from tests.integration.children import REPO
from tests.patience import FACTOR, settled

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

STANDARD = [name for name in targets.PROGRAMS if not name.startswith(("uvloop", "fastapi"))]


@pytest.mark.parametrize("version", pythons.versions())
def test_every_version_is_attached_to_and_left_as_it_was(version: str) -> None:
    with targets.running(pythons.require(version), "asyncio idle") as program:
        before = program.threads(), program.descriptors()
        for _ in range(2):
            point = inject.ensure_agent(program.pid)
            client = AgentClient(point.path)
            assert client.hello["process"]["pid"] == program.pid
            assert client.hello["process"]["python"].startswith(version)
            assert client.live() == 6
            client.detach()
            settled(lambda: (program.threads(), program.descriptors()), before)
        assert program.alive


@pytest.mark.parametrize("name", STANDARD)
def test_every_kind_of_target_is_attached_to(name: str) -> None:
    with targets.running(pythons.require("3.11"), name) as program:
        said: list[str] = []
        point = inject.ensure_agent(program.pid, progress=said.append)
        client = AgentClient(point.path)
        assert client.hello["arrived"] == "injected"
        assert any("was stopped for" in text for text in said)
        client.detach()
        assert program.alive


def test_an_agent_that_is_there_is_used(tmp_path: Path) -> None:
    with targets.running(pythons.require("3.11"), "asyncio idle") as program:
        first = inject.ensure_agent(program.pid)
        said: list[str] = []
        assert inject.ensure_agent(program.pid, progress=said.append) == first
        assert said == []


def test_two_attachers_at_once_share_one_agent() -> None:
    code = """
import sys
from taskscope.attach.inject import ensure_agent
print(ensure_agent(int(sys.argv[1])).path)
"""
    with targets.running(pythons.require("3.11"), "asyncio idle") as program:
        threads = program.threads()
        attachers = [
            subprocess.Popen(
                [sys.executable, "-c", code, str(program.pid)],
                stdout=subprocess.PIPE,
                text=True,
            )
            for _ in range(2)
        ]
        paths = {attacher.communicate()[0] for attacher in attachers}
        assert len(paths) == 1
        settled(program.threads, threads + 1)


@pytest.mark.parametrize("options", [("-I",), ("-S",), ("-O",), ("-I", "-S", "-OO", "-B"), ("-X", "dev")])
def test_interpreter_options_do_not_matter(options: tuple[str, ...]) -> None:
    with targets.running(pythons.require("3.11"), "asyncio idle", options) as program:
        client = AgentClient(inject.ensure_agent(program.pid).path)
        assert client.live() == 6
        client.detach()


def test_a_taskscope_of_the_targets_own_is_not_shadowed(tmp_path: Path) -> None:
    (tmp_path / "taskscope.py").write_text("mine = True\n")
    text = """
import asyncio, os, signal, sys
import taskscope
def check(*_):
    print(taskscope.mine, sorted(name for name in sys.modules if "taskscope" in name), sys.path == path)
async def main():
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, check)
    print("ready", os.getpid())
    await asyncio.Event().wait()
path = list(sys.path)
asyncio.run(main())
"""

    def asked() -> str:
        os.kill(program.pid, signal.SIGUSR1)
        assert program.child.stdout is not None
        return program.child.stdout.readline()

    with targets.running(pythons.require("3.11"), text, cwd=tmp_path) as program:
        point = inject.ensure_agent(program.pid)
        assert asked().startswith("True ['_taskscope_agent'")
        AgentClient(point.path).detach()
        assert asked() == "True ['taskscope'] True\n"


def test_threading_that_was_never_imported_still_knows_the_main_thread() -> None:
    text = """
import os, sys
assert "threading" not in sys.modules
print("ready", os.getpid())
sys.stdin.readline()
import threading
print(threading.current_thread() is threading.main_thread(), threading.active_count())
"""
    python, pipe = pythons.require("3.11"), subprocess.PIPE
    with targets.running(python, text, ["-S"], stdin=pipe, stderr=pipe) as program:
        inject.ensure_agent(program.pid)
        output, errors = program.child.communicate("go on\n", timeout=20 * FACTOR)
        assert (output, errors) == ("True 1\n", "")
        assert program.child.returncode == 0


def test_a_deleted_executable_and_another_directory_do_not_matter(tmp_path: Path) -> None:
    python = pythons.require("3.11")
    library = python.parent.parent / "lib"
    copied = tmp_path / "bin" / "python"
    copied.parent.mkdir()
    copied.write_bytes(python.resolve().read_bytes())
    copied.chmod(0o755)
    environment = {"LD_LIBRARY_PATH": str(library), "PYTHONHOME": str(python.parent.parent)}
    with targets.running(copied, "asyncio idle", env=environment, cwd=tmp_path) as program:
        copied.unlink()
        AgentClient(inject.ensure_agent(program.pid).path).detach()
        assert program.alive


def test_a_stopped_target_is_named_at_once_and_left_alone() -> None:
    with targets.running(pythons.require("3.11"), "asyncio idle") as program:
        os.kill(program.pid, signal.SIGSTOP)
        settled(lambda: state(program.pid), "T")
        before = program.threads(), program.descriptors(), program.mappings()
        began = time.monotonic()
        with pytest.raises(AttachError, match="is stopped") as refusal:
            inject.ensure_agent(program.pid)
        assert time.monotonic() - began < 5
        assert "kill -CONT" in refusal.value.remedy
        assert state(program.pid) == "T"
        assert (program.threads(), program.descriptors(), program.mappings()) == before
        os.kill(program.pid, signal.SIGCONT)
        AgentClient(inject.ensure_agent(program.pid).path).detach()
        assert program.alive


HOLDS_THE_GIL = """
import ctypes, os, signal, time
signal.signal(signal.SIGUSR1, lambda *_: None)
os.write(1, b"ready %d\\n" % os.getpid())
ctypes.PyDLL(None).pause()
time.sleep(60)
"""


def test_a_c_call_that_waits_with_the_gil_is_named_and_waited_for_from_outside() -> None:
    with targets.running(pythons.require("3.11"), HOLDS_THE_GIL) as program:
        settled(lambda: kernel_threads.thread(program.pid, program.pid).call, "pause")
        before, there = traces(program), []

        def hint(text: str) -> None:
            if re.search("has held the GIL for .* in `pause`, called from <string>:5 <module>", text):
                there.append(traces(program))
                os.kill(program.pid, signal.SIGUSR1)  # the call returns

        AgentClient(inject.ensure_agent(program.pid, timeout=30 * FACTOR, progress=hint).path).detach()
        assert there == [before], "nothing entered while it was held"
        assert program.alive


STARTS_SLOWLY = """
import os, time, zlib
unpack = zlib.decompress
def slowly(*words):
    end = time.monotonic() + 3
    while time.monotonic() < end:
        pass
    return unpack(*words)
zlib.decompress = slowly
print("ready", os.getpid())
while True:
    pass
"""
"""As on a slow machine: the agent needs seconds to start, and two threads take turns with the GIL."""


def test_an_agent_that_starts_slowly_is_said_to_start_and_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inject, "_HINT_AFTER", 0.7)
    said: list[str] = []
    with targets.running(pythons.require("3.11"), STARTS_SLOWLY) as program:
        AgentClient(inject.ensure_agent(program.pid, timeout=1, progress=said.append).path).detach()
        assert program.alive
    assert f"the agent is starting in process {program.pid}; waiting" in said
    assert not [each for each in said if "GIL" in each]


def test_nothing_enters_a_process_whose_gil_is_not_given_back() -> None:
    with targets.running(pythons.require("3.13"), HOLDS_THE_GIL) as program:
        settled(lambda: kernel_threads.thread(program.pid, program.pid).call, "pause")
        before = traces(program)
        begun = time.monotonic()
        with pytest.raises(AttachError, match="no Python code can run in this process"):
            inject.ensure_agent(program.pid, timeout=1)
        assert time.monotonic() - begun < 2 * FACTOR
        assert traces(program) == before
        found = diagnose(program.pid).obstacle
        assert found is not None
        assert "has held the GIL" in found.sentence
        os.kill(program.pid, signal.SIGUSR1)
        AgentClient(inject.ensure_agent(program.pid).path).detach()
        settled(lambda: traces(program)[:2], before[:2])


COMPUTES_WITH_THE_GIL = """
import collections, functools, mmap, operator, os, time
told = mmap.mmap(os.open({file!r}, os.O_RDWR), 1)
os.write(1, b"ready %d\\n" % os.getpid())
collections.deque(iter(functools.partial(operator.getitem, told, 0), 1), maxlen=0)
time.sleep(60)
"""
"""It never gives the GIL back until the file holds a one: all of that line runs in C."""


@contextmanager
def computing(version: str, tmp_path: Path) -> Iterator[tuple[targets.Program, Callable[[], object]]]:
    """A program that computes with the GIL, and what ends that."""
    file = tmp_path / "told"
    file.write_bytes(b"\0")
    text = COMPUTES_WITH_THE_GIL.format(file=str(file))
    with targets.running(pythons.require(version), text) as program, file.open("r+b", buffering=0) as told:
        yield program, lambda: told.write(b"\1")


def traces(program: targets.Program) -> tuple[int, int, int]:
    return program.threads(), program.descriptors(), program.mappings()


def test_further_attempts_add_nothing_to_one_that_waits_and_nothing_starts_later(tmp_path: Path) -> None:
    with computing("3.13", tmp_path) as (program, give_back):
        with pytest.raises(AttachError, match="has not started within") as refusal:
            inject.ensure_agent(program.pid, timeout=2 * FACTOR)
        assert "the attempt is withdrawn" in refusal.value.remedy
        before = program.threads(), program.descriptors(), program.mappings()
        for _ in range(2):
            with pytest.raises(AttachError, match="has held the GIL"):  # the one that waits asks for it
                inject.ensure_agent(program.pid, timeout=0.6 * FACTOR)
        assert (program.threads(), program.descriptors(), program.mappings()) == before
        found = diagnose(program.pid).obstacle
        assert found is not None
        assert "is pending in process" in found.sentence
        assert "will do nothing" in found.sentence
        give_back()
        settled(lambda: attempt.waiting(program.pid), None)
        assert agent_in(program.pid) is None
        AgentClient(inject.ensure_agent(program.pid).path).detach()


def test_detach_takes_back_what_a_killed_client_left(tmp_path: Path) -> None:
    code = "import sys; from taskscope.attach.inject import ensure_agent; ensure_agent(int(sys.argv[1]))"
    with computing("3.11", tmp_path) as (program, give_back):
        before = program.threads(), program.descriptors()
        with subprocess.Popen([sys.executable, "-c", code, str(program.pid)]) as client:
            settled(lambda: attempt.waiting(program.pid) is not None, True, 60)
            client.kill()
        assert program.threads() == before[0] + 1
        found = diagnose(program.pid).obstacle
        assert found is not None
        assert "will start the agent" in found.sentence
        told = subprocess.run(
            [sys.executable, "-m", "taskscope", "detach", str(program.pid)],
            capture_output=True,
            text=True,
            check=False,
        )
        assert told.returncode == 0
        assert "Cancelled " in told.stderr
        found = diagnose(program.pid).obstacle
        assert found is not None
        assert "will do nothing" in found.sentence
        give_back()
        settled(lambda: (program.threads(), program.descriptors()), before)
        assert agent_in(program.pid) is None
        AgentClient(inject.ensure_agent(program.pid).path).detach()


def state(pid: int) -> str:
    with open(f"/proc/{pid}/stat") as file:
        return file.read().rpartition(")")[2].split()[0]


def test_threads_that_come_and_go_do_not_get_in_the_way() -> None:
    text = """
import os, threading, time
print("ready", os.getpid())
while True:
    threads = [threading.Thread(target=time.sleep, args=(0.0005,)) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
"""
    with targets.running(pythons.require("3.11"), text) as program:
        for _ in range(2):
            AgentClient(inject.ensure_agent(program.pid).path).detach()
        assert program.alive


@pytest.mark.parametrize("version", ["3.11", "3.15"])
def test_a_deleted_working_directory_and_the_development_mode_do_not_matter(
    version: str, tmp_path: Path
) -> None:
    text = """
import asyncio, os, threading
os.rmdir(os.getcwd())
async def main():
    threading.Thread(target=threading.Event().wait, daemon=True).start()
    waiting = [asyncio.create_task(asyncio.sleep(3600)) for _ in range(5)]
    print("ready", os.getpid())
    await asyncio.gather(*waiting)
asyncio.run(main())
"""
    folder = tmp_path / "gone"
    folder.mkdir()
    with (
        open(tmp_path / "errors", "w+") as errors,
        targets.running(pythons.require(version), text, ["-X", "dev"], cwd=folder, stderr=errors) as program,
    ):
        command = [sys.executable, "-m", "taskscope"]
        for words in (["snapshot", "-o", "state.json"], ["watch", "--for", "1200ms"], ["detach"]):
            done = subprocess.run(
                [*command, words[0], str(program.pid), *words[1:]],
                cwd=tmp_path,
                env={**os.environ, "PYTHONPATH": str(REPO)},
                capture_output=True,
                text=True,
                timeout=40 * FACTOR,
            )
            assert done.returncode == 0, done.stderr
        assert program.alive
        errors.seek(0)
        assert errors.read() == ""


def test_a_deleted_working_directory_of_ours_does_not_matter(tmp_path: Path) -> None:
    code = """
import os, sys
from taskscope.attach.inject import ensure_agent
os.mkdir("gone"); os.chdir("gone"); os.rmdir("../gone")
print(ensure_agent(int(sys.argv[1])).path)
"""
    with targets.running(pythons.require("3.13"), "asyncio idle") as program:
        done = subprocess.run(
            [sys.executable, "-c", code, str(program.pid)],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(REPO)},
            capture_output=True,
            text=True,
            timeout=40 * FACTOR,
        )
        assert done.stderr == ""
        AgentClient(done.stdout.strip()).detach()


def test_an_agent_that_was_told_to_leaves_by_itself_after_its_last_client() -> None:
    with targets.running(pythons.require("3.11"), "asyncio idle") as program:
        before = program.threads(), program.descriptors()
        client = AgentClient(inject.ensure_agent(program.pid, lingers=0.5).path)
        time.sleep(1.5)  # longer than it lingers: a client keeps it
        assert client.live() == 6
        client.close()
        settled(lambda: (program.threads(), program.descriptors()), before)
        settled(lambda: agent_in(program.pid), None)
