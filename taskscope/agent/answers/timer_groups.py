"""The timers of event loops, grouped by what they call and where they were armed.

Read from the loops' heaps, and only when asked.  Across a pause nothing of a heap is referenced but weakly.
"""

from __future__ import annotations

import math
from array import array
from collections import Counter
from enum import Enum
from types import FunctionType, NoneType
from typing import TYPE_CHECKING

from taskscope import model
from taskscope.agent.inspect import alone, arming, futures, origins, timers, turns
from taskscope.agent.inspect.island import OwnRef
from taskscope.agent.inspect.looking import (
    attribute,
    called,
    class_name,
    column,
    innermost,
    is_a,
    items,
    owner_of,
    written,
)
from taskscope.agent.inspect.walk import spent
from taskscope.model import requests
from taskscope.system import clock

if TYPE_CHECKING:
    from types import CodeType

    from taskscope.agent.counts.loops import LoopWatch
    from taskscope.agent.inspect.walk import Job
    from taskscope.model.vocabulary import Known

STEP = 100
"""Timers read between two checks of the time."""

MAX_GROUPS = 300
"""Most groups told; those left out are counted."""

DUES = 64
"""Most due times kept per group, and half of it the fewest once there are so many."""

INSPECTED = 6
"""Timers per group of which it is found out what they keep alive."""

FRESH = 10.0
"""Seconds for which it is remembered what they keep alive: several clients may ask."""

MAX_ARGUMENTS = 8
"""Arguments compared; a timer with more of them is as good as the same."""

_VALUES = (str, bytes, int, float, tuple, frozenset, Enum, FunctionType, type, NoneType)
"""Types of arguments that are no object of their own."""

MAX_KNOWN = 2_000
"""Groups remembered by number."""

_OF_TASKS = ("_set_result_unless_cancelled", "_release_waiter", "Timeout._on_timeout", "Timeout._do_cancel")
"""asyncio's functions that end a sleep or a timeout."""


class _Group:
    """Timers met so far: an even sample of them, every ``stride``-th, and how many are due after ``mark``."""

    __slots__ = ("dues", "furthest", "later", "live", "mark", "nearest", "sample", "stride", "traced")

    def __init__(self, traced: model.Frame | None, mark: float) -> None:
        self.live = self.later = 0
        self.mark = mark
        self.nearest, self.furthest = float("inf"), 0.0
        self.stride = 1
        self.dues = array("d")
        self.sample: list[OwnRef] = []
        self.traced = traced

    def add(self, handle: object, due: float) -> None:
        if not self.live % self.stride:
            self.dues.append(due)
            self.sample.append(OwnRef(handle))
            if len(self.sample) > DUES:
                self.dues, self.sample = self.dues[::2], self.sample[::2]
                self.stride *= 2
        self.live += 1
        self.later += due > self.mark
        self.nearest = min(self.nearest, due)
        self.furthest = max(self.furthest, due)

    def some(self) -> list[OwnRef]:
        """Some of the sample, those due first and last among them."""
        order = sorted(range(len(self.sample)), key=lambda at: self.dues[at])
        count = min(INSPECTED, len(order))
        return [self.sample[order[at * (len(order) - 1) // max(1, count - 1)]] for at in range(count)]


_Key = tuple[int, str, "model.Frame | None"]
"""The code called, by ``id`` (0: not written in Python), its name, and the line that asyncio noted."""


class TimerReader:
    """Answers ``timers``."""

    def __init__(self, watch: LoopWatch) -> None:
        self._watch = watch
        self._numbers: dict[_Key, tuple[int, object]] = {}  # with the code, so that its id is not reused
        self._next = 1
        self._marks: dict[_Key, float] = {}  # when the last was due as a group was first seen
        self._kept_then: dict[int, tuple[float, model.KeptByTimers]] = {}  # when, by number

    def renewal(self, site: model.Site) -> Job[model.Renewal]:
        """The timers whose callback is the function that starts tasks of this site."""
        groups: dict[_Key, _Group] = {}
        yield from self._all(groups)
        pending, armed = 0, tuple[model.Frame, ...]()
        chain = arming.Chain(None, ())
        for (_, name, _), group in groups.items():
            if name.replace(".<locals>", "") != site.frame.function:
                continue
            handle = next((each for reference in group.sample if (each := reference()) is not None), None)
            callback = attribute(handle, "_callback")
            function = innermost(callback)
            if type(function) is not FunctionType or not _is_at(function.__code__, site.frame):
                continue
            del handle
            owner = owner_of(callback)
            pending += group.live
            armed = yield from arming.lines_of(callback, owner)
            chain = yield from arming.chain_of(callback, owner, armed, site.coroutine)
        return model.Renewal(site.id, clock.monotonic(), pending, armed, chain.renewed, chain.begun)

    def timers(self, query: requests.Timers) -> Job[model.Timers]:
        groups: dict[_Key, _Group] = {}
        cancelled, hidden = yield from self._all(groups)
        if len(self._marks) >= MAX_KNOWN:
            self._marks.clear()
        for key, group in groups.items():
            self._marks.setdefault(key, group.furthest)
        shown = sorted(groups.items(), key=lambda each: -each[1].live)[:MAX_GROUPS]
        found = []
        for key, group in shown:
            found.append((yield from self._told(key, group, query.keeps)))
        listed = sum(each.live for each in found)
        total = sum(each.live for each in groups.values())
        return model.Timers(clock.monotonic(), tuple(found), total - listed, cancelled, hidden)

    def _all(self, groups: dict[_Key, _Group]) -> Job[tuple[int, int]]:
        """Reads the timers of all loops: how many are cancelled, how many loops do not show theirs."""
        cancelled = hidden = 0
        for loop in [loop for _, loop in self._watch.loops()]:
            ahead = timers.ahead_of(loop)
            if turns.is_closed(loop):
                continue
            if ahead is None or turns.length(loop, "_scheduled") is None:
                hidden += 1
                continue
            cancelled += yield from _read(loop, ahead, groups, self._marks)
        return cancelled, hidden

    def _told(self, key: _Key, group: _Group, least: int) -> Job[model.TimerGroup]:
        handle = next((each for reference in group.sample if (each := reference()) is not None), None)
        callback = attribute(handle, "_callback")
        owner, function = owner_of(callback), innermost(callback)
        of_tasks = key[1] in _OF_TASKS or futures.is_future(owner)
        armed: tuple[model.Frame, ...] = (group.traced,) if group.traced is not None else ()
        known: Known = "exact" if armed else "unknown"
        frame = origins.frame_of(function.__code__, None) if type(function) is FunctionType else None
        name = called(callback) if callback is not None else key[1]
        if not armed and not of_tasks:
            del handle
            armed = yield from arming.lines_of(callback, owner)
            known = "imputed" if armed else "unknown"
        handle = callback = owner = None
        kept, number = None, self._number(key, function)
        if not of_tasks and 0 < least <= group.live:
            kept = yield from self._kept(number, key, group)
        return model.TimerGroup(
            id=number,
            function=name,
            frame=frame,
            armed=armed,
            known=known,
            of_tasks=of_tasks,
            live=group.live,
            nearest=group.nearest,
            furthest=group.furthest,
            later=group.later,
            dues=tuple(sorted(group.dues)),
            kept=kept,
        )

    def _kept(self, number: int, key: _Key, group: _Group) -> Job[model.KeptByTimers]:
        then, kept = self._kept_then.get(number, (-FRESH, None))
        if kept is None or clock.monotonic() - then >= FRESH:
            kept = yield from self._inspected(key, group)
            if len(self._kept_then) >= MAX_GROUPS:
                self._kept_then.clear()
            self._kept_then[number] = clock.monotonic(), kept
        return kept

    def _inspected(self, key: _Key, group: _Group) -> Job[model.KeptByTimers]:
        again, of = yield from self._again(key)
        loops = [loop for _, loop in self._watch.loops()]
        seen: list[alone.Kept] = []
        for reference in group.some():
            found = yield from alone.kept_by(reference, loops)
            if found is not None:
                seen.append(found)
        count = max(1, len(seen))
        return model.KeptByTimers(
            inspected=len(seen),
            type=next((each.type for each in seen if each.type), ""),
            objects=len({each.owner for each in seen if each.owner}),
            alone=sum(each.alone for each in seen),
            each=sum(each.size for each in seen) // count,
            closed=sum(each.closed for each in seen),
            again=again,
            of=of,
        )

    def _again(self, wanted: _Key) -> Job[tuple[int, str]]:
        """How many timers of a group do what another one does as well, and the type that most share."""
        alike: Counter[tuple[int, ...]] = Counter()
        types: dict[tuple[int, ...], str] = {}
        known: dict[int, tuple[str, _Key]] = {}
        for loop in [loop for _, loop in self._watch.loops()]:
            place = 0
            while handles := _part(loop, place):
                place += STEP
                for handle in handles:
                    callback = attribute(handle, "_callback")
                    traced = attribute(handle, "_source_traceback")
                    if callback is None or _key(callback, traced, handle, known) != wanted:
                        continue
                    with_what = attribute(handle, "_args")
                    does, kind = _does(callback, with_what)
                    if kind:
                        alike[does] += 1
                        types[does] = kind
                del handles, handle, callback
                traced = with_what = None
                if spent():
                    yield
        twice: Counter[str] = Counter()
        for does, count in alike.items():
            twice[types[does]] += count if count > 1 else 0
        ((kind, _), *_) = twice.most_common(1) or [("", 0)]
        return twice.total(), kind

    def _number(self, key: _Key, function: object) -> int:
        known = self._numbers.get(key)
        if known is None:
            if len(self._numbers) >= MAX_KNOWN:
                self._numbers.clear()
            known = self._numbers[key] = self._next, _code_of(function)
            self._next += 1
        return known[0]


def _read(loop: object, ahead: float, groups: dict[_Key, _Group], marks: dict[_Key, float]) -> Job[int]:
    """Adds a loop's timers to their groups; how many are cancelled.

    The heap changes meanwhile, so of many timers a few may be missed or read twice.
    """
    cancelled = place = 0
    known: dict[int, tuple[str, _Key]] = {}
    while handles := _part(loop, place):
        place += STEP
        calls = column(handles, "_callback")
        whens, gone = column(handles, "_when"), column(handles, "_cancelled")
        traces = column(handles, "_source_traceback")
        for at, handle in enumerate(handles):
            when = whens[at]
            if gone[at] is True or type(when) is not float:
                cancelled += 1
                continue
            key = _key(calls[at], traces[at], handle, known)
            group = groups.get(key)
            if group is None:
                group = groups[key] = _Group(key[2], marks.get(key, math.inf))
            group.add(handle, min(when + ahead, requests.MAX_SECONDS))
        del handles, calls, traces, handle
        if spent():
            yield
    return cancelled


def _part(loop: object, place: int) -> list[object]:
    heap = turns.variable(loop, "_scheduled")
    return heap[place : place + STEP] if type(heap) is list else []


def _key(callback: object, trace: object, handle: object, known: dict[int, tuple[str, _Key]]) -> _Key:
    """``known``: keys by the ``id`` of the code, with the name that they were made of."""
    traced = arming.traced(handle) if trace is not None else None
    function = innermost(callback)
    if type(function) is not FunctionType:
        return 0, called(function), traced
    number, name = id(function.__code__), function.__qualname__
    found = known.get(number)
    if found is None or found[0] is not name or found[1][2] is not traced:
        found = known[number] = name, (number, written(name), traced)
    return found[1]


def _does(callback: object, arguments: object) -> tuple[tuple[int, ...], str]:
    """What a timer would do, by ``id``, and the type of the object that it does it with.

    Several calls with the same value may well be meant, so that "" stands for those.
    """
    owner, given = owner_of(callback), items(arguments, MAX_ARGUMENTS)
    subject = next((each for each in given or [owner] if not any(is_a(each, kind) for kind in _VALUES)), None)
    return (id(owner), *map(id, given)), class_name(subject) if subject is not None else ""


def _is_at(code: CodeType, frame: model.Frame) -> bool:
    """Whether a line is one of a function's."""
    lines = [line for _, _, line in code.co_lines() if line is not None]
    return origins.frame_of(code, None).file == frame.file and min(lines) <= frame.line <= max(lines)


def _code_of(function: object) -> CodeType | None:
    return function.__code__ if type(function) is FunctionType else None
