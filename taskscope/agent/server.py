"""The agent's one thread: ticks, probes of the loops, and the socket.

It answers while the program's loops are blocked, because it is a thread of its own; and it holds them
up for no longer than a slice, because every request is a job that it runs a slice at a time.  The
thread is started below ``threading``, so the program does not find it in its own list of threads.
"""

from __future__ import annotations

import math
import selectors
import socket
from collections import deque
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from taskscope import endpoint, wire
from taskscope.agent import threads
from taskscope.agent.queries import NotFoundError
from taskscope.agent.reply import encoded
from taskscope.agent.walk import PAUSE, begin_slice
from taskscope.system import clock, system

if TYPE_CHECKING:
    import _socket
    from collections.abc import Callable

    from taskscope.agent import Agent
    from taskscope.agent.walk import Job

MAX_CLIENTS = 16
MAX_JOBS = 32
"""Requests of one client under way.  Ours sends one at a time and view."""

FIRST_SAMPLE = 1.0
"""Seconds that a first sample waits at most for older tasks to be registered."""

MAX_BACKLOG = 8 << 20
"""Bytes not yet read by a client.  Beyond it samples are left out (and counted), replies wait."""


class _Client:
    """One connection."""

    def __init__(self, connection: _socket.socket) -> None:
        self.socket = connection
        self.decoder = wire.Decoder(wire.MAX_REQUEST)
        self.out: deque[memoryview] = deque()
        self.backlog = 0
        self.greeted = False
        self.subscribed = False
        self.missed: list[bytes] | None = None  # samples made while its full one is being made
        self.jobs = 0
        self.abandoned: set[int] = set()
        self.gone = False

    def send(self, data: bytes) -> None:
        self.out.append(memoryview(data))
        self.backlog += len(data)


class Server:
    """Listens on a socket of this user's directory and serves until stopped."""

    def __init__(self, agent: Agent) -> None:
        self._agent = agent
        self._clients: dict[int, _Client] = {}
        self._jobs: deque[tuple[_Client | None, int | None, Job[None]]] = deque()
        self._selector: selectors.BaseSelector | None = None
        self._listener: _socket.socket | None = None
        self._wake: tuple[int, int] | None = None
        self._stopping = False
        self._late = 0.0  # seconds by which this thread woke too late just now
        self._ended = system.allocate_lock()
        self.path = ""
        self.thread = 0

    # -- start and stop ------------------------------------------------------------------------

    def start(self, delay: float = 0.0) -> None:
        """Starts the thread; ``delay`` seconds before it listens.  Raises EndpointError, OSError."""
        self._ended.acquire()
        try:
            self._wake = system.pipe()
            system.set_blocking(self._wake[0], False)
            if not delay:
                self._listen()
            system.start_new_thread(self._body(delay), ())
        except BaseException as error:
            self._ended.release()
            self._close()
            if type(error) is RuntimeError:  # no more threads
                raise OSError(str(error)) from None
            raise

    def stop(self, timeout: float = 5.0) -> bool:
        """Ends the thread and waits for it; False if it did not end in time."""
        self._stopping = True
        if self._wake is not None:
            try:
                system.write(self._wake[1], b"x")
            except OSError:
                pass
        if self.thread == system.get_ident():
            return True  # asked for over the socket: the thread ends itself
        ended = self._ended.acquire(timeout=timeout)
        if ended:
            self._ended.release()
        return ended

    def abandon(self) -> None:
        """In a forked child: closes what was inherited; the thread is the parent's alone."""
        self._clients, clients = {}, self._clients
        for client in clients.values():
            client.socket.close()
        self.path = ""
        self._close()

    def _listen(self) -> None:
        endpoint.sweep()
        path = endpoint.socket_path(system.getpid(), self._agent.process.name)
        listener = system.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            # It appears under its name when it answers, not before: bound and not yet listening it would
            # refuse, and another agent's sweep would take it for a dead one's.
            hidden = path + "~"
            with suppress(FileNotFoundError):  # left by a process of the same pid
                system.unlink(hidden)
            listener.bind(hidden)
            system.chmod(hidden, 0o600)
            listener.listen(MAX_CLIENTS)
            listener.setblocking(False)
            system.rename(hidden, path)
        except OSError:
            listener.close()
            raise
        self._listener, self.path = listener, path

    def _close(self) -> None:
        for client in self._clients.values():
            client.socket.close()
        self._clients.clear()
        if self._listener is not None:
            self._listener.close()
            self._listener = None
        if self.path:
            try:
                system.unlink(self.path)
            except OSError:
                pass
            self.path = ""
        if self._selector is not None:
            self._selector.close()
            self._selector = None
        if self._wake is not None:
            for descriptor in self._wake:
                system.close(descriptor)
            self._wake = None

    @property
    def watched(self) -> bool:
        """Whether somebody gets samples."""
        return any(client.subscribed or client.missed is not None for client in self._clients.values())

    # -- the thread ----------------------------------------------------------------------------

    def _body(self, delay: float) -> Callable[[], None]:
        """All of the thread.  Each step is guarded, and all but the first get a second try."""
        agent = self._agent
        run, leave, close = partial(self._run, delay), agent.thread_ended, self._close

        def body() -> None:
            for step in (run, leave, leave, close, close):
                try:
                    step()
                except Exception as error:  # noqa: BLE001  (an outer edge: the interpreter would print it)
                    agent.tell("agent thread", error)
            self._ended.release()

        return body

    def _run(self, delay: float) -> None:
        try:
            self.thread = threads.register_agent_thread()
            if delay:
                clock.sleep(delay)
                self._listen()
            self._serve()
        except Exception as error:  # noqa: BLE001  (an outer edge: the program must go on)
            self._agent.tell("agent thread", error)
            self._take_leave(f"the agent failed and has left the process, which goes on: {error!r}")

    def _take_leave(self, reason: str) -> None:
        """Tells the clients why the connection ends; without a word the process has ended."""
        for client in list(self._clients.values()):
            self._send(client, wire.request(None, "leaving", {"reason": reason}))

    def _serve(self) -> None:
        assert self._listener is not None
        assert self._wake is not None
        selector = self._selector = selectors.DefaultSelector()
        selector.register(self._listener, selectors.EVENT_READ, self._accept)
        selector.register(self._wake[0], selectors.EVENT_READ, self._woken)
        next_look = next_tick = clock.monotonic()
        while not self._stopping:
            now = clock.monotonic()
            if now >= next_look:
                next_look = now + self._agent.look(self._late)
            if now >= next_tick:
                self._jobs.append((None, None, self._tick()))
                next_tick = max(next_tick + self._agent.interval, now)
            for key, _ in self._rest(selector, min(next_look, next_tick)):
                key.data()
            self._step()

    def _rest(self, selector: selectors.BaseSelector, until: float) -> list[tuple[Any, int]]:
        """Lets the program run; also measures how late we wake, which tells how late others would."""
        now = clock.monotonic()
        if self._jobs:
            clock.sleep(PAUSE)  # a selector would round it up to a whole millisecond
            self._late = clock.monotonic() - now - PAUSE
            return selector.select(0.0)
        timeout = math.ceil(max(0.0, until - now) * 1e3) / 1e3
        events = selector.select(timeout)
        if timeout and not events:
            self._late = clock.monotonic() - now - timeout
        return events

    def _step(self) -> None:
        """Runs one slice of one job."""
        if not self._jobs:
            return
        client, id, job = self._jobs.popleft()
        if client is not None and (client.gone or id in client.abandoned):
            client.abandoned.discard(id or 0)
            client.jobs -= 1
            job.close()
            return
        if client is not None and client.backlog > MAX_BACKLOG:
            self._jobs.append((client, id, job))
            return
        begin_slice()
        try:
            next(job)
        except StopIteration:
            if client is not None:
                client.jobs -= 1
        else:
            self._jobs.append((client, id, job))

    def _tick(self) -> Job[None]:
        sample = yield from self._agent.tick()
        if not self.watched:
            return
        data = yield from encoded(_as_sample, sample)
        for client in list(self._clients.values()):
            if client.missed is not None:
                client.missed.append(data)
            elif client.subscribed and client.backlog > MAX_BACKLOG:
                self._agent.registry.drop("samples for a client that does not read")
                client.subscribed = False  # it misses a change: the next one must be full
                self._job(client, self._subscribe(client))
            elif client.subscribed:
                self._send(client, data)

    # -- connections ---------------------------------------------------------------------------

    def _woken(self) -> None:
        assert self._wake is not None
        try:
            system.read(self._wake[0], 64)
        except OSError:
            pass

    def _accept(self) -> None:
        assert self._listener is not None
        try:
            connection = system.socket(fileno=self._listener._accept()[0])  # type: ignore[attr-defined]
        except OSError:
            return
        if not endpoint.allowed(connection) or len(self._clients) >= MAX_CLIENTS:
            connection.close()
            return
        connection.setblocking(False)
        client = _Client(connection)
        self._clients[connection.fileno()] = client
        assert self._selector is not None
        self._selector.register(connection, selectors.EVENT_READ, lambda: self._ready(client))

    def _ready(self, client: _Client) -> None:
        self._flush(client)
        try:
            data = client.socket.recv(65536)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._drop(client)
            return
        try:
            for message in client.decoder.feed(data):
                if isinstance(message, wire.Request):
                    self._take(client, message)
        except wire.WireError as error:
            self._send(client, wire.failure(None, wire.PARSE_ERROR, str(error)))
            self._drop(client)

    def _send(self, client: _Client, data: bytes) -> None:
        client.send(data)
        self._flush(client)

    def _flush(self, client: _Client) -> None:
        try:
            while client.out:
                sent = client.socket.send(client.out[0])
                client.backlog -= sent
                if sent < len(client.out[0]):
                    client.out[0] = client.out[0][sent:]
                else:
                    client.out.popleft()
        except BlockingIOError:
            pass
        except OSError:
            self._drop(client)
            return
        if not client.gone and self._selector is not None:
            events = selectors.EVENT_READ | (selectors.EVENT_WRITE if client.out else 0)
            self._selector.modify(client.socket, events, lambda: self._ready(client))

    def _drop(self, client: _Client) -> None:
        if client.gone:
            return
        client.gone = True
        if self._selector is not None:
            self._selector.unregister(client.socket)
        self._clients.pop(client.socket.fileno(), None)
        client.socket.close()
        if not self._clients:
            self._agent.console.stop()

    # -- requests ------------------------------------------------------------------------------

    def _take(self, client: _Client, request: wire.Request) -> None:
        if request.method == "hello":
            self._send(client, self._hello(client, request))
        elif not client.greeted:
            self._send(client, wire.failure(request.id, wire.INVALID_REQUEST, "say hello first"))
        elif request.method == "abandon":
            self._abandon(client, request.params.get("id"))
        elif client.jobs >= MAX_JOBS:
            self._send(client, wire.failure(request.id, wire.INVALID_REQUEST, "too many requests under way"))
        elif request.method == "subscribe":
            self._send(client, wire.response(request.id, {}))
            self._job(client, self._subscribe(client))
        else:
            self._job(client, self._answer(client, request), request.id)

    def _abandon(self, client: _Client, id: object) -> None:
        """A notification: nobody waits for that answer any more."""
        if isinstance(id, int) and any(owner is client and each == id for owner, each, _ in self._jobs):
            client.abandoned.add(id)

    def _job(self, client: _Client, job: Job[None], id: int | None = None) -> None:
        client.jobs += 1
        self._jobs.append((client, id, job))

    def _hello(self, client: _Client, request: wire.Request) -> bytes:
        theirs = request.params.get("protocol")
        if theirs != wire.PROTOCOL:
            ours = self._agent.hello().taskscope
            return wire.failure(
                request.id,
                wire.MISMATCH,
                f"the agent in process {system.getpid()} is taskscope {ours} with protocol {wire.PROTOCOL}, "
                f"this client has protocol {theirs}: use the same version of taskscope on both sides",
            )
        client.greeted = True
        return wire.response(request.id, wire.pack(self._agent.hello()))

    def _subscribe(self, client: _Client) -> Job[None]:
        """Sends a full sample, then those made meanwhile: some of their changes are not in it."""
        yield from self._agent.settled(FIRST_SAMPLE)
        client.missed = []
        sample = yield from self._agent.sampler.full(self._agent.interval)
        data = yield from encoded(_as_sample, sample)
        missed, client.missed = client.missed, None
        client.subscribed = True
        for each in (data, *missed):
            if not client.gone:
                self._send(client, each)

    def _answer(self, client: _Client, request: wire.Request) -> Job[None]:
        try:
            send: Callable[[bytes], None] = lambda data: self._send(client, data)  # noqa: E731
            result: Any = yield from self._agent.answer(request, send)
            data = yield from encoded(
                lambda text: {"jsonrpc": "2.0", "id": request.id, "result": text}, result
            )
        except NotFoundError as error:
            data = wire.failure(request.id, wire.NOT_FOUND, str(error))
        except wire.RemoteError as error:
            data = wire.failure(request.id, error.code, error.message)
        except (TypeError, ValueError) as error:
            data = wire.failure(request.id, wire.BAD_PARAMS, f"{request.method}: {error}")
        except Exception as error:  # noqa: BLE001  (an outer edge: one bad answer must not end the agent)
            data = wire.failure(
                request.id, wire.INTERNAL, f"{type(error).__name__} in {request.method}: {error}"
            )
        if not client.gone:
            self._send(client, data)
        if request.method == "detach":
            self._stopping = True


def _as_sample(params: object) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "method": "sample", "params": params}
