"""The agent that only counts: its thread adds up, meters the process, and serves counts and their past."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from taskscope import interpreter, wire
from taskscope.agent.answers import snapshot
from taskscope.agent.counting.births import CountingPresence
from taskscope.agent.counting.ledgers import Ledgers
from taskscope.agent.counts.loops import LoopWatch
from taskscope.agent.counts.sampler import Sampler
from taskscope.agent.hooks.parts import insist
from taskscope.agent.life import Resident
from taskscope.agent.server import Server

if TYPE_CHECKING:
    from collections.abc import Callable

    from taskscope import model
    from taskscope.agent.inspect.walk import Job
    from taskscope.model.requests import Request

NOTE = (
    "Free-threaded Python: tasks are only counted, by the lines that create them; threads, and tasks older "
    "than the agent, are not.  `attach --read-only` shows stacks."
)

NOT_HERE = "Not on a free-threaded build: `taskscope attach --read-only {}` shows threads and stacks."


class CountingAgent(Resident):
    """It follows nothing but the counts, and refuses all other requests in a sentence."""

    notes = (NOTE,)

    def __init__(self, name: str | None, *, interval: float, version: str) -> None:
        super().__init__(name, interval=interval, control=False, version=version, arrived="counting")
        self._ledgers = Ledgers()
        self.presence = CountingPresence(self.registry, self.tell, self._ledgers)
        self.exits = self.presence.part("exits")
        self.sampler = Sampler(self.registry, self.presence.threads, LoopWatch(self.tell))
        self.server = Server(self)

    def obstacle(self) -> str:
        return interpreter.obstacle()

    def begin(self) -> None:
        self.server.start()
        self.presence.arm()

    def forked(self) -> None:
        """It stays behind: the copies of its ledgers hold tasks of loops that do not run in the child."""
        insist("fork", self.tell, self.server.abandon, self.thread_ended)

    def tick(self) -> Job[model.Sample]:
        self._ledgers.add_up(self.registry)
        sample = yield from self.sampler.sample(self.interval, watched=self.server.watched)
        return (yield from self.described.with_changes(sample, ("trio", "gevent")))  # nobody looks for them

    def answer(self, request: Request[Any], send: Callable[[bytes], None]) -> Job[Any]:
        if type(request) not in self._actions(send):
            raise wire.RemoteError(wire.NO_METHOD, NOT_HERE.format(self.process.pid))
        return (yield from super().answer(request, send))

    def sections(
        self, emit: Callable[[str, Any], None], emit_large: Callable[[str, Any], Job[None]], *, stacks: bool
    ) -> Job[int]:
        self._ledgers.add_up(self.registry)
        return snapshot.of_counts(self, emit, emit_large, with_stacks=stacks)
