"""Classifies files: the agent's, task plumbing, the standard library, a library's, or the user's.

A creation site is the first frame outside the plumbing; a user frame is the nearest one that is
neither the standard library's nor a library's.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from taskscope import model
from taskscope.agent.inspect.looking import attributes_of, lookup, text
from taskscope.model import plumbing
from taskscope.system import system

if TYPE_CHECKING:
    from types import CodeType, FrameType
    from typing import Literal

    from taskscope.model.vocabulary import Origin


def absolute(path: str) -> str:
    """``path`` from the root on; as it is where the working directory was deleted."""
    try:
        return os.path.abspath(path)  # noqa: PTH100
    except OSError:
        return path


_HERE = absolute(__file__).removesuffix("agent/inspect/origins.py")
_DEMO = f"{_HERE}demo/"
_STDLIB = os.path.dirname(absolute(os.__file__))  # noqa: PTH120
_THREAD_PLUMBING = ("/threading.py", "/concurrent/futures/")

MAX_FILES = 10_000
"""File names cached.  A program that keeps compiling code under new names must not make the cache grow."""

_cache: dict[str, Origin | Literal["own"]] = {}
_plumbing: dict[str, bool] = {}


def file_of(code: CodeType) -> str:
    """The file name as a plain string; compiled code may carry any subclass of it."""
    return text(code.co_filename)


def name_of(code: CodeType) -> str:
    return text(code.co_name)


def origin(file: str) -> Origin | Literal["own"]:
    """Who owns the file; ``own``: the agent."""
    file = text(file)
    known = _cache.get(file)
    if known is None:
        if len(_cache) >= MAX_FILES:
            _cache.clear()
        known = _cache[file] = _classify(file)
    return known


def _classify(file: str) -> Origin | Literal["own"]:
    if file.startswith("<taskscope"):
        return "own"
    if file.startswith("<frozen"):
        return "stdlib"
    if file.startswith(_HERE):
        return "user" if file.startswith(_DEMO) else "own"
    if plumbing.is_in_library(file):
        return "library"
    if file.startswith(_STDLIB + os.sep):
        return "stdlib"
    return "library" if _is_compiled(file) else "user"


def _is_compiled(file: str) -> bool:
    """Whether a library compiled it: its name begins with that of a package.

    As in ``asyncpg/protocol/protocol.pyx`` of Cython, or ``<sqlalchemy generated _go() wrapper for …>``.
    """
    mark = " " if file.startswith("<") else "/"
    package, found, _ = file.removeprefix("<").partition(mark)
    module = sys.modules.get(package) if found and package else None
    where = text(lookup(attributes_of(module), "__file__"))
    return plumbing.is_in_library(where)


def is_known(file: str) -> bool:
    """Whether code from this file has been classified."""
    return file in _cache


def is_own(file: str) -> bool:
    return origin(file) == "own"


def is_plumbing(file: str) -> bool:
    """Whether it is code that creates tasks on behalf of its caller."""
    file = text(file)
    known = _plumbing.get(file)
    if known is None:
        if len(_plumbing) >= MAX_FILES:
            _plumbing.clear()
        whose = origin(file)
        known = whose == "own" or plumbing.runs_tasks(file, whose)
        _plumbing[file] = known
    return known


def is_thread_plumbing(file: str) -> bool:
    return is_plumbing(file) or (origin(file) == "stdlib" and any(mark in file for mark in _THREAD_PLUMBING))


def package_of(file: str) -> str:
    """The top package of a library's file; "" for other files."""
    return plumbing.package_of(text(file), origin(file))


def starts_for_others(file: str) -> bool:
    """Whether a line of ``file`` is never the cause: it starts tasks on behalf of its callers."""
    return plumbing.starts_for_others(text(file), origin(file))


def read_configuration() -> None:
    """Adds the packages named in ``plumbing`` in the user's configuration directory, if there is one."""
    home = os.environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")  # noqa: PTH111
    try:
        said = system.contents(f"{home}/taskscope/plumbing", 65536).decode()
    except (OSError, ValueError):  # not text, or a null byte in its name
        return
    lines = [line.partition("#")[0].strip() for line in said.splitlines()]
    plumbing.STARTS_FOR_OTHERS.update(line for line in lines if line)


def line_of(code: CodeType, lasti: int) -> int:
    """The line of an instruction, searched for in the code's line table."""
    for start, end, line in code.co_lines():
        if start <= lasti < end and line is not None:
            return line
    return code.co_firstlineno


def frame_at(code: CodeType, lasti: int) -> model.Frame:
    return frame_of(code, line_of(code, lasti))


def frame_of(code: CodeType, line: int | None) -> model.Frame:
    file = file_of(code)
    return model.Frame(file, line or code.co_firstlineno, function_name(code), shown_origin(file))


def shown_origin(file: str) -> Origin:
    """The origin as shown in a stack, where the agent's own code counts as a library."""
    whose = origin(file)
    return "library" if whose == "own" else whose


def caller_outside(frame: FrameType | None) -> model.Frame | None:
    """The first frame outwards that is neither ours nor the standard library's; None if there is none."""
    while frame is not None:
        if origin(frame.f_code.co_filename) in ("user", "library"):
            return frame_of(frame.f_code, frame.f_lineno)
        frame = frame.f_back
    return None


def function_name(code: CodeType) -> str:
    """The qualified name without ``<locals>``."""
    return text(code.co_qualname).replace(".<locals>", "")


def is_user(code: CodeType) -> bool:
    return origin(code.co_filename) == "user"
