"""What a parked task waits for, in words that need no knowledge of CPython's insides.

The innermost frames of a parked task belong to whatever primitive it waits on: asyncio's, or anyio's on
top of it.  The table below knows these functions; the outermost of them, next to the user's own code,
says best what is awaited.  Where no function tells, the awaited future does.

Locals are read only of these primitives' frames: reading a frame's locals on Python 3.11 and 3.12 leaves
a copy in the frame, which in a user's frame could keep objects alive.  Nothing of the program is called
but getters of asyncio's own objects.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, NamedTuple

from taskscope.agent import origins

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType


FOREVER = 30 * 365 * 86_400.0
"""Seconds.  Libraries sleep for ever by sleeping for decades, or until infinity, which JSON does not know."""


class Wait(NamedTuple):
    """``wait`` is the stable word, ``text`` the same for all that wait alike, ``detail`` is not."""

    wait: str
    text: str
    detail: str = ""
    task: int | None = None
    remaining: float | None = None


class _Rule(NamedTuple):
    wait: str
    text: str
    detail: Callable[[dict[str, Any]], str] | None = None


def _clip(text: str) -> str:
    return text if len(text) <= 200 else text[:199] + "…"


# -- details: each reads the locals of the primitive's own frame -------------------------------------


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _queue(names: dict[str, Any]) -> str:
    queue = names.get("self")
    size, bound = len(getattr(queue, "_queue", ())), getattr(queue, "_maxsize", 0)
    return f"{size} of {_count(bound, 'item')}" if bound else f"{_count(size, 'item')}, unbounded"


def _unfinished(names: dict[str, Any]) -> str:
    return f"{_count(getattr(names.get('self'), '_unfinished_tasks', 0), 'item')} unfinished"


def _waiters(names: dict[str, Any]) -> str:
    waiters = getattr(names.get("self"), "_waiters", None)
    return f"{len(waiters)} waiting" if waiters else ""


def _barrier(names: dict[str, Any]) -> str:
    barrier = names.get("self")
    return f"{getattr(barrier, '_count', '?')} of {getattr(barrier, '_parties', '?')} there"


def _left(names: dict[str, Any]) -> str:
    futures = names.get("fs") or ()
    return f"{sum(1 for each in list(futures) if not each.done())} of {len(futures)} left"


def _group(names: dict[str, Any]) -> str:
    return f"{_count(len(getattr(names.get('self'), '_tasks', ()) or ()), 'task')} left"


def _completed(names: dict[str, Any]) -> str:
    owner = names.get("self")
    todo = getattr(owner, "_todo", None) or getattr(owner, "_todo_left", None) or names.get("todo")
    return f"{len(todo)} left" if isinstance(todo, (set, list, dict)) else ""


def _peer(names: dict[str, Any]) -> str:
    """The other end of a connection, from its reader, writer or protocol."""
    owner = names.get("self")
    transport = getattr(owner, "_transport", None)
    if transport is None:
        return ""
    address = transport.get_extra_info("peername")
    if isinstance(address, (tuple, list)) and len(address) >= 2:
        return f"{address[0]}:{address[1]}"
    if not address:
        pipe = transport.get_extra_info("pipe")
        return f"pipe {pipe.name}" if pipe is not None and hasattr(pipe, "name") else "a Unix socket"
    return str(address)


def _host(names: dict[str, Any]) -> str:
    host, port = names.get("host"), names.get("port")
    if not isinstance(host, str):
        address = names.get("address")
        return f"{address[0]}:{address[1]}" if isinstance(address, tuple) and len(address) >= 2 else ""
    return f"{host}:{port}" if port else host


def _child(names: dict[str, Any]) -> str:
    owner = names.get("self")
    pid = getattr(owner, "pid", None) or getattr(owner, "_pid", None)
    return f"pid {pid}" if isinstance(pid, int) else ""


def _function(names: dict[str, Any]) -> str:
    function = names.get("func")
    return f"in {_clip(str(getattr(function, '__qualname__', type(function).__qualname__)))}"


def _limiter(names: dict[str, Any]) -> str:
    limiter = names.get("self")
    borrowers = getattr(limiter, "_borrowers", None)
    return (
        f"{len(borrowers)} of {getattr(limiter, '_total_tokens', '?')} taken" if borrowers is not None else ""
    )


def _holder(names: dict[str, Any]) -> str:
    owner = getattr(names.get("self"), "_owner_task", None)
    return f"held by {_clip(owner.get_name())}" if owner is not None else ""


def _buffer(names: dict[str, Any]) -> str:
    state = getattr(names.get("self"), "_state", None)
    return f"{len(getattr(state, 'buffer', ()))} of {_count(getattr(state, 'max_buffer_size', 0), 'item')}"


# -- the table: the last part of the file's path, and the function -----------------------------------

_READ = ("read", "readline", "readuntil", "readexactly", "_wait_for_data", "__anext__")
_SOCK = ("recv", "recv_into", "recvfrom", "recvfrom_into", "sendall", "sendto", "accept", "sendfile")

_ASYNCIO: dict[tuple[str, str], _Rule] = {
    ("tasks.py", "sleep"): _Rule("sleep", "asyncio.sleep"),
    ("tasks.py", "_wait"): _Rule("gather", "asyncio.wait", _left),
    ("tasks.py", "_cancel_and_wait"): _Rule("task", "the end of a cancelled task"),
    ("tasks.py", "as_completed.<locals>._wait_for_one"): _Rule("gather", "as_completed", _completed),
    ("tasks.py", "_AsCompletedIterator._wait_for_one"): _Rule("gather", "as_completed", _completed),
    ("threads.py", "to_thread"): _Rule("executor", "asyncio.to_thread", _function),
    ("queues.py", "Queue.get"): _Rule("queue.get", "Queue.get", _queue),
    ("queues.py", "Queue.put"): _Rule("queue.put", "Queue.put", _queue),
    ("queues.py", "Queue.join"): _Rule("event", "Queue.join", _unfinished),
    ("locks.py", "Lock.acquire"): _Rule("lock", "Lock.acquire", _waiters),
    ("locks.py", "Event.wait"): _Rule("event", "Event.wait", _waiters),
    ("locks.py", "Condition.wait"): _Rule("condition", "Condition.wait", _waiters),
    ("locks.py", "Condition.wait_for"): _Rule("condition", "Condition.wait_for", _waiters),
    ("locks.py", "Semaphore.acquire"): _Rule("semaphore", "Semaphore.acquire", _waiters),
    ("locks.py", "Barrier.wait"): _Rule("barrier", "Barrier.wait", _barrier),
    ("taskgroups.py", "TaskGroup.__aexit__"): _Rule("gather", "TaskGroup", _group),
    ("taskgroups.py", "TaskGroup._aexit"): _Rule("gather", "TaskGroup", _group),
    ("streams.py", "StreamWriter.drain"): _Rule("socket", "StreamWriter.drain", _peer),
    ("streams.py", "StreamWriter.wait_closed"): _Rule("socket", "StreamWriter.wait_closed", _peer),
    ("streams.py", "open_connection"): _Rule("socket", "asyncio.open_connection", _host),
    ("base_events.py", "BaseEventLoop.create_connection"): _Rule("socket", "loop.create_connection", _host),
    ("base_events.py", "BaseEventLoop.getaddrinfo"): _Rule("dns", "a DNS look-up", _host),
    ("base_events.py", "BaseEventLoop.getnameinfo"): _Rule("dns", "a DNS look-up"),
    ("base_events.py", "Server.serve_forever"): _Rule("server", "Server.serve_forever"),
    ("base_events.py", "Server.wait_closed"): _Rule("server", "Server.wait_closed"),
    ("selector_events.py", "BaseSelectorEventLoop.sock_connect"): _Rule("socket", "loop.sock_connect", _host),
    ("base_subprocess.py", "BaseSubprocessTransport._wait"): _Rule("subprocess", "a child process", _child),
    ("subprocess.py", "Process.wait"): _Rule("subprocess", "Process.wait", _child),
    ("subprocess.py", "Process.communicate"): _Rule("subprocess", "Process.communicate", _child),
    **{("streams.py", f"StreamReader.{n}"): _Rule("socket", f"StreamReader.{n}", _peer) for n in _READ},
    **{
        ("selector_events.py", f"BaseSelectorEventLoop.sock_{n}"): _Rule("socket", f"loop.sock_{n}")
        for n in _SOCK
    },
}
_ASYNCIO["streams.py", "StreamReader._wait_for_data"] = _Rule("socket", "StreamReader.read", _peer)
_ASYNCIO["streams.py", "StreamReader.__anext__"] = _Rule("socket", "StreamReader.readline", _peer)

_ANYIO: dict[tuple[str, str], _Rule] = {
    ("_eventloop.py", "sleep"): _Rule("sleep", "anyio.sleep"),
    ("_eventloop.py", "sleep_forever"): _Rule("sleep", "anyio.sleep_forever"),
    ("_asyncio.py", "Event.wait"): _Rule("event", "anyio Event.wait"),
    ("_asyncio.py", "Lock.acquire"): _Rule("lock", "anyio Lock.acquire", _holder),
    ("_asyncio.py", "Semaphore.acquire"): _Rule("semaphore", "anyio Semaphore.acquire"),
    ("_asyncio.py", "CapacityLimiter.acquire_on_behalf_of"): _Rule(
        "semaphore", "anyio CapacityLimiter", _limiter
    ),
    ("_synchronization.py", "Condition.wait"): _Rule("condition", "anyio Condition.wait"),
    ("_asyncio.py", "TaskGroup.__aexit__"): _Rule("gather", "anyio TaskGroup", _group),
    ("_asyncio.py", "AsyncIOBackend.run_sync_in_worker_thread"): _Rule(
        "executor", "anyio to_thread.run_sync", _function
    ),
    ("_asyncio.py", "Process.wait"): _Rule("subprocess", "anyio Process.wait"),
    ("memory.py", "MemoryObjectReceiveStream.receive"): _Rule("queue.get", "anyio receive", _buffer),
    ("memory.py", "MemoryObjectSendStream.send"): _Rule("queue.put", "anyio send", _buffer),
    ("_asyncio.py", "SocketStream.receive"): _Rule("socket", "anyio SocketStream.receive", _peer),
    ("_asyncio.py", "SocketStream.send"): _Rule("socket", "anyio SocketStream.send", _peer),
    ("_asyncio.py", "TCPSocketListener.accept"): _Rule("socket", "anyio accept"),
    ("_asyncio.py", "UNIXSocketListener.accept"): _Rule("socket", "anyio accept"),
}


# -- telling -----------------------------------------------------------------------------------------


class Known(NamedTuple):
    """A primitive that was recognised, and at which frame of the chain."""

    rule: _Rule
    at: int


def recognise(frames: list[FrameType]) -> Known | None:
    """The outermost primitive next to the program's own code; ``frames`` are innermost first."""
    found: Known | None = None
    for index, frame in enumerate(frames):
        file = frame.f_code.co_filename
        if not origins.is_plumbing(file):
            break
        rules = _ANYIO if "/anyio/" in file else _ASYNCIO
        rule = rules.get((file.rpartition("/")[2], frame.f_code.co_qualname))
        if rule is not None:
            found = Known(rule, index)
    return found


def describe(task: Any, frames: list[FrameType], known: Known | None, *, detailed: bool = True) -> Wait:
    """What ``task`` waits for; ``frames`` are those of its await chain, ``known`` what they tell."""
    waiter = getattr(task, "_fut_waiter", None)
    if waiter is None:
        running = getattr(task.get_coro(), "cr_running", False)
        return Wait("running", "running") if running else Wait("ready", "ready to run")
    if known is None:
        return _by_future(waiter, frames)
    rule, at = known
    if rule.wait == "sleep":
        return Wait(rule.wait, rule.text, "", None, _sleep_left(task, frames[0]))
    return Wait(rule.wait, rule.text, _detail(rule, frames[at]) if detailed else "", _serial(waiter))


def _detail(rule: _Rule, frame: FrameType) -> str:
    if rule.detail is None:
        return ""
    try:
        return _clip(rule.detail(frame.f_locals))
    except Exception:  # noqa: BLE001  (an outer edge: a subclass of the program's may do anything)
        return ""


def _by_future(waiter: Any, frames: list[FrameType]) -> Wait:
    if hasattr(waiter, "get_coro"):
        name = getattr(waiter.get_coro(), "__qualname__", "?")
        return Wait("task", f"task {_clip(str(name).replace('.<locals>', ''))}", task=_serial(waiter))
    children = getattr(waiter, "_children", None)
    if children is not None:
        left = sum(1 for each in list(children) if not each.done())
        return Wait("gather", "gather", f"{left} of {len(children)} left")
    for callback in callbacks(waiter):
        name = getattr(callback, "__qualname__", "")
        if "_chain_future" in name:
            return Wait("executor", "a job in an executor", _job(callback))
        if name.startswith("shield"):
            inner = closed_over(callback, "inner")
            return Wait("task", "a shielded task", task=_serial(inner))
    if frames and "uvloop" in frames[0].f_code.co_filename:
        name = frames[0].f_code.co_name
        return Wait("server" if name == "serve_forever" else "socket", f"uvloop {name}")
    return Wait("future", f"a bare {type(waiter).__name__}")


def callbacks(waiter: Any) -> list[Any]:
    """Callbacks registered on a future, as functions."""
    return [entry[0] for entry in getattr(waiter, "_callbacks", None) or ()]


def closed_over(function: Any, name: str) -> Any:
    """The value of a variable that a nested function of asyncio's closes over; None if it has none."""
    code, cells = getattr(function, "__code__", None), getattr(function, "__closure__", None)
    if code is None or not cells or name not in code.co_freevars:
        return None
    try:
        return cells[code.co_freevars.index(name)].cell_contents
    except ValueError:
        return None


def _job(callback: Any) -> str:
    """The function that an executor runs for the future behind ``callback``."""
    source = closed_over(callback, "source")
    if source is None:
        return ""
    for item in _work_items():
        if getattr(item, "future", None) is source:
            function = getattr(item, "fn", None) or getattr(item, "task", (None,))[0]
            function = getattr(function, "func", function)
            if getattr(function, "__qualname__", "") == "Context.run":
                return ""
            return f"in {_clip(str(getattr(function, '__qualname__', type(function).__qualname__)))}"
    return ""


def _work_items() -> list[Any]:
    """The jobs that thread pools are running, where a thread's locals can be read without leaving a copy."""
    items: list[Any] = []
    for frame in list(sys._current_frames().values()) if sys.version_info >= (3, 13) else ():
        walk: FrameType | None = frame
        while walk is not None:
            if walk.f_code.co_name == "_worker" and "/concurrent/futures/" in walk.f_code.co_filename:
                items.append(walk.f_locals.get("work_item"))
                break
            walk = walk.f_back
    return items


def _serial(task: Any) -> int | None:
    return getattr(task, "_taskscope_serial", None)


def _sleep_left(task: Any, frame: FrameType) -> float | None:
    """Seconds until the timer of ``asyncio.sleep`` fires."""
    if frame.f_code.co_name != "sleep" or "/asyncio/" not in frame.f_code.co_filename:
        return None
    when = getattr(frame.f_locals.get("h"), "when", None)
    if when is None:
        return None
    try:
        left = float(when()) - float(task.get_loop().time())
        return max(0.0, left) if left < FOREVER else None
    except (TypeError, ValueError, RuntimeError):
        return None
