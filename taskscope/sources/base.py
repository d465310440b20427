"""The one small protocol behind which observations come from: live agent, saved snapshot, aiomonitor.

Everything above (`tui`, `commands`) is written against `Source` only.  Details are asked for one page
at a time; a source that cannot answer a question raises `NotAvailable` with a sentence to show.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from taskscope import model


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

    async def set_interval(self, seconds: float) -> None: ...

    async def history(self, seconds: float) -> model.History:
        """The process as a whole over the last ``seconds``."""

    async def site_history(self, sites: Sequence[int], seconds: float) -> tuple[model.SiteHistory, ...]: ...

    async def site(self, site: int) -> model.SiteDetail: ...

    async def tasks(
        self,
        *,
        sites: Sequence[int] | None = None,
        parent: int | None = None,
        parked: str | None = None,
        order: str = "oldest",
        after: int | None = None,
        limit: int = 200,
    ) -> model.TaskPage:
        """A page of live tasks: of these sites (None: all), of this parent, of this ParkedGroup key.

        ``order`` is ``oldest`` or ``newest``; ``after`` the cursor of the page before.
        """

    async def task(self, serial: int) -> model.TaskDetail: ...

    async def ages(self, sites: Sequence[int] | None) -> model.Ages: ...

    async def parked(self, sites: Sequence[int] | None) -> tuple[model.ParkedGroup, ...]:
        """Where the tasks of these sites are parked, most first."""

    async def facts(self, site: int, cuts: Sequence[float], before: float | None = None) -> model.SiteFacts:
        """Why the tasks of a site do not end; ``cuts``: moments at which to count its cohorts.

        ``before``: only tasks born until then are looked into.
        """

    async def looks(self, sites: Sequence[int]) -> tuple[model.SiteFacts, ...]:
        """The facts of these sites that were asked for before, by whomever; of each the oldest first."""

    async def groups(self, by: str) -> tuple[model.Group, ...]:
        """Live tasks by ``parent`` (the parent's site) or ``parked``, most first."""

    async def tree(self, by: str, of: int | None) -> tuple[model.TreeGroup, ...]:
        """Children of task ``of`` (None: the roots) in the tree by ``parent`` or by ``await``."""

    async def threads(self) -> tuple[model.Thread, ...]: ...

    async def thread(self, ident: int) -> model.ThreadDetail: ...

    async def ended(self, limit: int) -> tuple[model.Ended, ...]:
        """Tasks that ended lately, newest first."""

    async def stalls(self) -> tuple[model.Stall, ...]: ...

    async def loops(self) -> tuple[model.Loop, ...]: ...

    async def source(self, file: str, line: int, context: int) -> model.Source:
        """Source around a line, as the target's interpreter sees it."""

    async def snapshot(self, *, stacks: bool = True) -> dict[str, Any]:
        """The whole state in the snapshot format (``export/snapshot.schema.json``)."""


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


@runtime_checkable
class Control(Protocol):
    """A source through which a task may be cancelled, if the target allows it (``Hello.control``)."""

    async def cancel(self, serial: int) -> None:
        """Asks the task to cancel.  Raises SourceError as every question does."""


@runtime_checkable
class Consoled(Protocol):
    """A source of a running process in which aiomonitor's console may be opened."""

    async def console(self, *, start: bool = False) -> tuple[str, int] | None:
        """Host and port where it speaks telnet, as the target sees them.  NotAvailable says what to do.

        None: none runs; one can be opened with ``start``, which listens until `leave_console`.
        """

    async def leave_console(self) -> None:
        """Ends the one that was opened here, if any."""
