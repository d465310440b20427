"""Source of loaded code, without running the program's code, at bounded memory and time.

Only files that code in this process was loaded from are opened, and only regular files of ordinary size.
They are read in pieces, and only the requested lines are kept.  ``linecache`` would call the program's
loaders, keep whole files, and open any path.
"""

from __future__ import annotations

import posix
import re
import sys
from stat import S_ISREG
from typing import TYPE_CHECKING, Any

from taskscope import model
from taskscope.agent.counts.descriptors import opened
from taskscope.agent.inspect import origins
from taskscope.agent.inspect.looking import attributes_of, lookup
from taskscope.agent.inspect.walk import spent
from taskscope.system import system

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from taskscope.agent.inspect.walk import Job
    from taskscope.model import requests

MAX_SIZE = 16 << 20
"""Largest file in bytes.  Hand-written source is smaller."""

PIECE = 1 << 16
"""Bytes per read."""

MAX_LINES = 400
MAX_MODULES = 5_000

_CODING = re.compile(rb"^[ \t\f]*#.*?coding[:=][ \t]*([-\w.]+)")


def modules(_: requests.Modules) -> Job[tuple[str, ...]]:
    """Source files of loaded modules outside the standard library and the agent."""
    found = set()
    for file, _ in loaded():
        if file.endswith(".py") and origins.origin(file) in {"user", "library"}:
            found.add(file)
        if spent():
            yield
    return tuple(sorted(found)[:MAX_MODULES])


def source(query: requests.Source) -> Job[model.SourceLines]:
    """The lines around ``line``; none if no code was loaded from that file, or it is unreadable."""
    file = query.file
    first = max(1, query.line - query.context)
    last = min(query.line + query.context, first + MAX_LINES - 1)
    yield
    held: Iterable[bytes] = ()
    loaders = dict(loaded())
    if file in loaders or origins.is_known(file):
        archived = _archived(loaders.get(file), file)
        held = pieces(file) if archived is None else [archived]
    lines: list[bytes] = []
    coding = "utf-8"
    for number, text in numbered(held):
        named = _CODING.match(text) if number <= 2 else None
        if named is not None:
            coding = named[1].decode()
        if number > last and number > 2:
            break
        if first <= number <= last:
            lines.append(text)
        if spent():
            yield
    return model.SourceLines(file, first, tuple(_decoded(text, coding) for text in lines))


def loaded() -> Iterator[tuple[str, Any]]:
    """File and loader of loaded modules, read passively: a module stand-in may run code."""
    for module in list(sys.modules.values()):
        names = attributes_of(module)
        file = lookup(names, "__file__")
        if type(file) is str:
            yield file, lookup(names, "__loader__")


def pieces(path: str) -> Iterator[bytes]:
    """The contents of a regular file that code was loaded from; opening any other may block."""
    try:
        if not S_ISREG(system.stat(path).st_mode):
            return
        held = opened(path, posix.O_NONBLOCK | posix.O_NOCTTY)
    except (OSError, ValueError):
        return
    try:
        status = system.fstat(held.number)
        left = status.st_size if S_ISREG(status.st_mode) and status.st_size <= MAX_SIZE else 0
        while left > 0 and held.ours and (piece := system.read(held.number, PIECE)):
            left -= len(piece)
            yield piece
    except OSError:
        pass  # keep what was read
    held.close()


def _archived(loader: Any, file: str) -> bytes | None:
    """The contents of a file in a zip archive that zipimport loads from; None: it is in none."""
    importer = getattr(sys.modules.get("zipimport"), "zipimporter", None)
    if importer is None or type(loader) is not importer:
        return None
    entry = loader._files.get(file.removeprefix(f"{loader.archive}/"))
    if entry is None or entry[3] > MAX_SIZE:
        return b""
    try:
        return bytes(loader.get_data(file))
    except (OSError, ValueError, ImportError):
        return b""


def numbered(held: Iterable[bytes]) -> Iterator[tuple[int, bytes]]:
    """Numbered lines without line endings."""
    number = 1
    rest: list[bytes] = []
    for piece in held:
        head, *more = piece.split(b"\n")
        rest.append(head)
        for each in more:
            yield number, b"".join(rest).rstrip(b"\r")
            number += 1
            rest = [each]
    if any(rest):
        yield number, b"".join(rest)


def _decoded(text: bytes, coding: str) -> str:
    try:
        return text[: 4 * 1024].decode(coding, "replace").removeprefix("\ufeff")
    except LookupError:
        return text.decode("latin-1")
