"""What a task or a thread waits for: a lock, a job, another task or thread."""

from __future__ import annotations

import threading
from types import FunctionType
from typing import TYPE_CHECKING, Literal, NamedTuple

from taskscope.agent.inspect import awaiting, blocking, foreign, futures, origins, stacks, waits
from taskscope.agent.inspect.foreign import StandIn
from taskscope.agent.inspect.looking import attribute, called, items, seconds, size, text
from taskscope.agent.inspect.threads import has_ended, ident_of
from taskscope.agent.inspect.variables import variables_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from types import FrameType

    from taskscope.model.vocabulary import EdgeKind, EndingHow, Wait

MAX_FUTURES = 1_000

JOB_OF_TRIO = "to_thread_run_sync.<locals>.worker_fn"
"""Runs a job in a thread of trio's; the list by which it knows its task stands for a future."""

_OWN_LOCKS = frozenset(
    ("Condition.wait", "Thread._wait_for_tstate_lock", "Thread.join", "_shutdown", "_ThreadHandle.join")
)
"""Functions of ``threading`` that wait for a lock they create themselves."""

_INSIDE: tuple[Wait, ...] = (
    *("event", "condition", "queue.get", "queue.put", "semaphore", "barrier", "job"),
)

_LEAVING: dict[tuple[str, str], EndingHow] = {
    ("threading.py", "_shutdown"): "threads",
    ("runners.py", "Runner.close"): "loop",
    ("thread.py", "_python_exit"): "executor",
    ("process.py", "_python_exit"): "executor",
    ("util.py", "_exit_function"): "processes",
}

_RUN_FOR_THREAD = ("_threads.py", "Run.run")
"""In it a task of trio runs what the thread asks of it that runs its job."""

_SHUTDOWN = "BaseEventLoop.shutdown_default_executor"


Kind = Literal["acquire", "get", "join"]
"""To take a slot or an item, or for all items to be done."""

_TAKING: dict[str, Kind] = {
    "Semaphore.acquire": "acquire",
    "Lock.acquire": "acquire",
    "Queue.get": "get",
    "Queue.join": "join",
}


class Ahead(NamedTuple):
    """Something waited for.  ``thing``: a lock or slots, a job's future, a loop, a task or a thread."""

    how: EdgeKind
    thing: object


class Waited(NamedTuple):
    """``either``: one of them is enough."""

    ahead: list[Ahead]
    either: bool = False


def by_task(task: object) -> Waited:
    """What ``task`` waits for; nothing if it may continue by itself."""
    frames = stacks.await_chain(futures.coroutine(task))
    if type(task) is StandIn:
        return Waited([] if task.may_give_up() else _by_task_of_trio(task, frames))
    lock = _acquired(frames)
    if lock is not None:
        return Waited([Ahead("waits", lock)])
    waiter = waits.awaited_future(task, frames)
    if waiter is None:
        return Waited([])
    known = stacks.shape_of(frames).known
    if known is not None and known.rule.wait == "sleep":
        return Waited([])
    if known is not None and text(frames[known.at].f_code.co_qualname) == _SHUTDOWN:
        thread = variables_of(frames[known.at]).get("thread")
        return Waited([Ahead("ends", thread)] if thread is not None else [])
    tasks = awaiting.waited_tasks(task, frames)
    if tasks:
        return Waited([Ahead("ends", each) for each in tasks], _takes_the_first(frames, known))
    source = _source_of(waiter) if futures.is_plain(waiter) else None
    if source is None and known is not None and known.rule.wait == "executor":
        source = waiter  # anyio's workers have the task's own future
    return Waited([Ahead("runs", source)] if source is not None else [])


def _by_task_of_trio(task: StandIn, frames: list[FrameType]) -> list[Ahead]:
    """Of a lock, of a nursery, or of a job in a thread; whatever else it waits for, anybody may bring."""
    lock = _acquired(frames)
    if lock is not None:
        return [Ahead("waits", lock)]
    for frame in frames:
        if _name(frame) == _RUN_FOR_THREAD:
            break
        if _name(frame) == ("_threads.py", "to_thread_run_sync"):
            return [Ahead("runs", variables_of(frame).get("task_register"))]
    return [Ahead("ends", each) for each in task.children(frames)]


def _takes_the_first(frames: list[FrameType], known: waits.Recognised | None) -> bool:
    """Whether one of them ending is enough: ``asyncio.wait`` unless it waits for all, or ``as_completed``."""
    if known is None or known.rule.wait != "gather":
        return False
    names = variables_of(frames[known.at])
    if "return_when" in names:
        return text(names["return_when"]) != "ALL_COMPLETED"
    return known.rule.text == "as_completed"


def _acquired(frames: list[FrameType]) -> object:
    """The lock or semaphore whose ``acquire`` a task is in, or the empty queue it gets from."""
    for frame in frames:
        file, name = origins.file_of(frame.f_code), text(frame.f_code.co_qualname)
        if not origins.is_plumbing(file):
            break
        asynchronous = "/asyncio/" in file or "/anyio/" in file or "/trio/" in file
        if asynchronous and name.rpartition(".")[2] in ("acquire", "acquire_on_behalf_of"):
            return variables_of(frame).get("self")
        if asynchronous and name == "Queue.get":
            queue = variables_of(frame).get("self")
            return queue if size(attribute(queue, "_queue")) == 0 else None
    return None


def taken_from(frames: list[FrameType]) -> tuple[Kind | None, object]:
    """The semaphore, lock or queue of asyncio that a suspended task waits to take from, or to be done."""
    for frame in frames:
        file, name = origins.file_of(frame.f_code), text(frame.f_code.co_qualname)
        if not origins.is_plumbing(file):
            break
        if "/asyncio/" in file and name in _TAKING:
            return _TAKING[name], variables_of(frame).get("self")
    return None, None


def job_awaited_by(task: object) -> object:
    """The executor's future that a task waits for."""
    future = waits.awaited_future(task, stacks.await_chain(futures.coroutine(task)))
    return _source_of(future) if futures.is_plain(future) else None


def _source_of(future: object) -> object:
    """The executor's future behind an asyncio future."""
    for callback in futures.callbacks(future):
        if type(callback) is FunctionType and "_chain_future" in called(callback):
            return waits.closed_over(callback, "source")
    return None


def task_behind(future: object) -> object:
    """The task whose result a concurrent future gets (``run_coroutine_threadsafe``)."""
    for callback in items(attribute(future, "_done_callbacks"), futures.BETWEEN):
        source = waits.closed_over(callback, "source")
        if source is not None and futures.is_task(source):
            return source
    return None


def is_call_for(handle: object, future: object) -> bool:
    """Whether a loop's callback will start the task of ``run_coroutine_threadsafe``."""
    return waits.closed_over(attribute(handle, "_callback"), "future") is future


def by_thread(frame: FrameType) -> Waited:
    """What a suspended thread waits for, judging by its innermost ``frame``."""
    own = _name(frame)
    if own == ("_thread_cache.py", "WorkerThread._work"):  # trio's, without a job
        return Waited([])
    if own[1] == "_ModuleLock.acquire" and "importlib" in own[0]:
        return Waited([Ahead("waits", variables_of(frame).get("self"))])
    if own[0] != "threading.py" or own[1] not in _OWN_LOCKS:
        lock = blocking.lock_at(frame)
        if lock is not None:
            return Waited([Ahead("waits", lock)])
    if own == ("_threads.py", "_send_message_to_trio"):
        return Waited(_asked_of_trio(frame))
    walk: FrameType | None = frame
    while walk is not None and _is_of_stdlib(walk):
        found = _by_function(walk)
        if found is not None:
            return found
        walk = walk.f_back
    return Waited([])


def _asked_of_trio(frame: FrameType) -> list[Ahead]:
    """What a thread of trio's waits for that asks its task to run something: the loop, and it if it does."""
    if variables_of(frame).get("token_provided") is not False:
        return []
    jobs = (each for each in stacks.thread_frames(frame) if each.f_code.co_qualname == JOB_OF_TRIO)
    register = next((variables_of(each).get("task_register") for each in jobs), None)
    task = next(iter(items(register, 1)), None)
    if type(stand := foreign.of(task)) is not StandIn:
        return []
    runs = any(_name(each) == _RUN_FOR_THREAD for each in stacks.await_chain(stand.coroutine))
    return [Ahead("loop", stand.run), *([Ahead("ends", stand)] if runs else [])]


def _by_function(frame: FrameType) -> Waited | None:
    """What a standard library function waits for; None if it is not one that waits."""
    name = _name(frame)
    if name == ("threading.py", "Thread.join"):
        return Waited([Ahead("ends", variables_of(frame).get("self"))])
    if name == ("threading.py", "_shutdown"):
        return Waited([Ahead("ends", each) for each in _others()])
    if name == ("threading.py", "Semaphore.acquire"):
        return Waited([Ahead("waits", variables_of(frame).get("self"))])
    if name == ("queue.py", "Queue.get"):
        queue = variables_of(frame).get("self")
        return Waited([Ahead("waits", queue)] if size(attribute(queue, "queue")) == 0 else [])
    if name in {("_base.py", "Future.result"), ("_base.py", "Future.exception")}:
        return Waited([Ahead("runs", variables_of(frame).get("self"))])
    if name == ("_base.py", "wait"):
        names = variables_of(frame)
        jobs = [
            Ahead("runs", each) for each in items(names.get("fs"), MAX_FUTURES) if not futures.is_done(each)
        ]
        return Waited(jobs, text(names.get("return_when")) != "ALL_COMPLETED")
    return None


def is_leaving(frames: Mapping[int, FrameType]) -> bool:
    """Whether the main thread waits for others to end the process, or its event loop."""
    return leaving_by(frames) not in (None, "handlers")


def leaving_by(frames: Mapping[int, FrameType]) -> EndingHow | None:
    """What the main thread waits for to end the process, or its event loop; None: it ends neither."""
    main = vars(threading)["_main_thread"]
    first = walk = frames.get(ident_of(main) or 0)
    while walk is not None:
        how = _LEAVING.get(_name(walk))
        if how is not None and origins.origin(walk.f_code.co_filename) == "stdlib":
            return how
        walk = walk.f_back
    return "handlers" if first is not None and has_ended(main) else None


def runs_until(frame: FrameType) -> object:
    """The future that ends the loop which a thread runs and sleeps in."""
    walk: FrameType | None = frame
    while walk is not None and _is_of_stdlib(walk):
        if _name(walk) == ("base_events.py", "BaseEventLoop.run_until_complete"):
            return variables_of(walk).get("future")
        walk = walk.f_back
    return None


def is_inside(frame: FrameType) -> bool:
    """Whether a thread waits for something that only another thread of the process can give it."""
    walk: FrameType | None = frame
    while walk is not None and _is_of_stdlib(walk):
        if "/multiprocessing/" in origins.file_of(walk.f_code):
            return False
        walk = walk.f_back
    return wait_of_thread(frame) in _INSIDE


def wait_of_thread(frame: FrameType) -> Wait:
    """The word for its wait."""
    return blocking.activity(frame, running=False, loop=None).wait


def is_timed(frame: FrameType) -> bool:
    """Whether a function of the standard library that a thread waits in ends the wait by itself."""
    walk: FrameType | None = frame
    while walk is not None and _is_of_stdlib(walk):
        if seconds(variables_of(walk).get("timeout")) is not None:
            return True
        walk = walk.f_back
    return False


def of_thread_by_anybody(frame: FrameType) -> EdgeKind | None:
    """How a thread's wait may end that any other may end; None if something else ends it."""
    if not is_inside(frame) or is_timed(frame):
        return None
    return _by_anybody(stacks.thread_frames(frame), wait_of_thread(frame))


def of_task_by_anybody(task: object) -> EdgeKind:
    """How a task's wait may end."""
    return _by_anybody(*wait_of_task(task))


def _by_anybody(frames: Iterable[FrameType], wait: Wait) -> EdgeKind:
    """How a wait may end that anybody may end: ``waits``: for work to come; ``ends``: somebody owes it."""
    if wait in ("queue.get", "job", "sleep"):
        return "waits"
    names = (text(each.f_code.co_qualname) for each in frames if _is_of_stdlib(each))
    return "ends" if wait in ("queue.put", "barrier") or "Queue.join" in names else "woken"


def wait_of_task(task: object) -> tuple[list[FrameType], Wait]:
    """The frames of a suspended task, and the word for its wait."""
    frames = stacks.await_chain(futures.coroutine(task))
    known = stacks.shape_of(frames).known
    return frames, known.rule.wait if known is not None else "unknown"


def _is_of_stdlib(frame: FrameType) -> bool:
    return origins.origin(frame.f_code.co_filename) == "stdlib"


def is_asleep_in_loop(frame: FrameType) -> bool:
    """Whether a thread that runs a loop waits for what the loop waits for."""
    return blocking.activity(frame, running=False, loop=0).state == "idle"


def _others() -> Iterator[object]:
    """The threads that the interpreter waits for before it exits."""
    active = vars(threading)["_active"]
    main = vars(threading)["_main_thread"]
    for thread in list(active.values()):
        if thread is not main and attribute(thread, "_daemonic") is False:
            yield thread


def _name(frame: FrameType) -> tuple[str, str]:
    return origins.file_of(frame.f_code).rpartition("/")[2], text(frame.f_code.co_qualname)
