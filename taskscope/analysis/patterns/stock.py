"""Resources that are made again and again and never given back: one pattern a kind, all of one shape."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from taskscope import text as wording
from taskscope.analysis.clues import keeper_as_text
from taskscope.analysis.patterns.pattern import ProcessPattern, Said, place, said
from taskscope.analysis.patterns.piles import explained, pile_finding
from taskscope.analysis.stock import weight_of
from taskscope.model import Frame
from taskscope.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from taskscope.analysis.patterns.pattern import ProcessFacts
    from taskscope.analysis.stock import PiledResource
    from taskscope.model import Finding, Projection, Resource
    from taskscope.model.vocabulary import ResourceKind, ResourceState


@dataclass(frozen=True, slots=True, kw_only=True)
class StockPattern(ProcessPattern):
    """``of``: the kind and state of what piles up; ``thing`` of one of them, ``what`` is wrong with them.

    ``sees``: more evidence on a row.
    """

    of: tuple[ResourceKind, ResourceState]
    thing: str
    what: str
    sees: Callable[[Resource], Iterator[str]]

    def findings(self, process: ProcessFacts) -> tuple[Finding, ...]:
        """One per pile; the forecast of what they use up goes to the first, the worst."""
        piles = [each for each in process.piled if (each.row.kind, each.row.state) == self.of]
        ahead = explained([each.grown for each in piles], process.climbs)
        return tuple(self._finding(each, None if at else ahead) for at, each in enumerate(piles))

    def _finding(self, pile: PiledResource, projection: Projection | None) -> Finding:
        row, keeper = pile.row, pile.row.keeper
        return pile_finding(
            "resource",
            pile.grown,
            _site(row),
            row.label,
            row.count,
            f"{wording.plural(row.count, self.thing)}, {self._rate(pile)}",
            {
                "resource": row.kind,
                "state": row.state,
                "line": "made" if row.frame is not None else "kept",
                "each": row.each,
                "bytes_per_min": round(pile.grown.verdict.rate) if row.kind == "context" else None,
                "keeper": keeper.name if keeper is not None else None,
                "alone": row.alone,
                "inspected": row.inspected,
            },
            self.cause(self._sentence(pile), tuple(self._evidence(pile))),
            projection=projection,
            since_estimated=pile.grown.past is not None and pile.grown.past.rests_on != "births",
            share=pile.share,
        )

    @staticmethod
    def _rate(pile: PiledResource) -> str:
        rate = pile.grown.verdict.rate
        if pile.row.kind != "context":
            return wording.per_minute(rate)
        return f"{wording.bytes(weight_of(pile.row))}, +{wording.bytes(rate)}/min"

    def _sentence(self, pile: PiledResource) -> Said:
        keeper = pile.row.keeper
        return said(self.what, more=f"kept in {keeper.name}" if keeper is not None and keeper.name else "")

    def _evidence(self, pile: PiledResource) -> Iterator[str]:
        row, past = pile.row, pile.grown.past
        yield from self.sees(row)
        if past is not None and past.rests_on != "births":
            yield "at this rate there were none when the process started"
        kept = keeper_as_text(row.keeper, grows=pile.keeper_grows)
        if kept:
            yield f"kept in {kept}"
            assert row.keeper is not None
            if row.keeper.filled:
                yield f"put there at {place(row.keeper.filled)} in {row.keeper.filled.function}"
            if row.keeper.entry:
                yield f"each belongs to an entry of it, a {row.keeper.entry}"
            if row.keeper.emptied:
                yield "the code beside it also takes some out: not all of them, it seems"


def _site(row: Resource) -> Frame:
    """The line that made them, or else that puts them where they are kept."""
    filled = row.keeper.filled if row.keeper is not None else None
    return row.frame or filled or Frame("", 0, row.name, "stdlib")


def _of_loop(row: Resource) -> Iterator[str]:
    yield f"{row.label}, neither running nor closed; each takes 3 descriptors"
    if row.older and row.frame is not None:
        yield f"{row.older:,} are older than the agent, presumably made there too"
    if row.frame is None:
        yield "where they were made is unknown: they are older than the agent"
    if not row.users:
        yield "the threads that made them have ended"
    if row.keeper is None:
        yield "nothing was found that keeps them: they may be left to the collector"


def _of_generator(row: Resource) -> Iterator[str]:
    if row.frame is not None:
        yield f"each stands at {place(row.frame)}, at a yield, and was not asked for its next value"


def _of_connection(row: Resource) -> Iterator[str]:
    if row.alone:
        yield f"only the event loop refers to {row.alone} of {row.inspected} inspected"
    if row.each:
        yield f"each keeps about {wording.bytes(row.each)}"


def _of_ended(row: Resource) -> Iterator[str]:
    yield f"{row.name}: ended, and its status was never fetched (zombies)"
    if row.users:
        yield "a thread is waiting for a child"


def _of_child(row: Resource) -> Iterator[str]:
    yield f"{row.name}: running, and started ever more often than it ends"


def _of_context(row: Resource) -> Iterator[str]:
    values = wording.plural(row.count, "distinct value")
    yield f"{values} of type {row.detail}, about {wording.bytes(row.each or 0)} each"
    if (row.variables or 0) > 1:
        yield f"{row.variables:,} variables of this name: made in a function, not once at module level"
    yield f"tasks and timers whose contexts hold one: {wording.count(row.users)}"


def _found(of: tuple[ResourceKind, ResourceState], process: ProcessFacts) -> tuple[Finding, ...]:
    return BY_ROW[of].findings(process)


def _pattern(
    of: tuple[ResourceKind, ResourceState],
    name: str,
    thing: str,
    what: str,
    sees: Callable[[Resource], Iterator[str]],
    explanation: str,
    remedy: str,
) -> StockPattern:
    return StockPattern(
        name=name,
        find=partial(_found, of),
        noun="line" if of[0] in ("loop", "generator") else "kind",
        verb=f" piling up {thing}s",
        explanation=explanation,
        remedy=remedy,
        of=of,
        thing=thing,
        what=what,
        sees=sees,
    )


PATTERNS: tuple[StockPattern, ...] = (
    _pattern(
        ("loop", "stopped"),
        "event loops never closed",
        "event loop",
        "event loops are made and never closed",
        _of_loop,
        "An event loop keeps a selector and a pair of sockets open until it is closed.",
        "Use asyncio.run or asyncio.Runner, which close theirs; or close() the loop where it was made.",
    ),
    _pattern(
        ("generator", "suspended"),
        "async generators left open",
        "async generator",
        "async generators are begun, not finished and kept",
        _of_generator,
        "A suspended generator keeps all its variables, and its finally blocks have not run.",
        "Iterate inside `async with contextlib.aclosing(...)`, or aclose() it on every path.",
    ),
    _pattern(
        ("transport", "open"),
        "connections without an owner",
        "connection",
        "connections stay open and nobody uses them",
        _of_connection,
        "The event loop keeps a transport until it is closed, by either side.",
        "Close the writer (and wait_closed) on every path on which its user returns, errors included.",
    ),
    _pattern(
        ("subprocess", "ended"),
        "children not waited for",
        "zombie",
        "child processes end and nobody waits for them",
        _of_ended,
        "The kernel keeps an entry of the process table until the parent fetches the exit status.",
        "wait() or poll() every Popen, or use subprocess.run; after os.fork call os.waitpid.",
    ),
    _pattern(
        ("subprocess", "running"),
        "children never ended",
        "child process",
        "child processes are started and never ended",
        _of_child,
        "A child runs on until it ends by itself or is told to.",
        "Terminate it and wait for it where its work is done, errors included.",
    ),
    _pattern(
        ("context", "unknown"),
        "contexts that grow",
        "context value",
        "what contexts hold grows, and nothing releases it",
        _of_context,
        "A context keeps the values of its variables for as long as its task or timer lives.",
        "Make variables once, at module level; reset() what was set; bound what grows.",
    ),
)
"""In the order they are reported."""

BY_ROW: dict[tuple[ResourceKind, ResourceState], StockPattern] = {each.of: each for each in PATTERNS}
