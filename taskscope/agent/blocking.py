"""What a thread does: whether it runs, and if not, what it waits for and on whom.

The kernel knows whether it runs, its innermost frames why it does not: a function of the standard
library that is known to block, or the built-in function that was called last.
"""

from __future__ import annotations

import os
import queue
import socket
import sys
import threading
from typing import TYPE_CHECKING, Any
from weakref import ref

from taskscope.agent import calls, origins
from taskscope.agent.jobs import is_worker, job_of
from taskscope.agent.variables import variables_of
from taskscope.system import clock

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

MAX_DEPTH = 40
"""Frames of another thread searched for a lock that it holds."""


# -- functions of the standard library: what they wait for, and a detail from their variables ---------


def _other_thread(names: dict[str, Any]) -> str:
    return str(names["self"].name)


def _items(names: dict[str, Any]) -> str:
    waited = names["self"]
    return f"{len(waited.queue)} of {waited.maxsize or 'any'} items"


def _unfinished(names: dict[str, Any]) -> str:
    return f"{names['self'].unfinished_tasks} unfinished"


def _parties(names: dict[str, Any]) -> str:
    barrier = names["self"]
    return f"{barrier.n_waiting} of {barrier.parties} there"


def _pid(names: dict[str, Any]) -> str:
    return f"pid {names['self'].pid}"


def _job(names: dict[str, Any]) -> str:
    return job_of(names["self"])


def _stream(names: dict[str, Any]) -> str:
    return _peer(names["self"]._sock)


def _own(names: dict[str, Any]) -> str:
    return _peer(names["self"])


def _address(names: dict[str, Any]) -> str:
    host, port, *_ = names["address"]
    return f"{host}:{port}"


def _bound(names: dict[str, Any]) -> str:
    host, port, *_ = socket.socket.getsockname(names["self"])
    return f"on {host}:{port}"


_WAITS: dict[tuple[str, str], tuple[str, Callable[[dict[str, Any]], str] | None]] = {
    ("threading.py", "Event.wait"): ("an event", None),
    ("threading.py", "Condition.wait"): ("a condition", None),
    ("threading.py", "Condition.wait_for"): ("a condition", None),
    ("threading.py", "Semaphore.acquire"): ("a semaphore", None),
    ("threading.py", "Barrier.wait"): ("a barrier", _parties),
    ("threading.py", "Thread.join"): ("the end of another thread", _other_thread),
    ("threading.py", "Thread.start"): ("the start of another thread", _other_thread),
    ("threading.py", "_shutdown"): ("the end of the program's other threads", None),
    ("queue.py", "Queue.get"): ("queue.get", _items),
    ("queue.py", "Queue.put"): ("queue.put", _items),
    ("queue.py", "Queue.join"): ("queue.join", _unfinished),
    ("socket.py", "socket.accept"): ("a connection", _bound),
    ("socket.py", "create_connection"): ("a connection", _address),
    ("socket.py", "SocketIO.readinto"): ("a socket", _stream),
    ("socket.py", "SocketIO.write"): ("a socket", _stream),
    ("socket.py", "getaddrinfo"): ("a DNS look-up", lambda names: str(names["host"])),
    ("subprocess.py", "Popen._wait"): ("a child process", _pid),
    ("subprocess.py", "Popen.communicate"): ("a child process", _pid),
    ("_base.py", "Future.result"): ("the result of a job", _job),
    ("_base.py", "Future.exception"): ("the result of a job", _job),
    ("_base.py", "wait"): ("jobs in an executor", None),
    ("_base.py", "as_completed"): ("jobs in an executor", None),
    ("process.py", "_ExecutorManagerThread.wait_result_broken_or_wakeup"): ("results of its processes", None),
    ("queues.py", "Queue.get"): ("a queue between processes", None),
    ("queues.py", "Queue.put"): ("a queue between processes", None),
    ("connection.py", "_ConnectionBase.recv"): ("another process", None),
    ("connection.py", "_ConnectionBase.recv_bytes"): ("another process", None),
    ("popen_fork.py", "Popen.wait"): ("a child process", _pid),
    **{
        ("selectors.py", f"{kind}Selector.select"): ("descriptors", None)
        for kind in ("Epoll", "_PollLike", "Select", "Kqueue")
    },
    **{
        ("ssl.py", f"SSLSocket.{name}"): ("a socket", _own)
        for name in ("read", "write", "recv", "recv_into", "send", "sendall", "do_handshake")
    },
}

# -- built-in functions and methods ------------------------------------------------------------------

_LOCK, _RLOCK = type(threading.Lock()), type(threading.RLock())
_LOCKING = {calls.ENTER, "__enter__", "acquire"}
_READY = {("select", "select"), ("select", "poll"), ("select", "epoll"), ("select", "devpoll")}
_BUILTINS = {
    ("posix", "waitpid"): "a child process",
    ("posix", "waitid"): "a child process",
    ("posix", "wait"): "a child process",
    ("posix", "read"): "a file or pipe",
    ("posix", "readv"): "a file or pipe",
    ("_signal", "pause"): "a signal",
    ("_signal", "sigwait"): "a signal",
    ("_signal", "sigwaitinfo"): "a signal",
    ("_signal", "sigtimedwait"): "a signal",
    ("select", "select"): "descriptors",
    ("builtins", "input"): "input",
    ("_socket", "getaddrinfo"): "a DNS look-up",
}


def activity(frame: FrameType | None, *, running: bool | None, loop: int | None) -> tuple[str, str]:
    """State (``running``, ``idle`` or ``waiting``) and text of a thread by its innermost frame."""
    if frame is None:
        return "waiting", "no Python frame"
    if not running:
        if _is_idle(frame):
            return "idle", "waits for a job"
        blocked = _blocked_in(frame)
        if blocked is not None:
            return "idle" if loop is not None else "waiting", f"waits for {_told(blocked)}"
        known = _in_a_builtin(frame)
        if known:
            return "waiting", known
    function = origins.function_name(frame.f_code)
    return ("waiting", f"in a call made by {function}") if running is False else ("running", f"in {function}")


def _is_idle(frame: FrameType) -> bool:
    """Whether it is a worker without a job: in its own loop, or in the queue that it takes jobs from."""
    asked: FrameType | None = None
    walk: FrameType | None = frame
    while walk is not None and _name(walk)[0] in {"queue.py", "threading.py"}:
        asked, walk = walk, walk.f_back
    if walk is None or not is_worker(walk):
        return False
    names = variables_of(walk)
    if asked is None:
        return "work_queue" in names  # anyio's workers wait in a queue written in Python
    jobs = names.get("work_queue") or getattr(names.get("self"), "queue", None)
    return variables_of(asked).get("self") is jobs


def _blocked_in(frame: FrameType) -> FrameType | None:
    """The outermost function of the standard library, next to other code, that is known to block."""
    found = None
    walk: FrameType | None = frame
    while walk is not None and origins.origin(walk.f_code.co_filename) == "stdlib":
        if _name(walk) in _WAITS:
            found = walk
        walk = walk.f_back
    return found


def _name(frame: FrameType) -> tuple[str, str]:
    return os.path.basename(frame.f_code.co_filename), frame.f_code.co_qualname  # noqa: PTH119


def _told(frame: FrameType) -> str:
    text, detail = _WAITS[_name(frame)]
    if detail is None:
        return text
    try:
        more = detail(variables_of(frame))
    except Exception:  # noqa: BLE001  (an outer edge: a subclass of the program's, a Unix socket)
        return text
    return f"{text}, {more}" if more else text


def _in_a_builtin(frame: FrameType) -> str:
    """What a thread waits for in a function that is not written in Python; "" if that is not known."""
    try:
        call = calls.call_of(frame)
        return _of_call(call) if call is not None else ""
    except Exception:  # noqa: BLE001  (an outer edge: odd code, objects of the program's)
        return ""


def _of_call(call: calls.Call) -> str:
    kind = type(call.target)
    if call.name in _LOCKING and kind in (_LOCK, _RLOCK):
        return f"waits for a lock, {_holder(call.target)}"
    if issubclass(kind, queue.SimpleQueue):
        return f"waits for {kind.__name__}.{call.name}, {call.target.qsize()} items"
    if issubclass(kind, socket.socket):
        peer = _peer(call.target)
        return f"waits for a socket, {peer}" if peer else f"waits for a socket, in {call.name}"
    if (kind.__module__, kind.__name__) in _READY:
        return "waits for descriptors"
    where = getattr(call.function, "__module__", None), getattr(call.function, "__name__", "")
    if where == ("time", "sleep"):
        return "sleeps"
    return f"waits for {_BUILTINS[where]}" if where in _BUILTINS else ""


def _peer(sock: Any) -> str:
    try:
        host, port, *_ = socket.socket.getpeername(sock)
    except (OSError, ValueError):  # not connected, or a Unix socket
        return ""
    return f"{host}:{port}"


# -- who holds a lock --------------------------------------------------------------------------------


def _holder(lock: Any) -> str:
    """A reentrant lock knows its owner.  A plain one does not: a thread inside ``with lock`` holds it."""
    if type(lock) is _RLOCK:
        owner = repr(lock).partition("owner=")[2].partition(" ")[0]
        return f"held by {_thread_name(int(owner))}" if owner.isdigit() and owner != "0" else "just released"
    reference, made, text = _held.get(id(lock), (None, 0.0, ""))
    if reference is None or reference() is not lock or clock.monotonic() - made > FRESH:
        if len(_held) >= MAX_LOCKS:
            _held.clear()
        inside = (ident for ident, frame in list(sys._current_frames().items()) if _is_inside(frame, lock))
        holder = next(inside, None)
        text = "Python does not know who holds it" if holder is None else f"held by {_thread_name(holder)}"
        _held[id(lock)] = ref(lock), clock.monotonic(), text
    return text


MAX_LOCKS = 100
FRESH = 0.5
"""Seconds for which a lock's holder is not looked for again: hundreds of threads may wait for one."""

_held: dict[int, tuple[ref[Any], float, str]] = {}


def _is_inside(frame: FrameType, lock: Any) -> bool:
    walk: FrameType | None = frame
    for _ in range(MAX_DEPTH):
        if walk is None:
            break
        if _name(walk) == ("threading.py", "Condition.wait") and variables_of(walk)["self"]._lock is lock:
            return False  # which gives it up meanwhile
        if calls.is_inside(walk, lock):
            return True
        walk = walk.f_back
    return False


def _thread_name(ident: int) -> str:
    thread = vars(threading)["_active"].get(ident)
    return thread.name if thread is not None else f"thread {ident}"
