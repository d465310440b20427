"""A process that no agent has entered yet: read from outside meanwhile, or for good if the user says so."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import replace
from typing import TYPE_CHECKING

from taskscope.attach.errors import AttachError
from taskscope.attach.presence import agent_in
from taskscope.attach.reading.opening import reading
from taskscope.sources.base import AgentGone, SourceError
from taskscope.sources.live import LiveSource
from taskscope.sources.outside.source import OutsideSource

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from taskscope import model
    from taskscope.endpoint import Endpoint
    from taskscope.sources.base import Source

PATIENCE = 2.0
"""Seconds after which a process is shown from outside while its agent does not start."""

LEAVES = 2.0
"""Seconds that an attempt has to withdraw."""


def entered(pid: int, progress: Callable[[str], None]) -> Source:
    """The agent of process ``pid``, brought in if necessary; a `MeanwhileSource` if that fails or takes long.

    Raises SourceError if the process cannot be read from outside either.
    """
    point = agent_in(pid)
    if point is not None:
        return LiveSource(point.path)
    entry = Entry(pid, progress)
    entry.wait(PATIENCE)
    if entry.point is None:
        try:
            with reading(pid):
                entry.progress = lambda text: None  # the app has the screen from now on
                return MeanwhileSource(pid, entry)
        except AttachError:
            entry.wait(None)
    if entry.point is None:
        raise SourceError(entry.refusal)
    return LiveSource(entry.point.path)


class Entry:
    """An agent on its way into process ``pid``, in a thread.

    ``why`` it is not there: empty while that is not known; ``refusal``: the same with the remedy, once it is
    given up.  ``point``: where it listens, once it does.
    """

    def __init__(self, pid: int, progress: Callable[[str], None] = lambda text: None) -> None:
        self._pid = pid
        self.progress = progress
        self._wanted = True
        self.point: Endpoint | None = None
        self.why = self.refusal = ""
        self._thread = threading.Thread(target=self._run, name="taskscope-entering", daemon=True)
        self._thread.start()

    @property
    def trying(self) -> bool:
        return self._wanted and self._thread.is_alive()

    def wait(self, seconds: float | None) -> None:
        """Until it is there or refused, so long at most."""
        self._thread.join(seconds)

    def give_up(self) -> None:
        """Withdraws it, so that it does not come later."""
        self._wanted = False
        self._thread.join(LEAVES)

    def _run(self) -> None:
        from taskscope.attach.inject import ensure_agent

        try:
            self.point = ensure_agent(
                self._pid,
                timeout=float("inf"),
                progress=self._said,
                stays=lambda text: None,  # the app says it in the end
                wanted=lambda: self._wanted,
            )
        except AttachError as error:
            self.why = error.sentence
            self.refusal = str(error)

    def _said(self, text: str) -> None:
        self.why = text.removesuffix("; waiting")
        self.progress(text)


class MeanwhileSource(OutsideSource):
    """Process ``pid`` from outside, until its agent is there: then it ends with AgentGone."""

    def __init__(self, pid: int, entry: Entry) -> None:
        super().__init__(pid)
        self._entry = entry
        self._stays = False
        self._halted = False
        """Whether the process has run no Python code since the agent was refused: that may be why it was."""

    @property
    def live_instead(self) -> LiveSource | None:
        """The agent that has come."""
        point = self._entry.point
        return LiveSource(point.path) if point is not None and not self._stays else None

    @property
    def trying(self) -> bool:
        """Whether an agent is on its way."""
        return self._entry.trying

    def note(self, hello: model.Hello) -> str:
        """Why it is read from outside, and what can be done about that."""
        if self._stays:
            return f"{super().note(hello)}  K lets the agent in."
        if self._halted and not self.trying:
            return self._without_agent("what kept it out is over")
        return self._without_agent(self._entry.why or "it is on its way")

    def _without_agent(self, why: str) -> str:
        """The key comes first: what does not fit on the screen is cut."""
        head = "No agent yet (K keeps it out)" if self.trying else "No agent (K tries again)"
        return f"{head}: {why.removesuffix('.')}."

    def silence(self) -> model.Silence | None:
        found = super().silence()
        if found is None or self._stays:
            return found
        self._halted = self._halted or not self.trying
        return replace(found, text=self._without_agent(found.text).removesuffix("."))

    async def toggle(self) -> bool:
        """Gives the attempt up, or tries again; returns whether it tries now."""
        if self.trying:
            self._stays = True
            await asyncio.to_thread(self._entry.give_up)
        else:
            self._stays = self._halted = False
            self._entry = Entry(self.pid)
        return not self._stays

    async def samples(self) -> AsyncIterator[model.Sample]:
        async for sample in super().samples():
            if self.live_instead is not None:
                raise AgentGone("the agent has come")
            yield sample

    async def close(self) -> None:
        if self._entry.point is None:
            await asyncio.to_thread(self._entry.give_up)
        await super().close()

    def another(self) -> OutsideSource:
        return OutsideSource(self.pid)
