"""The filter and the orders of a list of processes: for ``ps`` and the picker."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from taskscope.model.vocabulary import LEVELS

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence

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
    """Whether each of the (small) words occurs in its pid, user, agent, command or folders."""
    names = (process.user, process.agent or "", process.monitor, process.command)
    text = " ".join((str(process.pid), *names, process.directory, process.folder)).lower()
    return all(word in text for word in words)


def apart(processes: Iterable[PythonProcess]) -> dict[int, str]:
    """By pid, what tells processes of one name apart: ``  in shop/app``, as much of a path as that takes."""
    named: dict[str, list[PythonProcess]] = {}
    for each in processes:
        named.setdefault(each.command.partition(" ")[0], []).append(each)
    told: dict[int, str] = {}
    for same in named.values():
        of_script = len({each.folder for each in same}) > 1
        paths = {each.pid: each.folder if of_script else each.directory for each in same}
        ends = {path: _end(path, set(paths.values()) - {path}) for path in set(paths.values())}
        told |= {pid: f"  in {ends[path]}" for pid, path in paths.items() if path and len(ends) > 1}
    return told


def _end(path: str, others: Collection[str]) -> str:
    """The shortest end of a path that none of the others has."""
    parts = path.strip("/").split("/")
    ends = ("/".join(parts[-number:]) for number in range(1, len(parts) + 1))
    return next(
        (end for end in ends if end and not any(f"/{other}".endswith(f"/{end}") for other in others)), path
    )
