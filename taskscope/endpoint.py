"""Where agents listen: one directory per user, one socket per agent.

The directory depends on the user id alone, not on the environment, so an operator's shell and a service
manager's child agree on it.  It is 0700 and must belong to the user; the socket is ``PID.NAME.sock``, 0600.
Anything another user puts in its place is neither read nor trusted.
"""

from __future__ import annotations

import errno
import os
import re
import socket
import stat
import struct
import sys
from contextlib import closing
from typing import TYPE_CHECKING, TypeVar

from taskscope.system import system
from taskscope.values import dataclass

if TYPE_CHECKING:
    import _socket
    from collections.abc import Callable, Collection, Iterator

    T = TypeVar("T")

MAX_NAME = 32
"""Characters of a name; a Unix socket path holds 107 bytes."""

_NOWHERE = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS})
"""Errors of the process or the machine: no other directory would help."""

_SOL_LOCAL = 0
"""The level of the options of Unix sockets on macOS."""

_NO_NUMBER = 65534
"""The uid that the kernel shows instead of one that our user namespace lacks."""

_NOT_NAME = re.compile(r"[^A-Za-z0-9_-]+")
_FILE = re.compile(rf"([0-9]{{1,10}})\.([A-Za-z0-9_-]{{1,{MAX_NAME}}})\.sock")


class EndpointError(Exception):
    """There is no place to listen; the message is for the user."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An agent's socket, possibly stale (see ``answers``)."""

    path: str
    pid: int
    name: str


def candidates(uid: int, root: str = "") -> tuple[str, ...]:
    """Directories where agents of ``uid`` may listen, best first.  ``root``: as ``/proc/PID/root``."""
    override = os.environ.get("TASKSCOPE_DIR")
    return (override,) if override else standard(uid, root)


def standard(uid: int, root: str = "") -> tuple[str, ...]:
    """``candidates`` without TASKSCOPE_DIR.  /dev/shm is writable in most read-only containers."""
    return (
        f"{root}/run/user/{uid}/taskscope",
        f"{root}/tmp/taskscope-{uid}",
        f"{root}/dev/shm/taskscope-{uid}",
    )


def first_place(pid: int, name: str, listen: Callable[[str], T]) -> tuple[str, T]:
    """The best path at which ``listen`` succeeds for this agent, and its result.

    A full disk may allow a directory but no socket; then the next one is tried.  Raises EndpointError,
    OSError.
    """
    failure: OSError | None = None
    try:
        for folder in directories():
            path = _socket_path(folder, pid, name)
            try:
                return path, listen(path)
            except OSError as error:
                if error.errno in _NOWHERE:
                    raise
                failure = failure or error
    except EndpointError:
        if failure is None:
            raise
    assert failure is not None
    raise failure


def directories() -> Iterator[str]:
    """Directories where agents of this process may listen, best first, each created if needed.

    After the last, raises EndpointError, which says why none is usable.
    """
    uid = system.geteuid()
    problem = "no directory to try"
    for path in candidates(uid):
        parent = path.rpartition("/")[0]
        if not _is_writable(parent):
            problem = f"{parent} is not writable"
            continue
        try:
            made = _made(path, uid)
        except OSError as error:
            problem = f"{path}: {error.strerror}"
        else:
            yield made
    raise EndpointError(problem)


def _is_writable(folder: str) -> bool:
    try:
        found = system.stat(folder or "/")
    except OSError:
        return False
    return stat.S_ISDIR(found.st_mode) and system.access(folder or "/", os.W_OK | os.X_OK)


def _made(path: str, uid: int) -> str:
    """``path`` or its replacement (see ``_places``), created if needed.  Raises OSError."""
    places = _places(path, (uid,))
    if places:
        return places[0]
    if system.exists(path):
        if os.environ.get("TASKSCOPE_DIR"):
            raise OSError(
                errno.EPERM, f"not a directory of uid {uid} with mode 0700: remove it or choose another"
            )
        path = f"{path}-{system.urandom(4).hex()}"
    system.mkdir(path, 0o700)
    return path


def _socket_path(folder: str, pid: int, name: str) -> str:
    """Raises EndpointError."""
    path = f"{folder}/{pid}.{_NOT_NAME.sub('-', name)[:MAX_NAME] or 'python'}.sock"
    if len(os.fsencode(path)) > 106:  # one byte is reserved for its name before it listens
        raise EndpointError(f"{path} is too long for a socket; set TASKSCOPE_DIR to a shorter directory")
    return path


def listing(uid: int | None = None, root: str = "") -> tuple[Endpoint, ...]:
    """Every socket in the directories of ``uid`` (default: ours), ordered by pid."""
    owner = system.geteuid() if uid is None else uid
    found: dict[tuple[int, str], Endpoint] = {}
    for folder in candidates(owner, root):
        for point in listing_in(folder, (owner,)):
            found.setdefault((point.pid, point.name), point)
    return tuple(sorted(found.values(), key=lambda point: point.pid))


def listing_in(folder: str, owners: Collection[int]) -> tuple[Endpoint, ...]:
    """Every socket in one directory, if it belongs to one of ``owners`` alone."""
    found = []
    for place in _places(folder, owners):
        try:
            names = system.listdir(place)
        except OSError:
            continue
        matches = [_FILE.fullmatch(name) for name in names]
        found += [Endpoint(f"{place}/{match[0]}", int(match[1]), match[2]) for match in matches if match]
    return tuple(found)


def _places(folder: str, owners: Collection[int]) -> list[str]:
    """``folder`` if it belongs to one of ``owners`` alone, else their replacements for it.

    Any user can create a directory in ``/tmp`` under another user's name.  Its contents are not read, and the
    owner's agents listen in one with an unguessable suffix.
    """
    if not system.exists(folder):
        return []
    if any(is_private(folder, uid) for uid in owners):
        return [folder]
    parent, _, name = folder.rpartition("/")
    try:
        siblings = [f"{parent}/{each}" for each in system.listdir(parent) if each.startswith(f"{name}-")]
    except OSError:
        return []
    return sorted(place for place in siblings if any(is_private(place, uid) for uid in owners))


def is_private(folder: str, uid: int) -> bool:
    """Whether it is a directory (not a link to one) of ``uid`` with mode 0700."""
    try:
        found = system.lstat(folder)
    except OSError:
        return False
    return stat.S_ISDIR(found.st_mode) and found.st_uid == uid and not found.st_mode & 0o077


@dataclass(frozen=True, slots=True)
class Peer:
    """Who listens on a socket: pid and uid in our namespace."""

    pid: int
    uid: int


class BusyError(Exception):
    """A process listens but accepts no connection: it is stopped, hung or overloaded."""


def peer(path: str) -> Peer | None:
    """Who listens at ``path``; None: nobody we can reach.  Raises BusyError.

    The file's name holds the pid as the agent sees it, which differs in a container.
    """
    with closing(system.socket(socket.AF_UNIX, socket.SOCK_STREAM)) as probe:
        probe.settimeout(0.5)
        try:
            probe.connect(path)
        except (BlockingIOError, TimeoutError):
            raise BusyError from None
        except OSError:
            return None
        return peer_of(probe)


def peer_of(connection: _socket.socket) -> Peer | None:
    """Who is at the other end; None if the system does not say."""
    if sys.platform == "darwin":
        return _peer_on_mac(connection)
    if not hasattr(socket, "SO_PEERCRED"):
        return None
    raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    pid, uid, _ = struct.unpack("3i", raw)
    return Peer(pid, uid)


def _peer_on_mac(connection: _socket.socket) -> Peer:
    """By the options LOCAL_PEERCRED (a struct xucred: version, uid, groups) and LOCAL_PEERPID."""
    credentials = connection.getsockopt(_SOL_LOCAL, 1, struct.calcsize("IIh16I"))
    pid = connection.getsockopt(_SOL_LOCAL, 2)
    return Peer(pid, struct.unpack_from("II", credentials)[1])


def answers(path: str) -> bool:
    """Whether a process listens at ``path``, even with a full backlog."""
    try:
        return peer(path) is not None
    except BusyError:
        return True


def sweep() -> None:
    """Removes our sockets that no process has open any more."""
    for point in listing():
        if _is_stale(point.path):
            try:
                system.unlink(point.path)
            except OSError:
                pass


def _is_stale(path: str) -> bool:
    """Whether the connection is refused, which means that nobody listens on the socket.

    A stopped or overloaded agent does not refuse (EAGAIN, timeout), and a starting one publishes its socket
    only once it listens.  The pid in the name proves nothing: after ``exec`` it lives on without the socket.
    """
    with closing(system.socket(socket.AF_UNIX, socket.SOCK_STREAM)) as probe:
        probe.settimeout(0.5)
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            return True
        except OSError:
            return False
    return False


def allowed(connection: _socket.socket) -> bool:
    """Whether a client is this user or root.

    Without a peer, or if it has no number in our user namespace, as the machine's root has none in a
    container's: the directory's mode protects.
    """
    peer = peer_of(connection)
    if peer is None or peer.uid in (0, system.geteuid()):
        return True
    return peer.uid == _NO_NUMBER and not _is_everybody_here()


def _is_everybody_here() -> bool:
    """Whether we run in the machine's own user namespace, where each user has a number."""
    try:
        return system.contents("/proc/self/uid_map").split() == [b"0", b"0", b"4294967295"]
    except OSError:
        return True


def impostor(connection: socket.socket, path: str) -> str:
    """Why the agent behind ``path`` is not to be trusted; empty if it is.

    It must run as us or as root; root trusts any user's agent that owns the socket file.
    """
    peer = peer_of(connection)
    if peer is None or peer.uid in (0, system.geteuid()):
        return ""
    if system.geteuid() == 0 and peer.uid == system.lstat(path).st_uid:
        return ""
    return f"{path} is served by uid {peer.uid}, which is neither you nor root"
