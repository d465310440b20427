"""What every view is given: the source, the store, the settings, and a voice."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, TypeVar

from taskscope.sources.base import SourceError
from taskscope.tui import findings
from taskscope.tui.dismissed import DismissedError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from taskscope.model import Finding
    from taskscope.sources.base import Silence, Source
    from taskscope.tui.store import Store

T = TypeVar("T")

LONG_LIVED = (5.0, 10.0, 30.0, 60.0, 300.0, 600.0, 1800.0, 3600.0, 6 * 3600.0, 24 * 3600.0)
"""Thresholds to choose from, in seconds."""

STALE = 3.0
"""Intervals without a sample after which what is shown is called stale."""

STATUS_SECONDS = 8.0
"""A confirmation may be forgotten after this long; an error only when read."""


QUEUED, KEPT = 20, 200
"""Errors that wait to be read, and messages that can be read again."""


class State(Enum):
    """Of the connection to the target."""

    CONNECTING = "connecting"
    LIVE = "live"
    SAVED = "saved state"
    ENDED = "ended"
    FAILED = "no connection"


@dataclass(frozen=True, slots=True)
class Said:
    """Something that was said at the bottom; ``at`` is wall time."""

    at: float
    text: str
    error: bool


class Voice:
    """What is said at the bottom of the screen, now and before."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.clock = clock
        self.on_said: Callable[[], None] = lambda: None
        self.errors: deque[str] = deque(maxlen=QUEUED)
        """Those not read yet, oldest first."""
        self.said: deque[Said] = deque(maxlen=KEPT)
        """What can be read again, oldest first."""
        self._status = ""
        self._said_at = 0.0

    def status(self, message: str) -> None:
        """Confirms an action."""
        self._status = message
        self._said_at = self.clock()
        self._say(message, error=False)

    def error(self, message: str) -> None:
        """Says what went wrong; stays until `read`, and ends what was said to be under way."""
        self._status = ""
        if message not in self.errors:
            self.errors.append(message)
            self._say(message, error=True)

    def _say(self, message: str, *, error: bool) -> None:
        if message:
            self.said.append(Said(time.time(), message, error))
        self.on_said()

    def read(self) -> bool:
        """The user has read the newest error; the one before follows.  False if there was none."""
        if not self.errors:
            return False
        self.errors.pop()
        self.on_said()
        return True

    @property
    def unread(self) -> str:
        """The newest error to be read, if any: the answer to the last key is never hidden."""
        return self.errors[-1] if self.errors else ""

    @property
    def confirmation(self) -> str:
        """The last confirmation while it is fresh."""
        return self._status if self.clock() - self._said_at < STATUS_SECONDS else ""


class Context(Voice):
    """Shared by all views of one target.  ``source`` changes when the app reconnects."""

    def __init__(self, source: Source, store: Store, clock: Callable[[], float]) -> None:
        super().__init__(clock)
        self.source = source
        self.store = store
        self.state = State.CONNECTING
        self.reason = ""
        """Why the connection is not live, in the source's own sentence."""
        self.silence: Silence | None = None
        """Why no sample comes, while none does."""
        self.waiting = False
        """Whether the app looks out for a target of that name to come back."""
        self.long_lived = 60.0
        """Seconds from which a task counts as long-lived."""

    @property
    def stale(self) -> bool:
        """Connected, but nothing came for a while: the target or the way to it is stuck."""
        sample, age = self.store.sample, self.store.sample_age()
        if self.state is not State.LIVE or sample is None or age is None:
            return False
        return age > STALE * max(sample.interval, 1.0)

    def dismiss(self, finding: Finding | None) -> None:
        """Dismisses a finding for this target, or takes that back, and says so."""
        if finding is None:
            self.error("Nothing to dismiss: there is no finding at this site.")
            return
        try:
            gone = self.store.findings.toggle(finding)
        except DismissedError as problem:
            self.error(f"Not dismissed: {problem}.")
            return
        self.store.version += 1
        where = findings.place(finding)
        self.status(f"Dismissed: {where}.  d takes it back." if gone else f"No longer dismissed: {where}.")

    async def ask(self, question: Awaitable[T]) -> T | None:
        """The answer; or None after saying, in the status line, why there is none."""
        try:
            return await question
        except SourceError as problem:
            self.error(str(problem))
            return None
