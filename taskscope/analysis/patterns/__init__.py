"""Every known cause of trouble, one object each, in order of precedence.

To add one, define it in the module of its family and list it in that module's ``PATTERNS``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from taskscope.analysis.patterns import (
    conclusive,
    deadlocks,
    limits,
    overload,
    ownership,
    races,
    stalls,
    threads,
    waiting,
)  # fmt: skip

if TYPE_CHECKING:
    from taskscope.analysis.patterns.pattern import ProcessPattern, SitePattern

OF_TASKS: tuple[SitePattern, ...] = (
    *races.PATTERNS,
    *conclusive.PATTERNS,
    *ownership.PATTERNS,
    *waiting.PATTERNS,
)
"""Why the tasks of a site do not end: the first match is named."""

OF_THREADS: tuple[SitePattern, ...] = threads.PATTERNS
"""Likewise for threads."""

OF_PROCESS: tuple[ProcessPattern, ...] = (
    *deadlocks.PATTERNS,
    *limits.PATTERNS,
    *stalls.PATTERNS,
    *overload.PATTERNS,
)
"""What holds up a loop, a pool or the process: all that match are reported, in this order."""

SITE_PATTERN = {each.name: each for each in (*OF_TASKS, *OF_THREADS)}
"""By name."""

PROCESS_PATTERN = {each.name: each for each in OF_PROCESS}
"""By name."""
