"""Where clients arrive: the agent's socket in the directory of the process's user.

The program may close the socket, use up its descriptors or become another user's: then it is opened anew.
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
    """``drop`` counts what is lost; ``make_room`` frees a descriptor when the process has none left."""

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
        """The descriptor; -1: there is none."""
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
        """The file is another process's from now on."""
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
        """Lets go of a number that is the program's by now, and listens or accepts again if need be."""
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
        """Listens where the user looks whose process this is now: it gave up root, say.  Else stays put."""
        self._listen_again = now + RETRY
        before, path = self._channel, self.path
        with suppress(OSError, endpoint.EndpointError):
            self.listen()
        if before is not None and self._channel is not before:
            ignore(self._poll, before.number)
            before.close()
            with suppress(OSError):  # most often it is no longer ours to remove: root's next agent does
                system.unlink(path)

    def accept(self) -> Channel | None:
        """A new connection; None: there is none, or it cannot be taken now."""
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
        except Exception:  # noqa: BLE001  (an outer edge: a client less)
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
    """Waits for a descriptor no longer, if it was waited for."""
    with suppress(KeyError):
        poll.unregister(number)
