"""One connection: its input, its output, and its pending work."""

from __future__ import annotations

import select
from collections import deque
from typing import TYPE_CHECKING

from taskscope import wire
from taskscope.system import clock
from taskscope.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Iterator

    from taskscope.agent.counts.descriptors import Channel
    from taskscope.agent.inspect.walk import Job

MAX_BACKLOG = 8 << 20
"""Unread bytes of a client beyond which samples are dropped (and counted) and answers wait."""

MAX_UNREAD = 1 << 20
"""Unread bytes of a client beyond which no more requests are read from it."""

MAX_JOBS = 32
"""Pending requests per client.  Ours sends one at a time per view."""

CHUNK = 16_384
"""Bytes per read: decoded within a slice."""


@dataclass(slots=True, eq=False)
class Work:
    """A job and its client; None: the agent's own.  ``parks``: it waits while the client lags."""

    client: Client | None
    id: int | None
    job: Job[None]
    parks: bool = True
    abandoned: bool = False

    @property
    def pointless(self) -> bool:
        return self.abandoned or (self.client is not None and self.client.gone)


class Client:
    """Handles bytes and messages; the desk and the server give them meaning.

    ``watching``: it wants samples.  ``missed``: samples made while its full one is being made.
    ``subscribed``: it has its full sample, so changes suffice.
    """

    def __init__(self, channel: Channel) -> None:
        self.channel = channel
        self.decoder = wire.Decoder(wire.MAX_REQUEST)
        self.out: deque[memoryview] = deque()
        self.backlog = 0
        self.greeted = False
        self.watching = False
        self.subscribing = False
        self.missed: list[bytes] | None = None
        self.subscribed = False
        self.work: list[Work] = []
        self.parked: list[Work] = []
        self.gone = False
        self.active = clock.monotonic()

    @property
    def events(self) -> int:
        """Poll events: no more requests are read from a client that does not read its answers."""
        reading = 0 if self.backlog > MAX_UNREAD else select.POLLIN
        return reading | (select.POLLOUT if self.out else 0)

    @property
    def lags(self) -> bool:
        return self.backlog > MAX_BACKLOG

    def receive(self) -> Iterator[wire.Message] | None:
        """The complete messages so far; None: the other end has closed.

        Raises OSError, and WireError while iterating.
        """
        try:
            data = self.channel.receive(CHUNK)
        except BlockingIOError:
            return iter(())
        self.active = clock.monotonic()
        return self.decoder.feed(data) if data else None

    def send(self, data: bytes) -> None:
        """Queues ``data`` and sends what fits.  Raises OSError."""
        self.out.append(memoryview(data))
        self.backlog += len(data)
        self.flush()

    def flush(self) -> None:
        """Sends what fits.  Raises OSError."""
        while self.out:
            try:
                sent = self.channel.send(self.out[0])
            except BlockingIOError:
                return
            self.active = clock.monotonic()
            self.backlog -= sent
            if sent < len(self.out[0]):
                self.out[0] = self.out[0][sent:]
            else:
                self.out.popleft()
