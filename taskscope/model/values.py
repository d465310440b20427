"""What can be observed of a running Python process: plain frozen values, no I/O.

Every value that crosses a boundary (agent to client, source to analysis, store to widget) is one of
these.  Times are monotonic seconds *of the target* unless a name says ``wall``; ages are computed by
whoever draws, as ``sample.monotonic - birth``.  Field names are the JSON names (see ``wire.pack``).
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from taskscope.model import vocabulary as words  # noqa: TC001  (the fields' types are looked up)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = [
    "AGE_EDGES",
    "Ages",
    "Ancestor",
    "ConsoleAddress",
    "Counts",
    "CreationStack",
    "Ended",
    "Executor",
    "Failure",
    "Frame",
    "Group",
    "Hello",
    "History",
    "Loop",
    "Parked",
    "ParkedGroup",
    "Process",
    "Sample",
    "Site",
    "SiteCounts",
    "SiteDetail",
    "SiteHistory",
    "Source",
    "Stall",
    "Task",
    "TaskDetail",
    "TaskPage",
    "Thread",
    "ThreadDetail",
    "TreeGroup",
    "is_full",
]


@dataclass(frozen=True, slots=True)
class Frame:
    """One line of code."""

    file: str
    line: int
    function: str
    origin: words.Origin = "user"


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
class Site:
    """A creation site: the line that starts tasks (or threads) of one coroutine (or target function).

    ``frame`` is the first frame outside the plumbing, ``user_frame`` the nearest one outside the
    standard library and site-packages (None: there is none).  An ``imputed`` one is a guess, see
    ``candidates``; of an ``unknown`` one ``frame`` is where the coroutine is defined.
    ``via``: the line of a library that starts tasks for others, where ``frame`` is who asked it to.
    """

    id: int
    kind: words.SiteKind
    frame: Frame
    user_frame: Frame | None
    coroutine: str
    known: words.Known = "exact"
    candidates: tuple[Frame, ...] = ()
    via: Frame | None = None


@dataclass(frozen=True, slots=True)
class Counts:
    """Totals since the agent started: ``live`` now, the others cumulative.

    ``finished`` returned, ``failed`` raised, ``cancelled`` were cancelled, ``lost`` were destroyed
    while pending, ``unseen`` ended without a trace of how (tasks older than the agent).
    ``born`` counts adopted tasks too, so born = live + finished + failed + cancelled + lost + unseen.
    """

    live: int = 0
    born: int = 0
    finished: int = 0
    failed: int = 0
    cancelled: int = 0
    lost: int = 0
    unseen: int = 0

    @property
    def ended(self) -> int:
        return self.finished + self.failed + self.cancelled + self.lost + self.unseen


@dataclass(frozen=True, slots=True)
class SiteCounts:
    """One site at one sample.  ``oldest`` and ``median`` are births (monotonic) of live tasks.

    ``adopted`` of the born were older than the agent.  ``retained``: done but still referenced.
    """

    site: int
    counts: Counts
    oldest: float | None = None
    median: float | None = None
    adopted: int = 0
    retained: int = 0


@dataclass(frozen=True, slots=True)
class Sample:
    """One tick.  ``sites`` holds only what changed since the sample before (all, if ``full``).

    ``cpu`` and ``agent_cpu`` are cores (0.31 = 31 % of one core) over the last interval, ``rss`` and
    ``agent_memory`` bytes, ``loop_latency`` the worst over loops of the 99th percentile of the last
    minute, in seconds.  None: unknown on this platform.  ``new_sites`` come before they are counted.
    ``process`` is there when one of its limits has changed.
    """

    seq: int
    monotonic: float
    wall: float
    interval: float
    tasks: Counts
    threads: int
    fds: int | None
    rss: int | None
    cpu: float | None
    loop_latency: float | None
    agent_cpu: float | None
    agent_memory: int | None
    full: bool = False
    new_sites: tuple[Site, ...] = ()
    sites: tuple[SiteCounts, ...] = ()
    dropped: dict[str, int] = field(default_factory=dict)
    disarmed: tuple[str, ...] = ()
    process: Process | None = None


@dataclass(frozen=True, slots=True)
class History:
    """Past samples of the whole process, oldest first; finer near the end.  None: unknown then."""

    times: tuple[float, ...]
    tasks: tuple[float | None, ...]
    born: tuple[float | None, ...]
    ended: tuple[float | None, ...]
    threads: tuple[float | None, ...]
    fds: tuple[float | None, ...]
    rss: tuple[float | None, ...]
    cpu: tuple[float | None, ...]
    loop_latency: tuple[float | None, ...]


@dataclass(frozen=True, slots=True)
class SiteHistory:
    """Past counts of one site, oldest first.  Values hold until the next time listed."""

    site: int
    times: tuple[float, ...]
    live: tuple[int, ...]
    born: tuple[int, ...]
    ended: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Parked:
    """Where a pending task is suspended and what it waits on.

    ``frame`` is the innermost frame, ``user_frame`` the innermost one in user code.  ``text`` is what a
    person reads (the same for all tasks that wait alike), ``detail`` what differs from task to task (a
    peer's address, sizes), ``task`` the serial waited for, ``remaining`` seconds left to sleep.
    """

    frame: Frame
    user_frame: Frame | None
    wait: words.Wait
    text: str
    task: int | None = None
    remaining: float | None = None
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Task:
    """A live task.  ``birth`` None: older than the agent.  ``parent`` 0: created outside any task.

    ``orphan``: the parent has ended.  ``cancelling``: number of cancel requests not yet honoured.
    """

    serial: int
    name: str
    coroutine: str
    state: words.TaskState
    site: int
    parent: int
    orphan: bool
    loop: int
    birth: float | None
    cancelling: int = 0
    parked: Parked | None = None


@dataclass(frozen=True, slots=True)
class TaskPage:
    """A page of a list.  ``total`` counts all that match; ``after`` is the cursor for the next page."""

    tasks: tuple[Task, ...]
    total: int
    after: int | None
    exact_total: bool = True


@dataclass(frozen=True, slots=True)
class Ancestor:
    """A task in a parent chain, living or ended."""

    serial: int
    site: int
    name: str
    coroutine: str
    live: bool


@dataclass(frozen=True, slots=True)
class CreationStack:
    """The stack that created one task of a site, innermost first."""

    serial: int
    frames: tuple[Frame, ...]


@dataclass(frozen=True, slots=True)
class TaskDetail:
    """One task.  ``stack`` is the await chain, innermost first; ``created_by`` nearest parent first.

    ``creation`` is this task's own creation stack, or if ``creation_exact`` is false one of the same
    site's.  ``siblings``: live tasks of the same parent.  ``waits_for``: tasks that it awaits.
    ``held_by``: tasks inside ``async with`` on the lock that it waits for.  ``holders``: who refers to the
    bare future that it waits for, in words.
    """

    task: Task
    stack: tuple[Frame, ...]
    waits_for: tuple[Task, ...]
    awaited_by: tuple[Task, ...]
    created_by: tuple[Ancestor, ...]
    creation: tuple[Frame, ...]
    creation_exact: bool
    siblings: int
    held_by: tuple[Task, ...] = ()
    holders: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SiteDetail:
    """A site with the creation stacks sampled from it, and the errors of its tasks, the latest first."""

    site: Site
    counts: SiteCounts
    stacks: tuple[CreationStack, ...]
    failures: tuple[Failure, ...] = ()


@dataclass(frozen=True, slots=True)
class Source:
    """Lines of a source file as the target sees it; ``first`` is the number of the first line."""

    file: str
    first: int
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ParkedGroup:
    """How many tasks wait at one place for one kind of thing.  ``frame`` is the user frame if any."""

    key: str
    frame: Frame
    wait: words.Wait
    text: str
    live: int
    oldest: float | None
    remaining_min: float | None = None
    remaining_max: float | None = None


@dataclass(frozen=True, slots=True)
class Group:
    """Live tasks grouped by something that needs a walk (parent's site, parked-at)."""

    key: str
    label: str
    frame: Frame | None
    live: int
    oldest: float | None
    sites: tuple[int, ...]


AGE_EDGES = (0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 60.0, 180.0, 600.0, 1800.0, 3600.0, 10800.0, 43200.0, 172800.0)
"""Seconds between the bars of ``Ages``."""


@dataclass(frozen=True, slots=True)
class Ages:
    """Histogram of ages: ``counts[i]`` live tasks younger than ``edges[i]`` seconds; last: older."""

    edges: tuple[float, ...]
    counts: tuple[int, ...]
    unknown: int

    @classmethod
    def of(cls, births: Iterable[float | None], now: float) -> Ages:
        """The histogram of what was born then; None: not known when."""
        counts, unknown = [0] * (len(AGE_EDGES) + 1), 0
        for birth in births:
            if birth is None:
                unknown += 1
            else:
                counts[bisect_right(AGE_EDGES, now - birth)] += 1
        return cls(AGE_EDGES, tuple(counts), unknown)


@dataclass(frozen=True, slots=True)
class TreeGroup:
    """Siblings of one site under one node of a task tree, folded.

    ``serials`` are the first few; more come from ``tasks(parent=…, sites=[site])``.  ``children``:
    how many tasks stand under them.  ``ended``: a ghost, it lives on only through its children.
    ``cycle``: already shown above (await graph).
    """

    site: int
    label: str
    live: int
    serials: tuple[int, ...]
    children: int
    oldest: float | None = None
    ended: bool = False
    cycle: bool = False


@dataclass(frozen=True, slots=True)
class Ended:
    """A task that ended lately, and how."""

    serial: int
    site: int
    name: str
    coroutine: str
    outcome: words.Outcome
    error: str
    birth: float | None
    end: float


@dataclass(frozen=True, slots=True)
class Failure:
    """An error that ``count`` tasks of a site ended with, between the moments ``first`` and ``last``.

    Alike are those of one type from one line.  ``error`` is type and message of the last, whose task was
    ``serial``.  ``raised`` is the innermost line of its traceback, ``user_frame`` the innermost of the
    program's own; None: there is none.
    """

    site: int
    error: str
    raised: Frame | None
    user_frame: Frame | None
    count: int
    first: float
    last: float
    serial: int


@dataclass(frozen=True, slots=True)
class Executor:
    """A pool of threads or processes: its workers, and the jobs waiting for one.

    ``max_workers`` 0: the pool has no bound of its own.  ``more_queued``: ``queued`` is a lower bound.
    ``full_since``: it was full, with jobs waiting, each time that somebody looked from then on.
    """

    name: str
    workers: int
    max_workers: int
    queued: int
    id: int = 0
    more_queued: bool = False
    full_since: float | None = None


@dataclass(frozen=True, slots=True)
class Thread:
    """A thread.  ``state`` is as far as it can be told.

    ``ident`` is Python's, ``native_id`` the kernel's (0: unknown), ``cpu`` its seconds of CPU time.
    ``frame``: the innermost of user code, or else the innermost; None: it runs no Python code just now.
    ``python`` false: a native thread that runs no Python code.  ``loop``: id of the loop it runs.
    ``text`` says what it does, the same for all that do alike, ``detail`` what differs from one to another.
    """

    ident: int
    native_id: int
    name: str
    daemon: bool
    python: bool
    site: int | None
    parent: int | None
    birth: float | None
    cpu: float | None
    state: words.ThreadState
    text: str
    loop: int | None
    executor: Executor | None
    frame: Frame | None
    wait: words.Wait = "unknown"
    detail: str = ""

    @property
    def doing(self) -> str:
        """``waits for a socket, 10.0.0.1:443``."""
        return f"{self.text}, {self.detail}" if self.detail else self.text


def is_full(workers: Sequence[Thread]) -> bool:
    """Whether the pool whose threads these are has jobs that wait, and nobody free to take one."""
    pool = workers[0].executor
    return (
        pool is not None
        and 0 < pool.max_workers <= len(workers)
        and pool.queued > 0
        and all(each.state != "idle" for each in workers)
    )


@dataclass(frozen=True, slots=True)
class ThreadDetail:
    """One thread with its stack, innermost first, and the stack that started it."""

    thread: Thread
    stack: tuple[Frame, ...]
    creation: tuple[Frame, ...]


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
