"""The asyncio, anyio and uvloop functions that tasks wait in: what each waits for, and its details.

A detail reads the variables of the primitive's frame, and values stored in their objects.
"""

from __future__ import annotations

import _socket
from collections.abc import Mapping
from io import FileIO
from typing import TYPE_CHECKING, Any, NamedTuple

from taskscope.agent.inspect.futures import is_done, name_of
from taskscope.agent.inspect.looking import (
    MAX_NAME,
    attribute,
    called,
    is_a,
    items,
    lookup,
    native,
    number,
    seconds,
    size,
    text,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from taskscope.model.vocabulary import Wait

MAX_LAYERS = 4
"""Nested transports inspected."""


class Rule(NamedTuple):
    """The word and the text of a wait; ``detail`` describes what is specific to the task."""

    wait: Wait
    text: str
    detail: Callable[[Mapping[str, object]], str] | None = None


def clip(text: str) -> str:
    """One of the program's names, cut to fit a line."""
    return text if len(text) <= MAX_NAME else text[: MAX_NAME - 1] + "…"


# -- details: each reads the locals of the primitive's own frame -------------------------------------

_Names = Mapping[str, object]

MAX_COUNTED = 2_000
"""Most futures checked for being done: 0.3 ms."""


def _count(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def _own(names: _Names, name: str) -> object:
    """An attribute of the method's ``self``."""
    return attribute(names.get("self"), name)


def left_of(awaited: object) -> str:
    """How many of these futures are not done."""
    whole = size(awaited) or 0
    if whole > MAX_COUNTED:
        return f"of {whole}"
    return f"{sum(1 for each in items(awaited, MAX_COUNTED) if not is_done(each))} of {whole} left"


def _queue(names: _Names) -> str:
    length, bound = size(_own(names, "_queue")) or 0, number(_own(names, "_maxsize"))
    return f"{length} of {_count(bound, 'item')}" if bound else f"{_count(length, 'item')}, unbounded"


def _unfinished(names: _Names) -> str:
    return f"{_count(number(_own(names, '_unfinished_tasks')) or 0, 'item')} unfinished"


def _waiters(names: _Names) -> str:
    waiting = size(_own(names, "_waiters"))
    return f"{waiting} waiting" if waiting else ""


def _barrier(names: _Names) -> str:
    there, parties = number(_own(names, "_count")), number(_own(names, "_parties"))
    return f"{there} of {parties} there" if there is not None and parties is not None else ""


def _left(names: _Names) -> str:
    return left_of(names.get("fs"))


def _group(names: _Names) -> str:
    return f"{_count(size(_own(names, '_tasks')) or 0, 'task')} left"


def completed(names: _Names) -> str:
    """Before 3.13 its frame does not show this; see ``waits.todo_before_3_13``."""
    todo = size(_own(names, "_todo"))
    return f"{todo} left" if todo is not None else ""


def address(thing: object) -> str:
    """Host and port as the socket module gives them, or the path of a Unix socket; "" for anything else."""
    if type(thing) is not tuple or len(thing) < 2:
        return text(thing)
    host, port = text(thing[0]), number(thing[1])
    host = f"[{host}]" if ":" in host else host
    return f"{host}:{port}" if host and port is not None else ""


def _peer(names: _Names) -> str:
    """The other end of a connection, from its reader, writer or protocol."""
    transport = _own(names, "_transport")
    if transport is None:
        return ""
    peer = _extra(transport, "peername")
    if peer is not None and peer != "":
        return address(peer)
    pipe = _extra(transport, "pipe")
    name = attribute(pipe, "name") if type(pipe) is FileIO else None
    if pipe is not None:
        return f"pipe {text(name) or number(name)}" if name is not None else ""
    return "a Unix socket" if peer is not None else ""


def _extra(transport: object, name: str) -> object:
    """A transport's extra info, asyncio's or uvloop's, also below TLS."""
    for _ in range(MAX_LAYERS):
        known = attribute(transport, "_extra")
        if known is not None:
            found = lookup(known, name)
            if found is not None:
                return found
        below = attribute(transport, "_ssl_protocol")
        below = attribute(below if below is not None else transport, "_transport")
        if below is None:
            break
        transport = below
    return native(transport, "get_extra_info", name)


def other_end(sock: object) -> str:
    """The peer address of a socket; "" if it is not a socket, or not connected."""
    return _end(sock, _socket.socket.getpeername)


def own_end(sock: object) -> str:
    """The local address of a socket."""
    return _end(sock, _socket.socket.getsockname)


def _end(sock: object, ask: Callable[[Any], object]) -> str:
    try:
        return address(ask(sock)) if is_a(sock, _socket.socket) else ""
    except OSError:  # not connected any more
        return ""


def number_of(sock: object) -> int | None:
    """The descriptor of a socket, or one given by number."""
    if is_a(sock, _socket.socket):
        found = _socket.socket.fileno(sock)
        return found if found >= 0 else None
    return number(sock)


def descriptor_in(names: _Names) -> int | None:
    """The descriptor that a primitive waits on, from the variables of its frame."""
    for name in ("sock", "obj", "fd"):
        found = number_of(names.get(name))
        if found is not None:
            return found
    return descriptor_of(_own(names, "_transport"))


def descriptor_of(transport: object) -> int | None:
    """The descriptor that a transport reads from."""
    for name in ("_sock_fd", "_fileno"):  # of sockets, of pipes
        found = number(attribute(transport, name))
        if found is not None:
            return found
    sock = _extra(transport, "socket") if transport is not None else None
    inner = attribute(sock, "_sock")
    return number_of(inner) if inner is not None else number(native(sock, "fileno"))


def _sock(names: _Names) -> str:
    """The peer of a bare socket."""
    return other_end(names.get("sock"))


def _listener(names: _Names) -> str:
    here = own_end(names.get("sock"))
    return f"on {here}" if here else ""


def _host(names: _Names) -> str:
    given = names.get("host")
    host = given.decode("ascii", "replace") if type(given) is bytes else text(given)  # anyio's is encoded
    port = number(names.get("port")) or text(names.get("port"))
    if not host:
        return address(names.get("address"))
    return f"{host}:{port}" if port else host


def _remote(names: _Names) -> str:
    return f"{text(names.get('remote_host'))}:{number(names.get('remote_port'))}"


def child_of(names: _Names) -> int | None:
    """The pid of the child process whose end is awaited."""
    around = _own(names, "_process")  # anyio's
    transport = _own(names, "_transport")
    pids = (number(_own(names, "pid")), number(_own(names, "_pid")), number(attribute(around, "pid")))
    return next((each for each in (*pids, number(attribute(transport, "_pid"))) if each), None)


def _child(names: _Names) -> str:
    pid = child_of(names)
    return f"pid {pid}" if pid is not None else ""


def _function(names: _Names) -> str:
    return f"in {called(names.get('func'))}"


def _limiter(names: _Names) -> str:
    taken, tokens = size(_own(names, "_borrowers")), seconds(_own(names, "_total_tokens"))
    return f"{taken} of {tokens:g} taken" if taken is not None and tokens is not None else ""


def _holder(names: _Names) -> str:
    owner = _own(names, "_owner_task")
    return f"held by {clip(name_of(owner))}" if owner is not None else ""


def _buffer(names: _Names) -> str:
    state = _own(names, "_state")
    most = seconds(attribute(state, "max_buffer_size")) or 0
    return f"{size(attribute(state, 'buffer')) or 0} of {most:g} item{'' if most == 1 else 's'}"


def _channel(names: _Names) -> str:
    state = _own(names, "_state")
    most = seconds(attribute(state, "max_buffer_size")) or 0
    return f"{size(attribute(state, 'data')) or 0} of {most:g} item{'' if most == 1 else 's'}"


def _children(names: _Names) -> str:
    return f"{_count(size(_own(names, '_children')) or 0, 'task')} left"


def _sync_function(names: _Names) -> str:
    return f"in {called(names.get('sync_fn'))}"


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
        "executor", "the executor's shutdown"
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
        ("selector_events.py", f"BaseSelectorEventLoop.sock_{n}"): Rule("socket", f"loop.sock_{n}", _sock)
        for n in _SOCK
    },
}
UVLOOP: dict[str, tuple[Wait, str]] = {
    "getaddrinfo": ("dns", "a DNS look-up"),
    "getnameinfo": ("dns", "a DNS look-up"),
    "serve_forever": ("server", "uvloop serve_forever"),
    "wait_closed": ("server", "uvloop wait_closed"),
    "shutdown_default_executor": ("executor", "the executor's shutdown"),
    "subprocess_exec": ("subprocess", "the start of a child process"),
    "subprocess_shell": ("subprocess", "the start of a child process"),
}
"""uvloop functions that wait for something other than a socket."""

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

TRIO: dict[tuple[str, str], Rule] = {
    ("_timeouts.py", "sleep"): Rule("sleep", "trio.sleep"),
    ("_timeouts.py", "sleep_until"): Rule("sleep", "trio.sleep_until"),
    ("_timeouts.py", "sleep_forever"): Rule("sleep", "trio.sleep_forever"),
    ("_sync.py", "Event.wait"): Rule("event", "trio Event.wait"),
    ("_sync.py", "CapacityLimiter.acquire_on_behalf_of"): Rule("semaphore", "trio CapacityLimiter", _limiter),
    ("_sync.py", "Semaphore.acquire"): Rule("semaphore", "trio Semaphore.acquire"),
    ("_sync.py", "_LockImpl.acquire"): Rule("lock", "trio Lock.acquire"),
    ("_sync.py", "Condition.wait"): Rule("condition", "trio Condition.wait"),
    ("_channel.py", "MemorySendChannel.send"): Rule("queue.put", "trio send", _channel),
    ("_channel.py", "MemoryReceiveChannel.receive"): Rule("queue.get", "trio receive", _channel),
    ("_run.py", "Nursery._nested_child_finished"): Rule("gather", "trio nursery", _children),
    ("_run.py", "Nursery.start"): Rule("event", "trio Nursery.start"),
    ("_run.py", "checkpoint"): Rule("ready", "trio checkpoint"),
    ("_parking_lot.py", "ParkingLot.park"): Rule("condition", "trio ParkingLot.park"),
    ("_traps.py", "wait_task_rescheduled"): Rule("future", "trio wait_task_rescheduled"),
    ("_threads.py", "to_thread_run_sync"): Rule("executor", "trio to_thread.run_sync", _sync_function),
    ("_socket.py", "getaddrinfo"): Rule("dns", "a DNS look-up", _host),
    ("_io_epoll.py", "EpollIOManager.wait_readable"): Rule("socket", "trio wait_readable"),
    ("_io_epoll.py", "EpollIOManager.wait_writable"): Rule("socket", "trio wait_writable"),
    ("_highlevel_socket.py", "SocketStream.receive_some"): Rule("socket", "trio SocketStream.receive_some"),
    ("_highlevel_socket.py", "SocketStream.send_all"): Rule("socket", "trio SocketStream.send_all"),
    ("_highlevel_socket.py", "SocketListener.accept"): Rule("socket", "trio accept"),
    ("_highlevel_open_tcp_stream.py", "open_tcp_stream"): Rule("socket", "trio open_tcp_stream", _host),
    ("_subprocess.py", "Process.wait"): Rule("subprocess", "trio Process.wait"),
    ("_signals.py", "SignalReceiver.__anext__"): Rule("event", "a signal"),
}


def rules_of(file: str) -> Mapping[tuple[str, str], Rule]:
    """Those for the functions in a file of the plumbing."""
    return ANYIO if "/anyio/" in file else TRIO if "/trio/" in file else ASYNCIO
