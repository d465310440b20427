"""Every closed set of words, defined once: a type, and a tuple of its words where needed.

Words cross the wire and are stored in files.  A set grows only with the protocol version, and no word is
ever removed.  Exception: if a set has ``unknown``, readers map words they do not know to it.
"""

from __future__ import annotations

from typing import Literal, get_args

__all__ = [
    "GROUPS",
    "LEVELS",
    "ORDERS",
    "ORIGINS",
    "OUTCOMES",
    "RESOURCES",
    "RESOURCE_KINDS",
    "TASK_STATES",
    "TREES",
    "Arrived",
    "Became",
    "DescriptorKind",
    "EdgeKind",
    "EndingHow",
    "Fate",
    "FindingKind",
    "Gone",
    "GroupBy",
    "Interruption",
    "Known",
    "Level",
    "Lost",
    "Matched",
    "MemberState",
    "NodeKind",
    "Odd",
    "Order",
    "Origin",
    "Outcome",
    "ProcessState",
    "Reading",
    "Reason",
    "Resource",
    "ResourceKind",
    "ResourceState",
    "Role",
    "Shortage",
    "SiteKind",
    "StallWhy",
    "TaskState",
    "ThreadState",
    "TreeBy",
    "Unseen",
    "VerdictReason",
    "Wait",
    "rank",
]

Origin = Literal["user", "library", "stdlib"]
"""Where a file belongs: the program, site-packages, or Python."""
Unseen = Literal["trio", "gevent", "asyncio"]
"""What runs tasks that are not shown.  ``asyncio``: of a process that is only read, if not found."""

ORIGINS: tuple[Origin, ...] = get_args(Origin)

Arrived = Literal["started", "counting", "injected", "aiomonitor", "outside"]
"""How the agent got in: started by the program, also where it can only count, injected, aiomonitor in its
place, or not at all."""

SiteKind = Literal["task", "thread"]

Known = Literal["exact", "imputed", "parked", "unknown"]
"""How a creation site is known: observed, guessed, or not at all.  ``parked``: the line at which its tasks
wait stands for it, as only that is seen from outside."""

Wait = Literal[
    "sleep", "queue.get", "queue.put", "lock", "event", "condition", "semaphore", "barrier",
    "task", "gather", "future", "socket", "executor", "subprocess", "dns", "server",
    "thread", "process", "descriptors", "file", "signal", "input", "job",
    "ready", "running", "unknown",
]  # fmt: skip
"""What a task or thread waits for.  ``executor``: a job it submitted; ``job``: a job to run."""

Fate = Literal["may wake", "stuck", "endless", "lost"]
"""Of a parked task; nothing can wake one of the last three.  ``stuck``: it is kept, and was meant to end;
``endless``: it never was meant to be (``await loop.create_future()``); ``lost``: nothing keeps it either.
"""

TaskState = Literal["pending", "running", "finished", "failed", "cancelled"]
TASK_STATES: tuple[TaskState, ...] = get_args(TaskState)

ThreadState = Literal["running", "idle", "waiting"]

Outcome = Literal["finished", "failed", "cancelled", "lost", "unseen"]
"""How a task ended: returned, raised, cancelled, destroyed while pending, or unobserved."""
OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)

StallWhy = Literal["held", "crowd", "asleep", "stranded"]
"""Why a loop did not turn; see ``Stall``."""

Shortage = Literal["", "throttled", "stolen", "contended", "unknown"]
"""Why a thread that could run got no CPU: the quota of its control group, the hypervisor, other threads."""

Order = Literal["oldest", "newest"]
ORDERS: tuple[Order, ...] = get_args(Order)

GroupBy = Literal["parent", "parked"]
GROUPS: tuple[GroupBy, ...] = get_args(GroupBy)

TreeBy = Literal["parent", "await"]
TREES: tuple[TreeBy, ...] = get_args(TreeBy)

Level = Literal["hang", "spin", "leak", "suspect", "info"]
"""How serious a finding is, worst first.  ``hang``: something waits for what cannot happen; ``spin``: a loop
runs the same callback for ever, and nothing comes of it."""
LEVELS: tuple[Level, ...] = get_args(Level)

Reading = Literal["leak", "suspect", "flat"]
"""The verdict on the counts of one site."""

FindingKind = Literal[
    "task", "thread", "wakeup", "stall", "loop", "executor", "limit", "growth", "deadlock", "cancel",
    "timer", "spin", "churn", "mishap", "resource",
]  # fmt: skip
"""What a finding is about: tasks or threads of a site, a lost wake-up, a blocking line, an overloaded loop, a
saturated pool, an exhausted resource, a resource that grows without tasks, tasks and threads that wait for
each other or for what is gone, a task that runs on after ``cancel()``, timers that pile up, a loop that runs
for nothing, tasks that are started ever more often or for nothing, tasks of one line that fail, time out, or
were created in the wrong loop or thread, other resources that pile up."""

VerdictReason = Literal[
    "bounded", "replaces older ones", "drains", "ends", "no gain", "gives back", "stopped", "levels off",
    "follows load",
    "only one step so far", "too early", "slows down", "none ends", "some end", "in use",
    "below its earlier peak",
    "keeps", "some stay", "stuck",
]  # fmt: skip
"""What decided on the reading of a site: those for ``flat``, for ``suspect``, for ``leak``."""

Reason = Literal[
    VerdictReason,
    "plateau", "lost", "retained", "long-lived",
    "overslept", "stall", "paused", "collected", "crowded", "saturated", "limit", "unexplained",
    "deadlock", "cancelled", "spins", "churns",
    "wrong loop", "wrong thread", "failing", "timed out", "ending",
]  # fmt: skip
"""Why there is a finding: a verdict, a note on a site, or one on the process."""

DescriptorKind = Literal[
    "tcp", "udp", "unix", "socket", "pipe", "file", "terminal", "device",
    "epoll", "eventfd", "timer", "signals", "inotify", "process", "unknown",
]  # fmt: skip
"""What a descriptor is.  ``socket``: of another family; ``process``: a pidfd."""

NodeKind = Literal["task", "thread", "lock", "slots", "pool", "rest", "channel", "process"]
"""What waits, or is waited for.  ``slots``: a semaphore, a limiter, or a queue that lends what it holds;
``channel``: room or data in a pipe or socket; ``process``: another one;
``rest``: the whole process, where any task or thread could end the wait, if only it ran."""

EdgeKind = Literal["waits", "held", "runs", "ends", "loop", "woken", "reads", "writes"]
"""How one thing waits for another: it waits for a lock or a place; a lock is held; a worker runs the job; the
other has to end; the other runs the loop; only the other is left to wake it; the other has to read or write
the other end."""

EndingHow = Literal["threads", "loop", "executor", "processes", "handlers"]
"""What ends, and waits: the interpreter for its threads, ``asyncio.run``, the executors at exit, the same for
child processes of multiprocessing, other functions that ``atexit`` calls."""

Gone = Literal["", "fork", "thread", "task", "nobody"]
"""Why nothing gives a lock back: its owner stayed behind at a fork, or is a thread or task that has ended.
Of a task, ``nobody``: nothing that lives can reach what it waits for."""

Lost = Literal["slots", "items", "members"]
"""What was taken and is not given back: slots of a semaphore or lock, items of a queue, members of a pool."""

Interruption = Literal["", "finaliser", "signal handler", "collector"]
"""What may run code in the middle of other code of the same thread."""

Became = Literal["came", "grew", "same", "shrank", "went"]
"""What became of a site from one snapshot to another."""

Matched = Literal["line", "moved", "edited", "path"]
"""How a site of another observation was found again: the same line; the same function, where the line has
moved or reads differently; the same file in another folder."""

Role = Literal["", "forked", "spawned", "fork server", "resource tracker"]
"""What a Python process is for the one that started it, as its command line tells; the last two belong to
multiprocessing itself and run nothing of the program."""

MemberState = Literal["found", "attached", "helper", "refused", "ended"]
"""Of a process in a group.  ``found``: its agent has not answered yet; ``helper``: one of multiprocessing's
own, left alone; ``refused``: it cannot be attached to."""

Odd = Literal["", "silent", "stuck", "idle"]
"""How a process of a group differs from the others: it says nothing, its loop is blocked, it never started a
task."""

ProcessState = Literal[
    "ended", "replaced", "stopped", "traced", "frozen", "stuck", "held", "throttled", "starved", "silent"
]  # fmt: skip
"""How a process is that says nothing.  ``replaced``: by exec; ``frozen``: with its control group; ``stuck``:
uninterruptible; ``held``: a C call keeps the GIL; ``throttled``: by a limit of CPU time; ``silent``: no
reason shows."""

HALTED = ("stopped", "traced", "frozen")
"""States in which nothing of a process runs until somebody resumes it."""

ResourceKind = Literal[
    "context", "loop", "executor", "transport", "generator", "subprocess", "descriptor", "primitive",
    "unknown",
]  # fmt: skip
"""What a row of resources is.  ``context``: a variable of contexts; ``generator``: an asynchronous one;
``primitive``: a lock, event, queue or the like that somebody waits for."""
RESOURCE_KINDS: tuple[ResourceKind, ...] = get_args(ResourceKind)

ResourceState = Literal[
    "running", "stopped", "closed", "idle", "busy", "full", "dead", "open", "closing", "listening",
    "suspended", "ended", "unknown",
]  # fmt: skip
"""``stopped``: a loop that neither runs nor is closed; ``dead``: a pool without workers; ``suspended``: a
generator that waits to be asked for its next value; ``ended``: a process that nobody has waited for."""

Resource = Literal["fds", "rss", "threads"]
RESOURCES: tuple[Resource, ...] = get_args(Resource)


def rank(level: Level | Reading) -> int:
    """The position of a level, 0 the worst, shared by ``hang``, ``spin`` and ``leak``: the only ordering."""
    return _RANK[level]


_RANK: dict[Level | Reading, int] = {
    "hang": 0,
    "spin": 0,
    "leak": 0,
    "suspect": 1,
    "info": 2,
    "flat": 3,
}
