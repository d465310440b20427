"""Whether the program ever looks into a container that it fills, judged by its source.

What is put where nobody ever looks is as good as dropped: nobody can end it, or take it out again.  Every
mention of the container must add an entry, show its length, or create it once; anything else, and whatever
cannot be read or understood, counts as a look.
"""

from __future__ import annotations

import re
from token import DEDENT, INDENT, NAME, NEWLINE, STRING
from typing import TYPE_CHECKING, NamedTuple

from taskscope import model
from taskscope.agent.answers import source
from taskscope.agent.inspect import origins
from taskscope.agent.inspect.walk import spent
from taskscope.system import system

if TYPE_CHECKING:
    from tokenize import TokenInfo

    from taskscope.agent.inspect.keepers import Place
    from taskscope.agent.inspect.walk import Job

MAX_FILES, MAX_LINES, MAX_KNOWN = 300, 200_000, 200
"""Files and lines of the program that are read; answers that are kept."""

LOADS = 1.0
"""Seconds after its start in which a process has not loaded much of its code yet."""

_FILLS = frozenset(("append", "appendleft", "add", "extend", "insert", "update"))
_INTO = frozenset(("+=", "|="))
_FRESH = frozenset(("[", "{", "list", "dict", "set", "deque", "defaultdict", "OrderedDict", "field"))
_BUILDS = frozenset(("__init__", "__post_init__", "__new__"))
_DECIDES = frozenset(("if", "while", "for", "assert", "return", "<", ">", "<=", ">=", "==", "!=", "=", ":="))
_HIDING = re.compile(r"(?i)[rbu]*f[rb]*[\"']")
_COUNTED = r"\blen\((?:\w+\.)*{}\)"


class _Scope(NamedTuple):
    """A function or class: at which depth it is defined, and its first line, decorators included."""

    depth: int
    kind: str
    name: str
    line: int


class Uses:
    """Remembers its answers: source does not change.  ``since``: when the process started, by the wall."""

    def __init__(self, since: float | None = None) -> None:
        self._since = since
        self._known: dict[Place, bool] = {}
        self._fills: dict[Place, model.Frame] = {}

    def is_only_filled(self, place: Place | None) -> Job[bool]:
        """Whether nothing but what adds entries to it mentions the container at ``place``."""
        if place is None:
            return False
        if place not in self._known:
            answer = yield from self._look(place)
            while len(self._known) >= MAX_KNOWN:
                oldest = next(iter(self._known))
                del self._known[oldest]
                self._fills.pop(oldest, None)
            self._known[place] = answer
        return self._known[place]

    def filled_at(self, place: Place | None) -> model.Frame | None:
        """The first line that adds an entry; None if none was seen.  Ask ``is_only_filled`` before."""
        return self._fills.get(place) if place is not None else None

    def _look(self, place: Place) -> Job[bool]:
        files = [place.file] if place.kind == "variable" else (yield from files_of_program())
        if place.file not in files or len(files) > MAX_FILES:
            return False
        mentions: set[str] = set()
        for file in sorted(files, key=lambda each: each != place.file):
            found = yield from self._mentions(place, file)
            mentions |= found
            if "look" in mentions:
                return False
        return {"fill", "creation"} <= mentions

    def _mentions(self, place: Place, file: str) -> Job[set[str]]:
        try:
            if self._since is not None and system.stat(file).st_mtime > self._since + LOADS:
                return {"look"}  # it is not what was loaded
        except OSError:
            return {"look"}
        mentioned, last = False, 0
        for number, line in source.numbered(source.pieces(file)):
            mentioned, last = mentioned or place.name.encode() in line, number
            if spent():
                yield
        if not mentioned:
            return set()
        if last > MAX_LINES:
            return {"look"}
        reader = _Reader(place, file)
        found = yield from reader.read()
        if reader.fills:
            self._fills.setdefault(place, reader.fills[0])
        return found


def files_of_program() -> Job[list[str]]:
    """The files of the program."""
    found = {}
    for file, _ in source.loaded():
        if origins.origin(file) == "user":
            found[file] = file
        if spent():
            yield
    return list(found)


class _Reader:
    """Goes through one file, statement by statement."""

    def __init__(self, place: Place, file: str) -> None:
        self._place, self._file = place, file
        self._scopes: list[_Scope] = []
        self._depth = 0
        self._decorated = 0
        self.fills: list[model.Frame] = []

    def read(self) -> Job[set[str]]:
        import tokenize

        lines = (
            text.decode("utf-8", "replace") + "\n" for _, text in source.numbered(source.pieces(self._file))
        )
        found: set[str] = set()
        statement: list[TokenInfo] = []
        try:
            for token in tokenize.generate_tokens(lambda: next(lines, "")):
                if token.type == INDENT:
                    self._depth += 1
                elif token.type == DEDENT:
                    self._depth -= 1
                    self._scopes = [each for each in self._scopes if each.depth < self._depth]
                elif token.type == NEWLINE:
                    found |= self._statement(statement)
                    statement = []
                elif token.string.strip() and not token.string.startswith("#"):
                    statement.append(token)
                if spent():
                    yield
        except (tokenize.TokenError, SyntaxError):
            return {"look"}
        return found

    def _statement(self, tokens: list[TokenInfo]) -> set[str]:
        """How one statement mentions the container."""
        words = [each.string for each in tokens]
        found = set()
        for at, each in enumerate(tokens):
            if self._is_meant(each, words, at):
                kind = self._kind(tokens, words, at)
                found.add(kind)
                if kind == "fill":
                    self.fills.append(self._frame(each.start[0]))
        self._enter(tokens, words)
        return found

    def _frame(self, line: int) -> model.Frame:
        function = ".".join(each.name for each in self._scopes) or "<module>"
        return model.Frame(self._file, line, function, "user")

    def _enter(self, tokens: list[TokenInfo], words: list[str]) -> None:
        """Notes the function or class that begins with this statement."""
        if words and words[0] == "@":
            self._decorated = self._decorated or tokens[0].start[0]
            return
        kind = next((each for each in words[:2] if each in ("def", "class")), "")
        if kind:
            line = self._decorated or tokens[0].start[0]
            self._scopes.append(_Scope(self._depth, kind, words[words.index(kind) + 1], line))
        self._decorated = 0

    def _is_meant(self, token: TokenInfo, words: list[str], at: int) -> bool:
        """Whether this may be the container: in doubt yes."""
        place, after_dot = self._place, at > 0 and words[at - 1] == "."
        if token.type == STRING:
            hides = _HIDING.match(token.string) and re.search(rf"\b{place.name}\b", token.string)
            named = token.string.strip("rRbBuU\"'") == place.name and words[0] != "__slots__"
            return bool(hides) or (named and place.kind != "variable")
        if token.type != NAME or token.string != place.name:
            return False
        if place.kind == "attribute":
            around = next((each.name for each in reversed(self._scopes) if each.kind == "class"), "")
            if around and around not in place.classes and words[max(0, at - 2) : at] in ([], ["self", "."]):
                return False  # it is another class's
            return after_dot or bool(self._scopes and self._scopes[-1].kind == "class")
        if place.kind == "variable":
            return not after_dot and any(each.line == place.line for each in self._scopes)
        return not after_dot if self._file == place.file else after_dot or words[0] in ("from", "import")

    def _kind(self, tokens: list[TokenInfo], words: list[str], at: int) -> str:
        """``fill``, ``creation``, ``look``, or ``length``: harmless."""
        if tokens[at].type == STRING:
            return "length" if self._counts_in(tokens[at].string) and _DECIDES.isdisjoint(words) else "look"
        following = words[at + 1 : at + 4]
        if following[:1] == ["."]:
            return "fill" if len(following) > 2 and following[1] in _FILLS and following[2] == "(" else "look"
        if following[:1] == ["["]:
            return "fill" if _after_brackets(words, at + 1) == "=" else "look"
        if following[:1] and following[0] in _INTO:
            return "fill"
        begin = at
        while begin > 1 and words[begin - 1] == ".":
            begin -= 2
        is_declared = begin == 0 and following[:1] == [":"] and "=" not in words
        if words[0] in ("global", "nonlocal") or is_declared:
            return "length"
        if words[max(0, begin - 2) : begin] == ["len", "("] and following[:1] == [")"]:
            return "length" if _DECIDES.isdisjoint(words) else "look"
        return "creation" if self._creates(words, at) else "look"

    def _counts_in(self, text: str) -> bool:
        """Whether a formatted string shows its length and nothing else of it."""
        name = self._place.name
        return not re.search(rf"\b{name}\b", re.sub(_COUNTED.format(name), "", text))

    def _creates(self, words: list[str], at: int) -> bool:
        """Whether a new container is bound to the name, where that happens once."""
        innermost = self._scopes[-1] if self._scopes else None
        if self._place.kind == "global":
            once = innermost is None and self._depth == 0
        elif innermost is None:
            once = False
        elif self._place.kind == "attribute":
            once = innermost.kind == "class" or innermost.name in _BUILDS
        else:
            once = innermost.line == self._place.line and self._depth == innermost.depth + 1
        equals = [place for place, word in enumerate(words) if word == "="]
        assigned = words[equals[0] + 1 :] if equals and at < equals[0] else []
        several = "," in words[: equals[0]] if equals else False
        fresh = not _FRESH.isdisjoint(assigned if several else assigned[:1] + assigned[2:3])
        return once and fresh and (len(equals) == 1 or "field" in assigned)


def _after_brackets(words: list[str], at: int) -> str:
    """The word after the bracket that closes the one at ``at``."""
    open_brackets = 0
    for place in range(at, len(words) - 1):
        open_brackets += (words[place] in ("[", "(", "{")) - (words[place] in ("]", ")", "}"))
        if not open_brackets:
            return words[place + 1]
    return ""
