"""The language of rules: what makes TaskScope act by itself, what it does then, and how often.

``leak,hang,fds=90% report:/var/log/shop``: words joined by commas, a space, and what to do.  `watch --on`,
`run --on` and ``start(on=…)`` all read it here.
"""

from __future__ import annotations

import re
from dataclasses import field
from typing import TYPE_CHECKING, Literal, TypeVar

from taskscope.text import parsed_seconds
from taskscope.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from taskscope.model.vocabulary import Level, Resource

T = TypeVar("T")

ActionKind = Literal["snapshot", "record", "report", "command"]

HOUR = 3600.0

MOST, DISK = 6, 1 << 30
"""Firings an hour, and bytes in the folder, unless the rule says otherwise."""

_LEVELS: tuple[Level, ...] = ("hang", "spin", "leak", "suspect")
_SHARES: dict[str, Resource] = {"fds": "fds", "memory": "rss", "threads": "threads"}
_FOLDERS: dict[str, ActionKind] = {"snapshot": "snapshot", "record": "record", "report": "report"}
_UNITS = {"kB": 10**3, "MB": 10**6, "GB": 10**9}
_EXAMPLES = {
    **dict.fromkeys(_SHARES, "90%"),
    "stall": "5s",
    "growth": "5%/1h",
    "most": "6/h",
    "disk": "500MB",
}
WORDS = (*_LEVELS, *_EXAMPLES)


class RuleError(ValueError):
    """The rule cannot be read; the message quotes the word and says what it may be."""


@dataclass(frozen=True, slots=True)
class Action:
    """What to do.  ``argument``: the folder of the files, or the command for ``/bin/sh``."""

    kind: ActionKind
    argument: str


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule.  It fires on findings of ``levels``, on a stall of at least ``stall`` seconds, when a
    resource passes its share of its limit (0 to 1), and when live tasks grow by a share in so many seconds.

    ``most``: firings an hour; ``disk``: bytes that its files may take.
    """

    text: str
    do: Action
    levels: frozenset[Level] = frozenset()
    stall: float | None = None
    shares: dict[Resource, float] = field(default_factory=dict)
    growth: tuple[float, float] | None = None
    most: int = MOST
    disk: int = DISK


def parse_all(rules: str | Iterable[str]) -> tuple[Rule, ...]:
    """Several rules, each a string ``WORDS DO``.  Raises RuleError."""
    found = []
    for each in [rules] if isinstance(rules, str) else rules:
        words, _, do = each.strip().partition(" ")
        found.append(parse(words, do.strip()))
    return tuple(found)


def parse(words: str, do: str) -> Rule:
    """The rule that ``words`` and ``do`` state.  Raises RuleError."""
    reader = _Reader()
    for word in words.split(","):
        reader.take(word.strip())
    if not (reader.levels or reader.stall is not None or reader.shares or reader.growth):
        raise RuleError(f"{words!r} never fires: it needs one of {', '.join(WORDS[:-2])}")
    return Rule(
        words,
        _action(do, words),
        frozenset(reader.levels),
        reader.stall,
        reader.shares,
        reader.growth,
        reader.most,
        reader.disk,
    )


class _Reader:
    """Reads one word after another."""

    def __init__(self) -> None:
        self.levels: set[Level] = set()
        self.stall: float | None = None
        self.shares: dict[Resource, float] = {}
        self.growth: tuple[float, float] | None = None
        self.most, self.disk = MOST, DISK

    def take(self, word: str) -> None:
        """Raises RuleError."""
        name, equals, value = word.partition("=")
        if name not in WORDS:
            raise RuleError(f"unknown word {word!r} in a rule; the words are {', '.join(WORDS)}")
        if name in _LEVELS and not equals:
            self.levels.add(name)
        elif name == "stall" and not equals:
            self.stall = 0.0
        elif name in _SHARES:
            self.shares[_SHARES[name]] = _read(word, name, value, _share)
        elif name == "stall":
            self.stall = _read(word, name, value, parsed_seconds)
        elif name == "growth":
            self.growth = _read(word, name, value, _growth)
        elif name == "most":
            self.most = _read(word, name, value, _an_hour)
        elif name == "disk":
            self.disk = _read(word, name, value, _size)
        else:
            raise RuleError(f"{word!r}: {name} takes no value")


def _read(word: str, name: str, value: str, read: Callable[[str], T | None]) -> T:
    found = read(value)
    if found is None:
        raise RuleError(f"{word!r} is not like {name}={_EXAMPLES[name]}")
    return found


def _share(text: str) -> float | None:
    match = re.fullmatch(r"(\d{1,3}(?:\.\d+)?)%", text)
    return float(match[1]) / 100 if match and 0 < float(match[1]) <= 100 else None


def _growth(text: str) -> tuple[float, float] | None:
    percent, _, within = text.partition("/")
    match, seconds = re.fullmatch(r"(\d{1,6}(?:\.\d+)?)%", percent), parsed_seconds(within)
    return (float(match[1]) / 100, seconds) if match and float(match[1]) > 0 and seconds else None


def _an_hour(text: str) -> int | None:
    match = re.fullmatch(r"(\d{1,4})/h", text)
    return int(match[1]) if match and int(match[1]) > 0 else None


def _size(text: str) -> int | None:
    match = re.fullmatch(r"(\d{1,6}(?:\.\d+)?)(kB|MB|GB)", text)
    return int(float(match[1]) * _UNITS[match[2]]) or None if match else None


def _action(do: str, words: str) -> Action:
    if not do:
        raise RuleError(
            f"{words!r} does not say what to do: add snapshot:DIR, record:DIR, report:DIR or a command"
        )
    word, colon, folder = do.partition(":")
    kind = _FOLDERS.get(word)
    if kind is None:
        if colon and word.isalpha() and not folder.startswith("//"):  # snapshto:/var/log
            raise RuleError(f"{do!r} is neither snapshot:DIR, record:DIR, report:DIR nor a command")
        return Action("command", do)
    if not folder:
        raise RuleError(f"{do!r} names no folder")
    return Action(kind, folder)
