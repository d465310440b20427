"""Attaching despite obstacles: containers, chroots, other users, debuggers, processes starting or ending."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import taskscope
from taskscope.attach import inject, room
from taskscope.attach.diagnosis import diagnose
from taskscope.attach.errors import AttachError
from taskscope.attach.target import examine
from tests import pythons, targets
from tests.agent_client import AgentClient
from tests.patience import settled

if TYPE_CHECKING:
    from collections.abc import Iterator


@functools.cache
def _containers() -> bool:
    made = subprocess.run([*targets.container(), "true"], capture_output=True, check=False)
    return made.returncode == 0


@pytest.fixture
def containers() -> None:
    if not _containers():
        pytest.skip("namespaces cannot be made here (needs root and unshare)")


needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to become another user")


@pytest.mark.usefixtures("containers")
@pytest.mark.parametrize("version", ["3.11", "3.14"])
@pytest.mark.parametrize("place", ["namespaces", "chroot"])
def test_a_container_is_attached_to_from_outside(version: str, place: str) -> None:
    chroot = place == "chroot"
    before = targets.container(targets.CHROOT, "chroot .") if chroot else targets.container()
    with targets.running(pythons.require(version), "asyncio idle", before=before) as program:
        point = inject.ensure_agent(program.pid)
        assert point.path.startswith(f"/proc/{program.pid}/root/")
        assert point.pid == program.pid
        assert inject.ensure_agent(program.pid) == point
        told = {fact.topic: fact.text for fact in diagnose(program.pid).facts}
        assert "it is 1 there" in told["namespaces"]
        client = AgentClient(point.path)
        assert client.hello["process"]["pid"] == 1
        assert client.live() == 6
        client.detach()
        assert program.alive


@pytest.mark.usefixtures("containers")
def test_a_read_only_file_system_has_a_place_for_the_socket() -> None:
    before = targets.container(targets.READ_ONLY)
    with targets.running(pythons.require("3.11"), "asyncio idle", before=before) as program:
        point = inject.ensure_agent(program.pid)
        assert "/dev/shm/" in point.path
        AgentClient(point.path).detach()


@needs_root
def test_root_attaches_to_a_program_of_another_user() -> None:
    with targets.running(pythons.require("3.14"), "asyncio idle", before=_as_user()) as program:
        point = inject.ensure_agent(program.pid)
        assert Path(point.path).stat().st_uid == 65534
        AgentClient(point.path).detach()


@needs_root
def test_another_user_is_refused_with_the_remedy(readable_copy: Path) -> None:
    code = "import sys; from taskscope.attach.target import examine; examine(int(sys.argv[1]))"
    with targets.running(pythons.require("3.14"), "asyncio idle") as program:
        asked = subprocess.run(
            [*_as_user(), pythons.require("3.14"), "-c", code, str(program.pid)],
            capture_output=True,
            text=True,
            check=False,
            env={"PYTHONPATH": str(readable_copy)},
        )
        assert f"no permission to inspect process {program.pid}; it belongs to uid 0" in asked.stderr


def _as_user() -> tuple[str, ...]:
    return ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=-all")


@pytest.fixture
def readable_copy() -> Iterator[Path]:
    """A copy of our package that every user may read."""
    with tempfile.TemporaryDirectory(prefix="taskscope-test-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        shutil.copytree(Path(taskscope.__file__).parent, folder / "taskscope")
        yield folder


def test_a_process_being_debugged_is_refused_and_named() -> None:
    debugger = """
import ctypes, sys
libc = ctypes.CDLL(None, use_errno=True)
assert libc.ptrace(0x4206, int(sys.argv[1]), None, None) == 0
print("seized", flush=True)
sys.stdin.read()
"""
    with targets.running(pythons.require("3.11"), "asyncio idle") as program:
        child = subprocess.Popen(
            [sys.executable, "-c", debugger, str(program.pid)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        with child:
            assert child.stdout is not None
            assert child.stdout.readline() == b"seized\n"
            with pytest.raises(AttachError, match=f"is being debugged by process {child.pid}"):
                inject.ensure_agent(program.pid)
            child.kill()
        AgentClient(inject.ensure_agent(program.pid).path).detach()


def test_what_is_not_python_is_refused_untouched() -> None:
    with subprocess.Popen(["sleep", "60"]) as child:
        with pytest.raises(AttachError, match="not CPython"):
            inject.ensure_agent(child.pid)
        child.kill()


@pytest.mark.parametrize("version", ["3.8", "3.9", "3.10"])
def test_old_versions_are_refused_in_one_sentence(version: str) -> None:
    with (
        targets.running(pythons.require(version), "sleep") as program,
        pytest.raises(AttachError) as refusal,
    ):
        inject.ensure_agent(program.pid)
    expected = f"process {program.pid} runs Python {version}; TaskScope attaches to CPython 3.11 to 3.15"
    assert str(refusal.value) == expected


def test_threads_and_processes_that_are_no_more_are_named() -> None:
    with targets.running(pythons.require("3.11"), "join") as program:
        tid = next(
            int(path.name)
            for path in Path(f"/proc/{program.pid}/task").iterdir()
            if path.name != str(program.pid)
        )
        with pytest.raises(AttachError, match=f"{tid} is a thread; attach to its process, {program.pid}"):
            examine(tid)
    with pytest.raises(AttachError, match=f"no such process: {program.pid}"):
        examine(program.pid)


def test_a_zombie_has_ended() -> None:
    child = subprocess.Popen([sys.executable, "-c", ""])
    while Path(f"/proc/{child.pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z":
        time.sleep(0.005)
    with pytest.raises(AttachError, match=f"process {child.pid} has ended"):
        examine(child.pid)
    child.wait()


@pytest.mark.parametrize("version", ["3.11", "3.14"])
def test_beginnings_and_ends_harm_nobody(version: str) -> None:
    """A program ends as usual whenever it is attached to during its short life."""
    text = "import asyncio; asyncio.run(asyncio.sleep(0.05)); print('fine')"
    for turn in range(6):
        child = subprocess.Popen(
            [pythons.require(version), "-c", text], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        time.sleep(turn * 0.02)  # the moment is what is being varied
        try:
            inject.ensure_agent(child.pid, timeout=10)
        except AttachError as error:
            assert str(error)
        output, errors = child.communicate(timeout=20)
        assert (child.returncode, output, errors) == (0, "fine\n", "")


NO_DESCRIPTORS = """
import os, resource, time
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
try:
    while True:
        os.dup(1)
except OSError:
    os.write(1, b"ready %d\\n" % os.getpid())
time.sleep(3600)
"""


def test_a_target_without_descriptors_left_is_let_go_as_it_was() -> None:
    with targets.running(pythons.require("3.11"), NO_DESCRIPTORS) as program:
        before = program.mappings(), program.threads()
        with pytest.raises(AttachError, match="left unchanged: it has no free file descriptors") as refusal:
            inject.ensure_agent(program.pid)
        assert (program.mappings(), program.threads()) == before
        found = diagnose(program.pid).obstacle
        assert found is not None
        assert str(found) == str(refusal.value)
        assert program.alive


def usage(program: targets.Program) -> tuple[int, int]:
    return program.descriptors(), program.threads()


def test_with_almost_no_descriptors_it_works_or_says_why_not_and_leaves_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(inject, "obstacle", lambda target: None)
    refused = []
    for free in range(4):
        text = NO_DESCRIPTORS.replace(
            "os.write", f"[os.close(each) for each in range(60 - {free}, 60)]\n    os.write"
        )
        with targets.running(pythons.require("3.13"), text) as program:
            before = usage(program)
            try:
                AgentClient(inject.ensure_agent(program.pid, timeout=5).path).detach()
            except AttachError as error:
                assert "left unchanged: it has " in str(error)
                refused.append(free)
            settled(functools.partial(usage, program), before)
    assert refused in ([0, 1], [0, 1, 2], [0, 1, 2, 3])


@needs_root
def test_a_target_that_may_start_no_thread_is_let_go_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    text = """
import os, resource, time
resource.setrlimit(resource.RLIMIT_NPROC, (1, 1))
print("ready", os.getpid())
time.sleep(3600)
"""
    with targets.running(pythons.require("3.14"), text, before=_as_user()) as program:
        seen = []
        for _ in range(3):
            with pytest.raises(AttachError, match="may start no more threads"):
                inject.ensure_agent(program.pid)
            monkeypatch.setattr(room, "THREADS", -(1 << 20))
            with pytest.raises(AttachError, match="left unchanged: it cannot start another thread"):
                inject.ensure_agent(program.pid)
            monkeypatch.undo()
            seen.append((program.mappings(), program.descriptors()))
        assert seen[0] == seen[1] == seen[2]  # the first try may have made the C library's heap grow
        assert program.alive
