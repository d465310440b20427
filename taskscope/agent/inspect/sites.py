"""Resolves a task's creation site: the slow half of the hot path, run once for most sites."""

from __future__ import annotations

import gc
import itertools
import sys
from types import CellType, CoroutineType, FunctionType, GeneratorType, MethodType
from typing import TYPE_CHECKING, Any, NamedTuple

from taskscope.agent.inspect import calls, handed, origins, stacks
from taskscope.agent.inspect.looking import attribute, attributes_of, class_name, innermost, lookup, text
from taskscope.model import plumbing

if TYPE_CHECKING:
    from types import CodeType, FrameType

    from taskscope import model
    from taskscope.agent.counts.registry import Registry
    from taskscope.agent.counts.site_record import SiteRecord

MAX_WALK = 60
"""Frames walked outwards in search of a user frame."""

_CREATORS = frozenset(
    {"create_task", "ensure_future", "_ensure_future", "factory", "_create_task", "__setitem__"}
)

_RUN_BY_PYTEST = frozenset({"pytest_pyfunc_call", "pytest_fixture_setup", "pytest_runtest_teardown"})
"""pytest's functions that call tests: outside them are some thirty frames, none of them the user's."""

MAX_STEPS = 100_000
"""Frames remembered on paths to sites."""


_numbers = itertools.count(1)


class Ways:
    """A trie of known paths from where a task is created, outwards to its site.

    If the site is the first frame, ``registry.records`` has it under that frame's code, its instruction and
    what is started.  If it is further out, that key leads to a number; the number with the next frame's code
    and instruction leads to the site, or to another number.  So a known path costs one look-up per frame and
    reads nothing else from the frames.
    """

    def __init__(self, registry: Registry) -> None:
        self._records = registry.records
        self._steps: dict[tuple[object, ...], int] = {}

    def known(self, frame: FrameType, key: tuple[object, ...]) -> SiteRecord | None:
        """The record at the end of a known path outwards from ``frame``."""
        steps, records = self._steps, self._records
        walk: FrameType | None = frame
        while (number := steps.get(key)) is not None:
            walk = walk.f_back  # type: ignore[union-attr]
            if walk is None:
                return None
            key = (number, id(walk.f_code), walk.f_lasti)
            record = records.get(key)
            if record is not None:
                return record
        return None

    def remember(self, record: SiteRecord, key: tuple[object, ...], way: list[FrameType]) -> None:
        """The first decision at a frame stands: to stop there, or to go on.

        The record keeps the code objects on the path alive, so that no id is reused.
        """
        records, steps = self._records, self._steps
        for frame in way[1:]:
            if key in records or len(steps) >= MAX_STEPS:
                return
            number = steps.get(key) or steps.setdefault(key, next(_numbers))
            key = (number, id(frame.f_code), frame.f_lasti)
        if key not in steps:
            records.setdefault(key, record)


class Resolver:
    """Finds the record of a creation site; for most sites this runs once, not once per birth."""

    def __init__(self, registry: Registry) -> None:
        self.registry = registry
        self.ways = Ways(registry)
        # Files whose frames are skipped.  Not events.py and runners.py: their frames separate a callback from
        # the loop that runs it, and `_place` needs to see them.
        self.skip: set[str] = set()
        self._stop = set(_borders())

    def record(self, start: FrameType, coro: Any) -> SiteRecord:
        """The record for a creation seen from ``start``; created on first use."""
        frame = self._outside(start)
        origin = self._place(start, frame)
        inner = started(coro)
        body = code_of(inner)
        found = who_asked(origin, handed.coroutine(coro))
        place, user = found.place, found.user
        far = (*_key(place), id(body), *_key(user), *_key(origin))
        codes = (body, *(each.f_code for each in found.way))
        record = self.registry.records.get(far)
        if record is None:
            frame_shown, user_shown, via = found.shown(body)
            name = coroutine_name(inner)
            record = self.registry.add(far, "task", frame_shown, user_shown, name, codes, via=via)
        whole = origin is frame and body is attribute(coro, "cr_code")
        if (
            whole and far in self.registry.records
        ):  # otherwise nothing keeps the codes alive, and ids are reused
            self.ways.remember(record, (id(frame.f_code), frame.f_lasti, id(body)), found.way)
        return record

    def _outside(self, start: FrameType) -> FrameType:
        """The first frame outside the plumbing; learns the plumbing's files on the way."""
        frame = start
        while frame.f_back is not None:
            file = frame.f_code.co_filename
            if file not in self.skip:
                if file in self._stop or not origins.is_plumbing(file):
                    break
                self.skip.add(file)
            frame = frame.f_back
        return frame

    def _place(self, start: FrameType, frame: FrameType) -> FrameType:
        """The frame to name; if a callback creates the task, the plumbing's line that does."""
        running = runs_a_loop(frame)
        if frame.f_code.co_filename not in self._stop and not running:
            return frame
        inner = last = None
        walk: FrameType | None = start
        while walk is not None and walk is not frame:
            if not origins.is_own(walk.f_code.co_filename):
                last = walk
                if walk.f_code.co_name not in _CREATORS:
                    inner = walk
            walk = walk.f_back
        if inner is not None:
            return inner
        if running or frame.f_code.co_filename == _borders()[0]:  # the loop itself calls `create_task`
            return last or frame
        outer = frame  # Runner.run itself creates the main task: name its caller
        while outer.f_back is not None and origins.is_plumbing(outer.f_code.co_filename):
            last, outer = outer, outer.f_back
        return outer if not origins.is_thread_plumbing(outer.f_code.co_filename) else last or outer


class Asked(NamedTuple):
    """The frame to name, the nearest user frame, and all frames inspected on the way."""

    place: FrameType
    user: FrameType | None
    way: list[FrameType]

    def shown(self, body: CodeType | None) -> Shown:
        """The site's lines as values.

        A line of the standard library or the plumbing is never the cause: if it starts the program's
        coroutine by itself, the line that defines the coroutine is named instead.
        """
        place, user, origin = self.place, self.user, self.way[0]
        via = _frame(origin)
        file = place.f_code.co_filename
        if (origins.origin(file) == "stdlib" or origins.is_plumbing(file)) and body is not None:
            frame = origins.frame_of(body, None)
            if frame.origin != "stdlib" and not origins.is_plumbing(frame.file):
                return Shown(frame, frame if frame.origin == "user" else None, via)
        return Shown(_frame(place), user and _frame(user), via if place is not origin else None)


class Shown(NamedTuple):
    """A site's lines: the one to blame, the nearest user line, and the helper's."""

    frame: model.Frame
    user: model.Frame | None
    via: model.Frame | None


def _frame(frame: FrameType) -> model.Frame:
    return origins.frame_of(frame.f_code, frame.f_lineno)


def who_asked(origin: FrameType, given: handed.Given) -> Asked:
    """The frame that decided to start what was given, outside all that start things for others.

    These are the standard library, some libraries, and any function that was handed it.  If there is no other
    frame, one of these is named: the user's own, or the one that made a coroutine of a function.
    """
    way: list[FrameType] = []
    passed: list[tuple[int, FrameType]] = []
    place: FrameType | None = None
    walk: FrameType | None = origin
    while walk is not None and len(way) < MAX_WALK:
        way.append(walk)
        if is_border(walk) or is_runner(walk):
            break
        if place is None:
            rank = _starts_for_others(walk, given)
            if rank is None:
                place = walk
            else:
                passed.append((rank, walk))
        if place is not None:
            if origins.is_user(walk.f_code):
                return Asked(place, walk, way)
            if walk.f_code.co_name in _RUN_BY_PYTEST:
                break
        walk = walk.f_back
    if place is None:
        place = min(passed, key=lambda each: each[0], default=(0, origin))[1]
    return Asked(place, place if origins.is_user(place.f_code) else None, way)


def _starts_for_others(frame: FrameType, given: handed.Given) -> int | None:
    """None if it does not; else its rank as the cause if there is no other (0: best)."""
    file = frame.f_code.co_filename
    if origins.is_plumbing(file) or origins.origin(file) == "stdlib":
        return 3
    if origins.starts_for_others(file):
        return 2
    was = handed.what_was_handed(frame, given)
    if was is None:
        return None
    return 0 if origins.is_user(frame.f_code) else 1 if was == "function" else 2


def _key(frame: FrameType | None) -> tuple[int, int]:
    return (id(frame.f_code), frame.f_lasti) if frame is not None else (0, 0)


def _borders() -> tuple[str, ...]:
    """The files of asyncio and trio whose frames run what is inside them, as far as they are loaded."""
    loaded = [sys.modules.get(name) for name in ("asyncio.events", "asyncio.runners", "trio._core._run")]
    return tuple(text(lookup(attributes_of(each), "__file__")) or "?" for each in loaded)


def is_runner(frame: FrameType) -> bool:
    """Whether it only runs what is inside it: a thread's function or a loop's coroutine."""
    file = frame.f_code.co_filename
    if origins.origin(file) != "stdlib":
        return False
    return file in _borders() or (origins.is_thread_plumbing(file) and not origins.is_plumbing(file))


def is_border(frame: FrameType) -> bool:
    """Whether the frames outside ``frame`` run the loop and did not ask for what happens inside."""
    code = frame.f_code
    if code.co_name in ("_run", "_run_once", "unrolled_run") and origins.is_plumbing(code.co_filename):
        return True
    return runs_a_loop(frame)


_RUN = {"run_until_complete", "run_forever"}


def runs_a_loop(frame: FrameType) -> bool:
    """Whether ``frame`` runs a uvloop loop, which has no frame of its own around its callbacks."""
    if "uvloop" not in sys.modules or _RUN.isdisjoint(frame.f_code.co_names):
        return False
    if sys.modules["asyncio"]._get_running_loop() is None:  # it only creates the task to run
        return False
    return calls.name_at(frame.f_code, frame.f_lasti) in _RUN


def unwrapped(coro: object) -> object:
    """The coroutine that the program started, if a library wrapped it in its own.

    It is found among the wrapper's referents: reading the wrapper's locals could leave a copy in the frame.
    """
    if not _is_of(coro, plumbing.WRAPPERS):
        return coro
    kept = gc.get_referents(coro)
    for held in kept:
        if type(held) is CoroutineType:
            return held
        inner = attribute(held, "_coro") if class_name(held) == "TaskHandle" else None
        if inner is not None:
            return inner
    kept += [each for cell in kept if type(cell) is CellType for each in gc.get_referents(cell)]
    return next((each for each in kept if _is_coroutine(each) or stacks.is_step(each)), coro)


def _is_coroutine(thing: object) -> bool:
    return type(thing) is not GeneratorType and stacks.code_of(thing) is not None


def started(coro: object) -> object:
    """What the program asked to run: a coroutine, a function that will make one, or an async generator."""
    inner = unwrapped(coro)
    if type(inner) is not CoroutineType:
        generator = stacks.generator_of(inner) if stacks.is_step(inner) else None
        return generator if generator is not None else inner
    if not _is_of(inner, plumbing.CALLERS):
        return inner
    kept = gc.get_referents(inner)
    kept += [each for cell in kept if type(cell) is CellType for each in gc.get_referents(cell)]
    functions = (each for each in kept if type(each) is FunctionType or type(each) is MethodType)
    return next((each for each in functions if code_of(each) is not inner.cr_code), inner)


def code_of(thing: object) -> CodeType | None:
    """The code of what ``started`` returned."""
    function = innermost(thing)
    return function.__code__ if type(function) is FunctionType else stacks.code_of(thing)


def _is_of(coro: object, names: set[str]) -> bool:
    code = stacks.code_of(coro)
    return code is not None and text(code.co_qualname) in names and origins.is_plumbing(code.co_filename)


def coroutine_name(coro: object) -> str:
    """The qualified name of a coroutine (or what stands in for one), without ``<locals>``."""
    return stacks.name_of(coro)
