"""``taskscope record`` of a group: one recording for each process, in a directory, as they come and go."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path
from typing import TYPE_CHECKING

from taskscope import text as fmt
from taskscope.commands.common import CommandError
from taskscope.export.recording import RecordingWriter
from taskscope.sources.base import SourceError
from taskscope.sources.for_each import for_each
from taskscope.sources.group import AT_ONCE
from taskscope.sources.recorder import Recorder

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Callable

    from taskscope.sources.choice import Found
    from taskscope.sources.group import GroupSource


class GroupRecording:
    """One run of the verb.  ``tell`` gets sentences."""

    def __init__(self, group: GroupSource, options: Namespace, tell: Callable[[str], None]) -> None:
        self._group = group
        self._options = options
        self._tell = tell
        self._folder = Path(options.output)
        self._room = asyncio.Semaphore(AT_ONCE)
        self._samples = self._files = 0

    async def run(self) -> int:
        """Records until told to end, until time is up, or until none is left."""
        choice = self._group.choice
        found = await asyncio.to_thread(choice.find)
        if not found:
            raise CommandError(choice.nobody)
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise CommandError(f"cannot write {self._folder}: {error.strerror or error}") from None
        try:
            await for_each(choice, self._record, self._options.seconds, lasting=choice.lasting)
        finally:
            if self._files:
                files, samples = fmt.plural(self._files, "recording"), fmt.plural(self._samples, "sample")
                self._tell(f"{self._folder}: {files}, {samples}")
        if not self._files:
            raise CommandError(f"no process of {self._group.choice.name} could be recorded")
        return 0

    async def _record(self, found: Found) -> None:
        await asyncio.sleep(found.young)
        try:
            async with self._room:
                source = await asyncio.to_thread(self._group.connect, found)
                hello = await source.open()
            path = self._folder / f"{file_name(hello.process.name, hello.process.pid)}.rec"
            try:
                with contextlib.closing(RecordingWriter(str(path))) as writer:
                    self._files += 1
                    async for _ in Recorder(source, hello, writer).record(self._options.interval):
                        self._samples += 1
            finally:
                await source.close()
        except SourceError as problem:
            self._tell(f"{found.pid or found.target}: {problem}")


def file_name(name: str, pid: int) -> str:
    """``orders-4121``: a name from a process is no path."""
    return "".join(each if each.isalnum() or each in "-_." else "_" for each in name).lstrip(".") + f"-{pid}"
