"""Answers to: who waits for whom?"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from taskscope.agent.answers.client_pools import MembersKnown
from taskscope.agent.answers.ending import EndingWatch
from taskscope.agent.answers.graph import Look
from taskscope.agent.answers.unreached import Unreached
from taskscope.agent.answers.unread import UnreadOutputs
from taskscope.agent.answers.unreturned import GiversRead
from taskscope.agent.inspect.stillness import Stillness

if TYPE_CHECKING:
    from collections.abc import Callable

    from taskscope import model
    from taskscope.agent.counts.loops import LoopWatch
    from taskscope.agent.counts.registry import Registry
    from taskscope.agent.inspect.walk import Job
    from taskscope.model import requests


class WaitReader:
    """Answers ``waits``."""

    def __init__(self, registry: Registry, watch: LoopWatch, agent_thread: Callable[[], int]) -> None:
        self._registry = registry
        self._watch = watch
        self._agent_thread = agent_thread
        self._still = Stillness()
        self._ending = EndingWatch()
        self._unread = UnreadOutputs(registry, self._still)
        self._givers = GiversRead()
        self._unreached = Unreached(registry, lambda: [loop for _, loop in watch.loops()])
        self._members = MembersKnown(lambda: [loop for _, loop in watch.loops()])

    def since(self, serial: int) -> float | None:
        """Since when a task had not moved at the last look; None: it was not seen."""
        return self._still.of_task(serial)

    def waits(self, _: requests.Waits) -> Job[model.WaitGraph]:
        look = Look(self._registry, self._still, self._watch)
        yield from look.threads(self._agent_thread())
        yield from look.tasks()
        yield from look.channels(self._agent_thread())
        unread = yield from self._unread.look(self._agent_thread())
        self._still.looked()
        yield from look.holders(self._agent_thread())
        yield from look.pools(self._members, self._agent_thread())
        look.rest()
        yield from look.unreached(self._unreached)
        graph = yield from look.graph()
        unreturned = yield from look.unreturned(self._givers, self._agent_thread())
        ending = yield from self._ending.look()
        return replace(graph, ending=ending, unread=unread, unreturned=unreturned)
