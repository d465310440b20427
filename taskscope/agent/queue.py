"""Work under way, a turn for each client: one that asks for a lot delays itself, not the others."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from taskscope.agent.clients import Client, Work


class Queue:
    """Clients take turns, and so do the jobs of one client; the agent's own (None) count as a client's."""

    def __init__(self) -> None:
        self._of: dict[Client | None, deque[Work]] = {}  # in the order of their turns

    def __bool__(self) -> bool:
        return bool(self._of)

    def add(self, work: Work) -> None:
        """Puts work last among its client's."""
        self._of.setdefault(work.client, deque()).append(work)

    def next(self) -> Work:
        """Takes the next one's first work.  Raises StopIteration if there is none."""
        client = next(iter(self._of))
        works = self._of.pop(client)
        work = works.popleft()
        if works:
            self._of[client] = works
        return work
