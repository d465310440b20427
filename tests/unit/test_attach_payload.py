"""The payload: every module of the agent, under a private name, in an order that needs no finder."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

import taskscope.agent.agent
from taskscope.attach import bootstrap, payload

REPO = Path(__file__).parents[2]


def test_it_holds_the_agent_and_what_that_stands_on_and_nothing_else() -> None:
    names = {each.name for each in payload.modules()}
    package = payload.PACKAGE
    assert {
        package,
        f"{package}.model",
        f"{package}.wire",
        f"{package}.endpoint",
        f"{package}.agent",
    } <= names
    rooms = (f"{package}.agent.", f"{package}.model.")
    assert all(name.count(".") < 2 or name.startswith(rooms) for name in names)


def test_nothing_in_it_imports_taskscope_by_its_own_name() -> None:
    for each in payload.modules():
        for node in ast.walk(ast.parse(each.source)):
            if isinstance(node, ast.ImportFrom):
                assert (node.module or "").partition(".")[0] != "taskscope", f"{each.name}:{node.lineno}"


def test_lines_stay_where_they_are() -> None:
    (renamed,) = (each.source for each in payload.modules() if each.name == f"{payload.PACKAGE}.agent.agent")
    with open(taskscope.agent.agent.__file__) as file:
        assert len(renamed.splitlines()) == len(file.read().splitlines())


def test_imports_that_go_round_in_circles_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "__init__.py").write_text("")
    (tmp_path / "system.py").write_text("from taskscope import wire\n")
    (tmp_path / "wire.py").write_text("from taskscope import system\n")
    monkeypatch.setattr(payload, "files", lambda package: tmp_path)
    monkeypatch.setattr(payload, "_PARTS", ("__init__.py", "system.py", "wire.py"))
    (tmp_path / "lean_typing.py").write_text("")
    with pytest.raises(ValueError, match="cycle"):
        payload.modules.__wrapped__()


def run(seconds: float, before: str = "", after: str = "") -> str:
    """Runs the program in a bare interpreter; what it replied."""
    program = payload.program("injected", seconds, compiled=True)
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
    program = payload.program("injected", -1, compiled=True) % {"read": 5, "write": 6, "inode": 1}
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


@pytest.mark.parametrize("compiled", [True, False])
def test_every_module_of_the_agent_is_carried_and_runs_in_a_bare_interpreter(compiled: bool) -> None:
    carried = {name: (file, pieces) for name, file, pieces in payload.pieces(compiled=compiled)}
    folder = Path(taskscope.agent.__file__).parent
    for path in folder.rglob("*.py"):
        inner = path.relative_to(folder.parent)
        assert f"<taskscope>/{inner}" in {file for file, _ in carried.values()}
    code = f"""
import sys
sys.path.insert(0, {str(folder.parent.parent)!r})
from taskscope.attach import bootstrap
for name in [name for name in sys.modules if name.startswith("taskscope") and name != bootstrap.__name__]:
    del sys.modules[name]
sys.path.clear()
sys.path += {[path for path in sys.path if "site-packages" not in path and str(REPO) not in path]!r}
pieces = {payload.pieces(compiled=compiled)!r}
modules = bootstrap.create(pieces)
sys.modules.update(modules)
bootstrap.load(pieces, modules)
assert not any(name.split(".")[0] == "taskscope" and name != bootstrap.__name__ for name in sys.modules)
print(len(modules))
"""
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-"], input=code, capture_output=True, text=True, timeout=30
    )
    assert (done.stdout.strip(), done.stderr) == (str(len(carried)), "")


def test_lines_of_a_piece_are_those_of_its_file() -> None:
    source = Path(taskscope.agent.agent.__file__).read_text().splitlines()
    _, file, pieces = next(
        each for each in payload.pieces(compiled=False) if each[0] == f"{payload.PACKAGE}.agent.agent"
    )
    assert file == "<taskscope>/agent/agent.py"
    first, text = pieces[-1]
    assert isinstance(first, int)
    assert isinstance(text, str)
    last = bootstrap.compiled(first, text, file)
    body = next(each for each in last.co_consts if hasattr(each, "co_firstlineno"))
    assert f" {body.co_name}(" in source[body.co_firstlineno - 1]
