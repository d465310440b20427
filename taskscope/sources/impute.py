"""Where tasks older than the agent were created: a guess from the source of the loaded modules.

Their creation was not observed, but the coroutine and the program's source are known: every call that starts
that coroutine (``create_task(x(…))``, ``gather(x(), …)``, ``group.start_soon(x)``, or any wrapper that gets
``x(…)``) is a candidate.  The search runs here, not in the target.
"""

from __future__ import annotations

import ast
import dataclasses
from typing import TYPE_CHECKING

from taskscope import model
from taskscope.export.whole import read_regular
from taskscope.parsing import parse

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

MAX_FILE = 2 << 20
"""Largest file searched, in bytes: its syntax tree takes a hundred times as many."""

MAX_TEXT = 64 << 20
"""Bytes read per search."""

MAX_CANDIDATES = 10
"""Lines listed per coroutine."""

_STARTERS = frozenset(
    {"create_task", "ensure_future", "gather", "wait_for", "shield", "run", "as_completed"}
) | {"run_until_complete", "run_coroutine_threadsafe", "wait", "start_soon", "start", "Task"}
_FUNCTION_STARTERS = frozenset({"start_soon", "start", "run", "start_server", "start_unix_server"})
"""Calls that take the coroutine function itself."""


def guesses(root: str, files: Sequence[str], sites: Sequence[model.Site]) -> list[model.Site]:
    """These sites at their likely lines, if the source shows any.  ``root`` is prepended to the paths."""
    sources = _read(root, files, sites)
    return [found for site in sites if (found := impute(site, sources)) is not None]


def _read(root: str, files: Sequence[str], sites: Sequence[model.Site]) -> dict[str, str]:
    """The text of files that mention a coroutine of ``sites``: user files, and those of its package."""
    wanted = {site.frame.file for site in sites}
    packages = {file.rpartition("/")[0] for file in wanted}
    names = [site.coroutine.rpartition(".")[2] for site in sites]
    found: dict[str, str] = {}
    left = MAX_TEXT
    for file in dict.fromkeys((*wanted, *files)):
        if "/site-packages/" in file and not any(file.startswith(package) for package in packages):
            continue
        data = read_regular(root + file, min(MAX_FILE, left))
        left -= len(data)
        text = data.decode("utf-8", "replace")
        if any(name in text for name in names):
            found[file] = text
    return found


def impute(site: model.Site, sources: Mapping[str, str]) -> model.Site | None:
    """``site`` at the best candidate's line, marked imputed; None if no line is found.

    ``sources``: text of the modules to search, by file name.
    """
    name = site.coroutine.rpartition(".")[2]
    owner = site.coroutine.rpartition(".")[0].rpartition(".")[2]
    found: list[tuple[int, model.Frame]] = []
    for file, text in sources.items():
        if name not in text:
            continue
        try:
            starts = [*_Search(name, owner).starts(parse(text))]
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            continue
        same = 1 if file == site.frame.file else 0
        for score, line, function in starts:
            found.append((score + same, model.Frame(file, line, function, site.frame.origin)))
    if not found:
        return None
    best = max(score for score, _ in found)
    # Clearly worse candidates (another class's method of the same name) are dropped.
    likely = sorted((entry for entry in found if entry[0] > best - 3), key=lambda entry: -entry[0])
    frames = tuple(dict.fromkeys(frame for _, frame in likely))[:MAX_CANDIDATES]
    user = model.user_line(frames)
    return dataclasses.replace(site, frame=frames[0], user_frame=user, known="imputed", candidates=frames)


class _Search:
    """Calls in one module that start the coroutine ``name`` (a method of class ``owner``, or "")."""

    def __init__(self, name: str, owner: str) -> None:
        self._name = name
        self._owner = owner

    def starts(self, tree: ast.AST) -> Iterator[tuple[int, int, str]]:
        """Yields (score, line, function) of each."""
        yield from self._walk(tree, (), "", {})

    def _walk(
        self, node: ast.AST, scope: tuple[str, ...], cls: str, names: dict[str, ast.Call]
    ) -> Iterator[tuple[int, int, str]]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.ClassDef):
                yield from self._walk(child, (*scope, child.name), child.name, {})
            elif isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef)):
                yield from self._walk(child, (*scope, child.name), cls, {})
            else:
                self._remember(child, names)
                if isinstance(child, ast.Call):
                    yield from self._judge(child, scope, cls, names)
                yield from self._walk(child, scope, cls, names)

    def _remember(self, node: ast.AST, names: dict[str, ast.Call]) -> None:
        """After ``coro = x()`` the variable stands for the coroutine."""
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call) and self._is_it(node.value.func):
            names.update({each.id: node.value for each in node.targets if isinstance(each, ast.Name)})

    def _judge(
        self, call: ast.Call, scope: tuple[str, ...], cls: str, names: dict[str, ast.Call]
    ) -> Iterator[tuple[int, int, str]]:
        starter = _last_name(call.func)
        for argument in [*call.args, *(keyword.value for keyword in call.keywords)]:
            started = self._started(argument, starter, names)
            if started is not None:
                score = (4 if starter in _STARTERS else 2) + self._fits(started, cls)
                yield score, _line(call), ".".join(scope) or "<module>"
                return

    def _started(self, argument: ast.expr, starter: str, names: dict[str, ast.Call]) -> ast.expr | None:
        """The part of ``argument`` that is the coroutine, if any."""
        if isinstance(argument, ast.Starred):
            argument = argument.value
        if isinstance(argument, (ast.GeneratorExp, ast.ListComp, ast.SetComp)):
            argument = argument.elt
        if isinstance(argument, (ast.List, ast.Tuple, ast.Set)):
            for each in argument.elts:
                found = self._started(each, starter, names)
                if found is not None:
                    return found
        if isinstance(argument, ast.Name) and argument.id in names:
            return names[argument.id].func
        if isinstance(argument, ast.Call) and self._is_it(argument.func):
            return argument.func
        if starter in _FUNCTION_STARTERS and self._is_it(argument):
            return argument
        return None

    def _is_it(self, function: ast.expr) -> bool:
        return _last_name(function) == self._name

    def _fits(self, function: ast.expr, cls: str) -> int:
        """A score for being a method of the right class: ``self.x`` in another class counts against it."""
        through_self = isinstance(function, ast.Attribute) and _last_name(function.value) in {"self", "cls"}
        if through_self and self._owner:
            return 2 if cls == self._owner else -2
        return -2 if through_self != bool(self._owner) and not isinstance(function, ast.Attribute) else 0


def _last_name(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""


def _line(call: ast.Call) -> int:
    """The line a frame would show: for ``a.b(…)``, the line of the attribute."""
    return call.func.end_lineno or call.lineno if isinstance(call.func, ast.Attribute) else call.lineno
