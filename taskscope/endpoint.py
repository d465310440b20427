"""Where agents listen: one directory a user, one socket an agent.

The directory depends on the user id alone (not on the environment of whoever starts what), so that an
operator's shell and a service manager's child agree on it.  It is 0700 and must belong to the user, the
socket is ``PID.NAME.sock`` and 0600.  What anybody else has put in its place is neither read nor believed.
"""

from __future__ import annotations

import errno
import os
import re
import socket
import stat
import struct
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from taskscope.system import system

if TYPE_CHECKING:
    import _socket
    from collections.abc import Callable, Collection, Iterator

    T = TypeVar("T")

MAX_NAME = 32
"""Characters of a name; a Unix socket path holds 107 bytes in all."""

_NOWHERE = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS})
"""Of the process or the machine, not of a directory."""

_NOT_NAME = re.compile(r"[^A-Za-z0-9_-]+")
_FILE = re.compile(rf"([0-9]{{1,10}})\.([A-Za-z0-9_-]{{1,{MAX_NAME}}})\.sock")


class EndpointError(Exception):
    """No place to listen at, in a sentence for the user."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A socket of an agent, perhaps of one that is no more (see ``answers``)."""

    path: str
    pid: int
    name: str


def candidates(uid: int, root: str = "") -> tuple[str, ...]:
    """Directories where agents of ``uid`` may listen, best first.  ``root``: as ``/proc/PID/root``."""
    override = os.environ.get("TASKSCOPE_DIR")
    return (override,) if override else standard(uid, root)


def standard(uid: int, root: str = "") -> tuple[str, ...]:
    """``candidates`` where no TASKSCOPE_DIR is set.  /dev/shm is writable in most read-only containers."""
    return (
        f"{root}/run/user/{uid}/taskscope",
        f"{root}/tmp/taskscope-{uid}",
        f"{root}/dev/shm/taskscope-{uid}",
    )


def first_place(pid: int, name: str, listen: Callable[[str], T]) -> tuple[str, T]:
    """The best path where ``listen`` works for the agent of that process, and what that gave.

    A full disk takes a directory and no socket: then the next one is tried.  Raises EndpointError, OSError.
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
    """Those where agents of this process may listen, best first, each made if needed.

    After the last it raises EndpointError, which says why no other can be used.
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
    """``path`` or what stands for it, made if needed.  Raises OSError."""
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
    if len(os.fsencode(path)) > 106:  # one is kept for the name it has before it listens
        raise EndpointError(f"{path} is too long for a socket; set TASKSCOPE_DIR to a shorter directory")
    return path


def listing(uid: int | None = None, root: str = "") -> tuple[Endpoint, ...]:
    """Every socket in the directories of ``uid`` (default: ours), in order of pid."""
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
    """``folder`` if it belongs to one of ``owners`` alone, else those of theirs that stand for it.

    Anybody may make a directory in ``/tmp`` under somebody else's name.  What lies in it is not read, and
    the owner's agents listen in one whose name has a suffix that nobody could know.
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
    """Whether it is a directory, not a link to one, of ``uid`` with mode 0700."""
    try:
        found = system.lstat(folder)
    except OSError:
        return False
    return stat.S_ISDIR(found.st_mode) and found.st_uid == uid and not found.st_mode & 0o077


@dataclass(frozen=True, slots=True)
class Peer:
    """Who listens on a socket: pid and uid as we see them."""

    pid: int
    uid: int


class BusyError(Exception):
    """Somebody listens, but takes no further connection: stopped, hung, or overrun."""


def peer(path: str) -> Peer | None:
    """Who listens at ``path``; None: nobody that we could reach.  Raises BusyError.

    The file's name holds the pid that the agent sees itself, which in a container is another one.
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
    """Who is at the other end; None where the system does not say."""
    if not hasattr(socket, "SO_PEERCRED"):
        return None
    raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    pid, uid, _ = struct.unpack("3i", raw)
    return Peer(pid, uid)


def answers(path: str) -> bool:
    """Whether somebody listens at ``path``, be it without room for us."""
    try:
        return peer(path) is not None
    except BusyError:
        return True


def sweep() -> None:
    """Removes the sockets of ours that no process has open any more."""
    for point in listing():
        if _is_stale(point.path):
            try:
                system.unlink(point.path)
            except OSError:
                pass


def _is_stale(path: str) -> bool:
    """Whether the connection is refused: the kernel says so only of a socket that nobody listens on.

    A stopped or overrun agent does not refuse (EAGAIN, time-out), and one that starts shows its socket only
    when it listens.  The pid in the name proves nothing: after ``exec`` it lives on without the socket.
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
    """Whether a client is this user or root."""
    peer = peer_of(connection)
    return peer is None or peer.uid in (0, system.geteuid())  # else the directory's mode is all there is


def impostor(connection: socket.socket, path: str) -> str:
    """Why the agent behind ``path`` is not to be believed; empty if it is.

    It runs as us or as root; root believes any user's, if it owns the socket's file.
    """
    peer = peer_of(connection)
    if peer is None or peer.uid in (0, system.geteuid()):
        return ""
    if system.geteuid() == 0 and peer.uid == system.lstat(path).st_uid:
        return ""
    return f"{path} is served by uid {peer.uid}, which is neither you nor root"
