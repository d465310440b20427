"""Control groups: which limits a process is under, read from files of both versions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from taskscope.system import system
from taskscope.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Iterator

_MEMORY = (
    ("memory.max", "memory.current", ("inactive_file", "active_file")),
    ("memory.limit_in_bytes", "memory.usage_in_bytes", ("total_inactive_file", "total_active_file")),
)
"""Of each version: the limit, what is used, and what of that is pages of files."""


def folders(controller: str, root: str = "", pid: int | None = None) -> Iterator[str]:
    """Directories of a process's control groups (default: ours), innermost first.

    The process's path starts at the root of the hierarchy, of which a container may see only a part:
    ``mountinfo`` shows what is mounted.  ``root``: a prefix for ``/proc`` and the directories.
    """
    paths = [line.split(":", 2) for line in _lines(f"{root}/proc/{pid or 'self'}/cgroup")]
    for line in _lines(f"{root}/proc/self/mountinfo"):
        here, _, there = line.partition(" - ")
        kind, _, options = there.partition(" ")
        if kind != "cgroup2" and not (kind == "cgroup" and controller in options.split(" ")[-1].split(",")):
            continue
        top, mount = here.split(" ")[3:5]
        for _, controllers, path in paths:
            if controller in controllers.split(",") if kind == "cgroup" else not controllers:
                yield from _upwards(f"{root}{mount}", top, path, ours=pid is None)


def _upwards(mount: str, top: str, path: str, *, ours: bool) -> Iterator[str]:
    inside = path.removeprefix(top.rstrip("/"))
    if ".." in inside or (inside == path and top != "/"):  # outside of the mounted part
        if not ours:
            return
        inside = ""
    while inside.strip("/"):
        yield f"{mount}{inside}"
        inside = inside.rpartition("/")[0]
    yield mount


@dataclass(frozen=True, slots=True)
class Room:
    """What a control group leaves of a limit: ``left`` of ``most``."""

    left: int
    most: int


def memory(root: str = "", pid: int | None = None) -> Iterator[Room]:
    """Bytes, of each group with a limit.  Pages of files count as left, for the kernel takes them back."""
    for group in folders("memory", root, pid):
        for limit, usage, pages in _MEMORY:
            most, now = _number(f"{group}/{limit}"), _number(f"{group}/{usage}")
            if most is not None:
                files = sum(_table(f"{group}/memory.stat").get(each, 0) for each in pages)
                yield Room(max(0, most - (now or 0) + files), most)


def threads(root: str = "", pid: int | None = None) -> Iterator[Room]:
    """Threads and processes, of each group with a limit."""
    for group in folders("pids", root, pid):
        most, now = _number(f"{group}/pids.max"), _number(f"{group}/pids.current")
        if most is not None and now is not None:
            yield Room(max(0, most - now), most)


def throttled(pid: int | None = None) -> float:
    """Seconds in which a limit of CPU time has kept a process from running, so far."""
    spans = (_table(f"{group}/cpu.stat") for group in folders("cpu", "", pid))
    return max((_seconds(each) for each in spans), default=0.0)


def _seconds(stat: dict[str, int]) -> float:
    return stat.get("throttled_usec", 0) / 1e6 or stat.get("throttled_time", 0) / 1e9


def _number(path: str) -> int | None:
    """The number in a file; None: no file, or no limit, as each version writes it."""
    text = "".join(_lines(path)).strip()
    return int(text) if text.isdigit() and int(text) < 1 << 60 else None


def _table(path: str) -> dict[str, int]:
    """The lines ``name number`` of a file; empty if there is none."""
    found = (line.split() for line in _lines(path))
    return {each[0]: int(each[1]) for each in found if len(each) == 2}


def _lines(path: str) -> list[str]:
    try:
        return system.contents(path).decode().splitlines()
    except (OSError, UnicodeDecodeError):
        return []
