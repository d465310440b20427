"""The line of the program that makes the context variable of a name, as its source tells."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from taskscope import model
from taskscope.agent.answers import source
from taskscope.agent.answers.uses import MAX_FILES, files_of_program
from taskscope.agent.inspect.walk import spent

if TYPE_CHECKING:
    from taskscope.agent.inspect.walk import Job

MAX_KNOWN = 200
"""Names that are remembered."""

_FUNCTION = re.compile(rb"(\s*)(?:async )?def (\w+)")
_MADE = rb"ContextVar\(\s*[rRuU]?[\"']%s[\"']"


class Definitions:
    """Remembers its answers, also that a line was not found: source does not change."""

    def __init__(self) -> None:
        self._known: dict[str, model.Frame | None] = {}

    def line_of(self, name: str) -> Job[model.Frame | None]:
        """None if it is a library's, or made with a name that is computed."""
        if name not in self._known:
            if len(self._known) >= MAX_KNOWN:
                self._known.clear()
            self._known[name] = None
            self._known[name] = yield from _found(re.compile(_MADE % re.escape(name).encode()))
        return self._known[name]


def _found(pattern: re.Pattern[bytes]) -> Job[model.Frame | None]:
    files = yield from files_of_program()
    for file in files[:MAX_FILES]:
        around: list[tuple[int, str]] = []  # the functions above, with their indentation
        for number, line in source.numbered(source.pieces(file)):
            begins = _FUNCTION.match(line)
            if begins is not None:
                depth = len(begins[1])
                around = [each for each in around if each[0] < depth]
                around.append((depth, begins[2].decode()))
            if b"ContextVar" in line and pattern.search(line):
                depth = len(line) - len(line.lstrip())
                function = ".".join(each for at, each in around if at < depth) or "<module>"
                return model.Frame(file, number, function, "user")
            if spent():
                yield
    return None
