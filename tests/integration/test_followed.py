"""Which children of a program under ``taskscope run`` have an agent by themselves, and which have not."""

from __future__ import annotations

import subprocess
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from taskscope.attach.family import below, parents
from taskscope.attach.presence import agent_in
from tests.integration.children import taskscope
from tests.integration.groups import workers
from tests.integration.test_group import group_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

POOL = """
import concurrent.futures, multiprocessing, os, sys, time
def work(_): time.sleep(0.3); return os.getpid()
if __name__ == "__main__":
    context = multiprocessing.get_context(sys.argv[1])
    with concurrent.futures.ProcessPoolExecutor(2, mp_context=context) as pool:
        print(*set(pool.map(work, range(4))), flush=True)
        sys.stdin.readline()
"""

EXECUTED = """
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", "print('runs', flush=True); input()"], stdin=subprocess.PIPE)
print(child.pid, flush=True)
sys.stdin.readline()
child.kill()
"""


def has_agent(pid: int, within: float = 15.0) -> bool:
    give_up = time.monotonic() + within
    while agent_in(pid) is None:
        if time.monotonic() > give_up:
            return False
        time.sleep(0.05)
    return True


@contextmanager
def program(folder: Path, code: str, *arguments: str, run: bool = True) -> Iterator[list[int]]:
    """Runs it, under ``taskscope run`` if so wanted; yields the numbers that it prints, mostly pids."""
    (path := folder / "service.py").write_text(code)
    ours = ["-m", "taskscope", "run", "--name", "service"] if run else []
    command = [sys.executable, *ours, str(path), *arguments]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        try:
            assert child.stdout is not None
            yield [int(word) for word in child.stdout.readline().split()]
        finally:
            for pid in below(child.pid, parents()):
                subprocess.run(["kill", "-9", str(pid)], check=False, stderr=subprocess.DEVNULL)


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_children_of_multiprocessing_have_an_agent(method: str, tmp_path: Path) -> None:
    with workers(tmp_path, method, "--name", "shop", count=2) as service:
        assert all(has_agent(pid) for pid in service.pids)
        agents = [agent_in(pid) for pid in service.pids]
        assert {each.name for each in agents if each is not None} == {"shop"}


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_workers_of_a_process_pool_have_an_agent(method: str, tmp_path: Path) -> None:
    with program(tmp_path, POOL, method) as pids:
        assert len(pids) == 2
        assert all(has_agent(pid) for pid in pids)


def test_another_program_that_is_executed_has_none(tmp_path: Path) -> None:
    with program(tmp_path, EXECUTED) as (pid,):
        assert not has_agent(pid, within=2.0)


SPAWNING = """
import multiprocessing, os, sys, time
def work():
    print(os.getpid(), hash(tuple(sys.path)), flush=True)
    time.sleep(600)
if __name__ == "__main__":
    os.environ["TASKSCOPE_DIR"] = "/nonexistent/place"
    child = multiprocessing.get_context(sys.argv[1]).Process(target=work)
    child.start()
    child.join()
"""


@pytest.mark.parametrize("method", ["spawn", pytest.param("forkserver", marks=pytest.mark.slow)])
async def test_a_child_whose_agent_cannot_start_runs_as_without_us_and_its_row_says_why(
    method: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONHASHSEED", "0")
    with program(tmp_path, SPAWNING, method, run=False) as (_, bare):
        pass
    with program(tmp_path, SPAWNING, method) as (child, path):
        assert path == bare
        parent = parents()[child]
        top = parents()[parent] if method == "forkserver" else parent
        group = group_of(str(top))
        await group.open()
        try:
            (row,) = [each for each in group.members() if each.pid == child]
        finally:
            await group.close()
    assert row.state == "refused"
    assert "no place to listen" in row.why


def test_children_have_none_once_the_agent_was_detached(tmp_path: Path) -> None:
    code = """
import multiprocessing, sys, time
def work(): time.sleep(600)
if __name__ == "__main__":
    sys.stdin.readline()
    child = multiprocessing.get_context("spawn").Process(target=work)
    child.start()
    print(child.pid, flush=True)
    child.join()
"""
    (path := tmp_path / "late.py").write_text(code)
    command = [sys.executable, "-m", "taskscope", "run", "--name", "late", str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        try:
            assert has_agent(child.pid)
            assert taskscope("detach", str(child.pid)).returncode == 0
            child.stdin.write("\n")
            child.stdin.flush()
            assert not has_agent(int(child.stdout.readline()), within=2.0)
        finally:
            for pid in below(child.pid, parents()):
                subprocess.run(["kill", "-9", str(pid)], check=False, stderr=subprocess.DEVNULL)
