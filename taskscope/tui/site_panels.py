"""The charts of a site: live tasks with births and ends, and a histogram of ages."""

from __future__ import annotations

from bisect import bisect_right
from itertools import pairwise
from typing import TYPE_CHECKING

from rich.text import Text
from textual.content import Content
from textual.widget import Widget

from taskscope import text as fmt
from taskscope.tui.chart import Line, Point, build_chart
from taskscope.tui.rows import BORN, ENDED, LIVE, TREND_SECONDS, per_second
from taskscope.tui.theme import palette

if TYPE_CHECKING:
    from collections.abc import Sequence

    from taskscope.model import Ages
    from taskscope.model.series import Series
    from taskscope.tui.context import Context
    from taskscope.tui.rows import SiteRow

_POINTS = 120  # of ten minutes one every five seconds, two a cell in a narrow chart
_BAR = "█"
_EIGHTHS = " ▏▎▍▌▋▊▉█"


class SiteChart(Widget):
    """Live tasks of some sites over ten minutes, with births and ends per second if there is room."""

    DEFAULT_CSS = """
    SiteChart { border-top: solid $border; border-title-color: $text-muted; text-wrap: nowrap; }
    """

    def __init__(self, context: Context, sites: Sequence[int], *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.context = context
        self._sites = tuple(sites)
        self._drawn: object = None
        self._picture = Text()

    def look(self) -> None:
        """Redraws if a point would move."""
        if self._state() != self._drawn:
            self.refresh()

    def _state(self) -> object:
        store = self.context.store
        live = sum(row.live for row in self._rows)
        return (
            int(store.now / self._step),
            live,
            self.size,
            self.app.theme,
            store.past_version,
            self._seconds,
        )

    @property
    def _rows(self) -> list[SiteRow]:
        return [row for row in map(self.context.store.site, self._sites) if row]

    @property
    def _seconds(self) -> float:
        begun = min((row.past.started for row in self._rows if row.past is not None), default=None)
        return self.context.store.fitted(TREND_SECONDS, begun)

    @property
    def _step(self) -> float:
        return self._seconds / _POINTS

    def render(self) -> Text:
        state = self._state()
        if state != self._drawn:
            self._drawn = state
            self._picture = self._draw()
        return self._picture

    def _draw(self) -> Text:
        width, height = self.content_size
        live, born, ended = (self._sum(column) for column in (LIVE, BORN, ENDED))
        if height < 2 or not live:
            return Text()
        before = self._before(live)
        births, ends = _rates(born, self._step), _rates(ended, self._step)
        guess = f", {fmt.IMPUTED} before the agent" if any(before) else ""
        self.border_title = Content(
            f"{fmt.span(self._seconds)}: live {fmt.count(live[-1])}, "
            f"births {fmt.rate_per_second(self._rate(BORN))}/s, "
            f"ends {fmt.rate_per_second(self._rate(ENDED))}/s{guess}"
        )
        if width < 100 or not all(row.counted for row in self._rows):
            return self._chart(width, height, live, before, whole=True)
        side = width // 4
        charts = (
            ("", self._chart(width - 2 * side, height - 1, live, before, whole=True)),
            ("births/s", self._chart(side, height - 1, births)),
            ("ends/s", self._chart(side, height - 1, ends)),
        )
        sizes = (width - 2 * side, side, side)
        head = Text(
            "".join(_heading(label or "live", size) for (label, _), size in zip(charts, sizes, strict=True))
        )
        head.stylize(palette(self.app.theme_variables).dim)
        columns = [chart.split("\n") for _, chart in charts]
        for lines, size in zip(columns, sizes, strict=True):
            for line in lines:
                line.truncate(size, pad=True)
        rows = [Text.assemble(*row) for row in zip(*columns, strict=False)]
        return Text("\n", no_wrap=True).join([head, *rows])

    def _chart(
        self,
        width: int,
        height: int,
        values: Sequence[float | None],
        before: Sequence[float | None] = (),
        *,
        whole: bool = False,
    ) -> Text:
        """The chart of ``values``; of what is reconstructed ``before`` them a dim line of ``~``."""
        colours = palette(self.app.theme_variables)
        lines = [
            Line(self._points(before), colours.dim_color, fmt.IMPUTED),
            Line(self._points(values), colours.accent_color),
        ]
        return build_chart(width, height, lines, self._seconds, fmt.short, whole=whole)

    def _points(self, values: Sequence[float | None]) -> list[Point]:
        first = -self._seconds + self._step
        return [
            (first + self._step * index, float("nan") if value is None else value)
            for index, value in enumerate(values)
        ]

    def _rate(self, column: int) -> float | None:
        """Births or ends per second, as on the overview."""
        store = self.context.store
        rows = self._rows
        return _total([row.births(store.now) if column == BORN else row.ends(store.now) for row in rows])

    def _sum(self, column: int) -> list[float | None]:
        moments = self._moments
        return [
            _total(values)
            for values in zip(*(_between(row.series, column, moments) for row in self._rows), strict=True)
        ]

    def _before(self, live: Sequence[float | None]) -> list[float | None]:
        """Live tasks before the record, as far as they are reconstructed for each site; else None."""
        found: list[float | None] = []
        for moment, seen in zip(self._moments, live, strict=True):
            levels = [row.before(moment) for row in self._rows] if seen is None else [None]
            found.append(None if None in levels else _total(levels))
        return found

    @property
    def _moments(self) -> list[float]:
        now = self.context.store.now
        return [now - self._seconds + self._step * (index + 1) for index in range(_POINTS)]


def _between(series: Series, column: int, moments: Sequence[float]) -> list[float | None]:
    """Values at ``moments``, interpolated linearly: the past is sparse, and steps would make a steady
    birth rate look like bursts.
    """
    times, values = series.times, series.columns[column]
    found: list[float | None] = []
    for moment in moments:
        after = bisect_right(times, moment)
        if after == 0 or after == len(times):
            found.append(values[-1] if after else None)
            continue
        part = (moment - times[after - 1]) / (times[after] - times[after - 1])
        found.append(values[after - 1] + part * (values[after] - values[after - 1]))
    return found


def _heading(text: str, width: int) -> str:
    return f" {text}"[:width].ljust(width)


def _total(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) if known else None


def _rates(totals: Sequence[float | None], step: float) -> list[float | None]:
    """Rates from growing totals that are ``step`` seconds apart."""
    rates: list[float | None] = [None]
    for before, after in pairwise(totals):
        rates.append(per_second(before, after, step))
    return rates


class AgeHistogram(Widget):
    """The number of tasks by age, as bars."""

    DEFAULT_CSS = """
    AgeHistogram { border-top: solid $border; border-title-color: $text-muted; text-wrap: nowrap; }
    """

    def __init__(self, context: Context, *, exact: bool, id: str | None = None) -> None:
        """``exact``: births from before the agent are known exactly."""
        super().__init__(id=id)
        self.context = context
        self._exact = exact
        self._ages: Ages | None = None
        self._empty = "reading the ages …"

    def on_mount(self) -> None:
        self.border_title = Content("ages")

    def show(self, ages: Ages) -> None:
        if ages != self._ages:
            self._ages = ages
            self.refresh()

    def show_empty(self, reason: str) -> None:
        """Says why there are none."""
        if reason != self._empty:
            self._empty = reason
            self.refresh()

    def render(self) -> Text:
        if self._ages is None:
            return Text(f" {self._empty}")
        colours = palette(self.app.theme_variables)
        hello = self.context.store.hello
        watched = self.context.store.age(hello.agent_since) if hello is not None else None
        bars = _bars(self._ages, None if self._exact else watched)
        if not any(number for _, number in bars):
            return Text(" no live task")
        top = max(number for _, number in bars)
        labels = max(len(label) for label, _ in bars)
        room = max(1, self.content_size.width - labels - 11)
        text = Text(no_wrap=True, overflow="ellipsis")
        for label, number in _folded(bars, max(1, self.content_size.height)):
            text.append(f" {label:>{labels}} ", colours.dim)
            text.append(f"{fmt.count(number):>7} ", colours.text)
            text.append(_bar(number / top, room), colours.accent).append("\n")
        text.right_crop(1)
        return text


def _bars(ages: Ages, watched: float | None = None) -> list[tuple[str, int]]:
    """Label and number of each bar; ``~`` beyond the age ``watched``, from which all are estimates."""
    guessed = [watched is not None and edge >= watched for edge in (0.0, *ages.edges)]
    labels = [f"< {fmt.age(edge)}" for edge in ages.edges]
    labels.append(f"≥ {fmt.age(ages.edges[-1])}" if ages.edges else "any")
    labels = [fmt.IMPUTED * guess + label for guess, label in zip(guessed, labels, strict=True)]
    bars = list(zip(labels, ages.counts, strict=False))
    return [*bars, ("unknown", ages.unknown)] if ages.unknown else bars


def _folded(bars: Sequence[tuple[str, int]], lines: int) -> list[tuple[str, int]]:
    """At most ``lines`` bars: drops empty ones at the ends first, then the smallest."""
    kept = list(bars)
    while len(kept) > lines and kept[-1][1] == 0:
        kept.pop()
    while len(kept) > lines and kept[0][1] == 0:
        kept.pop(0)
    while len(kept) > lines:
        kept.remove(min(kept, key=lambda bar: bar[1]))
    return kept


def _bar(share: float, width: int) -> str:
    """A bar of ``share`` of ``width`` cells, in eighths; any share above 0 is visible."""
    eighths = round(share * width * 8)
    if share > 0:
        eighths = max(1, eighths)
    return _BAR * (eighths // 8) + (_EIGHTHS[eighths % 8] if eighths % 8 else "")
