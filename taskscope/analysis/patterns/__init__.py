"""Every known cause of trouble, one object each, in order of precedence.

To add one, define it in the module of its family and list it here; one of the process goes into its module's
``PATTERNS``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from taskscope.analysis.patterns import (
    cancels,
    churns,
    conclusive,
    deadlocks,
    endings,
    fruitless,
    limits,
    mishaps,
    outputs,
    overload,
    ownership,
    races,
    spins,
    stalls,
    stock,
    threads,
    timers,
    unreturned,
    waiting,
)  # fmt: skip

if TYPE_CHECKING:
    from taskscope.analysis.patterns.pattern import Pattern, ProcessPattern, SitePattern

OF_TASKS: tuple[SitePattern, ...] = (
    conclusive.AWAIT_CYCLE,
    conclusive.HANGS_IN_CLEANUP,
    conclusive.GENERATIONS_OVERLAP,
    conclusive.LEFT_TO_THE_COLLECTOR,
    races.RACE_LOSER,  # the code names the cause, whatever the tasks wait for
    conclusive.STUCK_HANDING_OVER,
    conclusive.SLEEPER_PER_EVENT,
    conclusive.NOBODY_CAN_SET_IT,
    conclusive.RETRIED_WITHOUT_LIMIT,
    conclusive.LIMITED_ROUNDS,
    ownership.NOT_CLOSED,
    ownership.ORPHANED_WORKERS,
    ownership.KEPT_LOOPS,
    ownership.ORPHANED_LOOPS,
    ownership.STARTED_TWICE,
    waiting.BEHIND_ONE,
    ownership.FIRE_AND_FORGET,
    waiting.NOBODY_FEEDS_IT,
    waiting.BLOCKING_CALL,
    waiting.LOCK_NOT_RELEASED,
    ownership.KEPT_ORPHANS,
    ownership.ORPHANS,  # as above on weaker evidence: those before say more about why they stay
    waiting.WAITS_FOR_A_PEER,
    ownership.GROWING_CONTAINER,
)
"""Why the tasks of a site do not end: the first match is named."""

OF_THREADS: tuple[SitePattern, ...] = (
    threads.POOL_PER_CALL,
    threads.ONE_POOL,
    threads.WORKERS_AT_WORK,
    threads.CLOSED_UNDER_IT,
    threads.THREAD_NEVER_TOLD_TO_END,
)
"""Likewise for threads."""

BEHIND_A_LOCK: SitePattern = waiting.BEHIND_ONE
"""Tasks that wait for a lock whose holder waits itself."""

HALTS = frozenset(each.name for each in (conclusive.AWAIT_CYCLE, waiting.BEHIND_ONE))
"""Where whatever those wait for has stopped for everybody: worse than what only grows."""

OF_ENDED: Pattern = ownership.ENDED_TASKS_KEPT
"""Why ended tasks of a site stay."""

OF_PROCESS: tuple[ProcessPattern, ...] = (
    *unreturned.PATTERNS,
    *deadlocks.PATTERNS,
    endings.ENDS_SLOWLY,
    *spins.PATTERNS,
    *fruitless.PATTERNS,
    *cancels.PATTERNS,
    *outputs.PATTERNS,
    *mishaps.PATTERNS,
    *timers.PATTERNS,
    *stock.PATTERNS,
    *churns.PATTERNS,
    *limits.PATTERNS,
    *stalls.PATTERNS,
    *overload.PATTERNS,
)
"""What holds up a loop, a pool or the process: all that match are reported, in this order."""

PROCESS_PATTERN = {each.name: each for each in OF_PROCESS}
"""By name."""
