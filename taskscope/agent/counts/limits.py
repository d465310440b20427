"""How many descriptors and threads and how much memory this process may use.

The thread limit is shared: we may have our own threads plus what other processes leave.  Of several limits
the tightest counts.  Read at start and then every ``EVERY`` seconds, because limits can change at run time.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from taskscope import cgroups
from taskscope.agent.inspect.walk import spent
from taskscope.system import system
from taskscope.values import dataclass

if TYPE_CHECKING:
    from taskscope import model
    from taskscope.agent.inspect.walk import Job

EVERY = 60.0
"""Seconds between readings.  One takes 0.5 ms, plus 5 µs per process if users have a limit."""

_MAY_EXCEED = (21, 24)
"""Bits of CAP_SYS_ADMIN and CAP_SYS_RESOURCE, which exempt from the per-user limit."""

_EVERYBODY = "0 0 4294967295"
"""The uid map of the initial user namespace."""


@dataclass(frozen=True, slots=True)
class ThreadLimit:
    """``most`` threads for this process given current use; ``by`` is the limit's name."""

    most: int
    by: str


def with_limits(process: model.Process, root: str = "") -> Job[model.Process]:
    """``process`` with its current limits.  ``root`` is a prefix for ``/proc`` and the control groups."""
    threads = yield from thread_limit(root)
    return replace(
        process,
        fd_limit=fd_limit(),
        memory_limit=memory_limit(root),
        thread_limit=threads.most if threads is not None else None,
        thread_limit_by=threads.by if threads is not None else "",
    )


def fd_limit() -> int | None:
    """``RLIMIT_NOFILE``; None: no limit, or unknown."""
    return _soft_limit("RLIMIT_NOFILE")


def memory_limit(root: str = "") -> int | None:
    """Bytes: the least of the limits of its control groups and their parents, and the machine's memory."""
    limits = [each.most for each in cgroups.memory(root)]
    lines = _read(f"{root}/proc/meminfo").splitlines()
    limits += [int(line.split()[1]) * 1024 for line in lines if line.startswith("MemTotal:")]
    return min(limits, default=None)


def thread_limit(root: str = "") -> Job[ThreadLimit | None]:
    """The tightest thread limit; None: unknown."""
    own = _field(_read(f"{root}/proc/self/status"), "Threads:")
    if own is None:
        return None
    left = [(each.left, "pids.max of the control group") for each in cgroups.threads(root)]
    everywhere = _read(f"{root}/proc/loadavg").split()[3:4]
    most = _number(f"{root}/proc/sys/kernel/threads-max")
    if everywhere and most is not None:
        left.append((most - int(everywhere[0].rpartition("/")[2]), "kernel.threads-max"))
    users = _soft_limit("RLIMIT_NPROC")
    if users is not None and not _may_exceed(root):
        now = yield from _threads_of_user(system.getuid(), root)
        left.append((users - now, "RLIMIT_NPROC of the user"))
    if not left:
        return None
    room, by = min(left)
    return ThreadLimit(own + max(0, room), by)


def _may_exceed(root: str) -> bool:
    """Whether the kernel exempts this process from the per-user limit: as root, or by capability."""
    if " ".join(_read(f"{root}/proc/self/uid_map").split()) != _EVERYBODY:
        return False  # root in a user namespace is an ordinary user
    granted = _field(_read(f"{root}/proc/self/status"), "CapEff:", base=16) or 0
    return system.getuid() == 0 or any(granted >> bit & 1 for bit in _MAY_EXCEED)


def _threads_of_user(uid: int, root: str) -> Job[int]:
    """Threads of all visible processes of a user: one ``stat`` per process."""
    found = 0
    for name in system.listdir(f"{root}/proc"):
        if name.isdigit():
            try:
                status = system.stat(f"{root}/proc/{name}/task")
            except OSError:
                continue  # it has ended
            found += status.st_nlink - 2 if status.st_uid == uid else 0
            if spent():
                yield
    return found


def _soft_limit(name: str) -> int | None:
    try:
        import resource

        soft = resource.getrlimit(getattr(resource, name))[0]
    except (ImportError, AttributeError, OSError, ValueError):
        return None
    return soft if 0 < soft < 1 << 62 else None


def _number(path: str) -> int | None:
    """The number in a file; None: no file, or no limit, as each version writes it."""
    text = _read(path).strip()
    return int(text) if text.isdigit() and int(text) < 1 << 60 else None


def _field(text: str, name: str, base: int = 10) -> int | None:
    found = [line for line in text.splitlines() if line.startswith(name)]
    return int(found[0].split()[1], base) if found else None


def _read(path: str) -> str:
    try:
        return system.contents(path).decode()
    except (OSError, UnicodeDecodeError):
        return ""
