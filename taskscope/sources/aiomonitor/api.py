"""aiomonitor's web API parsed into plain values: no sockets here.

Its lists are JSON with times and locations as text, its traces are HTML pages.  All of it comes from the
target, so it passes through ``wire.clean``.
"""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any

from taskscope import model, wire
from taskscope.model import plumbing
from taskscope.values import dataclass

if TYPE_CHECKING:
    from taskscope.model.vocabulary import Origin, Outcome

UNKNOWN = "-"
"""Its placeholder for an unknown location or age: a task its hook did not create."""

_SINCE = re.compile(r"(?:(\d+)y)?(?:(\d+)m)?(?:(\d+)d)?(?:(\d+)h)?(\d+):(\d+)(\.\d+)?")
_UNITS = (365 * 86400, 30 * 86400, 86400, 3600, 60, 1)
_LOCATION = re.compile(r"(.+):(\d+)", re.DOTALL)
_TRACE_LINE = re.compile(r'File "(.*)", line (\d+), in (.*)')
_NEXT = re.compile(r"Stack of <Task name=(.*) coro=\S*> when creating the next task", re.DOTALL)
_TERMINATED = re.compile(r"Stack of <TerminatedTask name=.* coro=\S* (.*)> \(most recent", re.DOTALL)
_FAILURE = re.compile(r"exc=([\w.]+)")
_STDLIB = re.compile(r"/lib/python\d[^/]*/")
_OWN_FILE = "/aiomonitor/monitor.py"


class ApiError(Exception):
    """The answer is not aiomonitor's."""


@dataclass(frozen=True, slots=True)
class LiveTask:
    """One row of its list.  ``age`` is in seconds; None, with ``location`` ``-``, without its hook."""

    id: str
    state: str
    name: str
    coroutine: str
    location: str
    age: float | None


@dataclass(frozen=True, slots=True)
class EndedTask:
    """One row of its list of ended tasks; seconds since birth and since the end."""

    id: str
    name: str
    coroutine: str
    age: float
    ended: float


@dataclass(frozen=True, slots=True)
class Trace:
    """A live task's page, every stack innermost first.

    ``creations``: the creation stacks of the task and its ancestors, nearest first, while still referenced;
    ``creators``: names of the tasks that ran them, except the last.
    """

    stack: tuple[model.Frame, ...]
    creations: tuple[tuple[model.Frame, ...], ...]
    creators: tuple[str, ...]


def version(text: str) -> str:
    """Its reported version.  Raises ApiError if this is not aiomonitor."""
    value = _json(text).get("value")
    if not isinstance(value, str):
        raise ApiError("no version")
    return value


def live_tasks(text: str) -> list[LiveTask]:
    """The answer to ``/api/live-tasks``.  Raises ApiError."""
    try:
        return [
            LiveTask(
                each["task_id"],
                each["state"],
                each["name"],
                coroutine(each["coro"]),
                each["created_location"],
                seconds(each["since"]),
            )
            for each in _json(text)["tasks"]
        ]
    except (KeyError, TypeError) as error:
        raise ApiError(f"its list of tasks has no {error}") from None


def ended_tasks(text: str) -> list[EndedTask]:
    """The answer to ``/api/terminated-tasks``.  Raises ApiError."""
    try:
        return [
            EndedTask(
                each["task_id"],
                each["name"],
                coroutine(each["coro"]),
                seconds(each["started_since"]) or 0.0,
                seconds(each["terminated_since"]) or 0.0,
            )
            for each in _json(text)["tasks"]
        ]
    except (KeyError, TypeError) as error:
        raise ApiError(f"its list of ended tasks has no {error}") from None


def _json(text: str) -> dict[str, Any]:
    try:
        value = wire.decode(text.encode())
    except wire.WireError:
        raise ApiError("not JSON") from None
    if not isinstance(value, dict):
        raise ApiError("not a JSON object")
    return value


def seconds(text: str) -> float | None:
    """Seconds in ``3d1h02:03.004``; None for ``-``.  A month counts 30 days, a year 365."""
    match = _SINCE.fullmatch(text)
    if match is None:
        return None
    whole = sum(int(count or 0) * unit for count, unit in zip(match.groups()[:6], _UNITS, strict=True))
    return whole + float(match[7] or 0)


def coroutine(text: str) -> str:
    """``main()`` as the agent names it: ``main``."""
    return text.removesuffix("()").replace(".<locals>", "")


def place(location: str) -> model.Frame:
    """The frame of a ``created_location``.  Its file may begin with ``<cwd>/`` and the like."""
    match = _LOCATION.fullmatch(location)
    if match is None:
        return model.Frame(location, 0, "")
    return model.Frame(match[1], int(match[2]), "", origin(match[1]))


def origin(file: str) -> Origin:
    """The origin, judged by the path alone."""
    if file.startswith("<sitepkg>/") or plumbing.is_in_library(file):
        return "library"
    if file.startswith(("<stdlib>/", "<frozen")) or _STDLIB.search(file):
        return "stdlib"
    return "user"


def trace(page: str) -> Trace:
    """Parses the page of a live task: its ancestors' stacks, oldest first, then its own."""
    items = _Page.items(page)
    if not items:
        raise ApiError("no stack on its page")
    *creations, (_, now) = items
    found = [(_NEXT.match(header), _frames(text)) for header, text in creations]
    return Trace(
        _frames(now),
        tuple(frames for _, frames in reversed(found)),
        tuple(wire.clean_text(header[1]) for header, _ in reversed(found) if header),
    )


def outcome(page: str) -> tuple[Outcome, str]:
    """How the task of a ``/trace-terminated`` page ended, and the type of its error if it failed."""
    items = _Page.items(page)
    match = _TERMINATED.match(items[-1][0]) if items else None
    if match is None:
        return "unseen", ""
    if match[1] == "cancelled":
        return "cancelled", ""
    failure = _FAILURE.match(match[1])
    return ("failed", wire.clean_text(failure[1])) if failure else ("finished", "")


def _frames(text: str) -> tuple[model.Frame, ...]:
    """Innermost first, without aiomonitor's own frames (it wraps coroutines).

    Source lines are indented, so none can pass for a line of the traceback.
    """
    found = []
    for line in text.splitlines():
        match = _TRACE_LINE.fullmatch(line)
        if match is not None and not match[1].endswith(_OWN_FILE):
            file = wire.clean_text(match[1])
            found.append(model.Frame(file, int(match[2]), wire.clean_text(match[3]), origin(file)))
    return tuple(reversed(found))


class _Page(HTMLParser):
    """Collects the headings of a trace page, each with its preformatted text."""

    def __init__(self) -> None:
        super().__init__()
        self._within: list[str] | None = None
        self._templates = 0
        self._heading: str | None = None
        self._found: list[tuple[str, str]] = []

    @classmethod
    def items(cls, page: str) -> list[tuple[str, str]]:
        parser = cls()
        parser.feed(page)
        parser.close()
        return parser._found

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "template":
            self._templates += 1
        elif tag in {"h2", "pre"} and not self._templates:
            self._within = []

    def handle_endtag(self, tag: str) -> None:
        if tag == "template":
            self._templates -= 1
        elif tag in {"h2", "pre"} and self._within is not None:
            text, self._within = "".join(self._within), None
            if tag == "h2":
                self._heading = text
            elif self._heading is not None:
                self._found.append((self._heading, text))
                self._heading = None

    def handle_data(self, data: str) -> None:
        if self._within is not None:
            self._within.append(data)
