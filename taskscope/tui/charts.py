"""The charts of the overview: one large, others beside it if there is room."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from rich.text import Text
from textual.widget import Widget

from taskscope import text as fmt
from taskscope.model.series import HISTORY, LONGEST
from taskscope.tui.chart import Line, build_chart
from taskscope.tui.theme import palette
from taskscope.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Callable

    from textual import events

    from taskscope.tui.context import Context
    from taskscope.tui.theme import Palette


@dataclass(frozen=True, slots=True)
class ChartColumn:
    """How a column of the history is charted."""

    column: str
    label: str
    spell: Callable[[float], str]
    whole: bool = False


COLUMNS = (
    ChartColumn("tasks", "tasks", fmt.short, whole=True),
    ChartColumn("rss", "rss", fmt.bytes),
    ChartColumn("fds", "descriptors", fmt.short, whole=True),
    ChartColumn("threads", "threads", fmt.short, whole=True),
    ChartColumn("cpu", "cpu", fmt.percent),
    ChartColumn("loop_latency", "loop latency p99", fmt.latency),
)

SPANS = (60.0, 600.0, 3600.0, 6 * 3600.0, LONGEST)
DEFAULT = SPANS.index(600.0)

_THREADS = next(index for index, each in enumerate(COLUMNS) if each.column == "threads")

COMPACT_HEIGHT = 5
FULL_HEIGHT = 9
ROOMY = 32
"""Terminal height, in lines, from which charts are tall."""

AROUND = 14
"""Lines reserved for header, findings, table head, messages and keys."""

TWO_ROWS = 18
"""Lines from which the other series get a row of their own."""


class Charts(Widget):
    """Redraws when the newest point moves by half a cell, at most once a second."""

    DEFAULT_CSS = "Charts { height: 5; }"

    def __init__(self, context: Context) -> None:
        super().__init__()
        self.context = context
        self._chosen: int | None = None
        self._chosen_span: int | None = None
        self._drawn: tuple[object, ...] = ()
        self._bodies: list[list[list[Text]]] = []
        self._second = 0

    def choose_next(self) -> str:
        """Makes the next series the large one; returns its label."""
        self._chosen = (self._first() + 1) % len(COLUMNS)
        self.refresh()
        return COLUMNS[self._chosen].label

    def _first(self) -> int:
        """The large series: the chosen one, else tasks, or threads if the process never had a task."""
        if self._chosen is not None:
            return self._chosen
        sample = self.context.store.sample
        return _THREADS if sample is not None and not sample.tasks.born and not sample.tasks.live else 0

    def choose_span(self) -> str:
        """Switches to the next time span; returns its label."""
        if self._chosen_span is None:
            longer = (index for index, seconds in enumerate(SPANS) if seconds > self._seconds())
            self._chosen_span = next(longer)
        else:
            self._chosen_span = (self._chosen_span + 1) % len(SPANS)
        self.refresh()
        return self._label()

    def on_click(self, event: events.Click) -> None:
        event.stop()
        self.choose_next()

    def look(self) -> None:
        now = int(self.context.store.now)
        if now != self._second or self._state() != self._drawn:
            self._second = now
            self.refresh()

    def _state(self) -> tuple[object, ...]:
        """What the drawing depends on; time in visible steps."""
        store = self.context.store
        step = max(1.0, self._seconds() / (2 * max(1, self.size.width)))
        return (
            store.past_version,
            int(store.now / step),
            self.size,
            self.app.theme,
            self._first(),
            self._chosen_span,
            self._seconds(),
        )

    def _seconds(self) -> float:
        """Seconds shown: the chosen span ("all": the whole record), else what fits the record."""
        store, chosen = self.context.store, self._chosen_span
        if chosen is None:
            return store.fitted(SPANS[DEFAULT])
        if SPANS[chosen] < LONGEST or not store.history.times:
            return SPANS[chosen]
        return max(60.0, store.now - store.history.times[0])

    def _label(self) -> str:
        chosen = self._chosen_span
        return "all" if chosen is not None and SPANS[chosen] == LONGEST else fmt.span(self._seconds())

    def _panels(self) -> list[tuple[int, list[tuple[ChartColumn, int]]]]:
        """Rows of charts: the height of each, and its series with their widths; the chosen one first."""
        chosen, height = COLUMNS[self._first()], self.size.height
        order = [chosen, *(each for each in COLUMNS if each is not chosen)]
        widths = shares(self.size.width)
        if height < TWO_ROWS:
            return [(height, list(zip(order, widths, strict=False)))]
        first = height - height * 2 // 5
        below = shares(self.size.width, even=True)
        return [
            (first, list(zip(order, widths, strict=False))),
            (height - first, list(zip(order[len(widths) :], below, strict=False))),
        ]

    def render(self) -> Text:
        colours = palette(self.app.theme_variables)
        framed = self.size.height >= FULL_HEIGHT - 1
        draw = self._framed if framed else self._plain
        rows = self._panels()
        state = self._state()
        if state != self._drawn:
            self._drawn = state
            frame = 2 if framed else 1
            self._bodies = [
                [self._body(series, width - 2, height - frame, colours) for series, width in panels]
                for height, panels in rows
            ]
        lines: list[Text] = []
        for (_, panels), bodies in zip(rows, self._bodies, strict=True):
            columns = [
                draw(series, width, body, colours)
                for (series, width), body in zip(panels, bodies, strict=True)
            ]
            lines += [Text.assemble(*line) for line in zip(*columns, strict=True)]
        return Text("\n", no_wrap=True).join(lines)

    def _body(self, series: ChartColumn, width: int, height: int, colours: Palette) -> list[Text]:
        seconds = self._seconds()
        line = self._line(series, seconds, colours)
        chart = build_chart(width, height, [line], seconds, series.spell, whole=series.whole)
        rows = list(chart.split("\n"))
        for row in rows:
            row.truncate(width, pad=True)
        return rows

    def _framed(self, series: ChartColumn, width: int, body: list[Text], colours: Palette) -> list[Text]:
        side = Text("│", colours.border)
        rows = [Text.assemble(side, row, side) for row in body]
        top = _rule("╭", "╮", f" {self._title(series)} ", width, colours)
        return [top, *rows, _axis(self._seconds(), width, colours)]

    def _plain(self, series: ChartColumn, width: int, body: list[Text], colours: Palette) -> list[Text]:
        heading = Text(f" {self._title(series)}", colours.dim)
        heading.truncate(width, pad=True)
        return [heading, *(Text.assemble(" ", row, " ") for row in body)]

    def _title(self, series: ChartColumn) -> str:
        return f"{series.label} {self._newest(series)}, {self._label()}"

    def _newest(self, series: ChartColumn) -> str:
        value = self.context.store.last(series.column)
        if value is None:
            return fmt.UNKNOWN
        return fmt.count(value) if series.whole else series.spell(value)

    def _line(self, series: ChartColumn, seconds: float, colours: Palette) -> Line:
        store = self.context.store
        times, values = store.history.since(store.now - seconds, HISTORY.index(series.column))
        points = [(time - store.now, value) for time, value in zip(times, values, strict=True)]
        return Line(_with_gaps(points, seconds), colours.accent_color)


def height_for(lines: int, rows: int) -> int:
    """Lines for the charts above a table of ``rows``, on a terminal of ``lines``: what the table leaves."""
    if lines < ROOMY:
        return COMPACT_HEIGHT
    return min(max(FULL_HEIGHT, lines - rows - AROUND), lines * 3 // 5)


def shares(width: int, *, even: bool = False) -> tuple[int, ...]:
    """Widths of one to three panels side by side; the first is the largest unless ``even``."""
    if width < 110:
        return (width,)
    if width < 160:
        return (width - width // 3, width // 3)
    if even:
        return (width - 2 * (width // 3), width // 3, width // 3)
    return (width - 2 * (width // 4), width // 4, width // 4)


def _with_gaps(points: list[tuple[float, float]], seconds: float) -> list[tuple[float, float]]:
    """Inserts NaN where the record has a gap, so that the line breaks instead of crossing it."""
    result: list[tuple[float, float]] = []
    for time, value in points:
        if result and time - result[-1][0] > max(130.0, seconds / 20):
            result.append((time, math.nan))
        result.append((time, value))
    return result


def _rule(left: str, right: str, text: str, width: int, colours: Palette) -> Text:
    room = max(0, width - 2)
    shown = text[:room]
    return Text.assemble(
        (left, colours.border),
        (shown, colours.text),
        ("─" * (room - len(shown)), colours.border),
        (right, colours.border),
    )


def _axis(seconds: float, width: int, colours: Palette) -> Text:
    room = max(0, width - 2)
    start, middle, end = f" -{_span(seconds)} ", f" -{_span(seconds / 2)} ", " now "
    if room < len(start) + len(middle) + len(end) + 4:
        return _rule("╰", "╯", "", width, colours)
    before = room // 2 - len(middle) // 2 - len(start)
    after = room - len(start) - before - len(middle) - len(end)
    text = start + "─" * before + middle + "─" * after + end
    return Text(f"╰{text}╯", colours.border)


def _span(seconds: float) -> str:
    """``90s``, ``5m``, ``2m30s``, ``3h``: exact to the second, as short as possible."""
    whole = round(seconds)
    if whole < 120:
        return f"{whole}s"
    if whole < 7200:
        return f"{whole // 60}m" + (f"{whole % 60:02d}s" if whole % 60 else "")
    return f"{whole // 3600}h" + (f"{whole % 3600 // 60:02d}m" if whole % 3600 >= 60 else "")
