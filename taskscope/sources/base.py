"""The one small protocol behind which observations come from: live agent, saved snapshot, aiomonitor.

Everything above (`tui`, `commands`) is written against `Source` only.  What can be asked is in
`model.requests`; a source that cannot answer raises `NotAvailable` with a sentence to show.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from taskscope import model
    from taskscope.model.requests import Request

T = TypeVar("T")


class SourceError(Exception):
    """No observation to be had, in a sentence for the user."""


class TargetGone(SourceError):
    """The target (or its agent) ended; what was seen so far stays valid."""


class AgentGone(TargetGone):
    """The process goes on, but can no longer be seen: another program by exec, or an agent that has left."""


class TargetSilent(SourceError):
    """The target is there but does not answer; it may later.  The sentence says why, as far as known."""


class SourceMisbehaves(SourceError):
    """What came does not fit the model: a damaged file, an agent of another make or a hostile one."""


class NotAvailable(SourceError):
    """This source cannot answer that question (a saved snapshot has no live stack, say)."""


class Source(Protocol):
    """Where observations come from.  Every method may raise SourceError, TargetGone, NotAvailable."""

    live: bool
    """False: a saved state; ``samples`` yields it once."""

    async def open(self) -> model.Hello:
        """Connects and says hello."""

    async def close(self) -> None:
        """Lets go; harmless if called twice."""

    def samples(self) -> AsyncIterator[model.Sample]:
        """Yields a full sample, then one each interval holding what changed.  Ends with TargetGone."""

    async def ask(self, request: Request[T]) -> T:
        """The answer to one of ``model.requests``."""


class Answering:
    """A source that answers a request with its method of that name, which gets the request."""

    async def ask(self, request: Request[T]) -> T:
        answer = getattr(self, request.method, None)
        if answer is None:
            raise NotAvailable(self.refusal(request))
        found: T = await answer(request)
        return found

    def refusal(self, request: Request[Any]) -> str:
        """Why there is no answer to a request that no method is for, in a sentence."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class Silence:
    """No sample for ``seconds``, and why: ``state`` is a word of ``attach.outside``, ``text`` a sentence."""

    seconds: float
    state: str
    text: str


@runtime_checkable
class Observed(Protocol):
    """A source whose process can be looked at from outside.

    ``progress`` gets sentences while an answer is long awaited.
    """

    progress: Callable[[str], None]

    def silence(self) -> Silence | None:
        """Since when no sample has come, and why; None while they come, or none were asked for."""
