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
    if override:
        return (override,)
    return (f"{root}/run/user/{uid}/taskscope", f"{root}/tmp/taskscope-{uid}")


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
    if len(os.fsencode(path)) > 107:
        raise EndpointError(f"{path} is too long for a socket; set TASKSCOPE_DIR to a shorter directory")
    return path


def listing(uid: int | None = None, root: str = "") -> tuple[Endpoint, ...]:
    """Every socket in the directories of ``uid`` (default: ours), in order of pid."""
    found: dict[tuple[int, str], Endpoint] = {}
    for folder in candidates(os.geteuid() if uid is None else uid, root):
        try:
            names = os.listdir(folder)  # noqa: PTH208
        except OSError:
            continue
        for entry in names:
            pid, _, rest = entry.partition(".")
            if pid.isdigit() and rest.endswith(".sock"):
                point = Endpoint(f"{folder}/{entry}", int(pid), rest[:-5])
                found.setdefault((point.pid, point.name), point)
    return tuple(sorted(found.values(), key=lambda point: point.pid))


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


def sweep() -> None:
    """Removes our own stale sockets."""
    for point in listing():
        if not answers(point.path):
            try:
                os.unlink(point.path)  # noqa: PTH108
            except OSError:
                pass
