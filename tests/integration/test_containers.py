"""``cgroup:PATH`` and ``docker:NAME``: the processes of a container are found by what the kernel knows of it.

There is no Docker daemon here: a script of three lines stands for its answer to ``docker inspect``.  The
control groups are real.
"""

from __future__ import annotations

import json
import os
import subprocess
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from taskscope.attach import containers
from taskscope.attach.errors import AttachError
from taskscope.sources.base import SourceError
from taskscope.sources.choice import Choice
from taskscope.sources.resolve import is_name, pid_of
from tests import pythons, targets
from tests.integration.children import taskscope

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.targets import Program

PLACES = ("/sys/fs/cgroup/unified", "/sys/fs/cgroup/freezer", "/sys/fs/cgroup")
NAME = f"taskscope-{os.getpid()}"


@pytest.fixture
def group() -> Iterator[Path]:
    """The folder of a control group of our own; what is in it moves up at the end."""
    for place in map(Path, PLACES):
        with suppress(OSError):
            (place / NAME / "inner").mkdir(parents=True)
            if (place / NAME / "cgroup.procs").exists():
                break
    else:
        pytest.skip("no control group can be made here")
    yield place / NAME
    for folder in (place / NAME / "inner", place / NAME):
        for pid in (folder / "cgroup.procs").read_text().split():
            (place / "cgroup.procs").write_text(pid)
        folder.rmdir()


@pytest.fixture
def program() -> Iterator[Program]:
    with targets.running(pythons.require("3.11"), "asyncio idle") as found:
        yield found


def engine(folder: Path, answer: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A `docker` that answers so."""
    script = folder / "docker"
    known = "[ \"$1 $7\" = 'inspect shop' ] || { echo No such container: $7 >&2; exit 1; }"
    script.write_text(f"#!/bin/sh\n{known}\n{answer}\n")
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    containers._known.clear()


def test_a_control_group_is_attached_to(group: Path, program: Program) -> None:
    (group / "inner" / "cgroup.procs").write_text(str(program.pid))
    for target in (f"cgroup:{NAME}", f"cgroup:/{NAME}/inner", f"cgroup:{group}"):
        assert containers.members(target) == {program.pid}
        assert pid_of(target) == program.pid
        assert not is_name(target)
    taken = taskscope("snapshot", f"cgroup:/{NAME}")
    assert json.loads(taken.stdout)["process"]["pid"] == program.pid, taken.stderr
    gone = taskscope("detach", f"cgroup:/{NAME}")
    assert gone.returncode == 0, gone.stderr


def test_several_processes_of_a_container_are_a_group(
    group: Path, program: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those that did not come from its first process too: `docker exec` starts such."""
    with ExitStack() as stack:
        other = stack.enter_context(targets.running(pythons.require("3.11"), "sleep"))
        init = stack.enter_context(subprocess.Popen(["sleep", "60"]))
        stack.callback(init.kill)
        engine(tmp_path, f"echo {init.pid}", monkeypatch)
        (group / "cgroup.procs").write_text(str(init.pid))
        with pytest.raises(SourceError, match="no Python process runs in docker:shop"):
            pid_of("docker:shop")
        (group / "inner" / "cgroup.procs").write_text(str(other.pid))
        assert pid_of("docker:shop") == other.pid
        (group / "cgroup.procs").write_text(str(program.pid))
        with pytest.raises(SourceError, match="2 Python processes run in docker:shop: one by pid"):
            pid_of("docker:shop")
        found = Choice(("docker:shop",), children=True).find()
        assert {each.pid for each in found} == {program.pid, other.pid}


def test_without_control_groups_a_container_is_its_first_process_and_what_it_started(
    program: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine(tmp_path, f"echo {program.pid}", monkeypatch)
    assert pid_of("docker:shop") == program.pid


@pytest.mark.parametrize(
    ("answer", "name", "said"),
    [
        ("echo 0", "shop", "the container shop is not running"),
        ("echo 1", "other", "docker knows no container other: No such container: other"),
        ("echo hello", "shop", "docker knows no container shop: status 0"),
        ("echo 999999999", "shop", "is not visible here; run taskscope where the engine runs"),
    ],
)
def test_what_the_engine_does_not_know_is_one_sentence(
    answer: str, name: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine(tmp_path, answer, monkeypatch)
    with pytest.raises(AttachError) as caught:
        containers.members(f"docker:{name}")
    assert said in str(caught.value)


def test_an_engine_or_a_group_that_is_not_here_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(AttachError, match="there is no podman here to ask for shop; name a pid"):
        containers.members("podman:shop")
    with pytest.raises(AttachError, match="no process is in the control group /no/such"):
        containers.members("cgroup:no/such")
    assert not containers.is_container("shop")
    assert not containers.is_container("docker:")
