"""The filter and the orders of a list of processes: for ``ps`` and the picker."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from taskscope.model.vocabulary import LEVELS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from taskscope.attach.discover import PythonProcess
    from taskscope.sources.glance import Glance

VALUES: dict[str, Callable[[PythonProcess, Glance | None], Any]] = {
    "pid": lambda process, _: process.pid,
    "asyncio": lambda process, _: -1 if process.asyncio else 0 if process.asyncio is None else 1,
    "tasks": lambda _, seen: 1 if seen is None else -seen.sample.tasks.live,
    "findings": lambda _, seen: (
        tuple(-(seen.levels or {}).get(level, 0) for level in LEVELS) if seen else (1,)
    ),
    "user": lambda process, _: process.user,
    "up": lambda process, _: process.started,
    "rss": lambda process, _: -process.rss,
    "cpu": lambda process, _: -process.cpu,
    "threads": lambda process, _: -process.threads,
    "command": lambda process, _: process.command.lower(),
}
"""What each column sorts by, most interesting first."""

ASCENDING = ("pid", "user", "command")
"""Columns whose smallest value comes first."""


def matches(process: PythonProcess, words: Sequence[str]) -> bool:
    """Whether each of the (small) words occurs in its pid, user, agent or command."""
    text = f"{process.pid} {process.user} {process.agent or ''} {process.monitor} {process.command}".lower()
    return all(word in text for word in words)
