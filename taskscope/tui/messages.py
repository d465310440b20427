"""What happened, told to the screen in front: messages in the past tense."""

from __future__ import annotations

from textual.message import Message


class StoreChanged(Message):
    """The store or the connection changed.  Only the screen in front is told; others look when shown."""


class OverviewLeft(Message):
    """Esc where there is nothing left to clear."""
