"""``taskscope record``: writes samples, findings and details of a process to a file as they come."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from taskscope import text as fmt
from taskscope.commands.common import UsageError, add_targets, duration, say, until_told
from taskscope.text import plural

if TYPE_CHECKING:
    import asyncio
    from argparse import ArgumentParser, Namespace

    from taskscope.export.recording import RecordingWriter
    from taskscope.model import Hello
    from taskscope.sources.base import Source


def register(parser: ArgumentParser) -> None:
    """Describes the verb and adds its arguments."""
    parser.description = (
        "Records a process: every sample, the findings, and the stacks behind them, until Ctrl-C or until it "
        "ends.  The file stays readable, whatever ends the recording; `taskscope open` plays it.  "
        "If FILE is a recording, it is continued.  Of several processes, FILE is a directory, which gets one "
        "recording for each, also for those that come later."
    )
    add_targets(parser)
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

    from taskscope.sources.group import group_of

    group = group_of(options.targets, children=options.children, via=options.via)
    if group is None:
        return asyncio.run(until_told(_Recording(options).run()))
    if options.follow:
        raise UsageError("--follow is for one TARGET; a group is followed anyway")
    from taskscope.commands.record_group import GroupRecording

    return asyncio.run(until_told(GroupRecording(group, options, _tell).run()))


def _tell(text: str) -> None:
    say(f"taskscope record: {text}")


class _Recording:
    """One run of the verb: one connection, or with ``--follow`` one after another."""

    def __init__(self, options: Namespace) -> None:
        self._options = options
        self._samples = 0
        self._limit: asyncio.Timeout

    async def run(self) -> int:
        """The exit status.  Raises SourceError, RecordingError."""
        import asyncio
        from contextlib import aclosing, closing

        from taskscope.export.recording import RecordingWriter
        from taskscope.sources.following import connections

        options = self._options
        async with aclosing(
            connections(options.targets[0], _tell, via=options.via, again=options.follow)
        ) as found:
            source, hello = await anext(found)  # no file is made for a target that is not there
            with closing(RecordingWriter(options.output)) as writer:
                if writer.continued:
                    _tell(f"continuing {options.output}")
                try:
                    async with asyncio.timeout(None) as self._limit:
                        status = await self._record(source, hello, writer)
                        async for source, hello in found:
                            status = await self._record(source, hello, writer)
                        return status
                except TimeoutError:
                    return 0
                finally:
                    self._say_what_is_there(writer)

    async def _record(self, source: Source, hello: Hello, writer: RecordingWriter) -> int:
        """Records until the target is gone; returns the status if that is the end."""
        from taskscope.sources.base import AgentGone, TargetGone
        from taskscope.sources.recorder import Recorder

        try:
            async for _ in Recorder(source, hello, writer).record(self._options.interval):
                self._note()
        except TargetGone as gone:
            _tell(str(gone))
            return 3 if isinstance(gone, AgentGone) and not self._options.follow else 0
        return 0

    def _note(self) -> None:
        """Counts a sample; the duration begins with the first one."""
        import asyncio

        self._samples += 1
        if self._samples == 1 and not math.isinf(self._options.seconds):
            self._limit.reschedule(asyncio.get_running_loop().time() + self._options.seconds)

    def _say_what_is_there(self, writer: RecordingWriter) -> None:
        path = self._options.output
        if not self._samples and not writer.continued:
            _tell(f"no sample came; {path} was not written")
            return
        say(
            f"{path}: {plural(self._samples, 'sample')}, {fmt.bytes(writer.written)}; "
            f"`taskscope open {path}` plays it"
        )
