"""The level shown of what is judged again and again: it follows the verdicts with a delay."""

from __future__ import annotations

from typing import TYPE_CHECKING

from taskscope.model.vocabulary import rank
from taskscope.values import dataclass

if TYPE_CHECKING:
    from taskscope.model.vocabulary import Reading

CONFIRM = 1.5
"""Seconds a graver verdict must last before the level rises: one sample may be a burst."""

HOLD = {"leak": 20.0, "suspect": 10.0}
"""Seconds a milder verdict must last before the level falls, so it does not flap."""


@dataclass(slots=True)
class ShownLevel:
    """The level shown, which follows the verdicts with a delay."""

    shown: Reading = "flat"
    since: float = 0.0
    other: Reading = "flat"
    other_since: float = 0.0

    def follow(self, level: Reading, now: float, *, at_once: bool) -> None:
        """``at_once``: the level rises without a delay."""
        if level == self.shown:
            self.other = level
            return
        if level != self.other:
            self.other, self.other_since = level, now
        if rank(level) < rank(self.shown):
            wait = 0.0 if at_once else CONFIRM
        else:
            wait = max(HOLD[self.shown], (self.other_since - self.since) / 4)
        if now - self.other_since >= wait:
            self.shown, self.since = level, now
