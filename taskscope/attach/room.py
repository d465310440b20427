"""Whether a process has the resources for an agent: descriptors, memory and threads, seen from outside."""

from __future__ import annotations

import os
from pathlib import Path

from taskscope import cgroups
from taskscope.attach import procfs
from taskscope.values import dataclass

DESCRIPTORS = 6
"""An agent, its spares and its first client take five, plus one temporarily."""

MEMORY = 48 << 20
"""Bytes of address space: the stacks of two threads, their heaps, the agent's modules."""

RESIDENT = 24 << 20
"""Bytes of memory: an agent takes 11 to 19 MB.  A control group with less left would kill the process."""

THREADS = 2


@dataclass(frozen=True, slots=True)
class Shortage:
    """``text`` continues "process N …"."""

    text: str
    remedy: str


def shortage(pid: int) -> Shortage | None:
    """The resource the process has too little of for an agent; None if none.  Raises OSError."""
    soft, hard = limit(pid, "Max open files")
    free = soft - _descriptors(pid) if soft is not None else DESCRIPTORS
    if free < DESCRIPTORS:
        text = f"only {free} of its {soft} file descriptors free" if free > 0 else "no free file descriptors"
        more = (soft or 0) + 64
        remedy = f"prlimit --pid {pid} --nofile={more}: gives it more" if hard is None or hard >= more else ""
        return Shortage(f"has {text}; an agent needs {DESCRIPTORS}", remedy)
    soft, _ = limit(pid, "Max address space")
    status = procfs.status(pid)
    used = int(status.get("VmSize", "0").split()[0]) << 10
    if soft is not None and soft - used < MEMORY:
        left = max(0, soft - used) >> 20
        return Shortage(f"may allocate only {left} MB more (RLIMIT_AS); an agent needs {MEMORY >> 20}", "")
    return _group_memory(pid) or _group_threads(pid) or _threads(pid, status)


def _group_memory(pid: int) -> Shortage | None:
    tightest = min(cgroups.memory(pid=pid), key=lambda each: each.left, default=None)
    if tightest is None or tightest.left >= RESIDENT:
        return None
    text = (
        f"has only {tightest.left >> 20} MB left of the {tightest.most >> 20} MB of its control group; "
        f"an agent needs {RESIDENT >> 20}"
    )
    return Shortage(text, "raise that limit (memory.max)")


def _group_threads(pid: int) -> Shortage | None:
    tightest = min(cgroups.threads(pid=pid), key=lambda each: each.left, default=None)
    if tightest is None or tightest.left >= THREADS:
        return None
    more = f"only {tightest.left} more thread" if tightest.left else "no more threads"
    text = f"may start {more}: its control group is limited to {tightest.most}; an agent needs {THREADS}"
    return Shortage(text, "raise that limit (pids.max)")


def _descriptors(pid: int) -> int:
    folder = f"/proc/{pid}/fd"
    return os.stat(folder).st_size or len(os.listdir(folder))  # noqa: PTH116, PTH208  (Linux 6.2 counts them)


def _threads(pid: int, status: dict[str, str]) -> Shortage | None:
    soft, _ = limit(pid, "Max processes")
    uid = status["Uid"].split()[0]
    if soft is None or uid == "0":
        return None
    left = soft - _threads_of(uid)
    if left >= THREADS:
        return None
    return Shortage(f"may start no more threads: uid {uid} is at its limit of {soft}", "")


def _threads_of(uid: str) -> int:
    count = 0
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            try:
                status = procfs.status(int(folder.name))
            except OSError:
                continue
            if status["Uid"].split()[0] == uid:
                count += int(status["Threads"])
    return count


def limit(pid: int, name: str) -> tuple[int | None, int | None]:
    """Soft and hard limit by name in ``/proc/PID/limits``; None: unlimited.  Raises OSError."""
    for line in Path(f"/proc/{pid}/limits").read_text().splitlines():
        if line.startswith(f"{name} "):
            soft, hard = line[len(name) :].split()[:2]
            return _number(soft), _number(hard)
    return None, None


def _number(text: str) -> int | None:
    return int(text) if text.isdecimal() else None
