"""What happened, told to the screen in front: messages in the past tense."""

from __future__ import annotations

from textual.message import Message


class StoreChanged(Message):
    """The store holds something newer.  Only the screen in front is told; others look when shown."""


class ConnectionChanged(Message):
    """The connection went into another state (see ``connection.State``)."""
