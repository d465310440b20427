"""What all views of a target share: source, store, settings and messages."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from enum import Enum
from typing import TYPE_CHECKING, TypeVar

from taskscope import text as fmt
from taskscope.sources.base import SourceError
from taskscope.sources.group import GroupSource
from taskscope.sources.live import LiveSource
from taskscope.text import sentence
from taskscope.tui.dismissed import DismissedError
from taskscope.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from taskscope.model import Finding, Silence
    from taskscope.sources.base import Source
    from taskscope.sources.membership import Membership
    from taskscope.tui.capturing import Capture
    from taskscope.tui.playback import Playback
    from taskscope.tui.store import Store

T = TypeVar("T")

LONG_LIVED = (5.0, 10.0, 30.0, 60.0, 300.0, 600.0, 1800.0, 3600.0, 6 * 3600.0, 24 * 3600.0)
"""Thresholds for long-lived tasks, in seconds."""

STALE = 3.0
"""Intervals without a sample after which the data is stale."""

STATUS_SECONDS = 8.0
"""Seconds that a confirmation shows; an error stays until it is read."""


QUEUED, KEPT = 20, 200
"""Most unread errors, and most messages in the log."""


class State(Enum):
    """The state of the connection to the target."""

    CONNECTING = "connecting"
    LIVE = "live"
    SAVED = "saved state"
    ENDED = "ended"
    LOST = "connection lost"
    FAILED = "no connection"


@dataclass(frozen=True, slots=True)
class Said:
    """A message; ``at`` is wall time."""

    at: float
    text: str
    error: bool


class Voice:
    """The messages at the bottom of the screen, and their log."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.clock = clock
        self.on_said: Callable[[], None] = lambda: None
        self.errors: deque[str] = deque(maxlen=QUEUED)
        """Unread errors, oldest first."""
        self.said: deque[Said] = deque(maxlen=KEPT)
        """The log, oldest first."""
        self._status = ""
        self._said_at = 0.0

    def status(self, message: str) -> None:
        """Confirms an action."""
        self._status = message
        self._said_at = self.clock()
        self._say(message, error=False)

    def error(self, message: str) -> None:
        """Reports an error; it stays until `read`, and replaces a confirmation."""
        self._status = ""
        message = sentence(message)
        if message not in self.errors:
            self.errors.append(message)
            self._say(message, error=True)

    def _say(self, message: str, *, error: bool) -> None:
        if message:
            self.said.append(Said(time.time(), message, error))
        self.on_said()

    def read(self) -> bool:
        """Removes the newest error; the one before it shows next.  False if there was none."""
        if not self.errors:
            return False
        self.errors.pop()
        self.on_said()
        return True

    @property
    def unread(self) -> str:
        """The newest unread error, or "": the result of the last key always shows."""
        return self.errors[-1] if self.errors else ""

    @property
    def confirmation(self) -> str:
        """The last confirmation while it is recent, or ""."""
        return self._status if self.clock() - self._said_at < STATUS_SECONDS else ""


class Context(Voice):
    """Shared by all views of one target.  ``source`` is replaced when the app reconnects."""

    def __init__(self, source: Source, store: Store, clock: Callable[[], float]) -> None:
        super().__init__(clock)
        self.source = source
        self.store = store
        self.state = State.CONNECTING
        self.playback: Playback | None = None
        """What moves a recording; None: the app shows something else."""
        self.capture: Capture | None = None
        """The recording that is being made of it."""
        self.opens: int | None = None
        """The site to open as soon as it is known."""
        self.membership: Membership | None = None
        """The group that it was opened from."""
        self.reason = ""
        """Why the connection is not live, in the source's words."""
        self.silence: Silence | None = None
        """Why no samples come; None while they do."""
        self.again = asyncio.Event()
        """Set by whoever wants a lost connection back."""
        self.waiting = False
        """Whether the app waits for the target to restart."""
        self.long_lived = 60.0
        """Age in seconds from which a task is long-lived."""
        self._resumed_at = float("-inf")

    def resumed(self) -> None:
        """The app runs again after it was suspended: it took no samples meanwhile."""
        self._resumed_at = self.clock()

    @property
    def group(self) -> GroupSource | None:
        """The source, if it is several processes."""
        return self.source if isinstance(self.source, GroupSource) else None

    @property
    def elsewhere(self) -> str:
        """Where the target's files are, to end a sentence; empty: where ours are."""
        return self.source.reach.elsewhere if isinstance(self.source, LiveSource) else ""

    @property
    def stale(self) -> bool:
        """Whether the connection is live but no sample has come for a while."""
        sample, age = self.store.sample, self.store.sample_age()
        if self.state is not State.LIVE or sample is None or age is None:
            return False
        return min(age, self.clock() - self._resumed_at) > STALE * max(sample.interval, 1.0)

    def dismiss(self, finding: Finding | None) -> None:
        """Dismisses a finding for this target, or restores it, and confirms."""
        if finding is None:
            self.error("Nothing to dismiss: this site has no finding.")
            return
        try:
            gone = self.store.findings.toggle(finding)
        except DismissedError as problem:
            self.error(f"Not dismissed: {problem}.")
            return
        self.store.version += 1
        where = fmt.place(finding)
        self.status(f"Dismissed: {where}.  Press d again to restore it." if gone else f"Restored: {where}.")

    async def ask(self, question: Awaitable[T]) -> T | None:
        """The answer, or None after reporting the error."""
        try:
            return await question
        except SourceError as problem:
            self.error(str(problem))
            return None
