"""Pending work, round-robin by client: a client with many requests delays only itself."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from taskscope.agent.clients import Client, Work


class Queue:
    """Clients take turns, as do the jobs of each client; the agent itself (None) counts as a client."""

    def __init__(self) -> None:
        self._of: dict[Client | None, deque[Work]] = {}  # in the order of their turns

    def __len__(self) -> int:
        return sum(map(len, self._of.values()))

    def add(self, work: Work) -> None:
        """Adds work at the end of its client's queue."""
        self._of.setdefault(work.client, deque()).append(work)

    def next(self) -> Work:
        """Removes the first work of the next client.  Raises StopIteration if there is none."""
        client = next(iter(self._of))
        works = self._of.pop(client)
        work = works.popleft()
        if works:
            self._of[client] = works
        return work
