"""No count is lost, whichever threads count at the same time."""

from __future__ import annotations

import ast
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import taskscope.agent
from taskscope import model
from taskscope.agent.counts.registry import Registry

if TYPE_CHECKING:
    from collections.abc import Iterator

COUNTERS = {"born", "finished", "failed", "cancelled", "lost", "unseen", "retained", "adopted", "keep"}

ROUNDS = 20_000


def test_sites_that_join_and_part_lose_no_count() -> None:
    registry, over = Registry(), threading.Event()
    frame = model.Frame("service.py", 7, "handle")
    older = registry.add(("older",), "task", frame, None, "work", (), "unknown")
    newer = registry.add(("newer",), "task", frame, None, "work", ())
    counted = 0

    def count() -> None:
        nonlocal counted
        while not over.is_set():
            newer.born += 1
            newer.finished += 1
            counted += 1

    thread = threading.Thread(target=count)
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        thread.start()
        for _ in range(ROUNDS):
            registry.joined.join(older, newer)
            registry.joined.part(older)
    finally:
        over.set()
        sys.setswitchinterval(interval)
        thread.join()
    registry.joined.join(older, newer)
    assert (newer.born, newer.finished, older.born) == (counted, counted, 0)


def test_a_counter_is_changed_in_one_statement_without_a_call() -> None:
    """A call or a loop is where CPython switches threads: another's count would be overwritten."""
    for path in Path(taskscope.agent.__file__).parent.rglob("*.py"):
        for node, name, value in writes(ast.parse(path.read_text())):
            reads = isinstance(node, ast.AugAssign) or name in read(value)
            calls = any(
                isinstance(each, (ast.Call, ast.comprehension, ast.Yield)) for each in ast.walk(value)
            )
            assert not (reads and calls), f"{path.name}:{node.lineno}"


def writes(tree: ast.Module) -> Iterator[tuple[ast.Assign | ast.AugAssign, str, ast.expr]]:
    for node in ast.walk(tree):
        if isinstance(node, (ast.Assign, ast.AugAssign)):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            for each in (each for target in targets for each in ast.walk(target)):
                if isinstance(each, ast.Attribute) and each.attr in COUNTERS:
                    yield node, each.attr, node.value


def read(value: ast.expr) -> set[str]:
    return {each.attr for each in ast.walk(value) if isinstance(each, ast.Attribute)}
