"""What `analysis.diff` compares: any target as one side, a file as it is or a process as it is now."""

from __future__ import annotations

from typing import TYPE_CHECKING

from taskscope.model.changes import Side
from taskscope.model.state import TargetState
from taskscope.sources.base import SourceError
from taskscope.sources.lines import texts
from taskscope.sources.recorded import RecordedSource
from taskscope.sources.saved import SavedSource

if TYPE_CHECKING:
    from taskscope.model import Sample
    from taskscope.sources.base import Source


async def side_of(source: Source) -> Side:
    """The side that an opened source is.  A process shows no findings: a verdict takes time.

    Raises SourceError.
    """
    hello = await source.open()
    state = TargetState(hello)
    async for sample in source.samples():
        state.apply(sample)
        break
    whole = state.whole()
    if whole is None:
        raise SourceError(f"no sample came from {hello.process.name}")
    findings = source.findings if isinstance(source, SavedSource | RecordedSource) else ()
    return Side(whole, findings, await texts_of(source, whole), hello.process)


async def texts_of(source: Source, whole: Sample) -> dict[int, str]:
    """The text of the lines of sites, as it was at the moment that ``whole`` is of.  Raises SourceError."""
    if isinstance(source, SavedSource | RecordedSource):
        return source.texts(whole.new_sites)
    return await texts(source, whole.new_sites, whole)
