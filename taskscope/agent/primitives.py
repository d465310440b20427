"""The functions of asyncio, anyio and uvloop that tasks wait in: what each waits for, and its details.

A detail reads the variables of the primitive's own frame.  Nothing of the program is called but getters
of asyncio's own objects; whatever they raise, there is no detail then.
"""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable


class Rule(NamedTuple):
    """The stable word and the text of a wait; ``detail`` tells what differs from task to task."""

    wait: str
    text: str
    detail: Callable[[dict[str, Any]], str] | None = None


def clip(text: str) -> str:
    """A name of the program's, not longer than a line."""
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


def completed(names: dict[str, Any]) -> str:
    """Before 3.13 its frame does not tell, see ``waits.todo_before_3_13``."""
    todo = getattr(names.get("self"), "_todo", None)
    return f"{len(todo)} left" if isinstance(todo, set) else ""


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


def _socket(names: dict[str, Any]) -> str:
    """The other end of a bare socket."""
    host, port, *_ = socket.socket.getpeername(names["sock"])
    return f"{host}:{port}"


def _listener(names: dict[str, Any]) -> str:
    host, port, *_ = socket.socket.getsockname(names["sock"])
    return f"on {host}:{port}"


def _host(names: dict[str, Any]) -> str:
    host, port = names.get("host"), names.get("port")
    if not isinstance(host, str):
        address = names.get("address")
        return f"{address[0]}:{address[1]}" if isinstance(address, tuple) and len(address) >= 2 else ""
    return f"{host}:{port}" if port else host


def _remote(names: dict[str, Any]) -> str:
    return f"{names['remote_host']}:{names['remote_port']}"


def _child(names: dict[str, Any]) -> str:
    owner = names.get("self")
    pid = getattr(owner, "pid", None) or getattr(owner, "_pid", None)
    return f"pid {pid}" if isinstance(pid, int) else ""


def _function(names: dict[str, Any]) -> str:
    function = names.get("func")
    return f"in {clip(str(getattr(function, '__qualname__', type(function).__qualname__)))}"


def _limiter(names: dict[str, Any]) -> str:
    limiter = names.get("self")
    borrowers = getattr(limiter, "_borrowers", None)
    return (
        f"{len(borrowers)} of {getattr(limiter, '_total_tokens', '?')} taken" if borrowers is not None else ""
    )


def _holder(names: dict[str, Any]) -> str:
    owner = getattr(names.get("self"), "_owner_task", None)
    return f"held by {clip(owner.get_name())}" if owner is not None else ""


def _buffer(names: dict[str, Any]) -> str:
    state = getattr(names.get("self"), "_state", None)
    return f"{len(getattr(state, 'buffer', ()))} of {_count(getattr(state, 'max_buffer_size', 0), 'item')}"


# -- the table: the last part of the file's path, and the function -----------------------------------

_READ = ("read", "readline", "readuntil", "readexactly", "_wait_for_data", "__anext__")
_SOCK = ("recv", "recv_into", "recvfrom", "recvfrom_into", "sendall", "sendto", "sendfile")

ASYNCIO: dict[tuple[str, str], Rule] = {
    ("tasks.py", "sleep"): Rule("sleep", "asyncio.sleep"),
    ("tasks.py", "_wait"): Rule("gather", "asyncio.wait", _left),
    ("tasks.py", "_cancel_and_wait"): Rule("task", "the end of a cancelled task"),
    ("tasks.py", "as_completed.<locals>._wait_for_one"): Rule("gather", "as_completed", completed),
    ("tasks.py", "_AsCompletedIterator._wait_for_one"): Rule("gather", "as_completed", completed),
    ("threads.py", "to_thread"): Rule("executor", "asyncio.to_thread", _function),
    ("queues.py", "Queue.get"): Rule("queue.get", "Queue.get", _queue),
    ("queues.py", "Queue.put"): Rule("queue.put", "Queue.put", _queue),
    ("queues.py", "Queue.join"): Rule("event", "Queue.join", _unfinished),
    ("locks.py", "Lock.acquire"): Rule("lock", "Lock.acquire", _waiters),
    ("locks.py", "Event.wait"): Rule("event", "Event.wait", _waiters),
    ("locks.py", "Condition.wait"): Rule("condition", "Condition.wait", _waiters),
    ("locks.py", "Condition.wait_for"): Rule("condition", "Condition.wait_for", _waiters),
    ("locks.py", "Semaphore.acquire"): Rule("semaphore", "Semaphore.acquire", _waiters),
    ("locks.py", "Barrier.wait"): Rule("barrier", "Barrier.wait", _barrier),
    ("taskgroups.py", "TaskGroup.__aexit__"): Rule("gather", "TaskGroup", _group),
    ("taskgroups.py", "TaskGroup._aexit"): Rule("gather", "TaskGroup", _group),
    ("streams.py", "StreamWriter.drain"): Rule("socket", "StreamWriter.drain", _peer),
    ("streams.py", "StreamWriter.wait_closed"): Rule("socket", "StreamWriter.wait_closed", _peer),
    ("streams.py", "open_connection"): Rule("socket", "asyncio.open_connection", _host),
    ("streams.py", "StreamWriter.start_tls"): Rule("socket", "StreamWriter.start_tls", _peer),
    ("streams.py", "open_unix_connection"): Rule("socket", "asyncio.open_unix_connection"),
    ("base_events.py", "BaseEventLoop.start_tls"): Rule("socket", "loop.start_tls"),
    ("base_events.py", "BaseEventLoop.sendfile"): Rule("socket", "loop.sendfile"),
    ("base_events.py", "BaseEventLoop.shutdown_default_executor"): Rule(
        "executor", "the end of the executor's threads"
    ),
    ("subprocess.py", "create_subprocess_exec"): Rule("subprocess", "the start of a child process"),
    ("subprocess.py", "create_subprocess_shell"): Rule("subprocess", "the start of a child process"),
    ("base_events.py", "BaseEventLoop.create_connection"): Rule("socket", "loop.create_connection", _host),
    ("base_events.py", "BaseEventLoop.getaddrinfo"): Rule("dns", "a DNS look-up", _host),
    ("base_events.py", "BaseEventLoop.getnameinfo"): Rule("dns", "a DNS look-up"),
    ("base_events.py", "Server.serve_forever"): Rule("server", "Server.serve_forever"),
    ("base_events.py", "Server.wait_closed"): Rule("server", "Server.wait_closed"),
    ("selector_events.py", "BaseSelectorEventLoop.sock_connect"): Rule("socket", "loop.sock_connect", _host),
    ("selector_events.py", "BaseSelectorEventLoop.sock_accept"): Rule(
        "socket", "loop.sock_accept", _listener
    ),
    ("base_subprocess.py", "BaseSubprocessTransport._wait"): Rule("subprocess", "a child process", _child),
    ("subprocess.py", "Process.wait"): Rule("subprocess", "Process.wait", _child),
    ("subprocess.py", "Process.communicate"): Rule("subprocess", "Process.communicate", _child),
    **{("streams.py", f"StreamReader.{n}"): Rule("socket", f"StreamReader.{n}", _peer) for n in _READ},
    **{
        ("selector_events.py", f"BaseSelectorEventLoop.sock_{n}"): Rule("socket", f"loop.sock_{n}", _socket)
        for n in _SOCK
    },
}
UVLOOP = {
    "getaddrinfo": ("dns", "a DNS look-up"),
    "getnameinfo": ("dns", "a DNS look-up"),
    "serve_forever": ("server", "uvloop serve_forever"),
    "wait_closed": ("server", "uvloop wait_closed"),
    "shutdown_default_executor": ("executor", "the end of the executor's threads"),
    "subprocess_exec": ("subprocess", "the start of a child process"),
    "subprocess_shell": ("subprocess", "the start of a child process"),
}
"""Functions of uvloop's that wait for something else than a socket."""

ASYNCIO["streams.py", "StreamReader._wait_for_data"] = Rule("socket", "StreamReader.read", _peer)
ASYNCIO["streams.py", "StreamReader.__anext__"] = Rule("socket", "StreamReader.readline", _peer)

ANYIO: dict[tuple[str, str], Rule] = {
    ("_eventloop.py", "sleep"): Rule("sleep", "anyio.sleep"),
    ("_eventloop.py", "sleep_forever"): Rule("sleep", "anyio.sleep_forever"),
    ("_asyncio.py", "Event.wait"): Rule("event", "anyio Event.wait"),
    ("_asyncio.py", "Lock.acquire"): Rule("lock", "anyio Lock.acquire", _holder),
    ("_asyncio.py", "Semaphore.acquire"): Rule("semaphore", "anyio Semaphore.acquire", _waiters),
    ("_asyncio.py", "CapacityLimiter.acquire_on_behalf_of"): Rule(
        "semaphore", "anyio CapacityLimiter", _limiter
    ),
    ("_synchronization.py", "Condition.wait"): Rule("condition", "anyio Condition.wait", _waiters),
    ("_asyncio.py", "TaskGroup.__aexit__"): Rule("gather", "anyio TaskGroup", _group),
    ("_asyncio.py", "AsyncIOBackend.run_sync_in_worker_thread"): Rule(
        "executor", "anyio to_thread.run_sync", _function
    ),
    ("_asyncio.py", "TaskGroup.start"): Rule("event", "anyio TaskGroup.start"),
    ("_asyncio.py", "_SignalReceiver.__anext__"): Rule("event", "a signal"),
    ("_asyncio.py", "Process.wait"): Rule("subprocess", "anyio Process.wait", _child),
    ("memory.py", "MemoryObjectReceiveStream.receive"): Rule("queue.get", "anyio receive", _buffer),
    ("memory.py", "MemoryObjectSendStream.send"): Rule("queue.put", "anyio send", _buffer),
    ("_asyncio.py", "SocketStream.receive"): Rule("socket", "anyio SocketStream.receive", _peer),
    ("_asyncio.py", "SocketStream.send"): Rule("socket", "anyio SocketStream.send", _peer),
    ("_asyncio.py", "UDPSocket.receive"): Rule("socket", "anyio UDPSocket.receive"),
    ("_asyncio.py", "ConnectedUDPSocket.receive"): Rule("socket", "anyio UDPSocket.receive"),
    ("_asyncio.py", "UNIXSocketStream.receive"): Rule("socket", "anyio SocketStream.receive"),
    ("_asyncio.py", "UNIXSocketStream.send"): Rule("socket", "anyio SocketStream.send"),
    ("_asyncio.py", "AsyncIOBackend.wait_readable"): Rule("socket", "anyio wait_readable"),
    ("_asyncio.py", "AsyncIOBackend.wait_writable"): Rule("socket", "anyio wait_writable"),
    ("_sockets.py", "connect_tcp"): Rule("socket", "anyio connect_tcp", _remote),
    ("_asyncio.py", "TCPSocketListener.accept"): Rule("socket", "anyio accept"),
    ("_asyncio.py", "UNIXSocketListener.accept"): Rule("socket", "anyio accept"),
}
