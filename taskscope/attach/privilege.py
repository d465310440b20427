"""What the kernel lets us trace, and the lines that give a container the right to."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from taskscope.attach import procfs

_SYS_PTRACE = 19
"""The bit of CAP_SYS_PTRACE: to trace processes of other users, or with capabilities that we lack."""

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


def may_trace_all() -> bool:
    """Whether we have CAP_SYS_PTRACE."""
    return bool(int(procfs.status(os.getpid())["CapEff"], 16) >> _SYS_PTRACE & 1)


def contained() -> bool:
    """Whether we run in a container: it says so, or root has fewer rights than root has."""
    marked = any(Path(mark).exists() for mark in _MARKS) or "KUBERNETES_SERVICE_HOST" in os.environ
    return marked or (os.geteuid() == 0 and not may_trace_all())
