"""Answers about threads: what they do, their pool, their loop and their stack.

Threads unknown to ``threading`` are listed too.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from taskscope import model
from taskscope.agent.hooks.threads import note_of
from taskscope.agent.inspect import other_ends, stacks
from taskscope.agent.inspect.blocking import Activity, activity
from taskscope.agent.inspect.island import OwnRef
from taskscope.agent.inspect.jobs import executor_of
from taskscope.agent.inspect.looking import attribute, text
from taskscope.agent.inspect.pools import Fullness
from taskscope.agent.inspect.thread_waits import kernel_view, waits_in
from taskscope.agent.inspect.threads import (
    agent_native,
    ident_of,
    is_known,
    known_threads,
    native_id,
    native_ids,
)
from taskscope.agent.inspect.walk import run, spent
from taskscope.system import clock, system

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

    from taskscope.agent.counts.loops import LoopWatch
    from taskscope.agent.inspect.walk import Job

AGENT = Activity("running", "running", "TaskScope agent")
"""The activity of our own thread."""


class ThreadView:
    """Answers questions about threads."""

    def __init__(self, watch: LoopWatch, agent_thread: Callable[[], int]) -> None:
        self._watch = watch
        self._agent_thread = agent_thread
        self._fullness = Fullness()

    def all(self) -> Job[tuple[model.Thread, ...]]:
        """Every thread: those of ``threading``, other Python threads, and native ones."""
        here = native_ids()
        known = yield from _by_ident()
        left = sorted({*stacks.current_frames(), *known}, reverse=True)
        loops = yield from self._watch.running()
        found: list[model.Thread] = []
        while left:
            found += self._some(left, known, loops, here)
            yield
        seen = {thread.native_id for thread in found}
        unmatched = [tid for tid in here if tid not in seen]
        spare = sum(
            1 for thread in found if not thread.native_id
        )  # Python threads whose native id is unknown
        for tid in unmatched[spare:]:
            found.append(_native(tid))
            if spent():
                yield
        return self._fullness.mark(found, clock.monotonic())

    def _some(
        self, left: list[int], known: dict[int, OwnRef], loops: dict[int, int], here: list[int]
    ) -> Iterator[model.Thread]:
        """The next threads, as many as a slice allows; takes them from the end of ``left``."""
        frames = stacks.current_frames()
        while left:
            ident = left.pop()
            reference = known.get(ident)
            thread = reference() if reference is not None else None
            if not is_known(ident, thread):
                thread = None  # it has ended
            if ident in frames or thread is not None:
                yield self._describe(ident, thread, frames.get(ident), loops.get(ident), here)
            del thread
            if spent():
                break
        frames.clear()

    def in_full(self, ident: int) -> Job[model.ThreadDetail | None]:
        """One thread, with the other ends of the descriptors it waits on."""
        found = self.detail(ident)
        if found is None or not found.thread.descriptors:
            return found
        on = yield from other_ends.of_all(found.thread.descriptors)
        return replace(found, thread=replace(found.thread, descriptors=on))

    def detail(self, ident: int) -> model.ThreadDetail | None:
        """One thread."""
        frames = stacks.current_frames()
        thread = next((each for each in known_threads() if ident_of(each) == ident), None)
        if thread is None and ident not in frames:
            frames.clear()
            return None
        loops = run(self._watch.running())
        frame = frames.get(ident)
        frames.clear()
        note = note_of(thread)
        return model.ThreadDetail(
            self._describe(ident, thread, frame, loops.get(ident), native_ids()),
            stacks.describe(stacks.thread_frames(frame)),
            stacks.describe_raw(note.stack) if note is not None else (),
        )

    def _describe(
        self, ident: int, thread: Any, frame: FrameType | None, loop: int | None, here: list[int]
    ) -> model.Thread:
        note = note_of(thread)
        agent = ident == self._agent_thread()
        native = agent_native(ident) if agent else native_id(thread, here)
        cpu, running = kernel_view(native)
        does = AGENT if agent else activity(frame, running=running, loop=loop)
        call, on = waits_in(native, does) if not agent else ("", ())
        name = (
            text(attribute(thread, "_name"))
            if thread is not None
            else "taskscope agent"
            if agent
            else "(not started by threading)"
        )
        frames = stacks.describe(stacks.thread_frames(frame)[:32])
        return model.Thread(
            ident=ident,
            native_id=native,
            name=name,
            daemon=attribute(thread, "_daemonic") is True if thread is not None else True,
            python=True,
            site=note.record.id if note is not None else None,
            parent=note.parent if note is not None else None,
            birth=note.birth if note is not None else None,
            cpu=cpu,
            state=does.state,
            text=does.text,
            loop=loop,
            executor=executor_of(thread),
            frame=model.user_line(frames) or model.library_line(frames),
            wait=does.wait,
            detail=does.detail,
            system_call=call,
            descriptors=on,
        )


def _by_ident() -> Job[dict[int, OwnRef]]:
    """The threads that ``threading`` knows: 2 µs each."""
    found = {}
    for reference in [OwnRef(each) for each in known_threads()]:
        thread = reference()
        ident = ident_of(thread)
        del thread
        if ident is not None:
            found[ident] = reference
        if spent():
            yield
    return found


def _native(tid: int) -> model.Thread:
    cpu, running = kernel_view(tid)
    try:
        name = system.contents(f"/proc/self/task/{tid}/comm").decode().strip()
    except (OSError, UnicodeDecodeError):
        name = ""
    does = Activity("running" if running else "waiting", "running" if running else "unknown", "native code")
    call, on = waits_in(tid, does)
    return model.Thread(
        ident=-tid,
        native_id=tid,
        name=name or "native",
        daemon=True,
        python=False,
        site=None,
        parent=None,
        birth=None,
        cpu=cpu,
        state=does.state,
        text=does.text,
        loop=None,
        executor=None,
        frame=None,
        wait=does.wait,
        system_call=call,
        descriptors=on,
    )
