"""The connection to the target: opens it, pumps samples, notices its end, and waits for a restart.

Independent of Textual: it runs as one task in the app's loop, and calls back when something changes.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from taskscope.sources.base import (
    ConnectionLost,
    Entering,
    Observed,
    SourceError,
    SourceMisbehaves,
    TargetGone,
    TargetSilent,
)
from taskscope.sources.pump import Pump
from taskscope.text import sentence
from taskscope.tui.background_monitor import BackgroundMonitor
from taskscope.tui.context import State
from taskscope.tui.dismissed import Dismissed, DismissedError, default_path
from taskscope.tui.rows import TREND_SECONDS

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine

    from taskscope.model import Hello, History, Sample, SiteHistory
    from taskscope.sources.base import Source
    from taskscope.tui.context import Context

    Reconnect = Callable[[], Awaitable[Source | None]]

RETRY = 1.0
"""Seconds between two searches for the restarted target."""


class Connection:
    """Keeps the context's store and state current."""

    def __init__(self, context: Context, reconnect: Reconnect | None, changed: Callable[[], None]) -> None:
        self.context = context
        self._reconnect = reconnect
        self._changed = changed
        self._pump: Pump | None = None
        self._monitor = BackgroundMonitor(context, changed)
        self._background: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Runs until cancelled or until nothing more can come."""
        hello = None
        while True:
            try:
                await self._feed(hello or await self._opened())
            except ConnectionLost as lost:
                self._become(State.LOST, str(lost))
            except TargetGone as gone:
                self._become(State.ENDED, str(gone))
            except SourceMisbehaves as problem:
                self._become(State.FAILED, str(problem))
                await self.close()
                return  # retrying cannot help
            except SourceError as problem:
                self._become(State.FAILED, str(problem))
            else:
                return  # a saved state stays open for requests
            await self.close()
            self.context.silence = None
            if self._reconnect is None or self.context.store.hello is None:
                return  # never seen: another try would meet the same
            self.context.source, hello = await self._wait_for(self._reconnect)
            self._become(State.CONNECTING)

    async def leave(self) -> tuple[int, ...]:
        """Ends the recording, if one is being made, and closes the source; returns who keeps an agent."""
        if self.context.capture is not None:
            await self.context.capture.stop()
        source = self.context.source
        injected = source.injected if isinstance(source, Entering) else ()
        await self.close()
        return injected

    async def close(self) -> None:
        """Closes the source."""
        for task in self._background:
            task.cancel()
        self._monitor.end()
        await self.context.source.close()

    async def _opened(self) -> Hello:
        """Opens the source and returns its greeting; while the target is silent, shows why and retries."""
        source = self.context.source
        if isinstance(source, Observed):
            source.progress = lambda text: self._become(State.CONNECTING, text)
        while True:
            try:
                return await source.open()
            except TargetSilent as problem:
                self._become(State.CONNECTING, str(problem))
            await asyncio.sleep(RETRY)

    async def _listen(self, source: Observed) -> None:
        """Records that no samples come, and why."""
        while True:
            self.context.silence = source.silence()
            await asyncio.sleep(RETRY)

    async def _wait_for(self, reconnect: Reconnect) -> tuple[Source, Hello]:
        """Waits for the target to come back and connects to it; shows why if it refuses."""
        self.context.waiting = True
        self.context.again.clear()
        self._changed()
        try:
            while True:
                lost = self.context.state is State.LOST
                if lost:
                    await self._told_to_connect()
                try:
                    if (source := await reconnect()) is not None:
                        return source, await source.open()
                except TargetGone:
                    pass  # it was just going
                except SourceError as problem:
                    self._become(State.LOST if lost else State.ENDED, str(problem))
                await asyncio.sleep(RETRY)
        finally:
            self.context.waiting = False

    async def _told_to_connect(self) -> None:
        """Not by itself: a login may ask for a password."""
        await self.context.again.wait()
        self.context.again.clear()
        self._become(State.CONNECTING, "connecting again…")

    async def _feed(self, hello: Hello) -> None:
        source = self.context.source
        if self.context.playback is not None:
            self._load_dismissed(hello)
            await self.context.playback.run(hello)
        self.context.store.begin(hello)
        group = self.context.group
        self.context.store.rates = group.gathered.slope if group is not None else None
        self._load_dismissed(hello)
        membership = self.context.membership
        self._pump = Pump(source, hello, self, judge=membership.judge(hello) if membership else None)
        self._monitor.begin(self._pump)
        if isinstance(source, Observed):
            source.progress = self.context.status
            self._in_background(self._listen(source))
        async for _ in self._pump.samples():
            pass

    def apply(self, sample: Sample) -> None:
        """The next sample."""
        self.context.store.apply(sample)
        state = State.LIVE if self.context.source.live else State.SAVED
        if self.context.state is not state:
            self._become(state)
        else:
            self._changed()

    def recall(self, past: History | tuple[SiteHistory, ...]) -> None:
        """The agent's own record of the past."""
        self.context.store.recall(past)
        self._changed()

    def _load_dismissed(self, hello: Hello) -> None:
        dismissed = Dismissed(hello.process.name, default_path())
        self.context.store.findings.dismissed = dismissed
        try:
            dismissed.load()
        except DismissedError as problem:
            self.context.error(f"Could not read dismissed findings: {problem}.")

    def fill_past(self) -> None:
        """Requests the agent's history again, in the background: a pause has left a gap."""
        known = self.context.store.state.whole()
        if self._pump is not None and known is not None:
            self._in_background(self._pump.recall(known, TREND_SECONDS))

    def _in_background(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    def _become(self, state: State, reason: str = "") -> None:
        self.context.state = state
        self.context.reason = sentence(reason)
        self._changed()
