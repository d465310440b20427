"""Loops and tasks older than the agent.

Their creation was not observed.  In debug mode asyncio keeps a creation traceback, which is exact; otherwise
the site is unknown until a later task of the same coroutine shows where it is created.
"""

from __future__ import annotations

import gc
import heapq
import sys
from bisect import bisect_left
from types import CoroutineType
from typing import TYPE_CHECKING, Any, TypeVar
from weakref import ref

from taskscope import model
from taskscope.agent.counts.registry import ANY
from taskscope.agent.counts.site_record import MAX_LINEAGE, ForeignRef, Lineage
from taskscope.agent.hooks import aiomonitor as aiomonitor_peer
from taskscope.agent.inspect import creations, futures, looking, origins
from taskscope.agent.inspect.dating import Dates, hint
from taskscope.agent.inspect.looking import in_class, is_a
from taskscope.agent.inspect.sites import code_of, coroutine_name, started
from taskscope.agent.inspect.stacks import thread_frames
from taskscope.agent.inspect.variables import variables_of
from taskscope.agent.inspect.walk import live_tasks, spent
from taskscope.system import clock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import CodeType

    from taskscope.agent.counts.registry import Registry
    from taskscope.agent.counts.site_record import SiteRecord
    from taskscope.agent.inspect.dating import Hint
    from taskscope.agent.inspect.walk import Job

T = TypeVar("T")

MAX_STRAY_SEARCH = 3_000
"""Most tasks for which 3.14 and later may list all of them: holds the GIL for about 1.5 ms."""

RIPE = 0.1
"""Seconds a task must lack a serial before it counts as unseen by the hooks."""

ENDED = "(ended before the agent came)"
"""Name of a parent about which nothing else is known."""

RUN = 500
"""Tasks sorted at once."""

ASKED = 1_000
"""Tasks that are inspected for their birth: 20 ms, in slices.  Of those with a number, evenly chosen ones."""

NAMED = float("inf")
"""Stands for the number of a task that has a name."""

MAX_TRACE = 1_000
"""Frames of a creation traceback."""

MAX_CANDIDATES = 10
"""Most candidate lines for tasks whose creation was not observed."""


def known_tasks() -> list[Any]:
    """References to the tasks that asyncio knows of, as far as they can be listed without their loops.

    Python 3.11 to 3.13 keep weak references to all of them (since 3.12 eager ones apart); copying the set is
    one call, 0.8 ms for 100,000.  From 3.14 on the tasks are in the interpreter's own lists, reached through
    their loops.
    """
    tasks = sys.modules["asyncio"].tasks
    kept = getattr(tasks, "_all_tasks", None) or getattr(tasks, "_scheduled_tasks", None)
    return list(getattr(kept, "data", ()))


def find_loops() -> list[Any]:
    """Event loops that run in any thread or own a known task."""
    base = sys.modules["asyncio"].AbstractEventLoop
    found: dict[int, Any] = {}
    for frame in list(sys._current_frames().values()):
        for each in thread_frames(frame):
            code = each.f_code
            if origins.name_of(code) == "run_forever" and "/asyncio/" in origins.file_of(code):
                loop = variables_of(each).get("self")
                if is_a(loop, base):
                    found[id(loop)] = loop
    for reference in known_tasks()[:100_000]:
        task = reference()
        loop = futures.loop_of(task) if task is not None and not futures.is_done(task) else None
        if loop is not None:
            found[id(loop)] = loop
    if "uvloop" in sys.modules and sys.version_info >= (3, 14):
        uv = sys.modules["uvloop"].Loop
        for candidate in gc.get_objects():
            if type(candidate) is uv and not candidate.is_closed():
                found[id(candidate)] = candidate
    return list(found.values())


def adopt_tasks(
    registry: Registry, loops: list[Any], is_copy: Callable[[Any], bool], born: float = 0.0
) -> Job[int]:
    """Registers live tasks that have no serial; yields when due.  ``born``: when the process was.

    A task that another thread's factory is just creating has no serial yet either, so only tasks that still
    have none a moment later are registered, unless their loop is a copy from the parent of a fork.
    """
    asyncio = sys.modules["asyncio"]
    references = known_tasks()
    for loop in loops:
        if sys.version_info >= (3, 14) or not references:  # the only way to list them
            references.extend(ref(task) for task in asyncio.all_tasks(loop))
    references.extend(ref(task) for task in list(getattr(asyncio.tasks, "_eager_tasks", ())))
    candidates = []
    for reference in _each(references):
        if _is_unknown(reference()):
            candidates.append(reference)
        if spent():
            yield
    ripe = clock.monotonic() + RIPE
    while candidates and clock.monotonic() < ripe:
        yield
    return (yield from _adopt_all(registry, candidates, is_copy, born))


def _adopt_all(
    registry: Registry, candidates: list[Any], is_copy: Callable[[Any], bool], born: float
) -> Job[int]:
    adopted = named = 0
    copies: dict[int, bool] = {}
    in_order = yield from _by_age(candidates)
    dates = Dates((yield from _hints(in_order)), born, clock.monotonic())
    in_order.reverse()
    for number, _, reference in _each(in_order):
        named += number == NAMED
        registry.counter = max(registry.counter, int(number) if number < NAMED else 0)
        task = reference()
        if _is_unknown(task):
            loop = futures.loop_of(task)
            if id(loop) not in copies:
                copies[id(loop)] = is_copy(loop)
            if not copies[id(loop)]:
                adopted += adopt(registry, task, _birth(task, number, dates, may_ask=named <= ASKED))
        del task
        if spent():
            yield
    return adopted


def _birth(task: object, number: float, dates: Dates, *, may_ask: bool) -> float | None:
    """The birth of a task, by its number; one that has a name may itself tell."""
    if number < NAMED:
        return dates.span(int(number)).birth(clock.monotonic())
    told = hint(task) if may_ask else None
    return told.moment if told is not None and told.exact else None


def _by_age(references: list[Any]) -> Job[list[tuple[float, int, Any]]]:
    """In asyncio's creation order, named tasks last, so that serials follow age."""
    runs: list[list[tuple[float, int, Any]]] = [[]]
    for at, reference in enumerate(_each(references)):
        task = reference()
        number = futures.number_of(task) if task is not None else None
        runs[-1].append((NAMED if number is None else number, at, reference))
        del task
        if len(runs[-1]) >= RUN:
            runs[-1].sort()
            runs.append([])
        if spent():
            yield
    runs[-1].sort()
    in_order = []
    for each in heapq.merge(*runs):
        in_order.append(each)
        if spent():
            yield
    return in_order


def _hints(in_order: list[tuple[float, int, Any]]) -> Job[dict[int, Hint]]:
    """Birth hints of some of these tasks, by number: the first, and an even selection."""
    found: dict[int, Hint] = {}
    numbered = bisect_left(in_order, (NAMED,))
    every = max(1, numbered // ASKED)
    for at in (*range(min(every, numbered)), *range(every, numbered, every)):
        number, _, reference = in_order[at]
        task = reference()
        found_hint = hint(task) if task is not None else None
        if found_hint is not None:
            found[int(number)] = found_hint
        del task
        if spent():
            yield
    return found


def _each(items: list[T]) -> Iterator[T]:
    """Takes items from the end: to free 100,000 at once would hold the GIL for 5 ms."""
    while items:
        yield items.pop()


def _is_unknown(task: Any) -> bool:
    if task is None or futures.is_done(task) or futures.chunk_of(task) is not None:
        return False
    return not aiomonitor_peer.in_the_making(task)


def strays(registry: Registry, loops: list[Any], is_copy: Callable[[Any], bool]) -> Job[int]:
    """Registers tasks created without any factory, such as by ``asyncio.Task(coro)``.

    Copying the set of all tasks is one uninterruptible call: 3 ms for 300,000.  From 3.14 on there is no such
    set, and building one takes 50 times longer, so the search is skipped beyond ``MAX_STRAY_SEARCH`` tasks.
    """
    if (
        sys.version_info >= (3, 14)
        and sum(r.counts().live for r in registry.task_records()) > MAX_STRAY_SEARCH
    ):
        return 0
    return (yield from adopt_tasks(registry, loops, is_copy))


def forget(registry: Registry, loops: tuple[Any, ...]) -> Job[None]:
    """In a forked child: drops the tasks of loops that stayed in the parent."""
    gone = {id(loop) for loop in loops}
    for task in live_tasks(registry.task_records()):
        if task is None:
            yield
        elif id(futures.loop_of(task)) in gone:
            chunk = task._taskscope_chunk
            if chunk is not None and chunk.pop(task._taskscope_serial, None) is not None:
                chunk.site.unseen += 1
            release(task)
        del task


def adopt(registry: Registry, task: Any, estimate: float | None = None, depth: int = MAX_LINEAGE) -> bool:
    """Registers a task the hooks did not see; False if it accepts no attributes.

    ``estimate``: of its birth.
    """
    known = aiomonitor_peer.noted(task)
    parent = _lineage(registry, known.parent, depth) if known is not None else None
    stack = known.stack if known is not None else futures.field(task, "_source_traceback")
    record = _site_of(registry, futures.coroutine(task), stack)
    serial = futures.serial_of(task) or registry.next_serial()
    chunk = record.chunk
    if chunk is None or not record.room:
        chunk = record.new_chunk(serial, None)
    record.room -= 1
    lineage = futures.own_lineage_of(task)
    birth = known.birth if known is not None else None
    marks = {"serial": serial, "birth": birth, "parent": parent, "lineage": lineage, "chunk": chunk}
    if estimate is not None:
        marks["estimate"] = estimate
    if not futures.set_marks(task, marks):
        registry.drop("tasks of a class without room for a serial")
        return False
    chunk[serial] = ForeignRef(task, chunk, serial)
    record.born += 1
    record.adopted += 1
    if lineage is not None:  # it had children before it was adopted
        lineage.chunk = chunk
    return True


def _lineage(registry: Registry, reference: ref[Any] | None, depth: int) -> Lineage | None:
    """The lineage of the parent a monitor recorded; the parent is adopted before its child."""
    if reference is None or not depth:
        return None
    parent = reference()
    if parent is None:
        return Lineage(registry.next_serial(), None, None, ENDED)
    if _is_unknown(parent):
        adopt(registry, parent, depth=depth - 1)
    known = futures.own_lineage_of(parent)
    if known is None:
        serial = futures.serial_of(parent) or registry.next_serial()
        above = futures.lineage_of(parent)
        known = Lineage(serial, above, futures.chunk_of(parent), futures.name_of(parent))
        futures.set_marks(
            parent, {"serial": serial, "lineage": known}
        )  # otherwise its children would not be siblings
    return known


def impute(registry: Registry) -> None:
    """Gives older tasks and threads of unknown site the line that starts later ones of the same coroutine.

    It is a guess and marked as one.  If only one line starts them, they are counted there; if several do, all
    are candidates.
    """
    records = list(registry.by_id.values())
    exact: dict[tuple[str, str], list[SiteRecord]] = {}
    for record in records:
        if record.site.known == "exact":
            exact.setdefault((record.site.kind, record.site.coroutine), []).append(record)
    for record in records:
        found = exact.get((record.site.kind, record.site.coroutine), [])
        if record.site.known == "exact" or not found:
            continue
        if len(found) == 1 and record.site.coroutine != ANY:
            registry.joined.join(record, found[0])
        else:
            registry.joined.part(record)
            _name_candidates(record, [each.site for each in found])


def _name_candidates(record: SiteRecord, found: list[model.Site]) -> None:
    if record.site.kind == "task" and min(len(found), MAX_CANDIDATES) != len(record.site.candidates):
        first = found[0]
        record.site = model.Site(
            record.id,
            "task",
            first.frame,
            first.user_frame,
            first.coroutine,
            "imputed",
            tuple(site.frame for site in found[:MAX_CANDIDATES]),
        )


def release(task: Any) -> None:
    """Removes our marks from a task."""
    futures.set_marks(task, {"chunk": None})  # our class's destructor checks this
    futures.clear_marks(task, "serial", "birth", "estimate", "parent", "lineage")
    if in_class(type(task), "_taskscope_chunk") is None:
        futures.clear_marks(task, "chunk")


def _site_of(registry: Registry, coro: object, stack: object) -> SiteRecord:
    """Where a task of this coroutine is counted; ``stack``: asyncio's or a monitor's, if it was noted.

    Most are found by their code alone, and by their name, which the program may set.
    """
    key, kept = tuple[object, ...](), tuple[object, ...]()
    if type(coro) is CoroutineType and stack is None:
        kept = coro.cr_code, coro.__qualname__
        key = ("adopted", *map(id, kept))
        record = registry.records.get(key)
        if record is not None:
            return record
    inner = started(coro)
    name = coroutine_name(inner)
    trace = looking.items(stack, MAX_TRACE)
    if trace:
        return creations.record(registry, trace, name)
    code = code_of(inner)
    if not kept or inner is not coro:
        key, kept = ("adopted", id(code), name), (code,)
    return _unknown(registry, key, code, name, kept)


def _unknown(
    registry: Registry, key: tuple[object, ...], code: CodeType | None, name: str, kept: tuple[object, ...]
) -> SiteRecord:
    """``kept``: the objects whose ids are in the key."""
    known = registry.records.get(key)
    if known is not None:
        return known
    frame = origins.frame_of(code, None) if code is not None else model.Frame("", 0, name, "library")
    user = frame if frame.origin == "user" else None
    return registry.add(key, "task", frame, user, name, kept, "unknown")
