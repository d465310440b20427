"""Where threads are started: a wrapped ``Thread.start`` records it on the thread object."""

from __future__ import annotations

import sys
import threading
from types import FunctionType
from typing import TYPE_CHECKING, Any

from taskscope import model
from taskscope.agent.counts.process import thread_born
from taskscope.agent.counts.site_record import SiteRecord, raw_stack
from taskscope.agent.inspect import handed, origins
from taskscope.agent.inspect.island import OwnRef
from taskscope.agent.inspect.looking import attribute, in_class, innermost, is_a, number
from taskscope.agent.inspect.sites import Ways, is_border, who_asked
from taskscope.agent.inspect.threads import known_threads, target_name
from taskscope.system import clock, system

if TYPE_CHECKING:
    from types import CodeType, FrameType
    from weakref import ref

    from taskscope.agent.counts.registry import Registry
    from taskscope.agent.hooks.parts import Part


class Note:
    """The record that the hook leaves on a thread object."""

    __slots__ = ("birth", "parent", "record", "stack")

    def __init__(
        self,
        record: SiteRecord,
        parent: int | None,
        birth: float | None,
        stack: tuple[tuple[CodeType, int], ...],
    ) -> None:
        self.record = record
        self.parent = parent
        self.birth = birth
        self.stack = stack


class ThreadHooks:
    """Records the birth of threads; counts the live ones at each tick."""

    def __init__(self, registry: Registry, part: Part) -> None:
        self.part = part
        self._registry = registry
        self._noted: dict[int, ref[Any]] = {}
        self._ways = Ways(registry)

    def arm(self) -> None:
        self.part.on_undo(self._forget_all)
        self.part.wrap(threading.Thread, "start", before=self._born)

    def _forget_all(self) -> None:
        """Removes the notes from all threads, including ended ones still referenced."""
        while self._noted:
            thread = self._noted.popitem()[1]()
            if thread is not None:
                object.__delattr__(thread, _MARK)

    def _born(self, thread: Any = None, *_: Any, **__: Any) -> None:
        if thread is not None:
            self._note(thread, sys._getframe(2))

    def _note(self, thread: Any, frame: FrameType) -> None:
        outside, inside = frame, None
        while origins.is_thread_plumbing(outside.f_code.co_filename):
            if outside.f_back is None or is_border(outside.f_back):
                break
            outside, inside = outside.f_back, outside
        name = target_name(thread)
        key = (id(outside.f_code), outside.f_lasti, name)
        record = self._registry.records.get(key) or self._ways.known(outside, key)
        if record is None:
            record = self._resolve(thread, name, outside, inside)
        record.born += 1
        self._leave(thread, Note(record, system.get_ident(), clock.monotonic(), raw_stack(frame)))

    def _resolve(self, thread: Any, name: str, outside: FrameType, inside: FrameType | None) -> SiteRecord:
        """The record of a thread started at a line not seen before."""
        jobs = handed.functions(inside) if inside is not None else ()
        given = handed.function(thread, _function_of(thread), *jobs)
        found = who_asked(outside, given)
        places = [each for each in (found.place, found.user, outside) if each is not None]
        key = ("thread", name, *((id(each.f_code), each.f_lasti) for each in places))
        record = self._registry.records.get(key)
        if record is None:
            shown, user, via = found.shown(given.code)
            codes = tuple(each.f_code for each in found.way)
            record = self._registry.add(key, "thread", shown, user, name, codes, via=via)
        if key in self._registry.records:
            self._ways.remember(record, (id(outside.f_code), outside.f_lasti, name), found.way)
        return record

    def _leave(self, thread: Any, note: Note) -> None:
        """Leaves a note on a thread object, past any ``__setattr__`` of its class."""
        key, noted = id(thread), self._noted

        def forget(reference: Any) -> None:
            if noted.get(key) is reference:
                del noted[key]

        noted[key] = OwnRef(thread, forget)
        object.__setattr__(thread, _MARK, note)

    def count(self) -> dict[int, list[float | None]]:
        """Births of the live threads of each site; also updates how many have ended."""
        living: dict[int, list[float | None]] = {}
        if not self.part.armed:
            return living
        for thread in known_threads():
            note = note_of(thread)
            if note is None:
                note = self._adopt(thread)
            if note is not None:
                note.record = self._registry.joined.of(note.record)
                living.setdefault(note.record.id, []).append(note.birth)
        for record in self._registry.thread_records():
            record.finished = max(0, record.born - len(living.get(record.id, ())))
        return living

    def _adopt(self, thread: Any) -> Note | None:
        """Registers a thread older than the agent; the main thread and foreign ones get no site.

        Its starter was not observed, but the kernel knows when it started.
        """
        if thread is threading.main_thread() or is_a(thread, threading._DummyThread):
            return None
        name = target_name(thread)
        function = innermost(_function_of(thread))
        code = function.__code__ if type(function) is FunctionType else None
        frame = origins.frame_of(code, None) if code is not None else model.Frame("", 0, name, "library")
        record = self._registry.add(("thread", None, name), "thread", frame, None, name, (), "unknown")
        record = self._registry.joined.of(record)
        record.born += 1
        record.adopted += 1
        note = Note(record, None, thread_born(number(attribute(thread, "_native_id")) or 0), ())
        self._leave(thread, note)
        return note


def _function_of(thread: object) -> object:
    """What the thread calls: its target, or the ``run`` of its class."""
    target = attribute(thread, "_target")
    return target if target is not None else in_class(type(thread), "run")


_MARK = "_taskscope"


def note_of(thread: object) -> Note | None:
    note = attribute(thread, _MARK) if thread is not None else None
    return note if type(note) is Note else None
