"""The protocol of every source of observations: live agent, saved snapshot, aiomonitor.

Everything above (`tui`, `commands`) depends on `Source` only.  The requests are in `model.requests`; a source
that cannot answer one raises `NotAvailable` with a sentence to show.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, TypeVar, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from taskscope import model
    from taskscope.analysis.judge import Judge
    from taskscope.model.requests import Request

T = TypeVar("T")


class SourceError(Exception):
    """No observation is available; the message is for the user."""


class TargetGone(SourceError):
    """The target (or its agent) has ended; data received so far stays valid."""


class TargetExited(TargetGone):
    """The target has ended by itself: it was not killed."""


class AgentGone(TargetGone):
    """The process still runs but is no longer observed: it called exec, or the agent left."""


class TargetReplaced(AgentGone):
    """The process runs another program now (``exec``), Python or not."""


class ConnectionLost(AgentGone):
    """The way to another machine has broken; what became of the process there is unknown."""


class TargetSilent(SourceError):
    """The target does not answer now, but may later.  The message says why, if known."""


class SourceMisbehaves(SourceError):
    """The data does not fit the model: a damaged file, or a foreign or hostile agent."""


class NotAvailable(SourceError):
    """This source cannot answer that request (a saved snapshot has no live stack, say)."""


class Source(Protocol):
    """Where observations come from.  Every method may raise SourceError, TargetGone, NotAvailable."""

    live: bool
    """False: a saved state; ``samples`` yields it once."""

    async def open(self) -> model.Hello:
        """Connects and returns the hello."""

    async def close(self) -> None:
        """Disconnects; idempotent."""

    def samples(self) -> AsyncIterator[model.Sample]:
        """Yields a full sample, then one per interval with what changed.  Ends with TargetGone."""

    async def ask(self, request: Request[T]) -> T:
        """The answer to one of ``model.requests``."""


class Answering:
    """A source that dispatches each request to its method of that name."""

    async def ask(self, request: Request[T]) -> T:
        answer = getattr(self, request.method, None)
        if answer is None:
            raise NotAvailable(self.refusal(request))
        found: T = await answer(request)
        return found

    def refusal(self, request: Request[Any]) -> str:
        """Why a request without a method cannot be answered, as a sentence."""
        raise NotImplementedError


@runtime_checkable
class Observed(Protocol):
    """A source whose process can be observed from outside.

    ``progress`` gets sentences while an answer is late.
    """

    progress: Callable[[str], None]

    def silence(self) -> model.Silence | None:
        """Since when no sample has arrived, and why; None while they arrive or none are expected."""


@runtime_checkable
class Entering(Protocol):
    """A source of processes that may have been injected with an agent."""

    @property
    def injected(self) -> tuple[int, ...]:
        """The pids of those that TaskScope has brought an agent into, where the source reaches them."""


class Verdicts(Source, Protocol):
    """A source that is not ``live``: the verdicts of its time are in it."""

    @property
    def findings(self) -> tuple[model.Finding, ...]:
        """Worst first."""

    @property
    def judged(self) -> model.Judged:
        """How far the judgement had come."""


@runtime_checkable
class Judging(Protocol):
    """A source that has its own way to judge what it shows."""

    def judge(self, hello: model.Hello) -> Judge:
        """Gets the samples, says what is wrong."""


@runtime_checkable
class Repeatable(Protocol):
    """A source of a running process that can be connected to more than once."""

    def another(self) -> Source:
        """A source for the same target, not yet opened."""
