"""Messages to the screen in front, in the past tense."""

from __future__ import annotations

from typing import Generic, TypeVar

from textual.dom import DOMNode
from textual.message import Message

Sender = TypeVar("Sender", bound=DOMNode)


class Sent(Message, Generic[Sender]):
    """A message of the widget ``control``, by which handlers select."""

    def __init__(self, sender: Sender) -> None:
        super().__init__()
        self._from = sender

    @property
    def control(self) -> Sender:
        return self._from


class StoreChanged(Message):
    """The store or the connection changed.  Only the front screen gets it; others catch up when shown."""


class ProcessChosen(Message):
    """One process of a group was chosen, and maybe a site of the group to open in it."""

    def __init__(self, pid: int, site: int | None = None) -> None:
        super().__init__()
        self.pid = pid
        self.site = site


class OverviewLeft(Message):
    """Esc was pressed with nothing left to clear."""
