"""What the kernel lets us trace, why not more, and the lines that give a container the right to."""

from __future__ import annotations

import os
import re
from pathlib import Path

from taskscope.attach import procfs
from taskscope.values import dataclass

_SYS_PTRACE = 19
"""The bit of CAP_SYS_PTRACE: to trace processes of other users, or with capabilities that we lack."""

_DAC_OVERRIDE = 1

_MARKS = ("/.dockerenv", "/run/.containerenv")


@dataclass(frozen=True, slots=True)
class Fact:
    """One line of a diagnosis."""

    topic: str
    text: str


GRANTS = (
    Fact("docker", "docker run --cap-add=SYS_PTRACE (podman run likewise)"),
    Fact("pod", "securityContext: {capabilities: {add: [SYS_PTRACE]}} in the container's spec"),
    Fact("debug", "kubectl debug -it POD --image=python:3.13 --target=CONTAINER --profile=general"),
    Fact("sidecar", "shareProcessNamespace: true in the pod's spec; that securityContext in the sidecar's"),
)
"""How to run a container that may trace.  ``general`` adds SYS_PTRACE, ``--target`` shows the processes."""

_YAMA = Path("/proc/sys/kernel/yama/ptrace_scope")
_NOBODY = 3
"""The scope in which nobody traces anything; it cannot be lowered."""

_NO_PID = 1 << 31

HIDDEN = "/proc hides the processes of other users here (hidepid): run taskscope as its user or as root"

_ALL_USERS = ["0", "0", "4294967295"]
"""The uid map of the machine's own user namespace."""


def may_trace_all() -> bool:
    """Whether we have CAP_SYS_PTRACE."""
    return bool(int(procfs.status(os.getpid())["CapEff"], 16) >> _SYS_PTRACE & 1)


def may_use_any_file(status: dict[str, str]) -> bool:
    """Whether the process of that status has CAP_DAC_OVERRIDE."""
    return bool(int(status["CapEff"], 16) >> _DAC_OVERRIDE & 1)


def contained() -> bool:
    """Whether we run in a container: it says so, or root has fewer rights than root has."""
    marked = any(Path(mark).exists() for mark in _MARKS) or "KUBERNETES_SERVICE_HOST" in os.environ
    return marked or (os.geteuid() == 0 and not may_trace_all())


def ways(pid: int) -> tuple[Fact, ...]:
    """How a container would reach a process that we cannot, if that is what we lack."""
    lacking = os.geteuid() == 0 and not may_trace_all()
    return GRANTS if contained() and (lacking or not exists(pid)) else ()


def exists(pid: int) -> bool:
    """Whether there is such a process, also one that /proc hides."""
    if not 0 < pid < _NO_PID:  # to the kernel, 0 is our own group
        return False
    try:
        os.kill(pid, 0)
    except PermissionError:
        return True
    except OSError:
        return False
    return True


def hides() -> bool:
    """Whether /proc hides the processes of other users from us."""
    try:
        mounts = [line.split() for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    except OSError:
        return False
    options = [mount[-1] for mount in mounts if mount[4] == "/proc"][-1:]
    hidden, group = (re.search(rf"{name}=(\w+)", "".join(options)) for name in ("hidepid", "gid"))
    if hidden is None or may_trace_all():
        return False
    return group is None or int(group[1]) not in {os.getegid(), *os.getgroups()}


def may_inspect(pid: int) -> bool:
    """Whether the kernel lets us read a process's memory, for which a debugger's permission is needed."""
    try:
        os.close(os.open(f"/proc/{pid}/mem", os.O_RDONLY | os.O_CLOEXEC))
    except PermissionError:
        return False
    except OSError:
        return True  # for another reason
    return True


def remedy(pid: int) -> str:
    """Why the kernel refuses, as far as /proc tells, and what to do."""
    scope = _scope()
    if scope >= _NOBODY:
        return (
            f"{_YAMA} is {scope}: until a reboot nobody may trace a process; "
            "start the program with `taskscope run`"
        )
    if may_trace_all():
        return _refused_although_privileged()
    if os.geteuid() == 0:
        return f"root lacks CAP_SYS_PTRACE here: `taskscope doctor {pid}` shows how a container gets it"
    try:
        theirs, ours = procfs.status(pid), procfs.status(os.getpid())
        is_dumpable = Path(f"/proc/{pid}/stat").stat().st_uid == os.geteuid()
    except OSError:
        return HIDDEN
    for name in ("Uid", "Gid"):
        others = {*theirs[name].split()[:3]} - {*ours[name].split()}
        if others:
            return f"it belongs to {name.lower()} {others.pop()}: run taskscope as that user or as root"
    if int(theirs["CapPrm"], 16) & ~int(ours["CapEff"], 16):
        return "it has more capabilities than taskscope: run taskscope as root"
    if not is_dumpable:
        return "it is protected from debuggers (not dumpable): run taskscope as root"
    if scope:
        lower = "set it to 0, or " if scope == 1 else ""
        return f"{_YAMA} is {scope}: {lower}run taskscope as root"
    return "a seccomp profile or a security module (AppArmor, say) forbids it: run taskscope as root"


def _refused_although_privileged() -> str:
    if Path("/proc/self/uid_map").read_text().split() != _ALL_USERS:
        return "it runs outside of our user namespace: run taskscope there"
    return "CAP_SYS_PTRACE is here: a seccomp profile or a security module (AppArmor, say) forbids it"


def _scope() -> int:
    """How far Yama restricts tracing: 1 to descendants, 2 to CAP_SYS_PTRACE, 3 entirely; 0 if it does not."""
    try:
        return int(_YAMA.read_text())
    except (OSError, ValueError):
        return 0
