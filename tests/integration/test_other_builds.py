"""Interpreters that no agent can run in are refused in one true sentence, from outside and inside.

No GraalPy is at hand, a Python with musl only where ``$TASKSCOPE_MUSL`` names one, and free-threaded ones not
everywhere (see ``test_free_threaded``): a CPython is given their marks, the very ones that are looked for (a
field of its memory, a flag, the name of a file).
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from taskscope.attach import builds, inject
from taskscope.attach.discover import processes
from taskscope.attach.errors import AttachError
from taskscope.attach.presence import agent_in
from taskscope.attach.target import examine
from taskscope.interpreter import READ_ONLY
from tests.integration.children import REPO, running, says, taskscope
from tests.pythons import require, versions

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FREE_THREADED = "an agent that reads tasks while other threads change them may crash it"

WITHOUT_GIL = """
import ctypes, time
runtime = ctypes.addressof(ctypes.c_char.in_dll(ctypes.pythonapi, "_PyRuntime"))
assert ctypes.string_at(runtime, 8) == b"xdebugpy"
ctypes.c_uint64.from_address(runtime + 16).value = 1  # its own debug offsets: free_threaded
print("ready", flush=True)
time.sleep(3600)
"""

WITH_MUSL = """
import mmap, sys, time
with open(sys.argv[1], "rb") as loader:
    kept = mmap.mmap(loader.fileno(), 0, access=mmap.ACCESS_READ)
print("ready", flush=True)
time.sleep(3600)
"""

WAITS = """
import asyncio
async def wait(): await asyncio.Event().wait()
async def main():
    waiting = [asyncio.create_task(wait()) for _ in range(3)]
    print("ready", flush=True)
    await asyncio.gather(*waiting)
asyncio.run(main())
"""

CLAIMS_NO_GIL = """
import sys, time
sys.abiflags = "t"
print("ready", flush=True)
while True: time.sleep(0.01)
"""


@contextmanager
def ready(*command: str | Path) -> Iterator[subprocess.Popen[str]]:
    """A process that has said so."""
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        try:
            says(child, "ready")
            yield child
        finally:
            child.kill()


@contextmanager
def named(folder: Path, name: str) -> Iterator[int]:
    """A process whose executable has that name."""
    sleep = shutil.which("sleep")
    assert sleep is not None
    shutil.copy(os.path.realpath(sleep), folder / name)
    with subprocess.Popen([folder / name, "3600"]) as child:
        try:
            yield child.pid
        finally:
            child.kill()


def refusal(pid: int) -> str:
    with pytest.raises(AttachError) as refused:
        examine(pid)
    return str(refused.value)


def listed(pid: int) -> str:
    return next(each.obstacle for each in processes(only={pid}))


def in_tree(python: str | Path, *options: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(REPO)}
    return subprocess.run([python, *options], capture_output=True, text=True, check=False, env=environment)


@pytest.mark.parametrize("version", versions("3.13", "3.14", "3.15"))
def test_a_free_threaded_build_is_told_by_its_memory(version: str) -> None:
    with ready(require(version), "-c", WITHOUT_GIL) as child:
        remedy = READ_ONLY
        if version == "3.13":
            remedy = "run the program under a Python with a GIL to watch it"
        assert refusal(child.pid) == (
            f"process {child.pid} runs a free-threaded Python; {FREE_THREADED}, so none enters it; {remedy}"
        )
        said = taskscope("doctor", str(child.pid))
        assert (said.returncode, said.stdout) == (3, "")
        assert FREE_THREADED in said.stderr


@pytest.mark.parametrize(
    ("name", "kind", "hint"),
    [
        ("python3.14t", "free-threaded Python", "free-threaded: only read from outside"),
        ("graalpy", "GraalPy", "GraalPy: CPython is needed"),
        ("pypy3.11", "PyPy", "PyPy: CPython is needed"),
    ],
)
def test_a_build_is_told_by_the_name_of_its_files(name: str, kind: str, hint: str, tmp_path: Path) -> None:
    with named(tmp_path, name) as pid:
        assert f"process {pid} runs " in refusal(pid)
        assert kind in refusal(pid)
        assert listed(pid) == hint


def test_a_free_threaded_3_13_is_not_read_either() -> None:
    with ready(require("3.13"), "-c", WITHOUT_GIL) as child:
        outside = taskscope("snapshot", "--read-only", str(child.pid))
    assert outside.returncode == 3
    assert "CPython 3.11 to 3.15 can be read, free-threaded from 3.14 on" in outside.stderr


def test_no_agent_starts_in_a_free_threaded_build() -> None:
    program = "import sys, taskscope; sys.abiflags = 't'; taskscope.start()"
    said = in_tree(sys.executable, "-c", program).stderr.splitlines()[-1]
    assert said == f"taskscope.StartError: this is a free-threaded Python; {FREE_THREADED}"


def test_a_program_runs_on_in_a_free_threaded_build_without_an_agent() -> None:
    program = (
        f"import sys; sys.path.insert(0, {str(REPO)!r}); sys.abiflags = 't'\n"
        "from taskscope.__main__ import main\n"
        "main(['run', '-c', 'print(40 + 2)'])"
    )
    done = subprocess.run([sys.executable, "-E", "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "42\n")
    assert done.stderr == (
        "taskscope: the agent could not start; running the program without it: "
        f"this is a free-threaded Python; {FREE_THREADED}\n"
    )


def test_an_agent_that_was_let_in_by_mistake_does_not_start() -> None:
    with ready(sys.executable, "-c", CLAIMS_NO_GIL) as child:
        with pytest.raises(AttachError, match=FREE_THREADED):
            inject.ensure_agent(child.pid)
        assert agent_in(child.pid) is None
        assert child.poll() is None


def test_musl_is_told_by_its_loader(tmp_path: Path) -> None:
    (loader := tmp_path / "ld-musl-x86_64.so.1").write_bytes(b"\x7fELF")
    with ready(sys.executable, "-c", WITH_MUSL, loader) as child:
        assert refusal(child.pid) == (
            f"process {child.pid} uses musl; an agent enters only a process that uses glibc; "
            f"start it with `taskscope run`; {READ_ONLY}"
        )
        assert listed(child.pid) == "musl: start it with `taskscope run`"


def test_with_musl_a_run_program_has_an_agent_and_any_is_read_from_outside() -> None:
    python = os.environ.get("TASKSCOPE_MUSL")
    if python is None:
        pytest.skip("no Python that uses musl here ($TASKSCOPE_MUSL)")
    with ready(python, "-c", WAITS) as child:
        assert "uses musl" in refusal(child.pid)
        assert len(json.loads(taskscope("snapshot", "--read-only", child.pid).stdout)["tasks"]) == 4
    with running(WAITS, python=python) as child:
        says(child, "ready")
        assert "already running" in taskscope("doctor", child.pid).stdout
        found = json.loads(taskscope("snapshot", child.pid).stdout)
        assert [each["frame"]["function"] for each in found["sites"] if each["coroutine"] == "wait"] == [
            "main"
        ]
        assert found["sample"]["tasks"]["live"] == 4


def test_pypy_is_refused() -> None:
    pypy = shutil.which("pypy3")
    if pypy is None:
        pytest.skip("no pypy3 here")
    with ready(pypy, "-c", "import time; print('ready', flush=True); time.sleep(3600)") as child:
        assert refusal(child.pid) == (
            f"process {child.pid} runs PyPy; TaskScope attaches to CPython 3.11 to 3.15"
        )
        assert listed(child.pid) == "PyPy: CPython is needed"
    is_refused_inside(pypy, "this is PyPy; TaskScope needs CPython 3.11 or later")


@pytest.mark.parametrize("version", ["3.8", "3.9", "3.10"])
def test_an_old_python_is_refused_inside(version: str) -> None:
    is_refused_inside(require(version), f"this is Python {version}; TaskScope needs CPython 3.11 or later")


@pytest.mark.parametrize("version", ["3.8", "3.10"])
def test_an_old_python_is_refused_from_outside(version: str) -> None:
    with ready(require(version), "-c", "import time; print('ready', flush=True); time.sleep(3600)") as child:
        assert refusal(child.pid).startswith(f"process {child.pid} runs Python {version}; ")
        said = taskscope("watch", "--read-only", str(child.pid))
    assert (said.returncode, said.stderr) == (
        3,
        f"taskscope watch: process {child.pid} runs Python {version}; {builds.READABLE}\n",
    )


def test_windows_is_refused_inside() -> None:
    why = "this is Windows; TaskScope runs on Linux and macOS (on Windows in WSL)"
    as_windows = "import sys, taskscope; sys.platform = 'win32'\n"
    said = in_tree(sys.executable, "-c", f"{as_windows}taskscope.start()").stderr.splitlines()[-1]
    assert said == f"taskscope.StartError: {why}"
    done = in_tree(
        sys.executable, "-c", f"{as_windows}import taskscope.__main__ as t; sys.exit(t.main(['ps']))"
    )
    assert (done.returncode, done.stdout, done.stderr) == (3, "", f"taskscope: {why}\n")


def is_refused_inside(python: str | Path, why: str) -> None:
    for words in (["run", "-c", "print(42)"], ["doctor", "1"], ["attach", "1"]):
        done = in_tree(python, "-m", "taskscope", *words)
        assert (done.returncode, done.stdout, done.stderr) == (3, "", f"taskscope: {why}\n")
    said = in_tree(python, "-c", "import taskscope; taskscope.start()").stderr.splitlines()[-1]
    assert said == f"taskscope.StartError: {why}"
