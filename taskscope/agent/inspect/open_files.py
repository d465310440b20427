"""What an open descriptor of this process is: its kind, its two addresses, the bytes unread.

From ``/proc`` and the kernel, by number: no object of the program is touched.  A number that the program
closes meanwhile is described as what it is by then, or not at all.
"""

from __future__ import annotations

import _socket
from stat import S_ISCHR, S_ISFIFO
from typing import TYPE_CHECKING

from taskscope import model
from taskscope.agent.inspect.primitives import address
from taskscope.system import system

if TYPE_CHECKING:
    from collections.abc import Iterable

    from taskscope.model.vocabulary import DescriptorKind

MOST = 8
"""Descriptors of one wait that are described."""

_FIONREAD = 0x541B
_ANONYMOUS: dict[str, DescriptorKind] = {
    "eventpoll": "epoll",
    "eventfd": "eventfd",
    "timerfd": "timer",
    "signalfd": "signals",
    "inotify": "inotify",
    "pidfd": "process",
}
_FAMILIES: dict[int, str] = {
    _socket.AF_INET: "internet",
    _socket.AF_INET6: "internet",
    _socket.AF_UNIX: "unix",
}


def describe_all(numbers: Iterable[int]) -> tuple[model.Descriptor, ...]:
    """The first ``MOST`` of them."""
    found = (describe(each) for each, _ in zip(numbers, range(MOST), strict=False))
    return tuple(each for each in found if each is not None)


def describe(number: int) -> model.Descriptor | None:
    """One descriptor, without its other end; None if it is not open."""
    try:
        link = link_of(number)
        if link.startswith("socket:"):
            return _socket_of(number)
        if link.startswith("pipe:") or S_ISFIFO(system.fstat(number).st_mode):
            name = "" if link.startswith("pipe:") else link
            return model.Descriptor(number, "pipe", name, "", unread(number))
        if link.startswith("/"):
            device = S_ISCHR(system.fstat(number).st_mode)
            terminal = device and link.startswith(("/dev/pts/", "/dev/tty", "/dev/console"))
            kind: DescriptorKind = "terminal" if terminal else "device" if device else "file"
            return model.Descriptor(number, kind, link, "", unread(number) if terminal else None)
    except OSError:
        return None
    kind = next((kind for word, kind in _ANONYMOUS.items() if word in link), "unknown")
    return model.Descriptor(number, kind)


def link_of(number: int | str, process: int | str = "self") -> str:
    """What the kernel calls a descriptor of a process: ``socket:[4711]``.  Raises OSError."""
    return system.readlink(f"/proc/{process}/fd/{number}")


def _socket_of(number: int) -> model.Descriptor:
    """Raises OSError."""
    sock = system.socket(-1, -1, -1, number)
    try:
        family, stream = _FAMILIES.get(sock.family), sock.type == _socket.SOCK_STREAM
        kind: DescriptorKind = "socket"
        if family == "internet":
            kind = "tcp" if stream else "udp"
        elif family == "unix":
            kind = "unix"
        local = _end(sock.getsockname()) if family is not None else ""
        try:
            remote = _end(sock.getpeername()) if family is not None else ""
        except OSError:  # not connected
            remote = ""
    finally:
        sock.detach()  # it is the program's: never closed here
    return model.Descriptor(number, kind, local, remote, unread(number))


def _end(name: object) -> str:
    if type(name) is bytes:
        return "@" + name.lstrip(b"\0").decode("utf-8", "replace")
    return address(name)


def unread(number: int) -> int | None:
    """Bytes that arrived and were not read; None: unknown."""
    try:
        answer = system.ioctl(number, _FIONREAD, bytes(4))
    except OSError:  # it listens, or cannot tell
        return None
    return int.from_bytes(answer, "little", signed=True)
