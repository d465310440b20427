"""Builds of Python that no agent can be brought into, and the sentence for each.

They are told by the files that a process has mapped; a free-threaded one also by its own memory.
"""

from __future__ import annotations

import re
import struct
from typing import TYPE_CHECKING, Literal

from taskscope.attach.errors import AttachError
from taskscope.interpreter import CRASHES, NEWEST, OLDEST, OLDEST_READ, READ_ONLY

if TYPE_CHECKING:
    from taskscope.attach import elf

Build = Literal["", "PyPy", "GraalPy", "musl", "free-threaded"]
"""Empty: one that an agent may enter, as far as its files tell."""

_FILES: dict[Build, re.Pattern[str]] = {
    "PyPy": re.compile(r"/(?:lib)?pypy[\d.]*(?:-c)?(?:\.so[\d.]*)?(?: \(deleted\))?$", re.MULTILINE),
    "GraalPy": re.compile(r"/(?:graalpy[\d.]*|libpythonvm\.so)(?: \(deleted\))?$", re.MULTILINE),
    "free-threaded": re.compile(
        r"/(?:lib)?python3\.\d+td?(?:\.so[\d.]*)?(?: \(deleted\))?$|/lib-dynload/\w+\.cpython-3\d+td?-",
        re.MULTILINE,
    ),
    "musl": re.compile(r"/ld-musl-|/libc\.musl-|-linux-musl/"),
}

_CPYTHON = f"CPython {OLDEST[0]}.{OLDEST[1]} to {NEWEST[0]}.{NEWEST[1]}"

READABLE = f"from outside, {_CPYTHON} can be read, free-threaded from 3.{OLDEST_READ[1]} on"

RUN = "start it with `taskscope run`"

_REFUSALS: dict[Build, tuple[str, str]] = {
    "PyPy": (f"runs PyPy; TaskScope attaches to {_CPYTHON}", ""),
    "GraalPy": (f"runs GraalPy; TaskScope attaches to {_CPYTHON}", ""),
    "free-threaded": (
        f"runs a free-threaded Python; {CRASHES}, so none enters it",
        "run the program under a Python with a GIL to watch it",
    ),
    "musl": ("uses musl; an agent enters only a process that uses glibc", f"{RUN}; {READ_ONLY}"),
}

_HINTS: dict[Build, str] = {
    "": "",
    "PyPy": "PyPy: CPython is needed",
    "GraalPy": "GraalPy: CPython is needed",
    "free-threaded": "free-threaded: only read from outside",
    "musl": f"musl: {RUN}",
}

_VERSION = re.compile(r"(?:python|pypy)(\d)\.(\d+)")

_COOKIE = b"xdebugpy"


def of_files(files: str) -> Build:
    """The build, by the paths in ``files``, each at the end of a line."""
    return next((build for build, pattern in _FILES.items() if pattern.search(files)), "")


def version_in(text: str) -> str:
    """``3.11`` in a path or a list of files; empty if there is none."""
    match = _VERSION.search(text)
    return f"{match[1]}.{match[2]}" if match else ""


def is_old(version: str) -> bool:
    """Whether it is older than what can be attached to, or read; an empty one is unknown."""
    return bool(version) and tuple(map(int, version.split("."))) < OLDEST


def refuse(pid: int, build: Build, version: tuple[int, ...] = ()) -> None:
    """Raises AttachError for a build that no agent can enter.  ``version``: of a CPython, if it is known."""
    if build:
        sentence, remedy = _REFUSALS[build]
        read = build == "free-threaded" and version >= OLDEST_READ
        raise AttachError(f"process {pid} {sentence}", READ_ONLY if read else remedy)


def hint(build: Build) -> str:
    """The same in a few words."""
    return _HINTS[build]


def too_old(pid: int, version: str) -> AttachError:
    """The same for a version that is not supported."""
    return AttachError(f"process {pid} runs Python {version}; TaskScope attaches to {_CPYTHON}")


def is_free_threaded(python: elf.Image, read: elf.Reader) -> bool:
    """Whether it has no GIL: its debug offsets say so from 3.13 on, as does a function that others lack."""
    if python.symbol("_Py_MergeZeroLocalRefcount"):
        return True
    runtime = python.symbol("_PyRuntime")
    header = read(runtime, 24) if runtime is not None else b""
    if len(header) != 24 or not header.startswith(_COOKIE):
        return False
    (flag,) = struct.unpack_from("<Q", header, 16)
    return bool(flag)
