"""The payload: every module of the agent, under a private name, in an order that needs no finder."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from taskscope.attach import payload

if TYPE_CHECKING:
    from pathlib import Path


def test_it_holds_the_agent_and_what_that_stands_on_and_nothing_else() -> None:
    names = {name for name, _ in payload.modules()}
    package = payload.PACKAGE
    assert {
        package,
        f"{package}.model",
        f"{package}.wire",
        f"{package}.endpoint",
        f"{package}.agent",
    } <= names
    assert all(name.count(".") < 2 or name.startswith(f"{package}.agent.") for name in names)


def test_nothing_in_it_imports_taskscope_by_its_own_name() -> None:
    for name, source in payload.modules():
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.ImportFrom):
                assert (node.module or "").partition(".")[0] != "taskscope", f"{name}:{node.lineno}"


def test_lines_stay_where_they_are() -> None:
    import taskscope.agent

    renamed = dict(payload.modules())[f"{payload.PACKAGE}.agent"]
    with open(taskscope.agent.__file__) as file:
        assert len(renamed.splitlines()) == len(file.read().splitlines())


def test_imports_that_go_round_in_circles_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "agent").mkdir()
    (tmp_path / "__init__.py").write_text("")
    (tmp_path / "model.py").write_text("from taskscope import wire\n")
    (tmp_path / "wire.py").write_text("from taskscope import model\n")
    monkeypatch.setattr(payload, "_ROOT", tmp_path)
    with pytest.raises(ValueError, match="cycle"):
        payload.modules.__wrapped__()


def run(seconds: float, before: str = "", after: str = "") -> str:
    """Runs the program in a bare interpreter; what it replied."""
    program = payload.program("injected", seconds)
    read, write = os.pipe()
    names = {"read": read, "write": write, "inode": os.fstat(read).st_ino}
    code = f"{before}\n{program % names}\n{after}"
    command = [sys.executable, "-I", "-S", "-"]
    subprocess.run(command, input=code, text=True, check=True, timeout=30, pass_fds=(read, write))
    os.close(write)
    with open(read, "rb") as reply:
        return reply.read().decode()


def test_run_too_late_it_does_nothing_but_say_so() -> None:
    assert run(-1) == "state=late\n"


def test_it_leaves_no_name_in_the_program_that_runs_it() -> None:
    run(-1, "before = set(globals())", "assert set(globals()) - before == {'before'}")


def test_a_pipe_whose_numbers_are_the_programs_by_now_is_left_alone() -> None:
    program = payload.program("injected", -1) % {"read": 5, "write": 6, "inode": 1}
    code = f"""
import os
ends = os.pipe()
for end, number in zip(ends, (5, 6)): os.dup2(end, number)
{program}
os.set_blocking(5, False)
os.fstat(6)
try: print(os.read(5, 10))
except BlockingIOError: print("untouched")
"""
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-"], input=code, capture_output=True, text=True, timeout=30
    )
    assert (done.stdout, done.stderr) == ("untouched\n", "")
