"""Ensures that a process has an agent: the only place that injects it and explains failures.

A running agent is used, and a pending attempt is waited for.  Otherwise a new thread is started in the
process at a safe point.  ``sys.remote_exec`` (3.14 and later) is not used: it must run the process's own
interpreter, which root must not, and its request cannot be withdrawn.
"""

from __future__ import annotations

import contextlib
import functools
import math
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from taskscope import __version__, endpoint, wire
from taskscope.attach import attempt, mutexes, payload, procfs, room
from taskscope.attach.diagnosis import obstacle
from taskscope.attach.errors import AttachError
from taskscope.attach.injector import Injector
from taskscope.attach.outside import THAW, Condition, Outside
from taskscope.attach.patience import await_gil
from taskscope.attach.presence import agent_in, staying
from taskscope.attach.target import PATIENCE, Target, examine, explained
from taskscope.interpreter import READ_ONLY

__all__ = ["TIMEOUT", "AttachError", "ensure_agent"]

TIMEOUT = 30.0
"""Default seconds to wait for the agent's first answer."""

SAFE_POINT_SECONDS = 5.0
"""Seconds to search for a safe point."""

LATEST_START = 3600.0
"""Seconds after which an injected thread that never got the GIL no longer starts the agent."""

_HINT_AFTER = 1.5
"""Seconds without an answer before reporting what the target is probably doing."""

_ON_THEIR_WAY = ("silent", "starved", "throttled")
"""States of processes in which nothing hinders an agent, but perhaps a lack of CPU time."""

_AGAIN = 1.0
"""Seconds between looks from then on: another reason is reported too."""

_STILL = 10.0
"""Seconds without any work of the agent's thread after which one that has begun is given up.

Less would blame it for a virtual machine that is held up itself.
"""

_ASKED = 0.2
"""Seconds between two questions whether it is still wanted."""

_REACHED = 3.0
"""Seconds within which a running agent must be reachable; a forked child listens after 1 s."""

Progress = Callable[[str], None]


def ensure_agent(
    pid: int,
    *,
    timeout: float = TIMEOUT,
    lingers: float = math.inf,
    progress: Progress = lambda text: None,
    stays: Progress | None = None,
    wanted: Callable[[], bool] = lambda: True,
) -> endpoint.Endpoint:
    """The endpoint of the agent in process ``pid``, injected if necessary.

    ``lingers``: seconds without a client after which an injected one leaves again.  ``progress`` gets
    sentences for the user: how long a thread was stopped, what is awaited; ``stays``, else ``progress``, that
    the agent stays.  ``wanted``: asked several times
    a second; once it is not, that is the end.
    Raises AttachError: no agent starts, now or later.
    """
    target = examine(pid, PATIENCE)
    point = agent_in(pid)
    if point is not None:
        return replace(point, pid=pid)
    waiting = _Waiting(pid, timeout, progress, wanted)
    try:
        return _brought_in(target, waiting, lingers, stays or progress)
    except BaseException:
        with contextlib.suppress(OSError):
            _withdraw(pid)
        raise


def _withdraw(pid: int) -> None:
    """Makes an attempt that is still pending do nothing.  Raises OSError."""
    pending = attempt.waiting(pid)
    if pending is not None:
        pending.take_back()


def _brought_in(target: Target, waiting: _Waiting, lingers: float, stays: Progress) -> endpoint.Endpoint:
    pid, progress = target.pid, waiting.progress
    with explained(pid):
        earlier = attempt.waiting(pid)
        in_the_way = obstacle(target)
        if in_the_way is not None:
            raise in_the_way
        await_gil(pid, waiting.timeout, progress, waiting.wanted)
        if earlier is not None and time.time() - earlier.since < LATEST_START:
            earlier.renew()
            progress(f"{earlier} is already pending in process {pid}: no thread is added")
            found = waiting.for_attempt()
            if found is not None:
                return found
    program = functools.partial(payload.program, "injected", LATEST_START, lingers=lingers)
    reply = _injected(target, waiting, program(compiled=target.same_bytecode))
    if reply.get("state") == "foreign":  # our version, but with different bytecode
        reply = _injected(target, waiting, program(compiled=False))
    point = _endpoint(target, reply, waiting)
    if reply.get("state") == "started":
        stays(staying((pid,), lingers))
    return point


class _Waiting:
    """Waits for an agent that is starting in process ``pid``; reports why it takes long, each reason once."""

    def __init__(self, pid: int, timeout: float, progress: Progress, wanted: Callable[[], bool]) -> None:
        self._pid = pid
        self.timeout = timeout
        self.progress = progress
        self.wanted = wanted
        self._outside = Outside(pid)
        self._told: set[tuple[object, ...]] = set()
        self._look_from_now()
        self._deadline = math.inf
        self._begun = False

    def begin(self) -> None:
        """A thread was injected: from now on the time counts."""
        self._look_from_now()
        self._deadline = time.monotonic() + self.timeout
        self._begun = True

    def _look_from_now(self) -> None:
        self._hint = time.monotonic() + _HINT_AFTER
        self._outside.forget()
        self._outside.look()

    def seconds(self) -> float:
        """Seconds until ``report`` is due."""
        return min(_ASKED, self._due())

    def _due(self) -> float:
        """Seconds until it has to look."""
        return max(0.0, min(self._hint, self._deadline) - time.monotonic())

    def report(self) -> None:
        """Reports why it takes long, or raises AttachError on timeout or if it cannot succeed.

        An agent that is on its way is waited for, however slow the machine is.
        """
        if not self.wanted():
            raise AttachError(f"attaching to process {self._pid} was given up")
        if self._due() > 0:
            return
        pending, thread = self._pending()
        entered = pending is not None and pending.entered
        condition = self._outside.look(thread, entered=entered)
        if condition.state in ("ended", "replaced", "stopped", "frozen"):
            raise self.over(condition)
        if condition.state == "traced" and not self._begun:
            condition = Condition("silent", "")  # by our own injector
        reason = _reason(self._pid, condition, pending)
        moves = entered and condition.state in _ON_THEIR_WAY and self._outside.ran(thread)
        if time.monotonic() >= self._deadline and not moves:
            raise AttachError(
                f"the agent has not started within {self.timeout:g} s: {reason}",
                f"the attempt is withdrawn; {READ_ONLY}",
            )
        kind = (condition.state, pending is None, entered)
        if kind not in self._told:
            self._told.add(kind)
            self.progress(f"{reason}; waiting")
        self._hint = time.monotonic() + _AGAIN
        if moves:
            self._deadline = max(self._deadline, time.monotonic() + _STILL)

    def _pending(self) -> tuple[attempt.Attempt | None, int]:
        """The thread that was injected, if it has not ended, and its id here."""
        try:
            pending = attempt.waiting(self._pid)
            return pending, mutexes.outer(self._pid, pending.thread) if pending and pending.thread else 0
        except OSError:
            return None, 0  # the process has ended

    def over(self, condition: Condition | None = None) -> AttachError:
        """The apparent reason why the attempt ended."""
        condition = condition or self._outside.look()
        if condition.state in ("ended", "replaced"):
            return AttachError(condition.text)
        if condition.state in ("stopped", "frozen"):
            resume = THAW if condition.state == "frozen" else f"kill -CONT {self._pid}, then attach again"
            meanwhile = f"process {self._pid} was {condition.state} meanwhile"
            return AttachError(f"{meanwhile}, so no agent starts in it", resume)
        return _failure(self._pid, f"process {self._pid} did not start the agent", "try again")

    def for_attempt(self) -> endpoint.Endpoint | None:
        """The agent that an earlier attempt starts; None if it ends without one.  Raises AttachError."""
        self.begin()
        while (pending := attempt.waiting(self._pid)) is not None:
            if pending.taken_back:  # by another client, which has given up
                pending.renew()
            time.sleep(0.02)
            self.report()
        return self.for_endpoint(_REACHED)

    def for_endpoint(self, seconds: float) -> endpoint.Endpoint | None:
        """The agent as soon as it is reachable; None if it is not within ``seconds``."""
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
    """The error for an attempt that left nothing behind; a resource shortage explains most."""
    with contextlib.suppress(OSError):
        lacking = room.shortage(pid)
        if lacking is not None:
            return AttachError(f"process {pid} is left unchanged: it {lacking.text}", lacking.remedy)
    return AttachError(text, remedy)


def _reason(pid: int, condition: Condition, pending: attempt.Attempt | None) -> str:
    if condition.state not in _ON_THEIR_WAY or condition.state == "throttled":
        return condition.text
    if pending is None:
        return f"process {pid} has not been entered yet"
    return (
        f"the agent is starting in process {pid}" if pending.entered else f"process {pid} has not run it yet"
    )


def _injected(target: Target, waiting: _Waiting, program: str) -> dict[str, str]:
    """Starts a thread in the target that starts the agent; its reply.  Raises AttachError."""
    with Injector(target, program, SAFE_POINT_SECONDS) as injector:
        while True:
            event = injector.event(waiting.seconds())
            if event is None:
                waiting.report()
            elif event["event"] == "refused":
                raise AttachError(event["sentence"], event["remedy"])
            elif event["event"] == "injected":
                waiting.begin()
                waiting.progress(_stopped(event))
            elif event["event"] == "reply":
                return _fields(event["text"])
            else:
                raise waiting.over()


def _stopped(event: dict[str, Any]) -> str:
    tries = f" (the longest of {event['tries']} stops)" if event["tries"] > 1 else ""
    still = f"thread {event['thread']} was stopped for {event['stopped'] * 1000:.1f} ms{tries}"
    return f"{still}; the agent is starting"


def _fields(text: str) -> dict[str, str]:
    """The fields ``bootstrap.send`` wrote, or whatever else the process wrote."""
    fields = (field.partition("=") for field in text.split("\0"))
    return {name: wire.clean_text(value) for name, _, value in fields}


def _endpoint(target: Target, reply: dict[str, str], waiting: _Waiting) -> endpoint.Endpoint:
    """Where the agent that replied is reachable from here.  Raises AttachError."""
    pid, state = target.pid, reply.get("state")
    if state == "failed":
        where = f" ({reply['where']})" if reply.get("where") else ""
        raise _failure(pid, f"the agent could not start in process {pid}: {reply.get('error')}{where}")
    if state not in {"started", "running", "busy"}:
        raise _failure(pid, f"process {pid} did not start the agent", "try again")
    version = reply.get("taskscope", __version__)
    if version != __version__:
        waiting.progress(f"the agent in process {pid} is TaskScope {version}, this is {__version__}")
    # "busy": another client is injecting one right now.
    found = waiting.for_endpoint(waiting.timeout if state == "busy" else _REACHED)
    if found is None:
        raise AttachError(
            f"process {pid} has an agent, but its socket cannot be found or reached",
            "attach as its user or as root, with its TASKSCOPE_DIR",
        )
    return found
