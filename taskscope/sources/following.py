"""Stays with a target: connects, and connects again when it is back, for whoever watches for days."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Protocol

from taskscope.sources.base import SourceError
from taskscope.sources.pump import Picture, Pump
from taskscope.sources.resolve import resolve

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Sequence

    from taskscope.analysis.judge import Judge
    from taskscope.model import Finding, Hello
    from taskscope.sources.base import Source

    Say = Callable[[str], None]

AGAIN = 1.0
"""Seconds between two looks for a target that is gone."""


def comes_back(target: str) -> bool:
    """Whether ``target`` may name another process later: a pid does not."""
    return not (target.isascii() and target.isdigit())


async def connections(
    target: str, say: Say, *, via: str = "", again: bool = True
) -> AsyncGenerator[tuple[Source, Hello], None]:
    """Each connection to ``target``; one that has ended is followed by the next, for ever.

    A pid gets one, and raises SourceError if there is none; a name that is not there yet is waited for.
    Without ``again`` a name is treated like a pid.
    """
    again = again and comes_back(target)
    told = ""
    while True:
        try:
            source = await asyncio.to_thread(resolve, target, via=via, progress=say)
            if not source.live:
                raise NotRunningError(f"this needs a running process; {target} is a file")
            hello = await opened(source)
        except NotRunningError:
            raise
        except SourceError as error:
            if not again:
                raise
            if str(error) != told:
                told = str(error)
                say(f"waiting for {target}: {error}")
        else:
            told = ""
            try:
                yield source, hello
            finally:
                with contextlib.suppress(SourceError):
                    await source.close()
            if not again:
                return
        await asyncio.sleep(AGAIN)


class Looker(Picture, Protocol):
    """Sees all that a connection brings, and what it is judged to be."""

    def begin(self, hello: Hello) -> None:
        """Connected, maybe to the same agent again."""

    async def look(self, source: Source, findings: tuple[Finding, ...], judge: Judge) -> None:
        """The last sample was judged."""

    async def end(self) -> None:
        """The connection has ended, or we are told to end."""


async def watch(source: Source, hello: Hello, interval: float, lookers: Sequence[Looker]) -> None:
    """Shows a target to ``lookers`` until it is gone.  Raises SourceError."""
    for each in lookers:
        each.begin(hello)
    pump = Pump(source, hello, *lookers)
    try:
        async for _ in pump.samples(interval):
            findings = await pump.judged()
            for each in lookers:
                await each.look(source, findings, pump.judge)
    finally:
        for each in lookers:
            await each.end()


async def opened(source: Source) -> Hello:
    """Opens it; closes it if that fails.  Raises SourceError."""
    try:
        return await source.open()
    except BaseException:
        await source.close()
        raise


class NotRunningError(SourceError):
    """The target is a file."""
