"""The child processes of this one, and whether anybody has waited for those that ended."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from taskscope.agent.inspect.looking import attribute, class_name, number
from taskscope.system import clock, system

if TYPE_CHECKING:
    from collections.abc import Container, Iterator

MOST = 5_000
"""Most children read, 30 microseconds each: of more, no growth is seen."""


class Child(NamedTuple):
    """``ended``: it has ended, and its status was not fetched.  ``started``: monotonic, within 10 ms."""

    pid: int
    name: str
    ended: bool
    started: float


def of_this_process() -> Iterator[Child]:
    """None where the kernel does not list them."""
    left, boot = MOST, _boot()
    for thread in _listed("/proc/self/task"):
        for pid in _words(f"/proc/self/task/{thread}/children"):
            child = _child(pid, boot)
            if child is not None:
                yield child
            left -= 1
            if not left:
                return


def is_handle_of(pids: Container[int], thing: object) -> bool:
    """Whether an object stands for one of these children: a ``Popen`` that knows of no end."""
    return (
        class_name(thing) == "Popen"
        and attribute(thing, "returncode") is None
        and number(attribute(thing, "pid")) in pids
    )


def _child(pid: str, boot: float) -> Child | None:
    said = _contents(f"/proc/{pid}/stat")
    name, _, rest = said.partition("(")[2].rpartition(")")
    fields = rest.split()
    if not pid.isdigit() or len(fields) < 20:
        return None
    started = boot + int(fields[19]) / system.sysconf("SC_CLK_TCK")
    return Child(int(pid), name, fields[0] == "Z", started)


def _boot() -> float:
    """When the machine was started, by the monotonic clock, which a machine that sleeps stops."""
    up = _words("/proc/uptime")
    return clock.monotonic() - float(up[0]) if up else 0.0


def _words(path: str) -> list[str]:
    return _contents(path).split()


def _contents(path: str) -> str:
    try:
        return system.contents(path, 1 << 16).decode("utf-8", "replace")
    except OSError:
        return ""


def _listed(path: str) -> list[str]:
    try:
        return system.listdir(path)
    except OSError:
        return []
