"""Every closed set of words, once: a type for the checker, and a tuple of its words where they are needed.

Words cross the wire and stand in files.  A set grows only with the number of the protocol, and no word is
ever taken out.  The exception: where a set has ``unknown``, readers take a word that they do not know for it.
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
    "TASK_STATES",
    "TREES",
    "Arrived",
    "FindingKind",
    "GroupBy",
    "Known",
    "Level",
    "Order",
    "Origin",
    "Outcome",
    "Reading",
    "Resource",
    "SiteKind",
    "StallWhy",
    "TaskState",
    "ThreadState",
    "TreeBy",
    "Wait",
    "rank",
]

Origin = Literal["user", "library", "stdlib"]
"""Whose a file is: the program's, of site-packages, or Python's."""
ORIGINS: tuple[Origin, ...] = get_args(Origin)

Arrived = Literal["started", "injected", "aiomonitor"]
"""How the agent came: the program started it, it was brought in, or aiomonitor stands in for it."""

SiteKind = Literal["task", "thread"]

Known = Literal["exact", "imputed", "unknown"]
"""How surely a creation site is known: seen, guessed, or not at all."""

Wait = Literal[
    "sleep", "queue.get", "queue.put", "lock", "event", "condition", "semaphore", "barrier",
    "task", "gather", "future", "socket", "executor", "subprocess", "dns", "server",
    "thread", "process", "descriptors", "file", "signal", "input", "job",
    "ready", "running", "unknown",
]  # fmt: skip
"""What a task or a thread waits for.  ``executor``: for a job that it gave away; ``job``: for one to do."""

TaskState = Literal["pending", "running", "finished", "failed", "cancelled"]
TASK_STATES: tuple[TaskState, ...] = get_args(TaskState)

ThreadState = Literal["running", "idle", "waiting"]

Outcome = Literal["finished", "failed", "cancelled", "lost", "unseen"]
"""How a task ended: it returned, raised, was cancelled, was destroyed while pending, or nobody saw how."""
OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)

StallWhy = Literal["held", "crowd", "asleep", "stranded"]
"""Why a loop did not turn; see ``Stall``."""

Order = Literal["oldest", "newest"]
ORDERS: tuple[Order, ...] = get_args(Order)

GroupBy = Literal["parent", "parked"]
GROUPS: tuple[GroupBy, ...] = get_args(GroupBy)

TreeBy = Literal["parent", "await"]
TREES: tuple[TreeBy, ...] = get_args(TreeBy)

Level = Literal["leak", "suspect", "info"]
"""How serious a finding is, worst first."""
LEVELS: tuple[Level, ...] = get_args(Level)

Reading = Literal["leak", "suspect", "flat"]
"""What the numbers of one site say."""

FindingKind = Literal["task", "thread", "wakeup", "stall", "loop", "executor", "limit"]
"""What a finding is about: tasks or threads of a site; or a loop that sleeps on, a line that held a loop, a
loop that does not keep up, a full pool, a resource used up."""

Resource = Literal["fds", "rss", "threads"]
RESOURCES: tuple[Resource, ...] = get_args(Resource)


def rank(level: Level | Reading) -> int:
    """The place of a level, 0 the worst.  The one order of them."""
    return _RANK[level]


_RANK: dict[Level | Reading, int] = {"leak": 0, "suspect": 1, "info": 2, "flat": 3}
