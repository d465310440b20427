"""What every view is given: the source, the store, the settings, and a voice."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from taskscope.sources.base import SourceError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from taskscope.sources.base import Source
    from taskscope.tui.store import Store

T = TypeVar("T")


class Context:
    """Shared by all views of one target.  ``source`` changes when the app reconnects."""

    def __init__(
        self,
        source: Source,
        store: Store,
        clock: Callable[[], float],
        status: Callable[[str], None],
        error: Callable[[str], None],
    ) -> None:
        self.source = source
        self.store = store
        self.clock = clock
        self.status = status
        """Confirms an action in one line at the bottom."""
        self.error = error
        """Says what went wrong; stays until read."""
        self.long_lived = 60.0
        """Seconds from which a task counts as long-lived."""

    async def ask(self, question: Awaitable[T]) -> T | None:
        """The answer; or None after saying, in the status line, why there is none."""
        try:
            return await question
        except SourceError as problem:
            self.error(str(problem))
            return None
