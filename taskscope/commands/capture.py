"""Does what a rule says: writes a snapshot, a recording or a report, or runs a command."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import time
from collections import deque
from typing import TYPE_CHECKING, Any

from taskscope import wire
from taskscope.commands.common import CommandError, written
from taskscope.commands.contract import finding_of_contract
from taskscope.export.evidence import HOUR, Folder, FolderBusyError
from taskscope.export.recording import RecordingError, RecordingWriter
from taskscope.export.snapshot import SnapshotError, packed, set_verdict
from taskscope.export.whole import write_whole
from taskscope.model import requests
from taskscope.sources.base import Repeatable, SourceError
from taskscope.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from taskscope.analysis.rules import Rule
    from taskscope.analysis.triggers import Event
    from taskscope.model import Finding, Hello, Judged
    from taskscope.model.state import TargetState
    from taskscope.sources.base import Source

    Done = Callable[[Sequence[Event]], None]
    Written = Callable[[Path], None]

RECORD_FOR = 300.0
"""Seconds of a recording; what came before is in it as far as the agent's history goes."""

RECORD_SHARE = 4
"""A recording ends at this part of the bytes allowed, so that the one before it stays."""

PATIENCE = 60.0
"""Seconds that a command may take."""

FAILURES = (OSError, SourceError, SnapshotError, RecordingError, CommandError)
"""What may go wrong with an action; anything else is a bug of ours."""


@dataclass(frozen=True, slots=True)
class Scene:
    """The target as it is: connected, judged."""

    source: Source
    hello: Hello
    state: TargetState
    findings: tuple[Finding, ...]
    judged: Judged


class Refused(Exception):
    """The rule may do no more for now; the message says why."""


class Capture:
    """Carries out the action of one rule, within its bounds.  ``say`` gets a sentence for each."""

    def __init__(self, rule: Rule, say: Callable[[str], None]) -> None:
        self.rule = rule
        self.recording = ""
        """The file of the recording that runs now."""
        self._say = say
        self._ran: deque[float] = deque()
        is_file = rule.do.kind != "command"
        self._folder = Folder(rule.do.argument, rule.most, rule.disk) if is_file else None
        self._turn = asyncio.Lock()

    def beside(self) -> Capture:
        """One for another process, within the same bounds: they take turns."""
        other = Capture(self.rule, self._say)
        other._ran, other._folder, other._turn = self._ran, self._folder, self._turn
        return other

    async def act(self, events: Sequence[Event], scene: Scene, done: Done) -> None:
        """Acts on these events; tells ``done`` which it dealt with.  Raises Refused and ``FAILURES``."""
        folder = self._folder
        if folder is None:
            await self._command(events[0], scene)
            done(events[:1])
            return
        try:
            async with self._turn:
                await self._into(folder, events, scene, done)
        except FolderBusyError:
            raise Refused(f"another process writes to {folder.path}") from None

    async def _into(self, folder: Folder, events: Sequence[Event], scene: Scene, done: Done) -> None:
        with written(str(folder.path)), folder.claimed():
            if folder.is_full():
                raise Refused(f"{self.rule.most} files were written within the hour")

            def at(path: Path) -> None:
                done(events)
                self.note(events, scene, str(path))

            act = {"snapshot": self._snapshot, "report": self._report, "record": self._record}
            await act[self.rule.do.kind](folder, events[0].word, scene, at)

    def note(self, events: Sequence[Event], scene: Scene, what: str, why_not: str = "") -> None:
        """Tells of each event, and logs it beside the files."""
        process = scene.hello.process
        for each in events:
            self._say(f"{process.name} ({process.pid}): {each.text}: {what or f'nothing done, {why_not}'}")
            if self._folder is not None:
                entry = {
                    "target": process.name,
                    "pid": process.pid,
                    "rule": self.rule.text,
                    "word": each.word,
                }
                with contextlib.suppress(OSError):  # what is said stays
                    self._folder.log({**entry, "text": each.text, "file": what or None, "why_not": why_not})

    async def _snapshot(self, folder: Folder, word: str, scene: Scene, at: Written) -> None:
        snapshot = await scene.source.ask(requests.Snapshot())
        set_verdict(snapshot, scene.findings, scene.judged)
        data = await asyncio.to_thread(packed, snapshot, compress=True)
        at(await self._write(folder, word, ".json.gz", scene, data))

    async def _report(self, folder: Folder, word: str, scene: Scene, at: Written) -> None:
        from taskscope.commands.report import page, shown_by

        whole = scene.state.whole()
        assert whole is not None
        shown = f"Written by the rule {self.rule.text!r}."
        seen = await shown_by(scene.source, scene.hello, whole, scene.findings, scene.judged, shown)
        data = (await asyncio.to_thread(page, seen, ".html")).encode("utf-8", "replace")
        at(await self._write(folder, word, ".html", scene, data))

    async def _write(self, folder: Folder, word: str, suffix: str, scene: Scene, data: bytes) -> Path:
        if not folder.make_room(len(data)):
            raise Refused(f"{len(data):,} bytes are more than {folder.path} may hold")
        process = scene.hello.process
        path = folder.new(process.name, process.pid, word, suffix)
        await asyncio.to_thread(write_whole, path, data)
        return path

    async def _record(self, folder: Folder, word: str, scene: Scene, at: Written) -> None:
        """Records for a while.  The file gets its name with its first sample."""
        from taskscope.sources.recorder import Recorder

        most = self.rule.disk // RECORD_SHARE
        folder.make_room(most)
        process = scene.hello.process
        path = folder.new(process.name, process.pid, word, ".rec")
        if not isinstance(scene.source, Repeatable):
            raise Refused("it cannot be recorded beside the watch")
        source = scene.source.another()
        try:
            hello = await source.open()
            with contextlib.closing(RecordingWriter(path, late=True)) as writer:
                recorder = Recorder(source, hello, writer)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(RECORD_FOR):
                        async for _ in recorder.record(hello.interval):
                            if not self.recording:
                                self.recording = str(path)
                                at(path)
                            if writer.written > most:
                                break
        except SourceError:
            if not self.recording:  # else it is whole, up to the end of the target
                raise
        finally:
            self.recording = ""
            await source.close()

    async def _command(self, event: Event, scene: Scene) -> None:
        now = time.monotonic()
        while self._ran and now - self._ran[0] >= HOUR:
            self._ran.popleft()
        if len(self._ran) >= self.rule.most:
            raise Refused(f"it ran {self.rule.most} times within the hour")
        self._ran.append(now)
        command = self.rule.do.argument
        status = await _run(command, json.dumps(_told(event, scene)).encode() + b"\n")
        self.note((event,), scene, f"{command!r} {status}")


def _told(event: Event, scene: Scene) -> dict[str, Any]:
    """What a command reads on its stdin."""
    return {
        "target": wire.pack(scene.hello.process),
        "word": event.word,
        "text": event.text,
        "finding": None if event.finding is None else finding_of_contract(event.finding),
    }


async def _run(command: str, given: bytes) -> str:
    """Runs a command in a session of its own; returns how it ended."""
    child = await asyncio.create_subprocess_exec(
        "/bin/sh", "-c", command, stdin=asyncio.subprocess.PIPE, start_new_session=True
    )
    try:
        await asyncio.wait_for(child.communicate(given), PATIENCE)
    except TimeoutError:
        return f"was killed after {PATIENCE:.0f} s"
    finally:
        if child.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
            await child.wait()
    return f"exited with status {child.returncode}"
