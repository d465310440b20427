"""Every known reason for trouble, one object each, in order of precedence.

To add one, write it in the module of its family and put it in that module's ``PATTERNS``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from taskscope.analysis.patterns import conclusive, limits, overload, ownership, stalls, threads, waiting

if TYPE_CHECKING:
    from taskscope.analysis.patterns.pattern import Hindrance, SitePattern

OF_TASKS: tuple[SitePattern, ...] = (*conclusive.PATTERNS, *ownership.PATTERNS, *waiting.PATTERNS)
"""Why the tasks of a site do not end: the first that fits is named."""

OF_THREADS: tuple[SitePattern, ...] = threads.PATTERNS
"""The same of threads."""

HINDRANCES: tuple[Hindrance, ...] = (*limits.PATTERNS, *stalls.PATTERNS, *overload.PATTERNS)
"""What holds a loop, a pool or the process up: all that are found are told, in this order."""

SITE_PATTERN = {each.name: each for each in (*OF_TASKS, *OF_THREADS)}
"""By name."""

HINDRANCE = {each.name: each for each in HINDRANCES}
"""By name."""
