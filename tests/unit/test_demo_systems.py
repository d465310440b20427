"""The descriptions of the demo services match their source, and importing them imports no service."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import taskscope.demo
from taskscope.demo import SYSTEMS, System

HOME = Path(taskscope.demo.__file__).parent


def test_all_five_are_there_in_the_order_of_their_pages() -> None:
    assert list(SYSTEMS) == ["orders", "heartbeat", "backend", "restarts", "rotation"]
    assert all(name == system.name for name, system in SYSTEMS.items())


@pytest.mark.parametrize("system", SYSTEMS.values(), ids=list(SYSTEMS))
def test_each_guilty_place_starts_a_task(system: System) -> None:
    assert len(system.guilty) == len(system.cause) == len(system.rates)
    for file, function in system.guilty:
        tree = ast.parse((HOME / system.name / file).read_text())
        bodies = [
            node
            for node in ast.walk(tree)
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name == function
        ]
        assert any("create_task" in ast.unparse(body) for body in bodies), (file, function)


@pytest.mark.parametrize("system", SYSTEMS.values(), ids=list(SYSTEMS))
def test_the_page_names_the_guilty_functions(system: System) -> None:
    for _, function in system.guilty:
        assert function in system.look


@pytest.mark.parametrize("path", sorted(HOME.rglob("*.py")), ids=lambda path: str(path.relative_to(HOME)))
def test_the_services_know_nothing_of_taskscope(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text())):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom):
            names = [node.module or ""]
        assert all(not name.startswith("taskscope") or name.startswith("taskscope.demo") for name in names)


def test_the_descriptions_import_no_service() -> None:
    services = "[name for name in sys.modules if name.startswith(('taskscope.demo.', 'aiohttp', 'asyncio'))]"
    program = f"import sys, taskscope.demo; print({services})"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
