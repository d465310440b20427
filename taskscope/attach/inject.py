"""Makes sure that a process has an agent: the one place that brings it in and explains what fails.

An agent that is there already is used, and an attempt that waits is waited for.  Else a thread of ours is
started in the process at a safe point.  ``sys.remote_exec`` (3.14 and later) is not used: it has to run the
process's own interpreter, which root must not, and what it was asked for cannot be taken back.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from taskscope import __version__, endpoint, wire
from taskscope.attach import attempt, payload, procfs, room
from taskscope.attach.diagnosis import obstacle
from taskscope.attach.errors import AttachError
from taskscope.attach.injector import Injector
from taskscope.attach.outside import Condition, Outside
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

_REACHED = 3.0
"""Seconds within which an agent that says that it runs can be reached; a forked child listens after 1."""

Progress = Callable[[str], None]


def ensure_agent(
    pid: int, *, timeout: float = TIMEOUT, progress: Progress = lambda text: None
) -> endpoint.Endpoint:
    """The endpoint of the agent in process ``pid``, which is brought there if need be.

    ``progress`` gets sentences for the user: how long a thread stood still, what is waited for.
    Raises AttachError: nothing was changed in the target, or, if it says so, the agent comes later.
    """
    target = examine(pid, PATIENCE)
    point = agent_in(pid)
    if point is not None:
        return replace(point, pid=pid)
    with explained(pid):
        earlier = attempt.waiting(pid)
        in_the_way = obstacle(target)
        if in_the_way is not None:
            raise in_the_way
        if earlier is not None and time.time() - earlier.since < LATEST_START:
            earlier.renew()
            progress(f"{earlier} waits in process {pid} already: no other thread is added")
            found = _Waiting(pid, timeout, progress).for_attempt()
            if found is not None:
                return found
    reply = _injected(target, timeout, progress, compiled=target.same_bytecode)
    if reply.get("state") == "foreign":  # of our version, but built to have another bytecode
        reply = _injected(target, timeout, progress, compiled=False)
    return _endpoint(target, reply, timeout, progress)


class _Waiting:
    """For an agent that is on its way into process ``pid``; says once what it is that takes so long."""

    def __init__(self, pid: int, timeout: float, progress: Progress) -> None:
        self._pid = pid
        self._timeout = timeout
        self._progress = progress
        self._deadline = time.monotonic() + timeout
        self.begin()

    def begin(self) -> None:
        """From here on ``_HINT_AFTER`` counts, and the process is compared with what it is now."""
        self._hint = time.monotonic() + _HINT_AFTER
        self._outside = Outside(self._pid)
        self._outside.look()

    def seconds(self) -> float:
        """Until ``told`` has something to say."""
        return max(0.0, min(self._hint, self._deadline) - time.monotonic())

    def told(self) -> None:
        """Says why it takes long, or raises AttachError if there is no more time or no more hope."""
        if self.seconds() > 0:
            return
        condition = self._outside.look()
        if condition.state in ("ended", "replaced", "stopped"):
            raise self.over(condition)
        if time.monotonic() >= self._deadline:
            raise AttachError(
                f"the agent has not started within {self._timeout:g} s: {_reason(self._pid, condition)}",
                f"it starts when that is over, and `taskscope detach {self._pid}` takes it back until then",
            )
        self._progress(f"{_reason(self._pid, condition)}; waiting")
        self._hint = float("inf")

    def over(self, condition: Condition | None = None) -> AttachError:
        """What ended the attempt, as far as it shows."""
        condition = condition or self._outside.look()
        if condition.state in ("ended", "replaced"):
            return AttachError(condition.text)
        if condition.state == "stopped":
            return AttachError(
                f"process {self._pid} was stopped meanwhile; its agent starts when it is continued",
                f"kill -CONT {self._pid}, then attach again",
            )
        return _failure(self._pid, f"process {self._pid} did not start the agent", "try again")

    def for_attempt(self) -> endpoint.Endpoint | None:
        """The agent that an earlier attempt brings; None if that ends without one.  Raises AttachError."""
        while attempt.waiting(self._pid) is not None:
            time.sleep(0.02)
            self.told()
        return self.for_endpoint(_REACHED)

    def for_endpoint(self, seconds: float) -> endpoint.Endpoint | None:
        """The agent as soon as it can be reached; None if it cannot within ``seconds``."""
        deadline = time.monotonic() + seconds
        while True:
            point = agent_in(self._pid)
            if point is not None:
                return replace(point, pid=self._pid)
            if procfs.ended(self._pid):
                raise self.over()
            if time.monotonic() > deadline:
                return None
            time.sleep(0.02)


def _failure(pid: int, text: str, remedy: str = "") -> AttachError:
    """Nothing of the agent is left; what the process has run short of meanwhile explains most such ends."""
    with contextlib.suppress(OSError):
        lacking = room.shortage(pid)
        if lacking is not None:
            return AttachError(f"process {pid} is left unchanged: it {lacking.text}", lacking.remedy)
    return AttachError(text, remedy)


def _reason(pid: int, condition: Condition) -> str:
    return f"process {pid} has not run it yet" if condition.state == "silent" else condition.text


def _injected(target: Target, timeout: float, progress: Progress, *, compiled: bool) -> dict[str, str]:
    """Starts a thread in the target that starts the agent; its reply.  Raises AttachError."""
    program = payload.program("injected", LATEST_START, compiled=compiled)
    waiting = _Waiting(target.pid, timeout, progress)
    with Injector(target, program, SAFE_POINT_SECONDS) as injector:
        while True:
            event = injector.event(waiting.seconds())
            if event is None:
                waiting.told()
            elif event["event"] == "refused":
                raise AttachError(event["sentence"], event["remedy"])
            elif event["event"] == "injected":
                waiting.begin()
                progress(_stopped(event))
            elif event["event"] == "reply":
                return _fields(event["text"])
            else:
                raise waiting.over()


def _stopped(event: dict[str, Any]) -> str:
    tries = f" (the longest of {event['tries']} stops)" if event["tries"] > 1 else ""
    still = f"thread {event['thread']} stood still for {event['stopped'] * 1000:.1f} ms{tries}"
    return f"{still}; the agent is starting"


def _fields(text: str) -> dict[str, str]:
    """What ``bootstrap.send`` wrote, or whatever else the process did."""
    fields = (field.partition("=") for field in text.split("\0"))
    return {name: wire.clean_text(value) for name, _, value in fields}


def _endpoint(target: Target, reply: dict[str, str], timeout: float, progress: Progress) -> endpoint.Endpoint:
    """Where the agent that replied can be reached from here.  Raises AttachError."""
    pid, state = target.pid, reply.get("state")
    if state == "failed":
        where = f" ({reply['where']})" if reply.get("where") else ""
        raise _failure(pid, f"the agent could not start in process {pid}: {reply.get('error')}{where}")
    if state not in {"started", "running", "busy"}:
        raise _failure(pid, f"process {pid} did not start the agent", "try again")
    version = reply.get("taskscope", __version__)
    if version != __version__:
        progress(f"the agent in process {pid} is TaskScope {version}, this is {__version__}")
    # "busy": somebody else is bringing one in at this moment.
    found = _Waiting(pid, timeout, progress).for_endpoint(timeout if state == "busy" else _REACHED)
    if found is None:
        raise AttachError(
            f"process {pid} has an agent, but its socket cannot be found or reached",
            "attach as its user or as root, with the TASKSCOPE_DIR that it has",
        )
    if state == "started":
        progress(f"the agent stays in process {pid}, idle, until `taskscope detach {pid}`")
    return found
