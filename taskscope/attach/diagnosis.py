"""What attaching to a process would mean, found out without touching it."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass

from taskscope import endpoint
from taskscope.attach import injection, remote_exec
from taskscope.attach.presence import agent_in
from taskscope.attach.target import Target, examine


@dataclass(frozen=True, slots=True)
class Fact:
    """One line of the answer."""

    topic: str
    text: str


def diagnose(pid: int) -> tuple[Fact, ...]:
    """What would happen.  Raises AttachError if the process cannot be attached to."""
    target = examine(pid)
    point = agent_in(pid)
    facts = [
        Fact("python", f"CPython {'.'.join(map(str, target.version))}, {target.executable}"),
        Fact("permission", _permission(target)),
        Fact("namespaces", _namespaces(target)),
        Fact("threads", _threads(target)),
    ]
    if target.stopped:
        facts.append(Fact("stopped", f"the agent would start when it is continued (kill -CONT {pid})"))
    if point is not None:
        facts.append(Fact("agent", f"is there already, at {point.path}: nothing would be changed"))
    else:
        facts.append(Fact("agent", f"none yet; it would listen at {_socket(target)}"))
        facts.append(Fact("way in", _way(target)))
    return tuple(facts)


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
    count = Counter(place for _, place in injection.places(target.pid))
    return (
        f"{count.total()}: {count[injection.SAFE]} at a safe point, {count[injection.RUNNING]} running, "
        f"{count[injection.ELSEWHERE]} elsewhere"
    )


def _socket(target: Target) -> str:
    for folder in endpoint.standard(target.uid, target.root):
        parent = os.path.dirname(folder)  # noqa: PTH120
        if os.access(parent, os.W_OK | os.X_OK):
            return f"{folder}/{target.inner_pid}.NAME.sock"
    return "no place: neither /run/user, /tmp nor /dev/shm can be written to"


def _way(target: Target) -> str:
    stop = "a thread of ours, started while one of its threads stands still for about a millisecond"
    if remote_exec.possible(target):
        return f"sys.remote_exec if its main thread runs Python within {remote_exec.WAIT:g} s; or else {stop}"
    return stop
