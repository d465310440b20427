"""Messages to the screen in front, in the past tense."""

from __future__ import annotations

from textual.message import Message


class StoreChanged(Message):
    """The store or the connection changed.  Only the front screen gets it; others catch up when shown."""


class OverviewLeft(Message):
    """Esc was pressed with nothing left to clear."""
