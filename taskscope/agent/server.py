"""The agent's only thread: ticks, looks at the loops, and the socket.

As a separate thread it answers while the program's loops are blocked; and it delays them by at most a slice,
because every request is a job that it runs a slice at a time.  The thread is started below ``threading``, so
the program does not find it in its list of threads.

A misbehaving client loses its connection; and the program may close any descriptor at any time.
"""

from __future__ import annotations

import errno
import math
import select
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

from taskscope import endpoint, wire
from taskscope.agent.clients import Client, Work
from taskscope.agent.desk import Desk, as_sample
from taskscope.agent.headroom import Headroom
from taskscope.agent.hooks.parts import insist
from taskscope.agent.inspect import threads
from taskscope.agent.inspect.walk import PAUSE, SLICE, begin_slice, left
from taskscope.agent.listener import LOST, MAX_CLIENTS, RETRY, Listener, ignore
from taskscope.agent.queue import Queue
from taskscope.agent.reply import encoded
from taskscope.system import clock, system

if TYPE_CHECKING:
    from collections.abc import Callable

    from taskscope.agent.counts.descriptors import Channel
    from taskscope.agent.inspect.walk import Job
    from taskscope.agent.life import Resident

GONE = 0.1
"""Most seconds from our thread's last line to its end in the kernel."""

CROWDED = f"{MAX_CLIENTS} others are connected to this agent, and this connection was idle longest"
EXHAUSTED = "the process has no free file descriptors, and the agent needs this one for a new client"


class Server:
    """Listens on a socket in the user's directory and serves until stopped."""

    def __init__(self, agent: Resident) -> None:
        self._agent = agent
        self._desk = Desk(agent, self)
        self._clients: dict[int, Client] = {}
        self._work = Queue()
        self._headroom = Headroom()
        self._poll = system.poll()
        make_room = partial(self._dismiss_idlest, EXHAUSTED)
        self.listener = Listener(agent.process.name, self._poll, agent.registry.drop, make_room)
        self._stopping = False
        self._late = 0.0  # seconds by which this thread last woke late
        self._delayed = system.allocate_lock()
        self._ended = system.allocate_lock()
        self.thread = 0
        self._native = 0

    # -- start and stop ------------------------------------------------------------------------

    def start(self, delay: float = 0.0) -> None:
        """Starts the thread, which listens after ``delay`` seconds.  Raises EndpointError, OSError."""
        self._delayed.acquire()
        self._ended.acquire()
        try:
            if not delay:
                self.listener.listen()
            system.start_new_thread(self._body(delay), ())
        except BaseException as error:
            self._ended.release()
            insist("socket", self._agent.tell, self._close)
            if type(error) is RuntimeError:
                raise OSError(errno.EAGAIN, "the process cannot start another thread") from None
            raise

    def stop(self, timeout: float = 5.0) -> bool:
        """Ends the thread and waits for it; False if it did not end in time."""
        self.leave()
        if self.thread == system.get_ident():
            return True  # requested over the socket: the thread ends itself
        self.listener.wake()
        with suppress(RuntimeError):
            self._delayed.release()
        if ended := self._ended.acquire(timeout=timeout):
            self._ended.release()
            self._outlast()
        return ended

    def _outlast(self) -> None:
        """Waits until the kernel has no such thread.

        The interpreter frees a thread's state after the thread has given up the GIL.  With ``-X dev`` the
        end of the interpreter swaps the allocators meanwhile, and the free would abort the process.
        """
        end = clock.monotonic() + GONE
        while system.exists(f"/proc/self/task/{self._native}") and clock.monotonic() < end:
            clock.sleep(PAUSE)

    def leave(self) -> None:
        """Ends the thread after its current step."""
        self._stopping = True

    def abandon(self) -> None:
        """In a forked child: closes inherited descriptors; the thread exists only in the parent."""
        self.listener.abandon()
        self._close()

    def _close(self) -> None:
        """Each step is guarded, and retried once if it fails."""
        clients, self._clients = list(self._clients.values()), {}
        for client in clients:
            client.gone = True
        listener = self.listener
        closing = [each.channel.close for each in clients]
        closing += [listener.close, listener.unlink, listener.spares.close, self._agent.sampler.meter.close]
        insist("agent thread", self._agent.tell, *closing)

    @property
    def watched(self) -> bool:
        """Whether any client receives samples."""
        return any(client.watching for client in self._clients.values())

    # -- the thread ----------------------------------------------------------------------------

    def _body(self, delay: float) -> Callable[[], None]:
        """The thread's function.  Each step is guarded, and all but the first are retried once."""
        agent = self._agent
        run, leave, close = partial(self._run, delay), agent.thread_ended, self._close

        def body() -> None:
            for step in (run, leave, leave, close, close):
                try:
                    step()
                except BaseException as error:  # noqa: BLE001  (an outer edge: whatever ends us, we leave)
                    agent.tell("agent thread", error)
            self._ended.release()

        return body

    def _run(self, delay: float) -> None:
        try:
            self._native = system.get_native_id()
            self.thread = threads.register_agent_thread()
            if delay:
                self._delayed.acquire(timeout=delay)
            self._serve()
            if self._agent.exiting:
                self._tell_all("exiting", {})
        except Exception as error:  # noqa: BLE001  (an outer edge: the program must continue)
            self._agent.tell("agent thread", error)
            why = f"the agent failed and has left the process, which still runs: {error!r}"
            self._tell_all("leaving", {"reason": why})

    def _tell_all(self, method: str, params: dict[str, str]) -> None:
        """Tells clients why the connection ends; otherwise they assume that the process was killed."""
        for client in list(self._clients.values()):
            self.send(client, wire.request(None, method, params))

    def _serve(self) -> None:
        next_look = next_tick = visited = clock.monotonic()
        while not self._stopping:
            now = clock.monotonic()
            if any(client.greeted for client in self._clients.values()):  # others only look who listens
                visited = now
            elif now - visited >= self._agent.lingers:
                return
            try:
                if now >= next_look:
                    next_look = now + self._agent.look(self._late)
                if now >= next_tick:
                    next_tick = max(next_tick + self._agent.interval, now)
                    self.queue(None, self._tick())
                self._turn(now, min(next_look, next_tick))
            except MemoryError:
                self._agent.registry.drop("turns of the agent that ran out of memory")
                clock.sleep(RETRY)

    def _turn(self, now: float, until: float) -> None:
        """Serves the socket and the clients, and runs one slice."""
        self._look_for_lost(now)
        for number, events in self._rest(until):
            client = self._clients.get(number)
            if client is not None:
                self._ready(client, events)
            elif number == self.listener.number:
                self._accept()
        self._step()

    def _rest(self, until: float) -> list[tuple[int, int]]:
        """Lets the program run; also measures how late we wake, which shows how late others would."""
        self._headroom.give_back()
        if not self.watched:
            self._agent.rest()
        events = self._wait(until)
        if not self._stopping:
            self._agent.work()
        self._headroom.take()
        return events

    def _wait(self, until: float) -> list[tuple[int, int]]:
        now = clock.monotonic()
        if self._work:
            clock.sleep(PAUSE)  # polling the socket would round it up to a millisecond
            self._late = clock.monotonic() - now - PAUSE
            return self._poll.poll(0)
        timeout = math.ceil(max(0.0, until - now) * 1e3)
        events = self._poll.poll(timeout)
        if timeout and not events:
            self._late = clock.monotonic() - now - timeout / 1e3
        return events

    def _look_for_lost(self, now: float) -> None:
        """Drops descriptors that are now the program's."""
        for client in [each for each in self._clients.values() if not each.channel.ours]:
            self._agent.registry.drop(LOST)
            self.drop(client)
        self.listener.look_after(now)

    def _step(self) -> None:
        """Runs one slice: of one job, or of several that soon pause."""
        begin_slice(self._late)
        for _ in range(len(self._work)):
            self._work_on(self._work.next())
            if left() < SLICE / 2:
                break

    def _work_on(self, work: Work) -> None:
        client = work.client
        if client is not None and client.lags and work.parks and not work.pointless:
            client.parked.append(work)
            return
        done = work.pointless
        if done:
            work.job.close()
        else:
            done = self._advance(work)
        if not done:
            self._work.add(work)
        elif client is not None:
            client.work.remove(work)

    def _advance(self, work: Work) -> bool:
        """Runs a job until it pauses; True if it has ended."""
        try:
            next(work.job)
        except StopIteration:
            return True
        except MemoryError:
            self._agent.registry.drop("jobs of the agent that ran out of memory")
            return True
        except Exception:
            if work.client is None:
                raise
            self._failed(work.client)
            return True
        return False

    def _tick(self) -> Job[None]:
        sample = yield from self._agent.tick()
        self.listener.spares.fill()
        if not self.watched:
            return
        data = yield from encoded(as_sample, sample)
        for client in list(self._clients.values()):
            if client.missed is not None:
                client.missed.append(data)
            elif client.subscribed and client.lags:
                self._agent.registry.drop("samples for a client that does not read")
                client.subscribed = False  # it missed a change: the next sample must be full
            elif client.subscribed:
                self.send(client, data)
            elif client.watching:
                self._desk.subscribe(client)

    def queue(self, client: Client | None, job: Job[None], id: int | None = None, parks: bool = True) -> None:
        """Queues ``job`` for the thread; ``id`` is the request's."""
        work = Work(client, id, job, parks)
        if client is not None:
            client.work.append(work)
        self._work.add(work)

    # -- connections ---------------------------------------------------------------------------

    def _accept(self) -> None:
        channel = self.listener.accept()
        if channel is None:
            return
        try:
            self._welcome(channel)
        except Exception:  # noqa: BLE001  (an outer edge: one client fewer)
            self._clients.pop(channel.number, None)
            channel.close()

    def _welcome(self, channel: Channel) -> None:
        if not endpoint.allowed(channel.socket):
            self.listener.spares.keep(channel)
            return
        if len(self._clients) >= MAX_CLIENTS:
            self._dismiss_idlest(CROWDED)
        client = self._clients[channel.number] = Client(channel)
        self._poll.register(channel.number, client.events)

    def _dismiss_idlest(self, reason: str) -> None:
        if self._clients:
            client = min(self._clients.values(), key=lambda each: (bool(each.work), each.active))
            self.send(client, wire.request(None, "leaving", {"reason": reason}))
            self.drop(client)

    def _ready(self, client: Client, events: int) -> None:
        try:
            client.flush()
            if events & select.POLLIN:
                self._read(client)
            elif events & ~select.POLLOUT:
                self.drop(client)
            self._look_after(client)
        except OSError:
            self.drop(client)
        except wire.WireError as error:
            self.send(client, wire.failure(None, wire.PARSE_ERROR, str(error)))
            self.drop(client)
        except Exception:  # noqa: BLE001  (an outer edge: a bad client costs its connection, never the agent)
            self._failed(client)

    def _read(self, client: Client) -> None:
        messages = client.receive()
        if messages is None:
            self.drop(client)
            return
        for message in messages:
            if isinstance(message, wire.Request) and not client.gone:
                self._desk.take(client, message)
        clock.sleep(PAUSE)  # even an endless stream of requests leaves time to the program

    def send(self, client: Client, data: bytes) -> None:
        """Sends to a client, or buffers for it; does nothing if it is gone."""
        try:
            if not client.gone:
                client.send(data)
                self._look_after(client)
        except OSError:
            self.drop(client)

    def _look_after(self, client: Client) -> None:
        """Resumes work parked until the client reads, and updates its poll events."""
        if client.gone:
            return
        if client.parked and not client.lags:
            self._resume(client)
        self._poll.modify(client.channel.number, client.events)

    def _resume(self, client: Client) -> None:
        while client.parked:
            self._work.add(client.parked.pop(0))

    def _failed(self, client: Client) -> None:
        self._agent.registry.drop("clients that the agent failed to serve")
        self.drop(client)

    def drop(self, client: Client) -> None:
        """Ends the connection and abandons its pending work."""
        if client.gone:
            return
        client.gone = True
        del self._clients[client.channel.number]
        ignore(self._poll, client.channel.number)
        self._resume(client)
        client.out.clear()
        self.listener.spares.keep(client.channel)
        if not self._clients:
            self._agent.deserted()
