"""What an event loop is doing, read from the frames of its thread.

The loop runs nothing for this and is not woken: a loop that lost its wake-up stays as found.  The variables
of ``BaseEventLoop._run_once`` show how long it intends to sleep, since when it has been running callbacks,
and which one it is at.  Their names are unchanged since 3.11.  Loops not written in Python (uvloop) only show
whether code of the program runs in them.
"""

from __future__ import annotations

import sys
from collections import deque
from types import BuiltinFunctionType, BuiltinMethodType, FunctionType, MethodDescriptorType, MethodType
from typing import TYPE_CHECKING, Any, NamedTuple
from weakref import ref

from taskscope.agent.inspect import foreign, futures, runs
from taskscope.agent.inspect.looking import attribute, attributes_of, items, mro, own_attributes
from taskscope.agent.inspect.variables import variables_of
from taskscope.agent.inspect.walk import spent
from taskscope.system import clock

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import FrameType

    from taskscope.agent.inspect.walk import Job

MAX_FRAMES = 2_000
"""Frames of a thread searched for its loop, innermost first."""

DAY = 24 * 3600
"""Seconds.  asyncio's longest sleep, so one of this length does not show when it began."""


class Turn(NamedTuple):
    """What a loop is doing now.  It holds frames, so do not keep it.

    ``doing``: ``calling`` callbacks, ``between`` turns, or asleep in its selector: ``idle``, or ``overslept``
    if it has work to do.  ``begun``: when it began to call, fell asleep, or should have woken for a timer;
    None: unknown.  ``mark``: unchanged until it moves; None: it need not move.  ``calls``: callbacks
    completed in this turn; of a run of trio, minus those to come.  ``task``: one that it could run, or runs.
    ``frames``: those inside the loop, innermost first.
    """

    thread: int
    doing: str
    begun: float | None = None
    mark: object = None
    calls: int = 0
    task: Any = None
    frames: tuple[FrameType, ...] = ()


def is_legible(loop: Any) -> bool:
    """Whether a loop is made of asyncio's, so that its variables tell what it does."""
    asyncio = sys.modules.get("asyncio")
    return asyncio is not None and issubclass(type(loop), asyncio.BaseEventLoop)


def variable(loop: Any, name: str) -> Any:
    """A variable of a legible loop; None of another.

    Not read from its ``__dict__``: once made, up to 3.12, that slows every task by half a microsecond.
    """
    return attribute(loop, name) if is_legible(loop) else None


def claimed_thread(loop: Any) -> int | None:
    """The thread in which an asyncio loop claims to run; a copy in a forked child claims it too."""
    ident = variable(loop, "_thread_id")
    return ident if type(ident) is int else None


def claims(loops: list[tuple[int, Any]], born: float) -> Job[dict[int, int]]:
    """The threads in which loops of this process run, by the number given with each; empties ``loops``.

    20 microseconds for each, of which a leak may leave thousands.
    """
    found: dict[int, int] = {}
    while loops:
        number, loop = loops.pop()
        thread = claimed_thread(loop)
        if thread is not None and not is_copy(loop, born):
            found[number] = thread
        elif runs.is_run(loop) and (run := runs.find(loop, sys._current_frames(), 0)) is not None:
            found[number] = run.thread
            del run
        del loop
        if spent():
            yield
    return found


def is_closed(loop: Any) -> bool:
    """Whether a loop is closed; False if unreadable."""
    if runs.is_run(loop):
        return runs.is_over(loop)
    return (variable(loop, "_closed") if is_legible(loop) else builtin(loop, "is_closed")) is True


def is_copy(loop: Any, born: float) -> bool:
    """Whether it is a copy, in a forked child that began at ``born``, of a loop that runs in the parent.

    A copy claims to run and does not; checked twice, as a loop may just be starting or stopping.
    """
    for _ in range(2):
        thread = claimed_thread(loop)
        if thread is None or look(loop, sys._current_frames(), born, clock.monotonic()) is not None:
            return False
        if claimed_thread(loop) != thread:
            return False
    return True


def length(loop: Any, name: str) -> int | None:
    """The length of a loop's callback queue or timer heap; None: unknown."""
    if runs.is_run(loop):
        return runs.length(loop, deadlines=name == "_scheduled")
    queue = variable(loop, name)
    return len(queue) if type(queue) in (deque, list) else None


def waiting(loop: Any, turn: Turn) -> int:
    """Callbacks that wait for the one that runs."""
    return -turn.calls if turn.calls < 0 else length(loop, "_ready") or 0


def shows_itself(loop: Any) -> bool:
    """Whether each of its turns can be told from the next."""
    return is_legible(loop) or runs.is_run(loop)


def look_at_any(loop: Any, frames: Mapping[int, FrameType], born: float, thread: int) -> Turn | None:
    """As ``look``, of a loop of any kind; ``thread``: searched first for one that does not tell its own."""
    if is_legible(loop):
        return look(loop, frames, born, clock.monotonic())
    if runs.is_run(loop):
        return _look_at_run(loop, frames, born, thread)
    return _look_from_outside(loop, frames, thread)


def look(loop: Any, frames: Mapping[int, FrameType], born: float, now: float) -> Turn | None:
    """What ``loop`` does; None if it does not run in this process.

    ``frames``: the innermost frame of each thread.  ``born``: when this process began; a turn that began
    before is one of the parent's, whose stack a forked child has inherited.
    """
    thread = claimed_thread(loop)
    if thread is None:
        return None
    frame = frames.get(thread)
    inside: list[FrameType] = []
    while frame is not None and len(inside) < MAX_FRAMES:
        if frame.f_code.co_name in ("_run_once", "run_forever"):
            names = variables_of(frame)
            if names.get("self") is loop:
                end = names.get("end_time")
                if type(end) is not float:
                    return _asleep(loop, thread, names, now)
                return _calling(loop, thread, names, end, tuple(inside)) if end > born else None
        inside.append(frame)
        frame = frame.f_back
    return None


def _calling(
    loop: Any, thread: int, names: Mapping[str, Any], end: float, inside: tuple[FrameType, ...]
) -> Turn:
    resolution, calls = variable(loop, "_clock_resolution"), names.get("i")
    begun = end - resolution if type(resolution) is float and _goes_by_the_clock(loop) else None
    return Turn(thread, "calling", begun, end, calls if type(calls) is int else 0, None, inside)


def _asleep(loop: Any, thread: int, names: Mapping[str, Any], now: float) -> Turn:
    timeout = names.get("timeout", 0)
    if "event_list" in names or (type(timeout) in (int, float) and timeout <= 0):
        return Turn(thread, "between")
    ready, timers = variable(loop, "_ready"), variable(loop, "_scheduled")
    timer, head = _first(timers, list), _first(ready, deque)
    begun = None
    if type(timer) is sys.modules["asyncio"].TimerHandle and _goes_by_the_clock(loop):
        if head is None and not timer._cancelled and timer._when < now:
            return Turn(thread, "overslept", timer._when, ref(timer), 0, _task_of(timer))
        begun = timer._when - timeout if type(timeout) is float and timeout < DAY else None
    if head is None:
        return Turn(thread, "idle", begun)
    return Turn(thread, "overslept", begun, ref(head), 0, _task_of(head))


def _first(queue: Any, kind: type[Any]) -> Any:
    """The first item; None if there is none (any more)."""
    try:
        first: Any = queue[0] if type(queue) is kind else None
    except IndexError:
        return None
    return first


def _task_of(handle: Any) -> Any:
    """The task that a callback would resume, if it is one of asyncio's own making."""
    asyncio = sys.modules["asyncio"]
    if type(handle) not in (asyncio.Handle, asyncio.TimerHandle):
        return None
    callback = handle._callback
    if type(callback) in (BuiltinMethodType, MethodType) or type(callback).__module__ == "_asyncio":
        owner = callback.__self__
        return owner if futures.is_task(owner) else None
    return None


def _goes_by_the_clock(loop: Any) -> bool:
    """Whether its times are those of the machine: neither its own clock nor a test's."""
    if type(sys.modules["time"].monotonic) is not BuiltinFunctionType:
        return False
    owner = next((cls for cls in mro(type(loop)) if "time" in own_attributes(cls)), None)
    plain = sys.modules["asyncio"].BaseEventLoop.time
    if type(plain) is not FunctionType or owner is not sys.modules["asyncio"].BaseEventLoop:
        return False
    bound = object.__getattribute__(loop, "time")  # by a function of asyncio's: no code of the program's runs
    return type(bound) is MethodType and bound.__func__ is plain


def queued(loop: Any, turn: Turn, most: int) -> list[object]:
    """The handle that a loop runs now, then up to ``most`` of those in its queue."""
    if runs.is_run(loop):
        ready = map(foreign.of, items(attribute(loop, "runq"), most))
        return [each for each in (turn.task, *ready) if type(each) is foreign.StandIn]
    run = turn.frames[-1] if turn.frames else None
    now = variables_of(run).get("self") if run is not None and run.f_code.co_name == "_run" else None
    waiting = items(variable(loop, "_ready"), most)
    return [now, *waiting] if now is not None else waiting


def current_serial(loop: Any) -> int | None:
    """The task that is running in it."""
    try:
        task = sys.modules["asyncio"].current_task(loop)
    except (RuntimeError, KeyError):
        return None
    return futures.serial_of(task)


def debug(loop: Any) -> bool:
    """Whether its debug mode is on."""
    return (variable(loop, "_debug") if is_legible(loop) else builtin(loop, "get_debug")) is True


def factory_name(loop: Any) -> str:
    """What the program set as its task factory; "" if nothing."""
    legible = is_legible(loop)
    factory = variable(loop, "_task_factory") if legible else builtin(loop, "get_task_factory")
    if type(factory) is FunctionType:
        factory = attributes_of(factory).get("taskscope_shown", factory)
    if factory is None:
        return ""
    return str(factory.__qualname__ if type(factory) is FunctionType else type(factory).__qualname__)


def _look_at_run(run: Any, frames: Mapping[int, FrameType], born: float, thread: int) -> Turn | None:
    """As ``look``, of a run of trio."""
    found = runs.find(run, frames, thread)
    if found is None or found.variables is None:
        polls = found is not None and runs.polls(found)
        return Turn(found.thread, "between" if polls else "idle") if found is not None else None
    names = found.variables
    at, task, batch = names.get("now"), names.get("task"), names.get("batch")
    begun = runs.began(run, at) if type(at) is float and (task is not None or batch) else None
    if begun is None:
        return Turn(found.thread, "between")
    left = len(batch) if type(batch) is list else 0
    step = foreign.known.get(id(task))
    return Turn(found.thread, "calling", begun, at, -left, step, found.inside) if begun > born else None


# -- loops that are not written in Python ------------------------------------------------------------


def builtin(loop: Any, name: str) -> Any:
    """Calls a method without arguments that is not written in Python; None where it is."""
    method = builtin_method(loop, name)
    return method() if method is not None else None


def builtin_method(loop: Any, name: str) -> Callable[..., Any] | None:
    """A method of a loop that is not written in Python: to call it runs no code of the program's."""
    for cls in mro(type(loop)):
        found = own_attributes(cls).get(name)
        if found is not None:
            native = type(found) is MethodDescriptorType or type(found).__module__.startswith("_cython")
            return found.__get__(loop) if native else None
    return None


def own_method(loop: Any, name: str) -> Callable[..., Any] | None:
    """A method of a legible loop as asyncio defines it; None where the program overrides it."""
    if not is_legible(loop):
        return None
    owner = next((cls for cls in mro(type(loop)) if name in own_attributes(cls)), None)
    plain = own_attributes(sys.modules["asyncio"].BaseEventLoop).get(name)
    if owner is not sys.modules["asyncio"].BaseEventLoop or type(plain) is not FunctionType:
        return None
    return MethodType(plain, loop)


def _look_from_outside(loop: Any, frames: Mapping[int, FrameType], thread: int) -> Turn | None:
    """As ``look``, of a loop that keeps what it does to itself.

    The frame that runs it has it, or a runner that has it, among its variables.  If that is a thread's
    innermost the loop is asleep, or in code that is not written in Python.
    """
    if not builtin(loop, "is_running"):
        return None
    for ident in sorted(frames, key=lambda each: each != thread):
        inside: list[FrameType] = []
        frame: FrameType | None = frames[ident]
        while frame is not None and len(inside) < MAX_FRAMES:
            if _runs(frame, loop):
                return Turn(ident, "calling" if inside else "idle", frames=tuple(inside))
            inside.append(frame)
            frame = frame.f_back
    return None


def _runs(frame: FrameType, loop: Any) -> bool:
    if _RUN.isdisjoint(frame.f_code.co_names):
        return False
    names = variables_of(frame)
    runner = attributes_of(names.get("self")).get("_loop")
    return runner is loop or any(each is loop for each in names.values())


_RUN = frozenset(("run_until_complete", "run_forever"))
