"""The table drawn by the line: the cursor stays on its row, and only what is seen is rendered."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
from rich.text import Text
from textual.app import App

from taskscope.tui.line_list import fit
from taskscope.tui.line_table import Column, LineTable, arrange
from tests.tui.screen_text import screen_text, until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from textual.app import ComposeResult
    from textual.pilot import Pilot

    from taskscope.tui.line_list import LineList
    from taskscope.tui.line_table import Cell

COLUMNS = (
    Column("live", "live", 7, align="right"),
    Column("site", "site", 10, flex=1),
    Column("trend", "trend", 10, priority=2),
    Column("born", "born/s", 8, align="right", priority=1, sortable=False),
)


class TableApp(App[None]):
    CSS = "LineTable { height: 1fr; }"

    def __init__(self) -> None:
        super().__init__()
        self.rendered: list[str] = []
        self.said: list[tuple[str, Any]] = []

    def compose(self) -> ComposeResult:
        yield LineTable[str](COLUMNS, self.cells, lambda row: row, empty="No task has been seen yet.")

    def cells(self, row: str) -> Sequence[Cell]:
        self.rendered.append(row)
        return ("30,000", row, Text("▁▂▃", "green"), "0.5")

    @property
    def table(self) -> LineTable[str]:
        return self.query_one(LineTable)

    def on_line_list_row_highlighted(self, event: LineList.RowHighlighted) -> None:
        self.said.append(("highlighted", event.row))

    def on_line_list_row_selected(self, event: LineList.RowSelected) -> None:
        self.said.append(("selected", event.row))

    def on_line_list_rows_wanted(self, event: LineList.RowsWanted) -> None:
        self.said.append(("wanted", (event.first, event.count)))

    def on_line_table_header_selected(self, event: LineTable.HeaderSelected) -> None:
        self.said.append(("header", event.key))


@asynccontextmanager
async def table_of(
    rows: Sequence[str], size: tuple[int, int] = (60, 11)
) -> AsyncIterator[tuple[TableApp, Pilot[None]]]:
    app = TableApp()
    async with app.run_test(size=size) as pilot:
        app.table.focus()
        app.table.show(rows)
        await pilot.pause()
        yield app, pilot


def named(count: int) -> list[str]:
    return [f"row{number:03}" for number in range(count)]


async def test_the_cursor_stays_on_its_row_when_the_order_changes() -> None:
    rows = named(5)
    async with table_of(rows) as (app, pilot):
        await pilot.press("j", "j")
        assert app.table.cursor_key == "row002"
        app.table.show(rows[::-1])
        app.table.show(["new", *rows])
        await pilot.pause()
        assert app.table.cursor_key == "row002"
        assert screen_text(app).split("\n")[4].startswith("▌ 30,000  row002")


async def test_until_it_is_moved_the_cursor_stays_on_top() -> None:
    async with table_of(named(5)) as (app, pilot):
        app.table.show(["worst", *named(5)])
        await pilot.pause()
        assert app.table.cursor_key == "worst"
        assert app.said[-1] == ("highlighted", "worst")


async def test_the_row_under_the_cursor_stays_on_its_line_of_the_screen() -> None:
    rows = named(100)
    async with table_of(rows) as (app, pilot):
        await pilot.press(*["pagedown"] * 4, *["k"] * 3)
        key, line = app.table.cursor_key, cursor_line(app)
        app.table.show([*named(130)[100:], *rows])
        await pilot.pause()
        assert app.table.cursor_key == key
        assert cursor_line(app) == line


def cursor_line(app: App[None]) -> int:
    return next(y for y, line in enumerate(screen_text(app).split("\n")) if line.startswith("▌"))


async def test_when_the_current_row_goes_the_cursor_keeps_its_line() -> None:
    rows = named(5)
    async with table_of(rows) as (app, pilot):
        await pilot.press("j", "j")
        app.table.show([row for row in rows if row != "row002"])
        await pilot.pause()
        keys = [app.table.cursor_key]
        for fewer in (rows[:1], []):
            app.table.show(fewer)
            keys.append(app.table.cursor_key)
        assert keys == ["row003", "row000", None]


async def test_keys_move_the_cursor() -> None:
    async with table_of(named(100)) as (app, pilot):
        moves = [
            ("j", 1), ("down", 2), ("k", 1), ("up", 0), ("up", 0), ("pagedown", 10), ("pageup", 0),
            ("G", 99), ("down", 99), ("g", 0), ("end", 99), ("home", 0),
        ]  # fmt: skip
        for key, index in moves:
            await pilot.press(key)
            assert app.table.cursor == index, key


async def test_enter_and_a_click_on_the_current_row_select_it() -> None:
    async with table_of(named(5)) as (app, pilot):
        await pilot.press("enter")
        await pilot.click(LineTable, offset=(5, 3))
        assert app.said[-1] == ("highlighted", "row002")
        await pilot.click(LineTable, offset=(5, 3))
        await pilot.click(LineTable, offset=(5, 9))
        await pilot.pause()
        assert [said for said in app.said if said[0] == "selected"] == [
            ("selected", "row000"),
            ("selected", "row002"),
        ]


async def test_a_click_on_a_sortable_header_says_which() -> None:
    async with table_of(named(5)) as (app, pilot):
        app.table.show_sort("live")
        await pilot.pause()
        assert screen_text(app).startswith("   live▾")
        await pilot.click(LineTable, offset=(12, 0))
        await pilot.click(LineTable, offset=(55, 0))
        await pilot.pause()
        assert [said for said in app.said if said[0] == "header"] == [("header", "site")]


async def test_the_wheel_scrolls_without_moving_the_cursor() -> None:
    async with table_of(named(100)) as (app, pilot):
        app.table.scroll_to(y=50, animate=False)
        await pilot.pause()
        assert app.table.cursor == 0
        assert "row050" in screen_text(app)
        app.table.show(named(100)[::-1])
        await pilot.pause()
        assert "row049" in screen_text(app)


async def test_an_empty_table_says_why_and_wraps_it() -> None:
    async with table_of([], size=(24, 11)) as (app, pilot):
        assert "No task has been" in screen_text(app)
        assert "seen yet." in screen_text(app)
        app.table.show_empty("Nothing matches “x[/]”.  Esc clears the filter.")
        await pilot.pause()
        assert "“x[/]”" in screen_text(app)


def test_narrow_tables_drop_the_columns_that_matter_least() -> None:
    def keys(width: int) -> list[str]:
        return [slot.column.key for slot in arrange(COLUMNS, width)]

    assert keys(100) == ["live", "site", "trend", "born"]
    assert keys(38) == ["live", "site", "trend", "born"]
    assert keys(37) == ["live", "site", "born"]
    assert keys(26) == ["live", "site"]
    assert keys(12) == ["live", "site"]
    for width in range(1, 120):
        slots = arrange(COLUMNS, width)
        assert slots[-1].start + slots[-1].width <= width
    assert arrange(COLUMNS, 100)[-1].start + arrange(COLUMNS, 100)[-1].width == 100


@pytest.mark.parametrize("text", ["abc", "日本語日本語", "a" * 100, "[/][bold]", ""])
@pytest.mark.parametrize("width", [1, 2, 5, 9])
def test_a_cell_fills_its_width_exactly(text: str, width: int) -> None:
    assert Text(fit(text, width)).cell_len == width
    assert Text(fit(text, width, "right")).cell_len == width


async def test_300000_rows_render_no_more_than_30() -> None:
    async with table_of(range_of(300_000), size=(60, 30)) as (app, pilot):
        app.rendered.clear()
        await pilot.press("G")
        await pilot.pause()
        assert "299999" in screen_text(app)
        assert 0 < len(app.rendered) <= 4 * 30


def range_of(count: int) -> Sequence[str]:
    class Rows(list[str]):
        def __len__(self) -> int:
            return count

        def __getitem__(self, index: Any) -> Any:
            return str(index)

    return Rows()


async def test_lines_that_are_not_loaded_are_asked_for_when_they_come_into_view() -> None:
    async with table_of(()) as (app, pilot):
        app.table.show(named(20), total=300_000)
        await pilot.press("G")
        await until(pilot, lambda: ("wanted", (299_990, 10)) in app.said)
        assert "·" in screen_text(app)
        app.table.show(named(10), first=299_990, total=300_000)
        await pilot.pause()
        assert app.table.cursor_key == "row009"
        assert app.said[-1] == ("highlighted", "row009")


async def test_the_virtual_size_changes_only_when_the_number_of_rows_does() -> None:
    changes: list[object] = []
    async with table_of(named(50)) as (app, _):
        app.table.watch(app.table, "virtual_size", lambda size: changes.append(size), init=False)
        for _ in range(10):
            app.table.show(named(50)[::-1])
        assert changes == []
        app.table.show(named(51))
        assert len(changes) == 1
