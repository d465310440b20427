"""What the capturer follows: eight containers, 171 log streams."""

from __future__ import annotations

CONTAINERS = ("api", "cache", "database", "mail", "proxy", "scheduler", "search", "worker")
STREAMS = 171
"""Over all containers: each has stdout, stderr and about twenty log files."""


def _streams() -> tuple[str, ...]:
    names = []
    for number in range(STREAMS):
        container, place = CONTAINERS[number % len(CONTAINERS)], number // len(CONTAINERS)
        names.append(f"{container}/{('stdout', 'stderr')[place] if place < 2 else f'log{place - 1:02}'}")
    return tuple(names)


ALL = _streams()
