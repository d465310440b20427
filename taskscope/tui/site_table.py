"""The overview's table: its columns, the cells of a row, and the sort keys."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

from rich.text import Text
from textual.binding import Binding, BindingType
from textual.message import Message

from taskscope import text as fmt
from taskscope.tui.current_findings import style_of
from taskscope.tui.line_table import Cell, Column, LineTable
from taskscope.tui.rows import TREND_SECONDS, Row
from taskscope.tui.theme import palette
from taskscope.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from rich.style import Style

    from taskscope.tui.context import Context
    from taskscope.tui.store import Store
    from taskscope.tui.theme import Palette

BIRTHS = "born"
"""The column of births; sorted by it, rows show births over time."""

FINDING, LONG_LIVED = "!", "·"
TREND_WIDTH = 10
TREND_EVERY = 3.0


@dataclass(frozen=True, slots=True)
class Field:
    """A column, its sort key, and its first direction."""

    column: Column
    name: str
    value: Callable[[Row, Store], float | str | None]
    descending: bool = True


def _growth(row: Row, store: Store) -> float | None:
    """Rounded as displayed, so that rows that read alike compare equal."""
    growth = row.growth(store.now)
    return None if growth is None else round(growth, 1)


def _age(row: Row, store: Store, birth: float | None) -> float | None:
    return store.age(birth) if row.live else None


def _age_text(row: Row, store: Store, birth: float | None) -> str:
    return store.age_text(birth if row.live else None, exact=row.exact)


FIELDS = (
    Field(Column("live", "live", 7, align="right"), "live", lambda row, _: row.live),
    Field(Column("growth", "Δ/min", 8, align="right"), "growth", _growth),
    Field(
        Column("since", "Δ base", 8, align="right", priority=1),
        "change since the baseline",
        lambda row, store: row.since(store.baseline.sites) if store.baseline else None,
    ),
    Field(
        Column("oldest", "oldest", 7, align="right", priority=1),
        "oldest",
        lambda row, store: _age(row, store, row.oldest),
    ),
    Field(
        Column("median", "median", 7, align="right", priority=5),
        "median age",
        lambda row, store: _age(row, store, row.median),
    ),
    Field(
        Column("born", "born/s", 8, align="right", priority=4),
        "births",
        lambda row, store: row.births(store.now),
    ),
    Field(
        Column("ended", "end/s", 8, align="right", priority=6), "ends", lambda row, store: row.ends(store.now)
    ),
    Field(Column("errors", "err", 6, align="right", priority=7), "errors", lambda row, _: row.errors()),
    Field(
        Column("trend", "10 min", TREND_WIDTH, priority=2),
        "trend",
        lambda row, store: row.growth(store.now),
    ),
    Field(
        Column("mark", "", 1),
        "long-lived",
        lambda row, store: _age(row, store, row.oldest),
    ),
    Field(
        Column("site", "site", 34, flex=3, shorten=True),
        "site",
        lambda row, _: row.label.lower(),
        descending=False,
    ),
    Field(
        Column("coroutine", "coroutine", 16, flex=2, priority=3, shorten=True),
        "coroutine",
        lambda row, _: row.coroutine.lower(),
        descending=False,
    ),
)

BY_KEY = {field.column.key: field for field in FIELDS}


class SiteTable(LineTable[Row]):
    """The table of sites.  Rows read the store when drawn, so only visible ones cost anything."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("g", "screen.group", "Group"),
    ]

    class CursorMoved(Message):
        """The user moved the cursor."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self._colours: Palette | None = None
        self.touched = False
        """Whether the user has moved the cursor."""
        self._read: dict[str, list[Cell]] = {}
        self._read_of: tuple[object, ...] = ()
        self._trends: dict[str, tuple[float, int, str, int]] = {}
        self._columns_of: object = None
        self._sorted_by = ""
        super().__init__(self._columns_now(), self._cells, lambda row: row.key)

    @property
    def _trend_seconds(self) -> float:
        store = self.context.store
        return store.fitted(TREND_SECONDS, store.begun)

    def _columns_now(self) -> Sequence[Column]:
        baseline = self.context.store.baseline
        columns = [field.column for field in FIELDS if baseline or field.column.key != "since"]
        span = fmt.span(self._trend_seconds)
        label = f"{'born, ' if self._by_births else ''}{span}"
        kept = BIRTHS if self._by_births else ""
        return [
            replace(
                each,
                label=label if each.key == "trend" else each.label,
                priority=0 if each.key == kept else each.priority,
            )
            for each in columns
        ]

    def show_sort(self, key: str, *, descending: bool = True) -> None:
        """Marks the column; the one of births stays visible while the rows are sorted by it."""
        super().show_sort(key, descending=descending)
        self._sorted_by = key
        self.fit_columns()

    @property
    def _by_births(self) -> bool:
        return self._sorted_by == BIRTHS

    def show(self, rows: Sequence[Row], *, first: int = 0, total: int | None = None) -> None:
        """Shows the rows; until the user moves the cursor, it stays on the top line."""
        super().show(rows, first=first, total=total)
        if not self.touched and self.cursor != 0:
            super().move_to(0)

    def move_to(self, index: int, *, scroll: bool = True) -> None:
        self.touched = True
        self.post_message(self.CursorMoved())
        super().move_to(index, scroll=scroll)

    def fit_columns(self) -> None:
        """Adds the column of changes while there is a baseline, and labels the trend with its span."""
        store = self.context.store
        state = (store.baseline is None, self._trend_seconds, self._by_births)
        if state != self._columns_of:
            self._columns_of = state
            self._trends.clear()
            self._read.clear()
            self.set_columns(self._columns_now())

    def recolour(self) -> None:
        """Redraws in the colours of a new theme."""
        self._colours = None
        self.refresh()

    def _cells(self, row: Row) -> Sequence[Cell]:
        """The cells of a row, cached per version of the store: they are compared first, then drawn."""
        if self._colours is None:
            self._colours = palette(self.app.theme_variables)
        store = self.context.store
        version = (store.version, self.context.long_lived, self._colours)
        if version != self._read_of:
            self._read_of = version
            self._read.clear()
        cells = self._read.get(row.key)
        if cells is None:
            cells = self._read[row.key] = self._read_row(row, self._colours)
        return cells

    def _read_row(self, row: Row, colours: Palette) -> list[Cell]:
        store, now = self.context.store, self.context.store.now
        growth = row.growth(now)
        oldest = _age(row, store, row.oldest)
        long_lived = oldest is not None and oldest >= self.context.long_lived
        cells: list[Cell] = [
            fmt.count(row.live),
            Text(fmt.rate_per_min(growth), colours.strong)
            if growth and growth >= 1
            else fmt.rate_per_min(growth),
        ]
        if store.baseline:
            cells.append(Text(fmt.change(row.since(store.baseline.sites)), colours.accent))
        cells += [
            Text(_age_text(row, store, row.oldest), colours.strong)
            if long_lived
            else _age_text(row, store, row.oldest),
            _age_text(row, store, row.median),
            fmt.rate_per_second(row.births(now)),
            fmt.rate_per_second(row.ends(now)),
            fmt.count(row.errors()),
            self._trend_cell(row, now, self._outstanding(row, growth, colours), colours),
            self._mark(row, colours, long_lived=long_lived),
            row.lines,
            row.coroutine,
        ]
        return cells

    def _outstanding(self, row: Row, growth: float | None, colours: Palette) -> Style:
        """Dims flat trends, so that growing ones stand out."""
        finding = self.context.store.findings.alarming(row.sites)
        if finding is not None:
            return style_of(finding, colours)
        return colours.accent if growth and growth >= 1 else colours.flat

    def _mark(self, row: Row, colours: Palette, *, long_lived: bool) -> Cell:
        finding = self.context.store.findings.alarming(row.sites)
        if finding is not None:
            return Text(FINDING, style_of(finding, colours))
        return LONG_LIVED if long_lived else " "

    def _trend_cell(self, row: Row, now: float, style: Style, colours: Palette) -> Text:
        """The sparkline; what is reconstructed of it is dim, and begins with ``~``."""
        sparkline, early = self._trend(row, now)
        text = Text(sparkline, style)
        if early:
            text.stylize(colours.dim, 0, early)
        return text

    def _trend(self, row: Row, now: float) -> tuple[str, int]:
        """The sparkline, and where the reconstructed part of it ends.

        Cached for a few seconds, while the past stays as it is: it shows minutes in ten steps.
        """
        version = self.context.store.past_version
        at, of, text, early = self._trends.get(row.key, (-TREND_EVERY, version, "", 0))
        if now - at >= TREND_EVERY or now < at or of != version:
            if len(self._trends) > 2 * len(self.rows) + 100:
                self._trends.clear()  # drop rows that are gone
            text, early = _sparkline(row, now, self._trend_seconds, births=self._by_births)
            self._trends[row.key] = (now, version, text, early)
        return text, early


def _sparkline(row: Row, now: float, seconds: float, *, births: bool) -> tuple[str, int]:
    if births:
        return fmt.sparkline(row.births_between(now, seconds, TREND_WIDTH), TREND_WIDTH), 0
    seen = row.trend(now, seconds, TREND_WIDTH)
    before = row.reconstructed(now, seconds, TREND_WIDTH)
    guessed = [at for at, value in enumerate(seen) if value is None and before[at] is not None]
    if not guessed:
        return fmt.sparkline(seen, TREND_WIDTH), 0
    both = [value if value is not None else early for value, early in zip(seen, before, strict=True)]
    text = fmt.sparkline(both, TREND_WIDTH)
    first, end = guessed[0], guessed[-1] + 1
    return f"{text[:first]}{fmt.IMPUTED}{text[first + 1 :]}", end
