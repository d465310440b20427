"""Our descriptors in the program's table.

A program may close unknown descriptors (``os.closerange``, a daemon's double fork) and then reuse our
numbers. So a number is ours only while it refers to the same file, which is checked before each use and
before closing. Ours are high, since the kernel allocates the lowest free number, and close on ``exec``.
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
"""Our lowest number, if the limit allows; a much higher one would enlarge the kernel's table."""

ROOM = 28
"""Numbers below the limit that suffice for ours."""

SPARES = 2

_NO_SIGNAL = getattr(socket, "MSG_NOSIGNAL", 0)
"""Without it, only a program that asks for SIGPIPE gets one."""

numbers: set[int] = set()
"""The numbers of ours: any of them may be the program's by now."""


class Held:
    """One of ours from here on: ``number`` is moved up if there is room, and closed if that raises."""

    def __init__(self, number: int) -> None:
        try:
            self._file = _file(number)
            self.number = _raised(number)
            numbers.add(self.number)
        except BaseException:
            system.close(number)
            raise

    @property
    def ours(self) -> bool:
        """Whether the number still refers to our file."""
        return _file(self.number) == self._file

    def close(self) -> None:
        """Closes it; does nothing if called twice, or if the number is now the program's."""
        numbers.discard(self.number)
        if self.ours:
            system.close(self.number)
        self.number = -1

    def __del__(self) -> None:
        """Closes a descriptor dropped while open: closing failed, or its job was dropped."""
        for _ in range(2):
            try:
                self.close()
            except Exception:  # noqa: BLE001  (an outer edge: the interpreter would print it)
                pass


class Channel(Held):
    """A non-blocking socket of ours."""

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
        """Raises OSError; never SIGPIPE, which would kill the program."""
        return self.socket.send(data, _NO_SIGNAL)

    def hang_up(self) -> None:
        """Shuts the connection down but keeps the descriptor; wakes whoever waits on the socket."""
        if self.ours:
            try:
                self.socket.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass  # the other end closed first

    def close(self) -> None:
        self.socket.detach()  # it would close the number unchecked
        super().close()


class Spares:
    """Descriptors reserved for when the process has none left."""

    def __init__(self) -> None:
        self._held: list[Held] = []

    def fill(self) -> None:
        """Refills the reserve, as far as possible."""
        self._held = [each for each in self._held if each.ours]
        while len(self._held) < SPARES:
            try:
                spare = system.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            except OSError:
                return
            self._held.append(Held(spare.detach()))

    def give(self) -> bool:
        """Frees one for the next open; False if there is none."""
        while self._held:
            held = self._held.pop()
            if held.ours:
                held.close()
                return True
        return False

    def keep(self, channel: Channel) -> None:
        """Keeps the descriptor of a closed connection, which the program would take immediately."""
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
    """A listening socket at ``path``, for its user only.  Raises OSError."""
    listener = system.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    # It gets its name only once it listens: bound but not listening it would refuse connections, and another
    # agent's sweep would remove it as stale.
    hidden = path + "~"
    try:
        with suppress(FileNotFoundError):  # left by an earlier process with this pid
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
    """Opens a file for reading.  Raises OSError."""
    return Held(system.open(path, posix.O_RDONLY | posix.O_CLOEXEC | flags))
