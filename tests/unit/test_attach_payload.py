"""The payload: every module of the agent, under a private name, in an order that needs no finder."""

from __future__ import annotations

import ast
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


def test_run_too_late_it_does_nothing_but_say_so(tmp_path: Path) -> None:
    reply = tmp_path / "reply"
    program = payload.for_file("late", -1, str(reply))
    code = f"{program}\nimport os, time\nwhile not os.path.exists({str(reply)!r}): time.sleep(0.001)"
    subprocess.run([sys.executable, "-I", "-S", "-c", code], check=True, timeout=30)
    assert reply.read_text() == '{"state": "late"}\n'


def test_it_leaves_no_name_in_the_program_that_runs_it(tmp_path: Path) -> None:
    program = payload.for_file("late", -1, str(tmp_path / "reply"))
    code = f"before = set(globals())\n{program}\nassert set(globals()) - before == {{'before'}}"
    subprocess.run([sys.executable, "-I", "-S", "-c", code], check=True, timeout=30)
