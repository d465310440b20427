"""Packs the agent into one program text that any target can run.

The text holds the compressed sources of the agent and its dependencies.  Their imports are rewritten to a
private top-level name, so that a ``taskscope`` the target imports is neither found nor shadowed (and
``typing`` to ``lean_typing.py``).  Modules are ordered so that each finds its imports already loaded.
"""

from __future__ import annotations

import ast
import base64
import functools
import graphlib
import marshal
import math
import re
import time
import zlib
from importlib.resources import files
from importlib.util import MAGIC_NUMBER
from typing import TYPE_CHECKING, Any, NamedTuple

from taskscope import __version__
from taskscope.attach import attempt, bootstrap
from taskscope.parsing import parse

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Iterator
    from importlib.resources.abc import Traversable

PACKAGE = "_taskscope_agent"
"""The agent's package name inside a target it was injected into."""

_MODULES = ("interpreter", "values", "system", "cgroups", "kernel_calls", "wire", "endpoint")
_FILES = ("__init__.py", *(f"{name}.py" for name in _MODULES))
_PARTS = (*_FILES, "model", "agent")
"""Files and folders.  They are read as resources: we may be in a zip file (``relay --bundle``)."""

_IMPORT = re.compile(r"\b(from|import)(\s+)taskscope\b")
_TYPING = re.compile(r"\bfrom(\s+)typing\b")

_MARSHAL = 4  # the newest version that every supported Python reads


_PIECE = 30
"""Lines per piece of a module.  Classes are not split: the largest takes 3 ms to compile."""

Piece = tuple[int, str] | bytes
"""Whole statements of a module: first line and source, or marshalled code."""


class Module(NamedTuple):
    """A module under its private name.  ``stretches``: first and last line of each piece."""

    name: str
    file: str
    source: str
    stretches: tuple[tuple[int, int], ...]


def program(arrived: str, seconds: float, *, lingers: float = math.inf, compiled: bool) -> str:
    """Text with ``%(read)d``, ``%(write)d`` and ``%(inode)d`` as placeholders for the reply pipe.

    It does nothing if run more than ``seconds`` from now.  ``lingers``: seconds without a client after which
    the agent leaves by itself.  ``compiled``: include this interpreter's bytecode, so that the target need
    not compile while its threads wait for the GIL.
    """
    payload = {
        "package": PACKAGE,
        "taskscope": __version__,
        "magic": MAGIC_NUMBER if compiled else None,
        "modules": pieces(compiled=compiled),
        "arrived": arrived,
        "lingers": lingers,
        "deadline": time.time() + seconds,
    }
    return _text(payload)


def _text(payload: dict[str, Any]) -> str:
    unpack = "__import__('zlib').decompress(__import__('binascii').a2b_base64(b))"
    load = f"d={{}};exec(compile({unpack},'<taskscope>/attach/bootstrap.py','exec',0,True,2),d)"
    run = "d['begin'](p,(%(read)d,%(write)d,%(inode)d))"
    packed = (
        _packed((files("taskscope.attach") / "bootstrap.py").read_bytes()),
        _packed(marshal.dumps(payload, _MARSHAL)),
    )
    # It runs in __main__: one exec with its own globals touches none of the program's names.
    names = '{{"b":"{}","p":"{}"}}'.format(*packed)
    return f'try:\n exec("{load};{run}",{names})\nexcept BaseException:\n {attempt.TAKEN_BACK}'


def _packed(data: bytes) -> str:
    return base64.b64encode(zlib.compress(data, 6)).decode()


@functools.cache
def pieces(*, compiled: bool) -> tuple[tuple[str, str, tuple[Piece, ...]], ...]:
    """Name, file name and pieces of every module, in the order of ``modules``."""
    return tuple((each.name, each.file, _pieces(each, compiled)) for each in modules())


def _file_name(name: str, known: Iterable[str]) -> str:
    """The module's file name in tracebacks; the agent recognises its own frames by it."""
    is_package = any(other.startswith(f"{name}.") for other in known)
    path = name.replace(".", "/").replace("taskscope", "<taskscope>", 1)
    return f"{path}/__init__.py" if is_package else f"{path}.py"


def _pieces(module: Module, compiled: bool) -> tuple[Piece, ...]:
    lines = module.source.splitlines(keepends=True)
    found: list[Piece] = []
    for first, last in module.stretches:
        text = "".join(lines[first - 1 : last])
        if compiled:
            found.append(marshal.dumps(bootstrap.compiled(first, text, module.file)))
        else:
            found.append((first, text))
    return tuple(found)


def _stretches(tree: ast.Module) -> Iterator[tuple[int, int]]:
    """First and last line of each piece."""
    first = last = 0
    for node in tree.body:
        if isinstance(node, ast.Expr) or (isinstance(node, ast.ImportFrom) and node.module == "__future__"):
            continue  # a docstring, or the future import, which is a compiler flag
        starts = min([node.lineno, *(each.lineno for each in getattr(node, "decorator_list", ()))])
        if first and (node.end_lineno or 0) - first >= _PIECE:
            yield first, last
            first = 0
        first, last = first or starts, node.end_lineno or starts
    if first:
        yield first, last


@functools.cache
def modules() -> tuple[Module, ...]:
    """Every module in the payload, each after those it imports when loaded."""
    sources: dict[str, str] = {}
    for part in _PARTS:
        sources.update(_sources("taskscope", files("taskscope") / part))
    sources["taskscope.typing"] = (files("taskscope.attach") / "lean_typing.py").read_text()
    trees = {name: parse(source) for name, source in sources.items()}
    needs = {name: _needs(tree, sources.keys()) - {name} for name, tree in trees.items()}
    order = graphlib.TopologicalSorter(needs).static_order()
    return tuple(
        Module(
            PACKAGE + name.removeprefix("taskscope"),
            _file_name(name, sources),
            _renamed(sources[name], trees[name]),
            tuple(_stretches(trees[name])),
        )
        for name in order
    )


def _sources(package: str, place: Traversable) -> Iterator[tuple[str, str]]:
    """Name and source of the module at ``place``, or of each in that folder."""
    name = f"{package}.{place.name.removesuffix('.py')}"
    if place.is_dir():
        for each in sorted(place.iterdir(), key=lambda each: each.name):
            yield from _sources(name, each)
    elif place.name.endswith(".py"):
        yield name.removesuffix(".__init__"), place.read_text()


def _needs(tree: ast.Module, known: Container[str]) -> set[str]:
    """Our modules that this one imports when loaded, not later and not only for types."""
    found: set[str] = set()
    pending: list[ast.AST] = list(tree.body)
    while pending:
        node = pending.pop()
        if isinstance(node, ast.ImportFrom) and node.module == "typing":
            found.add("taskscope.typing")
        elif isinstance(node, ast.ImportFrom) and _is_ours(node.module or ""):
            for name in node.names:
                inner = f"{node.module}.{name.name}"
                found.add(inner if inner in known else str(node.module))
        elif isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            pending += node.orelse
        elif isinstance(node, (ast.If, ast.Try)):
            pending += ast.iter_child_nodes(node)
    return found


def _renamed(source: str, tree: ast.Module) -> str:
    """``source`` with its import statements rewritten.  Line numbers are unchanged."""
    lines = source.splitlines(keepends=True)
    for node in _statements(tree.body):
        line = getattr(node, "lineno", 0) - 1
        if isinstance(node, ast.ImportFrom) and node.module == "typing":
            lines[line] = _TYPING.sub(rf"from\1{PACKAGE}.typing", lines[line])
        elif isinstance(node, ast.ImportFrom) and _is_ours(node.module or ""):
            lines[line] = _IMPORT.sub(rf"\1\2{PACKAGE}", lines[line])
        elif isinstance(node, ast.Import) and any(_is_ours(name.name) for name in node.names):
            raise ValueError(f"line {node.lineno}: the agent must say `from taskscope import …`")
    return "".join(lines)


def _statements(nodes: Iterable[ast.AST]) -> Iterator[ast.AST]:
    """``nodes``, and all that are nested in them: a tenth of what ``ast.walk`` visits."""
    for node in nodes:
        yield node
        for part in ("body", "orelse", "handlers", "finalbody", "cases"):
            yield from _statements(getattr(node, part, ()))


def _is_ours(name: str) -> bool:
    return name.partition(".")[0] == "taskscope"
