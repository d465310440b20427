"""Resources that are used up."""

from __future__ import annotations

from typing import TYPE_CHECKING

from taskscope.analysis.patterns.pattern import ProcessPattern, process_finding
from taskscope.model import Frame

if TYPE_CHECKING:
    from collections.abc import Iterable

    from taskscope.analysis.resources import Exhausted
    from taskscope.model import Finding

_IN_USE = {
    "fds": (
        "file descriptors",
        "file descriptors are in use",
        "opening a file or a socket fails with EMFILE",
    ),
    "rss": ("memory", "of memory is in use", "allocation fails, or the process is killed"),
    "threads": ("threads", "threads are in use", "starting a thread fails"),
}


def exhausted(used_up: Iterable[Exhausted]) -> tuple[Finding, ...]:
    """One finding per resource at its limit."""
    return tuple(_limit_finding(each) for each in used_up)


def _limit_finding(used_up: Exhausted) -> Finding:
    noun, in_use, then = _IN_USE[used_up.resource]
    spell = _megabytes if used_up.resource == "rss" else "{:,}".format
    by = f" ({used_up.limit_by})" if used_up.limit_by else ""
    return process_finding(
        "limit",
        "limit",
        Frame("", 0, noun, "stdlib"),
        used_up.since,
        f"{spell(used_up.used)} of {spell(used_up.limit)} {in_use}{by}",
        {"resource": used_up.resource, "used": used_up.used, "limit": used_up.limit},
        LIMIT_REACHED.cause(f"little or nothing is left; then {then}", ()),
    )


def _megabytes(count: int) -> str:
    return f"{count / 1e6:,.0f} MB"


LIMIT_REACHED = ProcessPattern(
    name="limit reached",
    find=lambda process: exhausted(process.exhausted),
    noun="limit",
    verb=" reached",
    explanation="The process uses all it is allowed.",
    remedy=(
        "Find what grows with it, and close what is no longer needed; if something leaks, a higher limit "
        "(ulimit, LimitNOFILE, the container's memory or pids) only gains time."
    ),
)

PATTERNS = (LIMIT_REACHED,)
"""In the order they are reported."""
