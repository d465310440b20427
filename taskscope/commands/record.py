"""``taskscope record``: writes samples, findings and details of a process to a file as they come."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from taskscope import text as fmt
from taskscope.commands.common import TARGET_HELP, UsageError, duration, say
from taskscope.text import plural

if TYPE_CHECKING:
    import asyncio
    from argparse import ArgumentParser, Namespace

    from taskscope.export.recording import RecordingWriter
    from taskscope.model import Hello
    from taskscope.sources.base import Source

AGAIN = 1.0
"""Seconds between two searches for the restarted target."""


def register(parser: ArgumentParser) -> None:
    """Describes the verb and adds its arguments."""
    parser.description = (
        "Records a process: every sample, the findings, and the stacks behind them, until Ctrl-C or until it "
        "ends.  The file stays readable, whatever ends the recording; `taskscope open` plays it.  "
        "If FILE is a recording, it is continued."
    )
    parser.add_argument("target", metavar="TARGET", help=TARGET_HELP)
    parser.add_argument("-o", "--output", metavar="FILE", required=True, help="recording to write")
    parser.add_argument(
        "--for",
        dest="seconds",
        type=duration,
        default=math.inf,
        metavar="1h",
        help="duration (default: until Ctrl-C)",
    )
    parser.add_argument("--interval", type=duration, default=1.0, metavar="1s", help="time between samples")
    parser.add_argument(
        "--follow", action="store_true", help="when the process ends, wait until TARGET is back and go on"
    )


def main(options: Namespace) -> int:
    """Records, then says what is in the file."""
    import asyncio

    return asyncio.run(_until_told(_Recording(options)))


async def _until_told(recording: _Recording) -> int:
    """Runs it until it ends by itself, at Ctrl-C, or at SIGTERM."""
    import asyncio
    import signal

    running = asyncio.ensure_future(recording.run())
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, running.cancel)
    try:
        return await running
    except asyncio.CancelledError:
        return 0


class _Recording:
    """One run of the verb: one connection, or with ``--follow`` one after another."""

    def __init__(self, options: Namespace) -> None:
        self._options = options
        self._samples = 0
        self._limit: asyncio.Timeout

    async def run(self) -> int:
        """The exit status.  Raises SourceError, RecordingError."""
        import asyncio
        from contextlib import closing

        from taskscope.export.recording import RecordingWriter

        source, hello = await self._connected()
        try:
            with closing(RecordingWriter(self._options.output)) as writer:
                if writer.continued:
                    say(f"taskscope record: continuing {self._options.output}")
                try:
                    async with asyncio.timeout(None) as self._limit:
                        return await self._record_all(source, hello, writer)
                except TimeoutError:
                    return 0
                finally:
                    self._say_what_is_there(writer)
        finally:
            await source.close()

    async def _record_all(self, source: Source, hello: Hello, writer: RecordingWriter) -> int:
        """Records until the target is gone for good."""
        from taskscope.sources.base import AgentGone, TargetGone
        from taskscope.sources.recorder import Recorder

        while True:
            try:
                async for _ in Recorder(source, hello, writer).record(self._options.interval):
                    self._note()
            except TargetGone as gone:
                say(f"taskscope record: {gone}")
                if not self._options.follow:
                    return 3 if isinstance(gone, AgentGone) else 0
            await source.close()
            source, hello = await self._back()

    def _note(self) -> None:
        """Counts a sample; the duration begins with the first one."""
        import asyncio

        self._samples += 1
        if self._samples == 1 and not math.isinf(self._options.seconds):
            self._limit.reschedule(asyncio.get_running_loop().time() + self._options.seconds)

    async def _connected(self) -> tuple[Source, Hello]:
        import asyncio

        from taskscope.sources.resolve import resolve

        source = await asyncio.to_thread(resolve, self._options.target, progress=say)
        if not source.live:
            raise UsageError(f"record needs a running process; {self._options.target} is a file")
        try:
            return source, await source.open()
        except BaseException:
            await source.close()
            raise

    async def _back(self) -> tuple[Source, Hello]:
        """Waits until the target is back."""
        import asyncio

        from taskscope.sources.base import SourceError

        while True:
            await asyncio.sleep(AGAIN)
            try:
                return await self._connected()
            except SourceError:
                continue

    def _say_what_is_there(self, writer: RecordingWriter) -> None:
        path = self._options.output
        if not self._samples and not writer.continued:
            say(f"taskscope record: no sample came; {path} was not written")
            return
        say(
            f"{path}: {plural(self._samples, 'sample')}, {fmt.bytes(writer.written)}; "
            f"`taskscope open {path}` plays it"
        )
