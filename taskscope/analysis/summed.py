"""Series of several processes as one."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Series = tuple[Sequence[float], Sequence[Sequence[float | None]]]
    """Times, and columns of values that hold until the next time."""


def summed(one: Series, other: Series, join: Sequence[Callable[[float, float], float]]) -> Series:
    """Two series as one, column by column; where one has not begun, the other counts alone."""
    times = sorted({*one[0], *other[0]})
    spread = [_spread(each, times) for each in (one, other)]
    columns = []
    for how, *pair in zip(join, *spread, strict=True):
        columns.append([_joined(how, *values) for values in zip(*pair, strict=True)])
    return times, columns


def _spread(series: Series, times: Sequence[float]) -> list[list[float | None]]:
    """The columns at other times."""
    own, columns = series
    at, places = 0, []
    for time in times:
        while at < len(own) and own[at] <= time:
            at += 1
        places.append(at - 1)
    return [[column[place] if place >= 0 else None for place in places] for column in columns]


def _joined(how: Callable[[float, float], float], one: float | None, other: float | None) -> float | None:
    if one is None or other is None:
        return other if one is None else one
    return how(one, other)
