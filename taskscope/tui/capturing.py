"""Records the target while the app shows it: the same file as ``taskscope record`` writes.

The recorder has a connection of its own, so that a pause in the app leaves no gap in the file.
Independent of Textual: it runs as a task in the app's loop.
"""

from __future__ import annotations

import asyncio
import contextlib
from contextlib import closing
from typing import TYPE_CHECKING

from taskscope import text as fmt
from taskscope.export.recording import RecordingError, RecordingWriter
from taskscope.sources.base import Repeatable, SourceError, TargetGone
from taskscope.sources.recorder import Recorder
from taskscope.tui.context import State
from taskscope.tui.saving import file_name

if TYPE_CHECKING:
    from taskscope.model import Process
    from taskscope.sources.base import Source
    from taskscope.tui.context import Context

LOOK_EVERY = 0.5
"""Seconds between two looks whether the target is back."""


class Capture:
    """A recording in the making; it goes on when the target restarts, until `stop`."""

    def __init__(self, context: Context, process: Process) -> None:
        self.path = file_name(process, "rec")
        self.samples = 0
        self.written = 0
        """Bytes of the file."""
        self._context = context
        self._begun = context.clock()
        context.capture = self
        self._task = asyncio.create_task(self._run(), name="taskscope-capturing")

    @property
    def seconds(self) -> float:
        """Since when it records, by our clock."""
        return self._context.clock() - self._begun

    async def stop(self) -> None:
        """Ends the file and says what is in it."""
        self._task.cancel()
        await asyncio.wait([self._task])

    async def _run(self) -> None:
        context = self._context
        context.status(f"Recording to {self.path}; R stops it.")
        try:
            with closing(RecordingWriter(self.path)) as writer:
                await self._record(writer)
        except (RecordingError, SourceError) as problem:
            context.error(f"Recording stopped: {problem}.")
        finally:
            context.capture = None
            self._say_what_is_there()

    async def _record(self, writer: RecordingWriter) -> None:
        while True:
            shown = self._context.source
            if isinstance(shown, Repeatable):
                with contextlib.suppress(TargetGone):
                    await self._follow(shown.another(), writer)
            await self._back(shown)

    async def _back(self, gone: Source) -> None:
        """Waits until the app has found the target again."""
        while self._context.source is gone or self._context.state is not State.LIVE:  # noqa: ASYNC110
            await asyncio.sleep(LOOK_EVERY)

    async def _follow(self, source: Source, writer: RecordingWriter) -> None:
        """Records until the target is gone."""
        try:
            hello = await source.open()
            async for _ in Recorder(source, hello, writer).record(0.0):
                self.samples += 1
                self.written = writer.written
        finally:
            await source.close()

    def _say_what_is_there(self) -> None:
        if self.samples:
            amount = f"{fmt.plural(self.samples, 'sample')}, {fmt.bytes(self.written)}"
            self._context.status(f"Recorded {amount}: {self.path}; `taskscope open` plays it.")
        elif not self._context.unread:
            self._context.status(f"No sample came; {self.path} was not written.")
