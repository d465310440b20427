"""Descriptors of ours among those of the program.

A program may close what it does not know (``os.closerange``, a daemon's double fork) and is then given our
numbers for files of its own.  So a number is ours only while it stands for the same file, which is looked at
before each use and before it is closed.  Ours are high up, as the kernel gives out the lowest that is free,
and end with ``exec``.
"""

from __future__ import annotations

import fcntl
import posix
import socket
from contextlib import suppress
from stat import S_IFMT
from typing import TYPE_CHECKING

from taskscope.agent.counts import limits
from taskscope.system import system

if TYPE_CHECKING:
    import _socket

HIGH = 4_000
"""Ours are from here on where the limit allows; much more would make the kernel's table large."""

ROOM = 28
"""Numbers below the limit that are enough for all of ours."""

SPARES = 2


class Held:
    """One of ours from here on: ``number`` is moved up if there is room, and closed if that raises."""

    def __init__(self, number: int) -> None:
        try:
            self._file = _file(number)
            self.number = _raised(number)
        except BaseException:
            system.close(number)
            raise

    @property
    def ours(self) -> bool:
        """Whether the number still stands for our file."""
        return _file(self.number) == self._file

    def close(self) -> None:
        """Harmless if called twice, or if the number is the program's by now."""
        if self.ours:
            system.close(self.number)
        self.number = -1

    def __del__(self) -> None:
        """Closes what is let go of unclosed: where closing failed, or the job that read was dropped."""
        for _ in range(2):
            try:
                self.close()
            except Exception:  # noqa: BLE001  (an outer edge: the interpreter would print it)
                pass


class Channel(Held):
    """A socket of ours, which never waits."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        try:
            self.socket: _socket.socket = system.socket(socket.AF_UNIX, socket.SOCK_STREAM, 0, self.number)
            self.socket.setblocking(False)
        except BaseException:
            super().close()
            raise

    def receive(self, most: int) -> bytes:
        """Empty: the other end has closed.  Raises OSError."""
        return self.socket.recv(most)

    def send(self, data: memoryview) -> int:
        """Raises OSError; never the signal that would end the program where the other end has closed."""
        return self.socket.send(data, socket.MSG_NOSIGNAL)

    def hang_up(self) -> None:
        """Ends the conversation but keeps the descriptor; whoever waits for the socket wakes."""
        if self.ours:
            try:
                self.socket.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass  # the other end was faster

    def close(self) -> None:
        self.socket.detach()  # it would close the number unseen
        super().close()


class Spares:
    """Descriptors kept for the moment when the process has none left."""

    def __init__(self) -> None:
        self._held: list[Held] = []

    def fill(self) -> None:
        """Takes what is missing, as far as there are any."""
        self._held = [each for each in self._held if each.ours]
        while len(self._held) < SPARES:
            try:
                spare = system.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            except OSError:
                return
            self._held.append(Held(spare.detach()))

    def give(self) -> bool:
        """Frees one for what is opened next; False: there is none."""
        while self._held:
            held = self._held.pop()
            if held.ours:
                held.close()
                return True
        return False

    def keep(self, channel: Channel) -> None:
        """Takes over the descriptor of a conversation that has ended: it would be the program's at once."""
        channel.hang_up()
        if len(self._held) < SPARES and channel.ours:
            channel.socket.detach()
            self._held.append(channel)
        else:
            channel.close()

    def close(self) -> None:
        while self._held:
            self._held[-1].close()
            self._held.pop()


def listening(path: str, backlog: int) -> Channel:
    """A socket at ``path`` for its user alone.  Raises OSError."""
    listener = system.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    # It appears under its name when it answers, not before: bound and not yet listening it would
    # refuse, and another agent's sweep would take it for a dead one's.
    hidden = path + "~"
    try:
        with suppress(FileNotFoundError):  # left by a process of the same pid
            system.unlink(hidden)
        listener.bind(hidden)
        system.chmod(hidden, 0o600)
        listener.listen(backlog)
        channel = Channel(listener.detach())
    except BaseException as error:
        listener.close()
        with suppress(OSError):
            system.unlink(hidden)
        if isinstance(error, OSError):
            raise OSError(error.errno, error.strerror, path) from None
        raise
    system.rename(hidden, path)
    return channel


def _raised(number: int) -> int:
    least = min(HIGH, (limits.fd_limit() or HIGH + ROOM) - ROOM)
    if number >= least:
        return number
    try:
        high: int = system.fcntl(number, fcntl.F_DUPFD_CLOEXEC, least)
    except (OSError, ValueError):
        return number
    system.close(number)
    return high


def _file(number: int) -> tuple[int, int, int] | None:
    try:
        found = system.fstat(number)
    except OSError:
        return None
    return S_IFMT(found.st_mode), found.st_dev, found.st_ino


def opened(path: str, flags: int = 0) -> Held:
    """A file of ours to read from.  Raises OSError."""
    return Held(system.open(path, posix.O_RDONLY | posix.O_CLOEXEC | flags))
