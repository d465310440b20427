"""The agent's listening socket, in the directory of the process's user.

It is reopened if the program closes it, runs out of descriptors or changes its user.
"""

from __future__ import annotations

import errno
import select
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

from taskscope import endpoint
from taskscope.agent.counts.descriptors import Channel, Spares, listening
from taskscope.system import clock, system

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_CLIENTS = 16

RETRY = 1.0
"""Seconds before a failed accept or listen is retried."""

LOST = "descriptors of the agent that the program closed"


class Listener:
    """``drop`` counts losses; ``make_room`` frees a descriptor when the process has none left."""

    def __init__(
        self, name: str, poll: select.poll, drop: Callable[[str], None], make_room: Callable[[], None]
    ) -> None:
        self.spares = Spares()
        self._name = name
        self._poll = poll
        self._drop = drop
        self._make_room = make_room
        self._channel: Channel | None = None
        self._listen_again = self._accept_again = 0.0
        self._uid = -1  # whose directory we listen in
        self.path = ""

    @property
    def number(self) -> int:
        """The descriptor; -1 if none."""
        return -1 if self._channel is None else self._channel.number

    def listen(self) -> None:
        """Raises EndpointError, OSError."""
        uid = system.geteuid()
        endpoint.sweep()
        listen = partial(listening, backlog=MAX_CLIENTS)
        path, channel = endpoint.first_place(system.getpid(), self._name, listen)
        self.path, self._channel, self._uid = path, channel, uid
        self._poll.register(channel.number, select.POLLIN)
        self._accept_again = 0.0
        self.spares.fill()

    def wake(self) -> None:
        """Wakes the thread that waits for clients."""
        if self._channel is not None:
            self._channel.hang_up()

    def abandon(self) -> None:
        """Leaves the file to another process."""
        self.path = ""

    def close(self) -> None:
        if self._channel is not None:
            self._channel.close()
            self._channel = None

    def unlink(self) -> None:
        if self.path:
            with suppress(OSError):
                system.unlink(self.path)
            self.path = ""

    def look_after(self, now: float) -> None:
        """Drops a descriptor that is now the program's, and listens or accepts again if necessary."""
        if self._channel is not None and not self._channel.ours:
            self._drop(LOST)
            ignore(self._poll, self._channel.number)
            self.close()
        if self._channel is not None and self._uid != system.geteuid() and now >= self._listen_again:
            self._move(now)
        if self._channel is None and now >= self._listen_again:
            self._listen_again = now + RETRY
            with suppress(OSError, endpoint.EndpointError):
                self.listen()
        elif self._accept_again and now >= self._accept_again and self._channel is not None:
            self._accept_again = 0.0
            self.spares.fill()
            self._poll.register(self._channel.number, select.POLLIN)

    def _move(self, now: float) -> None:
        """Moves to the directory of the process's current user, if it dropped root, say."""
        self._listen_again = now + RETRY
        before, path = self._channel, self.path
        with suppress(OSError, endpoint.EndpointError):
            self.listen()
        if before is not None and self._channel is not before:
            ignore(self._poll, before.number)
            before.close()
            with suppress(OSError):  # usually we may no longer remove it: root's next agent will
                system.unlink(path)

    def accept(self) -> Channel | None:
        """A new connection; None if there is none, or it cannot be accepted now."""
        assert self._channel is not None
        try:
            number = self._accepted(self._channel)
        except (BlockingIOError, InterruptedError):
            return None
        except OSError:
            # The pending connection stays in the queue and would wake us endlessly.
            ignore(self._poll, self._channel.number)
            self._accept_again = clock.monotonic() + RETRY
            return None
        try:
            return Channel(number)
        except Exception:  # noqa: BLE001  (an outer edge: one client fewer)
            return None

    def _accepted(self, listener: Channel) -> int:
        """The descriptor of a new connection, at the cost of a spare or an idle client if necessary."""
        try:
            return int(listener.socket._accept()[0])  # type: ignore[attr-defined]
        except OSError as error:
            if error.errno not in (errno.EMFILE, errno.ENFILE):
                raise
        if not self.spares.give():
            self._make_room()
            self.spares.give()
        return int(listener.socket._accept()[0])  # type: ignore[attr-defined]


def ignore(poll: select.poll, number: int) -> None:
    """Stops polling a descriptor, if it is polled."""
    with suppress(KeyError):
        poll.unregister(number)
