"""Where agents listen: one directory a user, one socket an agent.

The directory depends on the user id alone (not on the environment of whoever starts what), so that an
operator's shell and a service manager's child agree on it.  It is 0700 and must belong to the user, the
socket is ``PID.NAME.sock`` and 0600.
"""

from __future__ import annotations

import os
import re
import socket
import stat
import struct
import sys
from dataclasses import dataclass

_NAME = re.compile(r"[^A-Za-z0-9_-]+")
MAX_NAME = 32
"""Characters of a name; a Unix socket path holds 107 bytes in all."""


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


def directory() -> str:
    """The directory of this process's agents, made if needed.  Raises EndpointError."""
    uid = os.geteuid()
    problem = "no directory to try"
    for path in candidates(uid):
        parent = os.path.dirname(path)  # noqa: PTH120  (pathlib would be one more import in the target)
        if not os.path.isdir(parent) or not os.access(parent, os.W_OK | os.X_OK):  # noqa: PTH112
            problem = f"{parent} is not writable"
            continue
        try:
            os.mkdir(path, 0o700)  # noqa: PTH102
        except FileExistsError:
            pass
        except OSError as error:
            problem = f"{path}: {error.strerror}"
            continue
        found = os.lstat(path)
        if stat.S_ISDIR(found.st_mode) and found.st_uid == uid and not found.st_mode & 0o077:
            return path
        problem = f"{path} must be a directory of uid {uid} with mode 0700; remove it or set TASKSCOPE_DIR"
    raise EndpointError(problem)


def socket_path(pid: int, name: str) -> str:
    """Where the agent of this process listens.  Raises EndpointError."""
    path = f"{directory()}/{pid}.{_NAME.sub('-', name)[:MAX_NAME] or 'python'}.sock"
    if len(os.fsencode(path)) > 106:  # one is kept for the name it has before it listens
        raise EndpointError(f"{path} is too long for a socket; set TASKSCOPE_DIR to a shorter directory")
    return path


def listing(uid: int | None = None, root: str = "") -> tuple[Endpoint, ...]:
    """Every socket in the directories of ``uid`` (default: ours), in order of pid."""
    found: dict[tuple[int, str], Endpoint] = {}
    for folder in candidates(os.geteuid() if uid is None else uid, root):
        for point in listing_in(folder):
            found.setdefault((point.pid, point.name), point)
    return tuple(sorted(found.values(), key=lambda point: point.pid))


def listing_in(folder: str) -> tuple[Endpoint, ...]:
    """Every socket in one directory; none if there is no such directory, or none of ours."""
    try:
        names = os.listdir(folder)  # noqa: PTH208
    except OSError:
        return ()
    entries = [(name, *name.partition(".")[::2]) for name in names]
    return tuple(
        Endpoint(f"{folder}/{name}", int(pid), rest[:-5])
        for name, pid, rest in entries
        if pid.isdigit() and rest.endswith(".sock")
    )


def answers(path: str) -> bool:
    """Whether somebody listens at ``path``.  A dead owner's socket refuses at once."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(0.5)
        try:
            probe.connect(path)
        except TimeoutError:
            return True  # the backlog is full: somebody is there, only slow
        except OSError:
            return False
    return True


def listener(path: str) -> int | None:
    """The pid, as we see it, of whoever listens at ``path``; None: nobody.

    The file name holds the pid that the agent sees itself, which in a container is another one.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(0.5)
        try:
            probe.connect(path)
        except OSError:
            return None
        credentials = probe.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
    return int.from_bytes(credentials[:4], sys.byteorder)


def sweep() -> None:
    """Removes our own stale sockets."""
    for point in listing():
        if not answers(point.path):
            try:
                os.unlink(point.path)  # noqa: PTH108
            except OSError:
                pass


def allowed(connection: socket.socket) -> bool:
    """Whether the peer at the other end of a Unix socket is this user or root."""
    if not hasattr(socket, "SO_PEERCRED"):
        return True  # the directory's mode is all there is
    raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    _, uid, _ = struct.unpack("3i", raw)
    return uid in (0, os.geteuid())
