"""Recordings made from the fake service, by the recorder that real ones are made with."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

from taskscope.export.recording import RecordingWriter
from taskscope.model.state import TargetState
from taskscope.sources.base import TargetGone
from taskscope.sources.recorder import Recorder
from tests.tui.fake_source import FakeSource

if TYPE_CHECKING:
    from pathlib import Path

    from taskscope.model import Finding, Sample

Seen = tuple["Sample", tuple["Finding", ...]]


async def record(path: Path, seconds: int, source: FakeSource | None = None) -> list[Seen]:
    """Records so many seconds of the fake service; returns its whole state and findings after each sample."""
    source = source or FakeSource()
    hello = await source.open()
    seen, live, ended = [], TargetState(hello), False
    with closing(RecordingWriter(path)) as writer:
        recorder = Recorder(source, hello, writer)
        try:
            async for sample in recorder.record(0.0):
                await recorder.caught_up()
                live.apply(sample)
                whole = live.whole()
                assert whole is not None
                seen.append((whole, recorder.findings))
                if len(seen) <= seconds:
                    source.advance()
                else:
                    source.end()
        except TargetGone:
            ended = True
    assert ended
    return seen
