"""Line charts as text: the only module that uses plotext.

plotext keeps one global figure, so call this from the app's own loop only.  Its traps and our way round
them: sizes are not limited to the terminal's; gaps (NaN) split a line into pieces; limits and ticks of both
axes are always given; no text from the target reaches it.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from rich.text import Text

from taskscope.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

Point = tuple[float, float]

_NICE = (1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0)


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a chart: ``(seconds before now as a negative number, value)``, NaN for a gap.

    ``marker``: the character that draws it; braille has eight dots in a cell.
    """

    points: Sequence[Point]
    color: str
    marker: str = "braille"


def build_chart(
    width: int,
    height: int,
    lines: Sequence[Line],
    span: float,
    spell: Callable[[float], str],
    *,
    whole: bool = False,
) -> Text:
    """A chart of exactly ``width`` x ``height`` cells: y labels on the left, the last ``span`` seconds.

    ``spell`` formats a value for the y axis; ``whole``: only whole numbers as ticks.
    """
    known = [value for line in lines for _, value in line.points if math.isfinite(value)]
    top = nice_top(max(known, default=0.0), whole=whole)
    ticks = _ticks(top, height, whole=whole)
    labels = [spell(tick) for tick in ticks]
    label_width = max(map(len, labels))
    if not known or width - label_width < 8 or height < 2:
        return Text("\n".join([" " * width] * height))
    labels = [label.rjust(label_width) for label in labels]

    import plotext  # takes 90 ms: not before the first paint

    plotext.clear_figure()
    plotext.limit_size(False, False)
    plotext.plot_size(width, height)
    plotext.theme("clear")
    plotext.frame(False)
    plotext.xlim(-span, 0)
    plotext.ylim(0, top)
    plotext.xticks([])
    plotext.yticks(ticks, labels)
    for line in lines:
        for piece in pieces(line.points):
            xs, ys = zip(*thinned(piece, span, width - label_width), strict=True)
            plotext.plot(list(xs), list(ys), marker=line.marker, color=_color(line.color))
    text = Text.from_ansi(plotext.build().rstrip("\n"), no_wrap=True)
    plotext.clear_figure()
    return text


def nice_top(value: float, *, whole: bool = False) -> float:
    """A round number at or a little above ``value``, never 0."""
    if value <= 0 or not math.isfinite(value):
        return 1.0
    scale = 10.0 ** math.floor(math.log10(value))
    top = next(step * scale for step in _NICE if step * scale >= value * 0.9999)
    return max(1.0, math.ceil(top)) if whole else top


def _ticks(top: float, height: int, *, whole: bool) -> list[float]:
    if height < 5 or (whole and top < 2):
        return [0.0, top]
    return [0.0, float(round(top / 2)) if whole else top / 2, top]


def pieces(points: Sequence[Point]) -> list[list[Point]]:
    """Splits the points at gaps."""
    found: list[list[Point]] = [[]]
    for point in points:
        if math.isfinite(point[1]):
            found[-1].append(point)
        elif found[-1]:
            found.append([])
    return [piece for piece in found if piece]


def thinned(points: Sequence[Point], span: float, width: int) -> list[Point]:
    """At most two points per cell column, the lowest and the highest, so that spikes stay visible."""
    if len(points) <= 2 * width:
        return list(points)
    kept: list[Point] = []
    column: list[Point] = []
    at = None
    for point in points:
        here = int((point[0] + span) / span * width)
        if here != at and column:
            kept.extend(_extremes(column))
            column = []
        at = here
        column.append(point)
    return kept + _extremes(column)


def _extremes(column: Sequence[Point]) -> list[Point]:
    low = min(column, key=lambda point: point[1])
    high = max(column, key=lambda point: point[1])
    return [low] if low == high else sorted((low, high))


def _color(name: str) -> tuple[int, int, int] | int:
    from textual.color import Color

    color = Color.parse(name)
    return color.rgb if color.ansi is None else max(0, color.ansi)
