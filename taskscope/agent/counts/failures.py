"""Errors that ended tasks, by site, type and line, so that rare ones are not lost among frequent ones.

A traceback is read immediately and released: file, line and function are kept, but no frame or exception.
"""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING, Any

from taskscope import model
from taskscope.agent.inspect import origins
from taskscope.agent.inspect.looking import class_name

if TYPE_CHECKING:
    from types import CodeType

MAX_OF_SITE = 10
"""Distinct errors kept per site; the least recently seen is evicted."""

MAX_SITES = 200
"""Sites whose errors are kept; the first to fail is evicted.  About 1 MB in total."""

MAX_DEPTH = 300
"""Traceback frames walked: 20 µs."""

_Line = tuple["CodeType", int]
_Key = tuple[object, ...]
_traceback_of: Any = BaseException.__dict__["__traceback__"].__get__


class _Kind:
    """Tasks of a site that failed alike; updated in place, since creating one dominates the cost."""

    __slots__ = ("count", "first", "last", "raised", "said", "serial", "user")

    def __init__(self, raised: _Line | None, user: _Line | None, now: float) -> None:
        self.raised = _frame(raised)
        self.user = _frame(user)
        self.count = 0
        self.first = self.last = now
        self.said = ""
        self.serial = 0


class Failures:
    """Written by any loop's thread when a task ends, read by the agent's.

    So every step is one atomic call; two simultaneous failures may count as one.
    """

    def __init__(self) -> None:
        self._sites: dict[int, dict[_Key, _Kind]] = {}

    def add(self, site: int, failure: object, said: str, serial: int, now: float) -> None:
        """Counts a task that ended with ``failure``, whose text is ``said``."""
        kinds = self._sites.get(site)
        if kinds is None:
            kinds = self._kinds_of(site)
        raised, user = _places(_traceback_of(failure))
        key = class_name(failure), *_named(raised), *_named(user)
        kind = kinds.get(key)
        if kind is None:
            kind = kinds[key] = _Kind(raised, user, now)
            if len(kinds) > MAX_OF_SITE:
                kinds.pop(min(list(kinds.items()), key=lambda each: each[1].last)[0], None)
        kind.count += 1
        kind.last = now
        kind.said = said
        kind.serial = serial

    def _kinds_of(self, site: int) -> dict[_Key, _Kind]:
        kinds = self._sites[site] = {}
        for oldest in list(self._sites)[: max(0, len(self._sites) - MAX_SITES)]:
            self._sites.pop(oldest, None)
        return kinds

    def of(self, site: int) -> tuple[model.Failure, ...]:
        """Errors at a site, the latest first."""
        kinds = sorted(self._sites.get(site, {}).values(), key=lambda kind: -kind.last)
        return tuple(
            model.Failure(
                site, kind.said, kind.raised, kind.user, kind.count, kind.first, kind.last, kind.serial
            )
            for kind in kinds
        )

    def sites(self) -> list[int]:
        """The sites with errors."""
        return list(self._sites)

    def every(self) -> tuple[model.Failure, ...]:
        return tuple(failure for site in self.sites() for failure in self.of(site))


def places_of(failure: object) -> tuple[model.Frame | None, model.Frame | None]:
    """The innermost line that an error came from, and the innermost user line."""
    raised, user = _places(_traceback_of(failure))
    return _frame(raised), _frame(user)


def _named(line: _Line | None) -> tuple[object, ...]:
    """Identifies a line by name; its code object may be recreated."""
    return (line[0].co_filename, line[1]) if line is not None else (None, 0)


def _frame(line: _Line | None) -> model.Frame | None:
    return origins.frame_of(*line) if line is not None else None


def _places(trace: TracebackType | None) -> tuple[_Line | None, _Line | None]:
    """The innermost line of a traceback, and the innermost user line."""
    raised: _Line | None = None
    user: _Line | None = None
    for _ in range(MAX_DEPTH):
        if type(trace) is not TracebackType:
            break
        raised = trace.tb_frame.f_code, trace.tb_lineno
        if origins.is_user(raised[0]):
            user = raised
        trace = trace.tb_next
    return raised, user
