"""Which processes are found, how they are described, and that looking costs little."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from taskscope.attach.discover import PythonProcess, _is_ours, folder_of, processes, readable
from taskscope.attach.family import below
from taskscope.sources.listing import matches
from tests.integration.children import STANDING, running, says
from tests.pythons import installed

if TYPE_CHECKING:
    from pathlib import Path

IDLE = "print('idle', flush=True); __import__('time').sleep(3600)"


def find(pid: int) -> PythonProcess:
    return next(process for process in processes() if process.pid == pid)


def idle(python: str, *options: str, code: str = IDLE) -> subprocess.Popen[str]:
    """A Python process that is past its start."""
    child = subprocess.Popen([python, *options, "-c", code], stdout=subprocess.PIPE, text=True)
    says(child, "idle")
    return child


def end(child: subprocess.Popen[str]) -> None:
    child.kill()
    child.communicate()


@pytest.mark.parametrize(
    ("command", "shown"),
    [
        (["/usr/bin/python3.11", "/srv/app/main.py", "--port", "80"], "main.py --port 80"),
        (["python", "-X", "dev", "-u", "-m", "uvicorn", "app:app"], "uvicorn app:app"),
        (["/venv/bin/python", "/venv/bin/gunicorn", "-w", "4"], "gunicorn -w 4"),
        (["python3", "-c", "import x\nx.run()"], "python -c import x x.run()"),
        (["python3"], "python3"),
        (["/opt/app/bin/server", "--fast"], "server --fast"),
        (["/usr/bin/python3.11t", "-W", "ignore", "a.py"], "a.py"),
        ([], ""),
    ],
)
def test_a_command_is_shown_as_a_person_would_name_it(command: list[str], shown: str) -> None:
    assert readable(command) == shown


def test_a_long_command_is_cut() -> None:
    assert len(readable(["python", "x.py", "a" * 10_000])) <= 200


@pytest.mark.parametrize(
    ("command", "folder"),
    [
        (["python", "-u", "/srv/app/main.py"], "/srv/app"),
        (["python", "bin/../leakd.py", "x"], "/home/me"),
        (["python", "-m", "uvicorn", "a/b:c"], "/home/me"),
        (["/opt/app/bin/server"], "/opt/app/bin"),
        (["python3"], "/home/me"),
        ([], "/home/me"),
    ],
)
def test_the_folder_is_that_of_the_script_else_the_working_directory(command: list[str], folder: str) -> None:
    assert folder_of(command, "/home/me") == folder


def test_where_the_directory_cannot_be_seen_only_a_whole_path_tells_the_folder() -> None:
    assert [folder_of(["python", each], "") for each in ("a/b.py", "/a/b.py")] == ["", "/a"]


def test_a_process_is_found_by_its_folder(tmp_path: Path) -> None:
    (folder := tmp_path / "shop" / "mail").mkdir(parents=True)
    (folder / "leakd.py").write_text(IDLE)
    with subprocess.Popen(
        [sys.executable, "mail/leakd.py"], cwd=folder.parent, stdout=subprocess.PIPE, text=True
    ) as child:
        says(child, "idle")
        found = find(child.pid)
        child.kill()
    assert (found.directory, found.folder) == (str(folder.parent), str(folder))
    assert matches(found, ["shop/mail", "leakd"])
    assert not matches(found, ["shop/post"])


def test_a_taskscope_at_work_is_no_likely_target() -> None:
    plain = idle(sys.executable)
    command = [sys.executable, "-m", "taskscope", "watch", "--for", "1h", str(plain.pid)]
    watcher = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        assert watcher.stderr is not None
        assert any(" s " in line for line in watcher.stderr)  # it watches
        listed = processes()
        ours = [_is_ours(each.command) for each in listed]
        assert ours == sorted(ours)
        assert watcher.pid in [each.pid for each, own in zip(listed, ours, strict=True) if own]
    finally:
        end(watcher)
        end(plain)


def test_a_process_with_an_agent_comes_first_and_says_its_name() -> None:
    with running(STANDING, "--name", "found") as child:
        says(child, "standing")
        found = find(child.pid)
        assert (found.agent, found.asyncio, found.obstacle, found.own) == ("found", True, "", True)
        assert found.threads >= 2
        assert abs(found.started - time.time()) < 60
        order = [process.agent is not None for process in processes()]
        assert order == sorted(order, reverse=True)


def test_a_plain_process_has_no_agent_and_no_asyncio() -> None:
    child = idle(sys.executable)
    try:
        found = find(child.pid)
        assert (found.agent, found.obstacle) == (None, "")
        assert found.asyncio is not True
        assert found.python == f"{sys.version_info.major}.{sys.version_info.minor}"
        assert found.rss > 1_000_000
        assert found.command.startswith("python -c print('idle'")
    finally:
        end(child)


def test_we_are_not_in_our_own_list() -> None:
    assert os.getpid() not in {process.pid for process in processes()}


def test_what_is_not_python_is_left_out() -> None:
    with subprocess.Popen(["sleep", "60"]) as child:
        assert child.pid not in {process.pid for process in processes()}
        child.kill()


@pytest.mark.parametrize("version", ["3.8", "3.9", "3.10"])
def test_a_version_too_old_says_so(version: str) -> None:
    if version not in installed():
        pytest.skip(f"no Python {version} here")
    child = idle(str(installed()[version]))
    try:
        found = find(child.pid)
        assert (found.python, found.obstacle) == (version, f"Python {version}: 3.11 or later is needed")
    finally:
        end(child)


def test_a_busy_process_uses_a_core() -> None:
    child = idle(sys.executable, code="print('idle', flush=True)\nwhile True: pass")
    try:
        find(child.pid)
        until = time.process_time() + 0.05
        while time.process_time() < until:
            pass
        assert find(child.pid).cpu > 0.05
    finally:
        end(child)


def test_hostile_text_in_a_command_line_is_escaped() -> None:
    child = idle(sys.executable, code=IDLE + "\n# \x1b]0;owned\x07")
    try:
        assert find(child.pid).command.isprintable()
    finally:
        end(child)


def test_looking_at_forty_processes_takes_little_of_our_time() -> None:
    with ExitStack() as stack:
        children = [idle(sys.executable, "-I", "-S") for _ in range(40)]
        for child in children:
            stack.callback(end, child)
        processes()
        begin = time.process_time()
        found = {process.pid for process in processes()}
        spent = time.process_time() - begin
    assert {child.pid for child in children} <= found
    assert spent < 0.2
    print(f"{spent * 1000:.0f} ms of CPU for {len(found)} Python processes")


STARTS = """
import multiprocessing, sys
def work(): print("works", flush=True); __import__("time").sleep(3600)
def main():
    started = multiprocessing.get_context(sys.argv[1]).Process(target=work)
    started.start()
    started.join()
if __name__ == "__main__": main()
"""


@pytest.mark.parametrize(
    ("method", "roles"),
    [
        ("fork", {"forked"}),
        ("spawn", {"spawned", "resource tracker"}),
        ("forkserver", {"forked", "fork server", "resource tracker"}),
    ],
)
def test_the_processes_of_multiprocessing_stand_below_their_parent(
    method: str, roles: set[str], tmp_path: Path
) -> None:
    (program := tmp_path / "starts.py").write_text(STARTS)
    command = [sys.executable, str(program), method]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        says(child, "works")
        try:
            of_pid = {each.pid: each.parent for each in processes()}
            family = below(child.pid, of_pid) - {child.pid}
            assert {each.role for each in processes() if each.pid in family} == roles
        finally:
            for pid in [*family, child.pid]:
                os.kill(pid, signal.SIGKILL)
