"""Threads: who started them where, what they do, which pool they belong to, which loop they run.

A patched ``Thread.start`` notes site, starter and birth on the thread object; everything else is read
when somebody asks.  Threads that ``threading`` does not know are listed too.
"""

from __future__ import annotations

import sys
import threading
from types import FunctionType
from typing import TYPE_CHECKING, Any
from weakref import ref

from taskscope import model
from taskscope.agent import origins, stacks
from taskscope.agent.blocking import activity
from taskscope.agent.jobs import executor_of
from taskscope.agent.looking import attribute, called, class_name, in_class, innermost, is_a, number, text
from taskscope.agent.pools import Fullness
from taskscope.agent.registry import Registry, SiteRecord, raw_stack
from taskscope.agent.sites import is_border, nearest_user_frame
from taskscope.system import clock, system

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import CodeType, FrameType

    from taskscope.agent.loops import LoopWatch
    from taskscope.agent.parts import Part


class _Note:
    """What the hook leaves on a thread object."""

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
    """Notes the birth of threads; counts the living ones at each tick."""

    def __init__(self, registry: Registry, part: Part) -> None:
        self.part = part
        self._registry = registry
        self._noted: dict[int, ref[Any]] = {}

    def arm(self) -> None:
        self.part.on_undo(self._forget_all)
        self.part.wrap(threading.Thread, "start", before=self._born)

    def _forget_all(self) -> None:
        """Takes the notes off the threads, also off those that have ended and are still kept."""
        while self._noted:
            thread = self._noted.popitem()[1]()
            if thread is not None:
                object.__delattr__(thread, _MARK)

    def _born(self, thread: Any = None, *_: Any, **__: Any) -> None:
        if thread is not None:
            self._note(thread, sys._getframe(2))

    def _note(self, thread: Any, frame: FrameType) -> None:
        outside = frame
        while origins.is_thread_plumbing(outside.f_code.co_filename):
            if outside.f_back is None or is_border(outside.f_back):
                break
            outside = outside.f_back
        user = nearest_user_frame(outside)
        name = target_name(thread)
        code = outside.f_code
        key = ("thread", id(code), outside.f_lasti, name, id(user and user.f_code), user and user.f_lasti)
        record = self._registry.add(
            key,
            "thread",
            origins.frame_of(code, outside.f_lineno),
            user and origins.frame_of(user.f_code, user.f_lineno),
            name,
            (code, user and user.f_code),
        )
        record.born += 1
        self._leave(thread, _Note(record, system.get_ident(), clock.monotonic(), raw_stack(frame)))

    def _leave(self, thread: Any, note: _Note) -> None:
        """Leaves a note on a thread object, past any ``__setattr__`` of its class."""
        number, noted = id(thread), self._noted

        def forget(reference: Any) -> None:
            if noted.get(number) is reference:
                del noted[number]

        noted[number] = ref(thread, forget)
        object.__setattr__(thread, _MARK, note)

    def count(self) -> dict[int, list[float | None]]:
        """Births of the living threads of each site; also settles how many have ended."""
        living: dict[int, list[float | None]] = {}
        if not self.part.armed:
            return living
        for thread in _known_threads():
            note = _note_of(thread)
            if note is None:
                note = self._adopt(thread)
            if note is not None:
                living.setdefault(note.record.id, []).append(note.birth)
        for record in list(self._registry.by_id.values()):
            if record.site.kind == "thread":
                record.finished = max(0, record.born - len(living.get(record.id, ())))
        return living

    def _adopt(self, thread: Any) -> _Note | None:
        """A thread older than the agent; the main thread and foreign ones have no site."""
        if thread is threading.main_thread() or is_a(thread, threading._DummyThread):
            return None
        name = target_name(thread)
        target = attribute(thread, "_target")
        function = innermost(target if target is not None else in_class(type(thread), "run"))
        code = function.__code__ if type(function) is FunctionType else None
        frame = origins.frame_of(code, None) if code is not None else model.Frame("", 0, name, "library")
        record = self._registry.add(("thread", None, name), "thread", frame, None, name, (), "unknown")
        record.born += 1
        record.adopted += 1
        note = _Note(record, None, None, ())
        self._leave(thread, note)
        return note


_MARK = "_taskscope"


def _note_of(thread: object) -> _Note | None:
    note = attribute(thread, _MARK) if thread is not None else None
    return note if type(note) is _Note else None


def _known_threads() -> list[Any]:
    """As ``threading.enumerate``, without its lock, which a program may hold across a fork."""
    state = vars(threading)
    threads = [*state["_active"].values(), *state["_limbo"]]
    return list({id(thread): thread for thread in threads}.values())


def ident_of(thread: object) -> int | None:
    """Python's number of a thread; None: it has not begun."""
    return number(attribute(thread, "_ident"))


def target_name(thread: object) -> str:
    """What the thread runs."""
    target = attribute(thread, "_target")
    if target is not None:
        return called(target)
    return "Thread.run" if type(thread) is threading.Thread else f"{class_name(thread)}.run"


class ThreadView:
    """Answers questions about threads."""

    def __init__(self, watch: LoopWatch, agent_thread: Callable[[], int]) -> None:
        self._watch = watch
        self._agent_thread = agent_thread
        self._fullness = Fullness()

    def all(self) -> tuple[model.Thread, ...]:
        """Every thread: those of ``threading``, other Python threads, and native ones."""
        frames = stacks.current_frames()
        known = {ident_of(thread): thread for thread in _known_threads()}
        loops = self._watch.running()
        here = _native_ids()
        found = [
            self._describe(ident, known.get(ident), frames.get(ident), loops.get(ident), here)
            for ident in sorted(set(frames) | {each for each in known if each is not None})
        ]
        seen = {thread.native_id for thread in found}
        unmatched = [tid for tid in here if tid not in seen]
        spare = sum(
            1 for thread in found if not thread.native_id
        )  # Python threads whose native id is not known
        found += [_native(tid) for tid in unmatched[spare:]]
        return self._fullness.told(found, clock.monotonic())

    def detail(self, ident: int) -> model.ThreadDetail | None:
        frames = stacks.current_frames()
        thread = next((each for each in _known_threads() if ident_of(each) == ident), None)
        if thread is None and ident not in frames:
            return None
        loops = self._watch.running()
        frame = frames.get(ident)
        note = _note_of(thread)
        return model.ThreadDetail(
            self._describe(ident, thread, frame, loops.get(ident), _native_ids()),
            stacks.describe(stacks.thread_frames(frame)),
            stacks.describe_raw(note.stack) if note is not None else (),
        )

    def _describe(
        self, ident: int, thread: Any, frame: FrameType | None, loop: int | None, here: list[int]
    ) -> model.Thread:
        note = _note_of(thread)
        agent = ident == self._agent_thread()
        native = _agent_native(ident) if agent else _native_id(thread, here)
        cpu, running = _kernel_view(native)
        state, doing = ("running", "observes") if agent else activity(frame, running=running, loop=loop)
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
            state=state,
            text=doing,
            loop=loop,
            executor=executor_of(thread),
            frame=next((each for each in frames if each.origin == "user"), frames[0] if frames else None),
        )


_agent_natives: dict[int, int] = {}


def register_agent_thread() -> int:
    """Called by the agent's thread as it starts; it is not one of ``threading``'s."""
    ident = system.get_ident()
    _agent_natives.clear()
    _agent_natives[ident] = system.get_native_id()
    return ident


def _agent_native(ident: int) -> int:
    return _agent_natives.get(ident, 0)


def _native_id(thread: Any, here: list[int]) -> int:
    """The kernel's number of a thread; 0: not known.

    Only the thread that forked comes along into the child, where it is the first: until 3.13 Python goes on
    calling it by its number in the parent.
    """
    known = number(attribute(thread, "_native_id"))
    if not known:
        return 0
    return known if known in here or not here else system.getpid()


def _native_ids() -> list[int]:
    try:
        return sorted(int(entry) for entry in system.listdir("/proc/self/task"))
    except OSError:
        return []


def _native(tid: int) -> model.Thread:
    cpu, running = _kernel_view(tid)
    try:
        name = system.contents(f"/proc/self/task/{tid}/comm").decode().strip()
    except (OSError, UnicodeDecodeError):
        name = ""
    state = "running" if running else "waiting"
    return model.Thread(
        -tid,
        tid,
        name or "native",
        True,
        False,
        None,
        None,
        None,
        cpu,
        state,
        "native code",
        None,
        None,
        None,
    )


def _kernel_view(tid: int) -> tuple[float | None, bool | None]:
    """CPU seconds of a thread and whether it is on a processor; None: unknown."""
    if not tid:
        return None, None
    try:
        fields = system.contents(f"/proc/self/task/{tid}/stat").rpartition(b")")[2].split()
    except OSError:
        return None, None
    return (int(fields[11]) + int(fields[12])) / system.sysconf("SC_CLK_TCK"), fields[0] == b"R"
