"""What a thread does: whether it runs, and if not, what it waits for.

The kernel knows whether it runs; its innermost frames show why it does not: a standard library function known
to block, or the built-in function called last.
"""

from __future__ import annotations

import _socket
import _thread
import sys
import threading
from _queue import SimpleQueue
from collections.abc import Mapping
from types import BuiltinFunctionType
from typing import TYPE_CHECKING, NamedTuple
from weakref import ref

from taskscope.agent.inspect import calls, naming, origins
from taskscope.agent.inspect.jobs import is_worker, job_of
from taskscope.agent.inspect.looking import (
    attribute,
    class_name,
    is_a,
    kinds,
    module_of,
    native,
    number,
    size,
    text,
)
from taskscope.agent.inspect.primitives import address, number_of, other_end, own_end
from taskscope.agent.inspect.variables import variables_of
from taskscope.system import clock

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

    from taskscope.model.vocabulary import ThreadState, Wait

MAX_DEPTH = 40
"""Frames of another thread searched for a held lock."""


# -- standard library functions: what they wait for, and a detail from their variables ----------------


_Names = Mapping[str, object]


def _own(names: _Names, name: str) -> object:
    """An attribute of the method's ``self``."""
    return attribute(names.get("self"), name)


def _other_thread(names: _Names) -> str:
    return text(_own(names, "_name"))


def _items(names: _Names) -> str:
    most = number(_own(names, "maxsize"))
    return f"{size(_own(names, 'queue')) or 0} of {most or 'any'} items"


def _unfinished(names: _Names) -> str:
    return f"{number(_own(names, 'unfinished_tasks')) or 0} unfinished"


def _parties(names: _Names) -> str:
    there, parties = number(_own(names, "_count")), number(_own(names, "_parties"))
    return f"{there} of {parties} there" if there is not None and parties is not None else ""


def _pid(names: _Names) -> str:
    pid = number(_own(names, "pid"))
    return f"pid {pid}" if pid is not None else ""


def _job(names: _Names) -> str:
    return job_of(names.get("self"))


def _stream(names: _Names) -> str:
    return other_end(_own(names, "_sock"))


def _connection(names: _Names) -> str:
    return other_end(names.get("self"))


def _address(names: _Names) -> str:
    return address(names.get("address"))


def _bound(names: _Names) -> str:
    here = own_end(names.get("self"))
    return f"on {here}" if here else ""


_WAITS: dict[tuple[str, str], tuple[Wait, str, Callable[[_Names], str] | None]] = {
    ("threading.py", "Event.wait"): ("event", "an event", None),
    ("threading.py", "Condition.wait"): ("condition", "a condition", None),
    ("threading.py", "Condition.wait_for"): ("condition", "a condition", None),
    ("threading.py", "Semaphore.acquire"): ("semaphore", "a semaphore", None),
    ("threading.py", "Barrier.wait"): ("barrier", "a barrier", _parties),
    ("threading.py", "Thread.join"): ("thread", "the end of another thread", _other_thread),
    ("threading.py", "Thread.start"): ("thread", "the start of another thread", _other_thread),
    ("threading.py", "_shutdown"): ("thread", "the end of the program's other threads", None),
    ("queue.py", "Queue.get"): ("queue.get", "queue.get", _items),
    ("queue.py", "Queue.put"): ("queue.put", "queue.put", _items),
    ("queue.py", "Queue.join"): ("event", "queue.join", _unfinished),
    ("socket.py", "socket.accept"): ("socket", "a connection", _bound),
    ("socket.py", "create_connection"): ("socket", "a connection", _address),
    ("socket.py", "SocketIO.readinto"): ("socket", "a socket", _stream),
    ("socket.py", "SocketIO.write"): ("socket", "a socket", _stream),
    ("socket.py", "getaddrinfo"): ("dns", "a DNS look-up", lambda names: text(names.get("host"))),
    ("subprocess.py", "Popen._wait"): ("subprocess", "a child process", _pid),
    ("subprocess.py", "Popen.communicate"): ("subprocess", "a child process", _pid),
    ("_base.py", "Future.result"): ("executor", "the result of a job", _job),
    ("_base.py", "Future.exception"): ("executor", "the result of a job", _job),
    ("_base.py", "wait"): ("executor", "jobs in an executor", None),
    ("_base.py", "as_completed"): ("executor", "jobs in an executor", None),
    ("process.py", "_ExecutorManagerThread.wait_result_broken_or_wakeup"): (
        "process",
        "results of its processes",
        None,
    ),
    ("queues.py", "Queue.get"): ("queue.get", "a multiprocessing queue", None),
    ("queues.py", "Queue.put"): ("queue.put", "a multiprocessing queue", None),
    ("connection.py", "_ConnectionBase.recv"): ("process", "another process", None),
    ("connection.py", "_ConnectionBase.recv_bytes"): ("process", "another process", None),
    ("popen_fork.py", "Popen.wait"): ("subprocess", "a child process", _pid),
    **{
        ("selectors.py", f"{kind}Selector.select"): ("descriptors", "descriptors", None)
        for kind in ("Epoll", "_PollLike", "Select", "Kqueue")
    },
    **{
        ("ssl.py", f"SSLSocket.{name}"): ("socket", "a socket", _connection)
        for name in ("read", "write", "recv", "recv_into", "send", "sendall", "do_handshake")
    },
}

# -- built-in functions and methods ------------------------------------------------------------------

_LOCK, _RLOCK = type(_thread.allocate_lock()), _thread.RLock
_LOCKS = kinds(_LOCK, _RLOCK)
_LOCKING = {calls.ENTER, "__enter__", "acquire", "_acquire_restore"}
_READY = {("select", "select"), ("select", "poll"), ("select", "epoll"), ("select", "devpoll")}
_BUILTINS: dict[tuple[str, str], tuple[Wait, str]] = {
    ("posix", "waitpid"): ("subprocess", "a child process"),
    ("posix", "waitid"): ("subprocess", "a child process"),
    ("posix", "wait"): ("subprocess", "a child process"),
    ("posix", "read"): ("file", "a file or pipe"),
    ("posix", "readv"): ("file", "a file or pipe"),
    ("_signal", "pause"): ("signal", "a signal"),
    ("_signal", "sigwait"): ("signal", "a signal"),
    ("_signal", "sigwaitinfo"): ("signal", "a signal"),
    ("_signal", "sigtimedwait"): ("signal", "a signal"),
    ("select", "select"): ("descriptors", "descriptors"),
    ("builtins", "input"): ("input", "input"),
    ("_socket", "getaddrinfo"): ("dns", "a DNS look-up"),
}


class Activity(NamedTuple):
    """What a thread does, as the fields of ``Thread``.  ``number``: the descriptor of its socket."""

    state: ThreadState
    wait: Wait
    text: str
    detail: str = ""
    number: int | None = None


def activity(frame: FrameType | None, *, running: bool | None, loop: int | None) -> Activity:
    """What a thread does, by its innermost frame.  ``loop``: id of the loop it runs."""
    does = _activity(frame, running=running, loop=loop)
    library = naming.library_function(_frames(frame)) if does.state == "waiting" else ""
    return does._replace(text=f"{does.text} in {library}") if library and does.wait != "unknown" else does


def _frames(frame: FrameType | None) -> list[FrameType]:
    found: list[FrameType] = []
    while frame is not None and len(found) < MAX_DEPTH:
        found.append(frame)
        frame = frame.f_back
    return found


def _activity(frame: FrameType | None, *, running: bool | None, loop: int | None) -> Activity:
    if frame is None:
        return Activity("waiting", "unknown", "no Python frame")
    if not running:
        if _is_idle(frame):
            return Activity("idle", "job", "waits for a job")
        blocked = _blocked_in(frame)
        in_selector = (blocked is not None and _name(blocked)[0] == "selectors.py") or _is_of_trio(frame)
        if in_selector and loop is not None:
            return Activity("idle", "descriptors", "idle in event loop")
        if blocked is not None:
            wait, what, detail = _WAITS[_name(blocked)]
            more = detail(variables_of(blocked)) if detail is not None else ""
            return Activity("waiting", wait, f"waits for {what}", more)
        known = _in_a_builtin(frame)
        if known is not None:
            return known
    function = origins.function_name(frame.f_code)
    if running is False:
        return Activity("waiting", "unknown", f"in a call made by {function}")
    return Activity("running", "running", f"in {function}")


def _is_of_trio(frame: FrameType) -> bool:
    """Whether it is where trio waits for descriptors and deadlines."""
    return _name(frame)[1].endswith("IOManager.get_events") and "/trio/" in origins.file_of(frame.f_code)


def _is_idle(frame: FrameType) -> bool:
    """Whether it is an idle worker: in its own loop, or waiting on its job queue."""
    asked: FrameType | None = None
    walk: FrameType | None = frame
    while walk is not None and _name(walk)[0] in {"queue.py", "threading.py"}:
        asked, walk = walk, walk.f_back
    if walk is None or not is_worker(walk):
        return False
    names = variables_of(walk)
    if asked is None:
        return "work_queue" in names  # anyio's workers wait on a queue written in Python
    jobs = names.get("work_queue")
    jobs = jobs if jobs is not None else attribute(names.get("self"), "queue")
    return variables_of(asked).get("self") is jobs


def _blocked_in(frame: FrameType) -> FrameType | None:
    """The outermost standard library function, next to other code, that is known to block."""
    found = None
    walk: FrameType | None = frame
    while walk is not None and origins.origin(walk.f_code.co_filename) == "stdlib":
        if _name(walk) in _WAITS:
            found = walk
        walk = walk.f_back
    return found


def _name(frame: FrameType) -> tuple[str, str]:
    return origins.file_of(frame.f_code).rpartition("/")[2], text(frame.f_code.co_qualname)


def _in_a_builtin(frame: FrameType) -> Activity | None:
    """What a thread waits for in a function not written in Python; None if unknown."""
    try:
        call = calls.call_of(frame)
        return _of_call(call) if call is not None else None
    except Exception:  # noqa: BLE001  (an outer edge: unusual bytecode, the program's objects)
        return None


def lock_at(frame: FrameType) -> object:
    """The lock that the function at ``frame`` is acquiring; None if there is none."""
    try:
        call = calls.call_of(frame)
    except Exception:  # noqa: BLE001  (an outer edge: unusual bytecode)
        return None
    if call is None or call.name not in _LOCKING or id(type(call.target)) not in _LOCKS:
        return None
    return call.target


def owner_of_rlock(lock: object) -> int | None:
    """The thread that owns a reentrant lock; None if nobody does, or it is another kind of lock."""
    if type(lock) is not _RLOCK:
        return None
    owner = repr(lock).partition("owner=")[2].partition(" ")[0]
    return int(owner) if owner.isdigit() and owner != "0" else None


def _of_call(call: calls.Call) -> Activity | None:
    kind = type(call.target)
    if call.name in _LOCKING and id(kind) in _LOCKS:
        return Activity("waiting", "lock", "waits for a lock", _holder(call.target))
    if issubclass(kind, SimpleQueue):
        waiting = number(native(call.target, "qsize")) or 0
        method = f"{class_name(call.target)}.{call.name}"
        return Activity("waiting", "queue.get", f"waits for {method}", f"{waiting} items")
    if issubclass(kind, _socket.socket):
        peer = other_end(call.target)
        here = number_of(call.target)
        return Activity("waiting", "socket", "waits for a socket", peer or f"in {call.name}", here)
    if (module_of(kind), class_name(call.target)) in _READY:
        return Activity("waiting", "descriptors", "waits for descriptors")
    function = call.function
    where = ("", "")
    if is_a(function, BuiltinFunctionType):
        where = text(function.__module__), text(function.__name__)
    if where == ("time", "sleep"):
        return Activity("waiting", "sleep", "sleeps")
    if where not in _BUILTINS:
        return None
    wait, what = _BUILTINS[where]
    return Activity("waiting", wait, f"waits for {what}")


# -- who holds a lock --------------------------------------------------------------------------------


def _holder(lock: object) -> str:
    """The holder of a lock: an RLock knows its owner; for a plain lock, a thread inside ``with lock``."""
    if type(lock) is _RLOCK:
        owner = owner_of_rlock(lock)
        return f"held by {_thread_name(owner)}" if owner is not None else "just released"
    reference, made, text = _held.get(id(lock), (None, 0.0, ""))
    if reference is None or reference() is not lock or clock.monotonic() - made > FRESH:
        if len(_held) >= MAX_LOCKS:
            _held.clear()
        inside = (ident for ident, frame in list(sys._current_frames().items()) if _is_inside(frame, lock))
        holder = next(inside, None)
        text = "holder unknown to Python" if holder is None else f"held by {_thread_name(holder)}"
        _held[id(lock)] = ref(lock), clock.monotonic(), text
    return text


MAX_LOCKS = 100
FRESH = 0.5
"""Seconds a lock's holder is cached: hundreds of threads may wait for one."""

_held: dict[int, tuple[ref[object], float, str]] = {}


def _is_inside(frame: FrameType, lock: object) -> bool:
    walk: FrameType | None = frame
    for _ in range(MAX_DEPTH):
        if walk is None:
            break
        if _name(walk) == ("threading.py", "Condition.wait") and _own(variables_of(walk), "_lock") is lock:
            return False  # Condition.wait releases it meanwhile
        if calls.is_inside(walk, lock):
            return True
        walk = walk.f_back
    return False


def _thread_name(ident: int) -> str:
    name = text(attribute(vars(threading)["_active"].get(ident), "_name"))
    return name or f"thread {ident}"
