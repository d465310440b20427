"""The details that travel with findings: a bounded set of questions about the worst sites, stalls and hangs.

Recordings and reports ask them; both show what they answer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from taskscope.model import requests
from taskscope.sources.base import NotAvailable, SourceError, TargetGone, TargetSilent

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from taskscope.model import Finding, Frame, SiteCounts
    from taskscope.model.requests import Request
    from taskscope.sources.base import Source

T = TypeVar("T")

WORST = 5
"""Sites looked at: those with findings, worst first, then those with most live tasks."""

TASKS = 20
"""Tasks listed per site, oldest first."""

EXAMPLES = 3
"""Tasks or threads per site whose stacks are read."""

MOST_STACKS = 15
"""Tasks, and threads, whose stacks are read in all."""

ENDED = 100
PLACES = 40
"""Lines whose source is read."""

CONTEXT = 6
"""Lines of source before and after one."""


class Details:
    """The questions asked of ``source`` so far, with their answers.  What it cannot answer is left out."""

    def __init__(self, source: Source) -> None:
        self.told: dict[Request[Any], Any] = {}
        self.failed: dict[str, None] = {}
        """What went wrong, in sentences; one answer that fails does not cost the others."""
        self._source = source

    async def ask(self, question: Request[T]) -> T | None:
        """The answer; None if there is none."""
        try:
            answer = await self._source.ask(question)
        except NotAvailable:
            return None
        except (TargetGone, TargetSilent):
            raise
        except SourceError as problem:
            self.failed[str(problem)] = None
            return None
        self.told[question] = answer
        return answer

    async def look(self, findings: Sequence[Finding], counts: Iterable[SiteCounts]) -> None:
        """Asks for the process as a whole, the worst sites, what hangs, and the source of it all."""
        for general in (requests.Stalls(), requests.Loops(), requests.Ended(ENDED), requests.Tree("parent")):
            await self.ask(general)
        threads = await self.ask(requests.Threads()) or ()
        idents = [each.ident for each in threads if each.python and each.frame is not None]
        serials: list[int] = []
        for site in worst(findings, counts):
            serials += await self._look_at(site)
        if any(finding.level == "hang" for finding in findings):
            graph = await self.ask(requests.Waits())
            nodes = [*graph.nodes, *(each.task for each in graph.cancelled)] if graph else []
            serials[:0] = [node.number for node in nodes if node.kind == "task"][: 2 * EXAMPLES]
            idents[:0] = [node.number for node in nodes if node.kind == "thread"][: 2 * EXAMPLES]
        for serial in _few(serials, MOST_STACKS):
            await self.ask(requests.Task(serial))
        for ident in _few(idents, MOST_STACKS):
            await self.ask(requests.Thread(ident))
        await self._read_source(findings)

    async def _look_at(self, site: int) -> list[int]:
        """Asks about one site; returns some of its tasks."""
        await self.ask(requests.Site(site))
        await self.ask(requests.Ages((site,)))
        await self.ask(requests.Parked((site,)))
        page = await self.ask(requests.Tasks((site,), limit=TASKS))
        return [task.serial for task in page.tasks[:EXAMPLES]] if page else []

    async def _read_source(self, findings: Sequence[Finding]) -> None:
        named = [frame for each in findings for frame in (each.user_site, each.site, each.via) if frame]
        parked = [a for q, a in self.told.items() if isinstance(q, requests.Parked)]
        waits = [each.cause.waits_at for each in findings if each.cause is not None]
        waits += [group.frame for groups in parked for group in groups[:2]]
        stacked = [frame for answer in self.told.values() for frame in _lines(answer)]
        places = dict.fromkeys(
            (frame.file, frame.line) for frame in [*named, *waits, *stacked] if frame and frame.file
        )
        for file, line in list(places)[:PLACES]:
            await self.ask(requests.Source(file, line, CONTEXT))


def worst(findings: Sequence[Finding], counts: Iterable[SiteCounts]) -> list[int]:
    """The sites worth a look: those with findings, worst first, then those with most live tasks."""
    guilty = [finding.id for finding in findings if finding.id]
    biggest = sorted(counts, key=lambda each: -each.counts.live)[:WORST]
    return _few([*guilty, *(each.site for each in biggest if each.counts.live)], WORST)


def _few(numbers: Iterable[int], most: int) -> list[int]:
    return list(dict.fromkeys(numbers))[:most]


def _lines(answer: Any) -> Iterator[Frame]:
    """The lines of user code in the stacks of an answer."""
    stacks: list[Sequence[Frame]] = [getattr(answer, name, ()) for name in ("stack", "creation")]
    stacks += [each.frames for each in getattr(answer, "stacks", ())]
    if isinstance(answer, tuple):
        stacks += [getattr(each, "stack", ()) for each in answer]
    for stack in stacks:
        yield from [frame for frame in stack if frame.origin == "user"][:4]
