"""What attaching to a process would do, determined without touching it."""

from __future__ import annotations

import os
import stat
import time
from collections import Counter

from taskscope import endpoint
from taskscope.attach import attempt, injection, mutexes, outside, procfs, ptrace, room
from taskscope.attach.errors import AttachError, OutOfReachError
from taskscope.attach.patience import kept
from taskscope.attach.presence import agent_in
from taskscope.attach.privilege import Fact, ways
from taskscope.attach.reading.opening import reading
from taskscope.attach.target import Target, examine, explained
from taskscope.interpreter import READ_ONLY
from taskscope.values import dataclass

LOOKS = 4
"""Most looks at threads that wait for a mutex: on a busy machine one may not show who asks for the GIL."""


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """The facts, and the obstacle; None: it can be attached to.  ``ways``: how a container would reach it."""

    facts: tuple[Fact, ...]
    obstacle: AttachError | None
    ways: tuple[Fact, ...] = ()


def diagnose(pid: int) -> Diagnosis:
    """What attaching would do; without facts if the process cannot be inspected."""
    running = agent_in(pid)
    try:
        target = examine(pid)
    except OutOfReachError as error:
        return Diagnosis((), error, ways(pid))
    except AttachError as error:
        if running is not None:  # it was started in there
            return Diagnosis((*_without_gil(pid), _running(running)), None)
        return Diagnosis(_without_gil(pid), error)
    facts = [
        Fact("python", f"CPython {'.'.join(map(str, target.version))}, {target.executable}"),
        Fact("permission", _permission(target)),
        Fact("namespaces", _namespaces(target)),
    ]
    if _declines_debuggers(target):
        facts.append(Fact("debugging", _DECLINED))
    if running is not None:
        return Diagnosis((*facts, _running(running)), None)
    with explained(pid):
        found = waiting(pid) or obstacle(target) or kept(pid)
    if found is None:
        facts += [Fact("threads", _threads(target)), _agent(target), Fact("way in", _WAY)]
    return Diagnosis(tuple(facts), found)


def _without_gil(pid: int) -> tuple[Fact, ...]:
    """Of a free-threaded build, which no agent enters: what can be seen all the same."""
    try:
        with reading(pid) as interpreter:
            off, free_threaded = interpreter.gil().off, interpreter.layout.free_threaded
    except (AttachError, OSError):
        return ()
    if not free_threaded:
        return ()
    version = ".".join(map(str, interpreter.python.version))
    return (
        Fact("python", f"CPython {version}, free-threaded"),
        Fact("GIL", "off: no thread holds it" if off else "on: threads take turns"),
        Fact("shown", _SHOWN),
        Fact("left out", _LEFT_OUT),
    )


def _agent(target: Target) -> Fact:
    return Fact("agent", f"none; it would listen at {_socket(target)}")


def _running(agent: endpoint.Endpoint) -> Fact:
    return Fact("agent", f"already running, at {agent.path}: nothing would change")


def obstacle(target: Target) -> AttachError | None:
    """Why no agent can be injected now although the process may be traced.  Raises OSError."""
    found = _in_the_way(target)
    if found is None:
        return None
    return type(found)(found.sentence, f"{found.remedy}; {READ_ONLY}" if found.remedy else READ_ONLY)


def _in_the_way(target: Target) -> AttachError | None:
    pid = target.pid
    if ptrace.is_forbidden():
        return AttachError(f"process {pid} cannot be traced: a seccomp profile forbids ptrace here", _PTRACE)
    if target.stopped:
        return AttachError(
            f"process {pid} is stopped, so no agent can start in it", f"kill -CONT {pid}, then attach again"
        )
    if procfs.frozen(pid):
        return AttachError(f"{outside.frozen(pid)}, so no agent can start in it", outside.THAW)
    for_good = never_again(pid)
    if for_good is not None:
        return for_good
    lacking = room.shortage(pid)
    if lacking is not None:
        return AttachError(f"process {pid} is left unchanged: it {lacking.text}", lacking.remedy)
    return None if _socket(target) else _no_place(target)


def never_again(pid: int) -> AttachError | None:
    """Whether no Python code can run in a process any more.  Takes 0.5 s or more if it seems so.

    Raises OSError.
    """
    waits = set(mutexes.awaited(pid))
    look = outside.Outside(pid)
    for _ in range(LOOKS if waits else 0):
        look.look()
        time.sleep(outside.APART)
        waits &= set(mutexes.awaited(pid))
        if not waits:
            break
        found = look.look()
        if found.for_good:
            return AttachError(
                found.text, f"end it (kill {pid}); in the program, release the GIL before locking the mutex"
            )
    return None


def waiting(pid: int) -> AttachError | None:
    """Whether an earlier attempt is pending, and why.  Takes 0.5 s if so.  Raises OSError."""
    earlier = attempt.waiting(pid)
    if earlier is None:
        return None
    look = outside.Outside(pid)
    look.look()
    time.sleep(outside.APART)
    reason = look.look()
    does = "will do nothing" if earlier.taken_back else "will start the agent"
    return AttachError(f"{earlier} is pending in process {pid} and {does}: {reason.text}")


def _no_place(target: Target) -> AttachError:
    own = _environment(target.pid).get("TASKSCOPE_DIR")
    folders = own or f"/run/user/{target.inner_uid}, /tmp or /dev/shm"
    return AttachError(
        f"an agent in process {target.pid} would have no place to listen",
        f"uid {target.uid} needs write access to {folders} there; a container may mount a tmpfs",
    )


def _declines_debuggers(target: Target) -> bool:
    """Whether whoever started it asked Python (3.14 and later) for no remote debugging."""
    asked = "disable-remote-debug" in " ".join(procfs.command(target.pid))
    return target.version >= (3, 14) and (asked or bool(_environment(target.pid).get(_DISABLE)))


def _permission(target: Target) -> str:
    ours = os.geteuid()
    if target.uid == ours:
        return f"it belongs to us (uid {ours}) and may be traced"
    return f"it belongs to uid {target.uid}; we are uid {ours} and may trace it"


def _namespaces(target: Target) -> str:
    found = []
    if target.other_pids:
        found.append(f"other processes (it is {target.inner_pid} there)")
    if target.root:
        found.append(f"other files (reached through {target.root})")
    return f"it sees {' and '.join(found)}" if found else "it sees the same processes and files as we do"


def _threads(target: Target) -> str:
    count = Counter(place for _, place in injection.places(target.architecture, target.pid))
    return (
        f"{count.total()}: {count[injection.SAFE]} at a safe point, {count[injection.RUNNING]} running, "
        f"{count[injection.ELSEWHERE]} elsewhere"
    )


def _socket(target: Target) -> str:
    """Where an agent would listen; empty if nowhere."""
    own = _environment(target.pid).get("TASKSCOPE_DIR")
    for folder in (target.root + own,) if own else endpoint.standard(target.inner_uid, target.root):
        made = endpoint.is_private(folder, target.uid)
        if _may_write(target, folder if made else os.path.dirname(folder)):  # noqa: PTH120
            return f"{folder}/{target.inner_pid}.NAME.sock"
    return ""


def _environment(pid: int) -> dict[str, str]:
    try:
        return procfs.environment(pid)
    except OSError:
        return {}


def _may_write(target: Target, folder: str) -> bool:
    """Whether the target may create files in ``folder``, by owner and mode (its uid may differ from ours)."""
    try:
        found = os.stat(folder)  # noqa: PTH116
        if not stat.S_ISDIR(found.st_mode) or os.statvfs(folder).f_flag & os.ST_RDONLY:
            return False
    except OSError:
        return False
    shift = 6 if found.st_uid == target.uid else 3 if found.st_gid in target.groups else 0
    return target.any_file or found.st_mode >> shift & 3 == 3


_DISABLE = "PYTHON_DISABLE_REMOTE_DEBUG"
_DECLINED = f"switched off by {_DISABLE} or -X: that is sys.remote_exec, which attaching does not use"
_PTRACE = "allow it in the profile (docker run --cap-add=SYS_PTRACE does), or run taskscope outside"
_SHOWN = (
    "with --read-only: threads with their lines and system calls; tasks with what they await, counted by the "
    "line at which they wait"
)
_LEFT_OUT = (
    "what an agent tells: the lines that create tasks, when, and how tasks end; what keeps them from "
    "ending; event loops, timers, other resources"
)
_WAY = "a new thread, started while one of its threads is stopped for about 1 ms"
