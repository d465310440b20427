"""The process as a whole, its event loops and what held them up."""

from __future__ import annotations

from dataclasses import dataclass

from taskscope.model import vocabulary as words  # noqa: TC001  (the fields' types are looked up)
from taskscope.model.frames import Frame  # noqa: TC001  (the fields' types are looked up)

__all__ = ["ConsoleAddress", "Hello", "Loop", "Process", "Stall"]


@dataclass(frozen=True, slots=True)
class Process:
    """The target.  ``started_wall`` is seconds since the epoch, ``memory_limit`` bytes.

    ``thread_limit``: the threads that it may have while others use what they do; ``thread_limit_by`` which
    limit that is.  None: no limit, or unknown.
    """

    pid: int
    name: str
    python: str
    implementation: str
    executable: str
    argv: tuple[str, ...]
    host: str
    user: str
    cwd: str
    started_wall: float
    fd_limit: int | None = None
    memory_limit: int | None = None
    thread_limit: int | None = None
    thread_limit_by: str = ""


@dataclass(frozen=True, slots=True)
class Hello:
    """First answer of an agent.  ``monotonic`` and ``wall`` are read at the same moment."""

    protocol: int
    taskscope: str
    process: Process
    interval: float
    control: bool
    agent_since: float
    monotonic: float
    wall: float
    arrived: words.Arrived = "started"
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ConsoleAddress:
    """Where aiomonitor's console speaks telnet, as the target sees it; host None: none runs."""

    host: str | None
    port: int | None


@dataclass(frozen=True, slots=True)
class Loop:
    """An event loop.  Latencies in seconds over the last minute; ``ready``: callbacks queued."""

    id: int
    kind: str
    thread: int | None
    running: bool
    debug: bool
    live: int
    ready: int | None
    timers: int | None
    latency_p50: float | None
    latency_p99: float | None
    latency_max: float | None
    factory: str


@dataclass(frozen=True, slots=True)
class Stall:
    """A loop did not turn for ``duration`` seconds (``at_least``: or longer, its beginning was not seen).

    ``why``: ``held`` by one call, whose ``stack`` is (innermost first) while it ran ``task``; ``crowd``: it
    was running callback after callback, and ``queued`` were yet to run; ``asleep``: it slept although
    ``queued`` callbacks were ready (0: although a timer was due) since nothing had woken it, and ``stack`` is
    that of the ``task`` which could have gone on; ``stranded``: it slept while ``queued`` tasks (one is
    ``task``) waited for futures that are done, with no callback queued.  ``woken``: we then woke it, for what
    somebody asked of us.  For ``paused`` of these seconds the process neither ran nor used the processor: the
    machine or the process was stopped, or a call held the GIL and waited.
    """

    loop: int
    began: float
    duration: float
    over: bool
    task: int | None
    stack: tuple[Frame, ...]
    queued: int = 0
    why: words.StallWhy = "held"
    at_least: bool = False
    paused: float = 0.0
    woken: bool = False
