"""A count that grew and is now flat: since when, and at which rate and lifetime."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from taskscope import text as wording
from taskscope.analysis.growth import kept
from taskscope.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Sequence

    from taskscope.analysis.track import Bin

BAND = 0.05
"""Largest gap below the plateau, as a share of the live count, or twice its random noise."""

RISE = 0.5
"""Smallest gain, as a share of the live count, or four times its random noise; below that it never grew."""


@dataclass(frozen=True, slots=True)
class Plateau:
    """``live`` since ``since``: ``rate`` births per second times ``lifetime`` seconds (None: none ends)."""

    live: int
    since: float
    rate: float
    lifetime: float | None

    @property
    def text(self) -> str:
        """``flat at 1,500: 25.0/s × 60 s each``."""
        if self.lifetime is None:
            return f"flat at {self.live:,}: none starts, none ends"
        each = wording.seconds(self.lifetime) if self.lifetime >= 1 else f"{self.lifetime:.2f} s"
        return f"flat at {self.live:,}: {wording.rate_per_second(self.rate)}/s × {each} each"


def plateau(bins: Sequence[Bin], now: float) -> Plateau | None:
    """The plateau a series is on; None if it did not climb, or has been flat for less than a lifetime."""
    if len(bins) < 2:
        return None
    last = bins[-1]
    least = last.live - max(BAND * last.live, 2 * math.sqrt(last.live))
    floor = kept([bin.low for bin in bins])
    row = next((row for row, value in enumerate(floor) if value >= least), len(bins) - 1)
    flat = bins[row]
    rose = last.live - floor[0] >= max(RISE * last.live, 4 * math.sqrt(last.live))
    if not rose or max(bin.high for bin in bins[row:]) > 2 * last.live - least:
        return None
    half = row + (len(bins) - row) // 2  # the later half has none of the climb
    seconds = last.time - bins[min(half + 1, len(bins) - 1)].time
    if seconds <= 0:
        return None
    begin, end = bins[half], bins[-2]  # whole bins: totals are those at their ends
    born, ended = end.born - begin.born, end.ended - begin.ended
    if not born and not ended:
        return Plateau(last.live, flat.time, 0.0, None)
    if not ended:
        return None
    lifetime = last.live * seconds / ended
    return Plateau(last.live, flat.time, born / seconds, lifetime) if now - flat.time >= lifetime else None
