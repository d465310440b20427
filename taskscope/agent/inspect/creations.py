"""Sites of tasks whose creation was recorded before the agent started.

asyncio's debug mode and aiomonitor keep a traceback of each task's creation, which is exact except that
function names are unqualified.  The code in the loaded modules provides the qualified names, so that later
tasks from the same line get the same site.
"""

from __future__ import annotations

import functools
import sys
from types import CodeType, FunctionType
from typing import TYPE_CHECKING, Any

from taskscope import model
from taskscope.agent.inspect import origins
from taskscope.agent.inspect.looking import (
    MAX_WRAPPED,
    attributes_of,
    is_a,
    lookup,
    module_of,
    own_attributes,
    text,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from taskscope.agent.counts.registry import Registry
    from taskscope.agent.counts.site_record import SiteRecord

MAX_PLACES = 1_000
"""Lines whose function is cached."""

_CALLBACK = ("_run", "_run_once")


def record(registry: Registry, trace: list[Any], name: str) -> SiteRecord:
    """The record for coroutine ``name``; ``trace`` is its creation traceback, outermost frame first."""
    inside: list[tuple[Any, bool]] = []
    for entry in reversed(trace):
        plumbing = origins.is_plumbing(entry.filename)
        if plumbing and entry.name in _CALLBACK and inside:
            break  # frames further out run the loop
        inside.append((entry, plumbing))
    asked = [entry for entry, plumbing in inside if not plumbing] or [inside[-1][0]]
    origin = asked[0]
    place = next((entry for entry in asked if not origins.starts_for_others(entry.filename)), origin)
    user = next((entry for entry in asked if origins.origin(entry.filename) == "user"), None)
    shown, by = _frame(place), _frame(user) if user is not None else None
    via = _frame(origin) if origin is not place else None
    key = ("traceback", shown, name, by, via)
    return registry.add(key, "task", shown, by, name, (), via=via)


def _frame(entry: Any) -> model.Frame:
    line = entry.lineno or 0
    function = function_at(entry.filename, line, entry.name)
    return model.Frame(entry.filename, line, function, origins.shown_origin(entry.filename))


@functools.lru_cache(MAX_PLACES)
def function_at(file: str, line: int, name: str) -> str:
    """The qualified name of the function ``name`` that contains the line; ``name`` if not found."""
    for module in list(sys.modules.values()):
        variables = attributes_of(module)
        if text(lookup(variables, "__file__")) == file:
            for code in _codes(variables, file):
                if code.co_name == name and any(each == line for _, _, each in code.co_lines()):
                    return origins.function_name(code)
    return name


def _codes(variables: Mapping[str, object], file: str, module: str | None = None) -> Iterator[CodeType]:
    """The code of a file's functions and methods, nested ones included; runs none of the program's code."""
    module = module if module is not None else text(lookup(variables, "__name__"))
    for value in list(variables.values()):
        if is_a(value, type):
            if module_of(value) == module:
                yield from _codes(own_attributes(value), file, module)
            continue
        function = value.__func__ if type(value) is staticmethod or type(value) is classmethod else value
        for _ in range(MAX_WRAPPED):
            if type(function) is not FunctionType:
                break
            if origins.file_of(function.__code__) == file:
                yield from _with_inner(function.__code__)
            function = lookup(function.__dict__, "__wrapped__")


def _with_inner(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if type(constant) is CodeType:
            yield from _with_inner(constant)
