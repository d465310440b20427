"""Reads a snapshot file part by part, as a live agent sends it: in memory is one part, whatever the file."""

from __future__ import annotations

import codecs
import json
import re
from contextlib import contextmanager
from itertools import islice
from typing import TYPE_CHECKING, Any

from taskscope import wire
from taskscope.export.snapshot import SnapshotError, identify, pieces_of
from taskscope.model.snapshot import NAMES, SECTIONS
from taskscope.wire import WireError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    Part = tuple[str, Any]

BATCH = 1 << 18
"""Characters of a list that become one part."""

MAX_ELEMENT = 32 << 20
"""Characters of a value that is not cut up."""

FIRST = ("process", "time", "sites", "frames", "stacks")
"""Sections that say what the rows of tasks mean."""

_SPACE = re.compile(r"[ \t\n\r]*")


class UnorderedError(Exception):
    """The sections are in an order in which they cannot be read part by part."""


def feed(path: str | Path, take: Callable[[str, Any], None]) -> None:
    """Passes the parts of the snapshot in ``path`` to ``take``, which may raise WireError.

    Raises SnapshotError, and UnorderedError before any task is passed on; an OSError is that of ``take``.
    """
    seen: dict[str, Any] = {}
    with _said(path, seen):
        for section, value in _parts(_Scanner(_pieces(path))):
            if section not in ("format", "schema", "taskscope") and "known" not in seen:
                identify(seen, path)
                seen["known"] = True
            if section in NAMES:
                if section == "tasks" and not seen.keys() >= set(FIRST):
                    raise UnorderedError
                seen[section] = value if section in ("format", "schema", "taskscope") else True
                take(section, value)
        identify(seen, path)
        lacking = [each.name for each in SECTIONS if each.needed and each.name not in seen]
        if lacking:
            raise WireError(f"the section {lacking[0]!r} is missing")


@contextmanager
def _said(path: str | Path, seen: Mapping[str, Any]) -> Iterator[None]:
    try:
        yield
    except WireError as error:
        what = "damaged" if "known" in seen else "not a TaskScope snapshot"
        raise SnapshotError(f"{path} is {what}: {error}") from None


def _pieces(path: str | Path) -> Iterator[bytes]:
    try:
        yield from pieces_of(path)
    except OSError as error:
        raise SnapshotError(f"cannot read {path}: {error.strerror or error}") from None


def _parts(scanner: _Scanner) -> Iterator[Part]:
    scanner.expect("{")
    if scanner.peek() == "}":
        return
    while True:
        section = scanner.value()
        if type(section) is not str:
            raise WireError("not JSON")
        scanner.expect(":")
        if scanner.peek() == "[":
            for batch in scanner.batches():
                yield section, batch
        else:
            yield section, scanner.value()
        if scanner.expect(",}") == "}":
            return


class _Scanner:
    """JSON text in pieces; every value goes through `wire.decode`, with its limits."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._decode = codecs.getincrementaldecoder("utf-8")()
        self._find = json.JSONDecoder().raw_decode
        self._text = ""
        self._at = 0

    def peek(self) -> str:
        """The next character outside spaces; empty at the end."""
        while True:
            found = _SPACE.match(self._text, self._at)
            assert found is not None
            self._at = found.end()
            if self._at < len(self._text) or not self._more():
                return self._text[self._at : self._at + 1]

    def expect(self, characters: str) -> str:
        """Takes one of these characters.  Raises WireError if another one comes."""
        found = self.peek()
        if not found or found not in characters:
            raise WireError("not JSON" if found else "it ends too early")
        self._at += 1
        return found

    def value(self) -> Any:
        """The next value."""
        return wire.decode(self._raw().encode())

    def batches(self) -> Iterator[list[Any]]:
        """The elements of the list that comes next, in parts; one empty part if it has none."""
        self.expect("[")
        if self.peek() == "]":
            self._at += 1
            yield []
            return
        batch: list[str] = []
        size, end = 0, ","
        while end == ",":
            batch.append(self._raw())
            size += len(batch[-1])
            end = self.expect(",]")
            if size > BATCH or end == "]":
                yield wire.decode(f"[{','.join(batch)}]".encode())
                batch.clear()
                size = 0

    def _raw(self) -> str:
        """The text of the next value."""
        self.peek()
        wanted = 1
        while True:
            try:
                _, end = self._find(self._text, self._at)
            except (ValueError, RecursionError):
                end = len(self._text)
            if end < len(self._text):  # a number at the end of the text may go on
                begin, self._at = self._at, end
                return self._text[begin:end]
            if not self._more(wanted):
                raise WireError("not JSON, or cut off")
            wanted *= 2  # each look begins at the start of the value

    def _more(self, pieces: int = 1) -> bool:
        """Reads on, and forgets what was read; False at the end."""
        piece = b"".join(islice(self._pieces, pieces))
        if not piece:
            return False
        try:
            self._text = self._text[self._at :] + self._decode.decode(piece)
        except ValueError:
            raise WireError("not UTF-8") from None
        self._at = 0
        if len(self._text) > MAX_ELEMENT:
            raise WireError("one of its values is too large")
        many = self._text.count("[") + self._text.count("{") > wire.MAX_CONTAINERS
        if many or self._text.count(",") > wire.MAX_VALUES:
            raise WireError("it holds too many values")
        return True
