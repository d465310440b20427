"""The process, its event loops and their stalls."""

from __future__ import annotations

from taskscope.model import vocabulary as words  # noqa: TC001  (field types are resolved at run time)
from taskscope.model.descriptors import Descriptor  # noqa: TC001  (field types are resolved at run time)
from taskscope.model.frames import Frame  # noqa: TC001  (field types are resolved at run time)
from taskscope.values import dataclass

__all__ = [
    "LATENCY_BOUNDS",
    "ConsoleAddress",
    "Hello",
    "LatencyCounts",
    "Loop",
    "Process",
    "Silence",
    "Stall",
]


@dataclass(frozen=True, slots=True)
class Process:
    """The target.  ``started_wall`` is in seconds since the epoch, ``memory_limit`` in bytes.

    ``thread_limit``: the threads it may have given what other processes use now; ``thread_limit_by``: which
    limit that is.  None: no limit, or unknown.  ``unseen``: what else runs tasks in it, seen so far.
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
    unseen: tuple[words.Unseen, ...] = ()

    def limit(self, resource: words.Resource) -> int | None:
        """The most it may have of a resource."""
        return {"fds": self.fd_limit, "rss": self.memory_limit, "threads": self.thread_limit}[resource]


@dataclass(frozen=True, slots=True)
class Hello:
    """An agent's first answer.  ``monotonic`` and ``wall`` are read at the same moment."""

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

    @property
    def counts_births(self) -> bool:
        """Whether births, parents and ends are known; else only what a look happens to show."""
        return self.arrived != "outside"

    @property
    def counts_tasks(self) -> bool:
        """Whether all tasks are seen; from outside those of trio never are."""
        return self.arrived != "outside" or not {"asyncio", "trio"}.intersection(self.process.unseen)

    @property
    def finds_hangs(self) -> bool:
        """Whether somebody inside looks for what hangs, and for causes; else only growth is found."""
        return self.arrived in ("started", "injected")


@dataclass(frozen=True, slots=True)
class Silence:
    """No sample for ``seconds``, and why: ``text`` is a sentence without a full stop.

    ``from_outside``: samples come, but the process runs no Python code.
    """

    seconds: float
    state: words.ProcessState
    text: str
    from_outside: bool = False

    @property
    def what(self) -> str:
        return "no Python code" if self.from_outside else "no samples"

    @property
    def lasted(self) -> str:
        """``no Python code for 12 s``."""
        return f"{self.what} for {self.seconds:.0f} s" if self.seconds >= 0.5 else self.what

    @property
    def said(self) -> str:
        """``no Python code for 12 s: process 7 is stopped``."""
        return f"{self.lasted}: {self.text}"


@dataclass(frozen=True, slots=True)
class ConsoleAddress:
    """Where aiomonitor's telnet console listens, as seen from the target; host None: none runs."""

    host: str | None
    port: int | None


@dataclass(frozen=True, slots=True)
class Loop:
    """An event loop.  Latencies are seconds over the last minute; ``ready``: queued callbacks.

    ``made``: the line that made it, None if it is older than the agent.
    """

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
    made: Frame | None = None


LATENCY_BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Seconds: the upper bounds of the latencies that are counted together; those above the last are, too."""


@dataclass(frozen=True, slots=True)
class LatencyCounts:
    """How late loops have been since the agent started: ``counts`` per bound, and their ``total`` in seconds.

    Each loop is looked at five times a second: what counts is how late a callback would have run then.
    """

    counts: tuple[int, ...]
    total: float


@dataclass(frozen=True, slots=True)
class Stall:
    """A loop did not turn for ``duration`` seconds (``at_least``: or longer, its start was not observed).

    ``why``: ``held``: blocked by one call with this ``stack`` (innermost first) while running ``task``;
    ``crowd``: it ran callback after callback, with ``queued`` yet to run; ``asleep``: it slept with
    ``queued`` callbacks ready (0: a timer overdue) because nothing woke it, and ``stack`` is that of a
    ``task`` that could run; ``stranded``: it slept while ``queued`` tasks (one is ``task``) waited for
    futures already done, with no callback queued.  ``woken``: TaskScope woke it to run a request.
    ``paused``: seconds in which the process used no CPU: it or the machine was stopped, or a call waited
    while holding the GIL.  ``starved``: seconds in which the loop's thread could have run and got no CPU,
    because of ``shortage``.  ``collected``: seconds that the garbage collector took.  ``call``: the function
    that the innermost user frame had called; ``doing``: what the thread waited for, "" if it ran; on
    ``descriptors``.  ``callback``: the function to run, of a loop asleep, if it is no task's; defined at
    ``stack``; ``queued_at``: the line that queued it from another thread, None: not known.
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
    call: str = ""
    doing: str = ""
    descriptors: tuple[Descriptor, ...] = ()
    starved: float = 0.0
    shortage: words.Shortage = ""
    collected: float = 0.0
    callback: str = ""
    queued_at: Frame | None = None
