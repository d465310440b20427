"""Modules that read the program's objects do so only through ``looking``.

Two checks hold the rule.  What is read is typed ``object``, of which mypy allows no attribute, call, length,
item or iteration.  What it does allow, and what runs code all the same, is looked for here.
"""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import taskscope.agent

AGENT = Path(taskscope.agent.__file__).parent
FILES = {path.stem: path for room in ("inspect", "answers") for path in (AGENT / room).glob("*.py")}

READING = (
    "alone",
    "arming",
    "awaiting",
    "blocking",
    "calls",
    "connections",
    "contexts",
    "task_facts",
    "creations",
    "dating",
    "definitions",
    "facts",
    "foreign",
    "futures",
    "groups",
    "handling",
    "graph",
    "handed",
    "holders",
    "holdings",
    "interruptions",
    "island",
    "jobs",
    "keepers",
    "leaving",
    "paths",
    "primitives",
    "queueing",
    "reached",
    "rearming",
    "retrying",
    "referents",
    "removals",
    "registered",
    "resources",
    "sites",
    "slots",
    "stacks",
    "starting",
    "stillness",
    "stuck",
    "tasks",
    "timer_groups",
    "timers",
    "trees",
    "variables",
    "waited",
    "waited_things",
    "waits",
    "walk",
    "workers",
    "weights",
)

ASKING = {
    *("bool", "callable", "delattr", "dir", "format", "getattr", "hasattr"),
    *("hash", "isinstance", "repr", "setattr", "str", "vars"),
}
"""Functions that may run code of what they are given."""

ALLOWED = {
    "arming:isinstance": "of an instruction's argument",
    "blocking:repr": "of a lock whose type is exactly the interpreter's own",
    "blocking:vars": "of the module threading",
    "calls:isinstance": "of what dis says of an instruction",
    "calls:vars": "of what dis made of a function",
    "calls:str": "of an instruction's argument, a name",
    "paths:isinstance": "of an instruction's argument",
    "paths:vars": "of what dis made of a function",
    "futures:getattr": "of a task whose class is exactly asyncio's own",
    "futures:vars": "of asyncio's modules and classes",
    "groups:str": "of a site's number",
    "holders:str": "of a thread's number",
    "holders:vars": "of the module threading",
    "island:vars": "of the module builtins",
    "jobs:vars": "of the module threading",
    "waited:vars": "of the module threading",
    "workers:vars": "of a module of concurrent.futures",
    "referents:repr": "of a key whose type is exactly int or str",
}
"""Uses that see no object of the program, and why."""


def tree_of(module: str) -> ast.Module:
    return ast.parse(FILES[module].read_text())


@pytest.mark.parametrize("module", READING)
def test_nothing_is_asked_that_could_answer_with_code(module: str) -> None:
    for node in ast.walk(tree_of(module)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ASKING:
            assert f"{module}:{node.func.id}" in ALLOWED, f"{module}.py:{node.lineno} {ast.unparse(node)}"


def test_the_list_of_exceptions_has_no_stale_entry() -> None:
    used = {
        f"{module}:{node.func.id}"
        for module in READING
        for node in ast.walk(tree_of(module))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }
    assert set(ALLOWED) <= used


@pytest.mark.parametrize("module", READING)
def test_what_was_read_is_not_compared_written_or_judged(module: str) -> None:
    for function in ast.walk(tree_of(module)):
        if isinstance(function, ast.FunctionDef):
            foreign = names_read(function)
            for node in ast.walk(function):
                for name in runs_code_of(node):
                    assert name not in foreign, f"{module}.py:{node.lineno} {name} in {function.name}"  # type: ignore[attr-defined]


def names_read(function: ast.FunctionDef) -> set[str]:
    """Parameters and variables typed ``object``, and what ``attribute`` and its like gave."""
    arguments = function.args
    given = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
    found = {each.arg for each in given if is_object(each.annotation)}
    for node in ast.walk(function):
        if (
            isinstance(node, ast.AnnAssign)
            and isinstance(node.target, ast.Name)
            and is_object(node.annotation)
        ):
            found.add(node.target.id)
        elif isinstance(node, ast.Assign) and is_read(node.value):
            found.update(each.id for each in node.targets if isinstance(each, ast.Name))
    return found


def is_object(annotation: ast.expr | None) -> bool:
    return isinstance(annotation, ast.Name) and annotation.id == "object"


READS = {
    *("attribute", "awaited_by", "awaited_future", "awaited_lock", "closed_over", "coroutine", "field"),
    *("in_class", "innermost", "lookup", "loop_of", "owner_of", "started", "unwrapped", "waited_object"),
    *("waiter_of", "within_wait_for", "todo_before_3_13"),
}
"""Functions whose result is an object of the program."""


def is_read(value: ast.expr) -> bool:
    if not isinstance(value, ast.Call):
        return False
    called = value.func
    return (called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")) in READS


def runs_code_of(node: ast.AST) -> list[str]:
    """Names whose object is compared by value, written into text, or asked whether it is true."""
    values: list[ast.expr] = []
    if isinstance(node, ast.Compare):
        if not all(isinstance(each, (ast.Is, ast.IsNot)) for each in node.ops):
            values = [node.left, *node.comparators]
    elif isinstance(node, ast.FormattedValue):
        values = [node.value]
    elif isinstance(node, (ast.If, ast.While, ast.IfExp, ast.Assert)):
        values = [node.test]
    elif isinstance(node, ast.BoolOp):
        values = node.values
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        values = [node.operand]
    elif isinstance(node, ast.comprehension):
        values = node.ifs
    return [each.id for each in values if isinstance(each, ast.Name)]
