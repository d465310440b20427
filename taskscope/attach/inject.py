"""Makes sure that a process has an agent: the one place that picks the way in and explains what fails.

The ways, in this order: an agent that is there already; ``sys.remote_exec`` (3.14 and later, no stop, but
only for a target that executes bytecode soon); a thread started at a safe point (every version).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from taskscope import __version__, endpoint
from taskscope.attach import payload, procfs, remote_exec
from taskscope.attach.errors import AttachError
from taskscope.attach.injector import Injector
from taskscope.attach.presence import agent_in
from taskscope.attach.target import PATIENCE, Target, examine, explained

__all__ = ["TIMEOUT", "AttachError", "ensure_agent"]

TIMEOUT = 30.0
"""Seconds to wait for the agent's first answer unless the caller says otherwise."""

SAFE_POINT_SECONDS = 5.0
"""For so long a safe point is looked for."""

LATEST_START = 3600.0
"""Seconds after which an injected thread that never got the GIL no longer starts the agent."""

_HINT_AFTER = 1.5
"""Seconds without an answer after which we say what the target is probably doing."""

Progress = Callable[[str], None]


def ensure_agent(
    pid: int, *, timeout: float = TIMEOUT, progress: Progress = lambda text: None
) -> endpoint.Endpoint:
    """The endpoint of the agent in process ``pid``, which is brought there if need be.

    ``progress`` gets sentences for the user: which way, how long a thread stood still, what is waited for.
    Raises AttachError: nothing was changed in the target, or, if it says so, the agent comes later.
    """
    target = examine(pid, PATIENCE)
    point = agent_in(pid)
    if point is not None:
        return replace(point, pid=pid)
    if target.stopped:
        progress(f"process {pid} is stopped: its agent starts when it is continued (kill -CONT {pid})")
    reply = None
    with explained(pid):
        if remote_exec.possible(target):
            reply = remote_exec.attempt(target)
    if reply is not None and reply["state"] == "started":
        progress(f"process {pid} started the agent itself (sys.remote_exec): nothing was stopped")
    if reply is None or reply["state"] == "late":
        reply = _injected(target, timeout, progress)
    return _endpoint(target, reply, timeout, progress)


def _injected(target: Target, timeout: float, progress: Progress) -> dict[str, Any]:
    """Starts a thread in the target that starts the agent; its reply.  Raises AttachError."""
    program = payload.for_pipe("injected", LATEST_START)
    deadline = time.monotonic() + timeout
    hint = time.monotonic() + _HINT_AFTER
    injected = False
    with Injector(target, program, SAFE_POINT_SECONDS) as injector:
        while True:
            event = injector.event(max(0.0, min(hint, deadline) - time.monotonic()))
            if event is None and time.monotonic() >= deadline:
                raise AttachError(*_overdue(target, timeout, injected=injected))
            if event is None:
                progress(_waiting(target, injected=injected))
                hint = float("inf")
            elif event["event"] == "refused":
                raise AttachError(event["sentence"], event["remedy"])
            elif event["event"] == "injected":
                injected = True
                hint = time.monotonic() + _HINT_AFTER
                progress(_stopped(event))
            elif event["event"] == "reply":
                return event
            elif procfs.ended(target.pid):
                raise AttachError(f"process {target.pid} has ended")
            else:
                raise AttachError(f"process {target.pid} did not start the agent", "try again")


def _stopped(event: dict[str, Any]) -> str:
    tries = f" (the longest of {event['tries']} stops)" if event["tries"] > 1 else ""
    still = f"thread {event['thread']} stood still for {event['stopped'] * 1000:.1f} ms{tries}"
    return f"{still}; the agent is starting"


def _waiting(target: Target, *, injected: bool) -> str:
    if not injected:
        return f"looking for a moment when process {target.pid} can be stopped safely"
    if target.stopped:
        return f"process {target.pid} is still stopped; its agent starts when it is continued"
    return f"process {target.pid} does not let Python run: a C call holds the GIL; waiting for it to return"


def _overdue(target: Target, timeout: float, *, injected: bool) -> tuple[str, str]:
    if not injected:
        return f"process {target.pid} could not be stopped within {timeout:g} s", "try again"
    if target.stopped:
        return (
            f"process {target.pid} is stopped; its agent starts when it is continued",
            f"kill -CONT {target.pid}, then attach again",
        )
    return (
        f"process {target.pid} has not run the agent within {timeout:g} s: a C call holds the GIL",
        "the agent starts when that call returns; attach again then",
    )


def _endpoint(target: Target, reply: dict[str, Any], timeout: float, progress: Progress) -> endpoint.Endpoint:
    """Where the agent that replied can be reached from here.  Raises AttachError."""
    state = reply["state"]
    if state == "failed":
        where = f" ({reply['where']})" if reply.get("where") else ""
        raise AttachError(f"the agent could not start in process {target.pid}: {reply['error']}{where}")
    if state == "busy" or not reply["socket"]:
        # Somebody else is bringing one in, or a child was forked from a process that has one.
        return _awaited(target, timeout)
    if reply["taskscope"] != __version__:
        progress(
            f"the agent in process {target.pid} is TaskScope {reply['taskscope']}, this is {__version__}"
        )
    path = target.root + reply["socket"]
    if not endpoint.answers(path):
        if procfs.ended(target.pid):
            raise AttachError(f"process {target.pid} has ended")
        raise AttachError(
            f"process {target.pid} has an agent, but its socket {path} cannot be reached",
            "attach as its user or as root",
        )
    if state == "started":
        progress(f"the agent stays in process {target.pid}, idle, until `taskscope detach {target.pid}`")
    name = Path(path).name.removesuffix(".sock").partition(".")[2]
    return endpoint.Endpoint(path, target.pid, name)


def _awaited(target: Target, seconds: float) -> endpoint.Endpoint:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        point = agent_in(target.pid)
        if point is not None:
            return replace(point, pid=target.pid)
        if procfs.ended(target.pid):
            raise AttachError(f"process {target.pid} has ended")
        time.sleep(0.02)
    raise AttachError(f"another attacher's agent did not appear in process {target.pid}", "try again")
