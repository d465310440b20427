"""The tree drawn by the line: lazy children, folded siblings, any number of lines."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from textual.app import App

from taskscope.tui.line_tree import LineTree, Node
from tests.tui.screen_text import screen_text, until_shown

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from textual.app import ComposeResult
    from textual.pilot import Pilot

    from taskscope.tui.line_list import LineList
    from taskscope.tui.line_table import Cell


class TreeApp(App[None]):
    CSS = "LineTree { height: 1fr; }"

    def __init__(self) -> None:
        super().__init__()
        self.rendered = 0
        self.wanted: list[Node[str]] = []
        self.selected: list[str] = []

    def compose(self) -> ComposeResult:
        yield LineTree[str]("task", (("live", 6), ("oldest", 8)), self.cells, empty="No task is alive.")

    def cells(self, data: str) -> Sequence[Cell]:
        self.rendered += 1
        return (data, "1", "4m58s")

    @property
    def lines(self) -> LineTree[str]:
        return self.query_one(LineTree)

    def on_line_tree_children_wanted(self, event: LineTree.ChildrenWanted) -> None:
        self.wanted.append(event.node)

    def on_line_list_row_selected(self, event: LineList.RowSelected) -> None:
        self.selected.append(event.row.data)


@asynccontextmanager
async def tree_of(
    *names: str, size: tuple[int, int] = (60, 12)
) -> AsyncIterator[tuple[TreeApp, Pilot[None]]]:
    app = TreeApp()
    async with app.run_test(size=size) as pilot:
        app.lines.focus()
        app.lines.show_roots([Node(name, name) for name in names])
        await pilot.pause()
        yield app, pilot


async def test_children_are_asked_for_once_when_a_node_opens() -> None:
    async with tree_of("main", "other") as (app, pilot):
        await pilot.press("l")
        screen = await until_shown(pilot, "… main")
        assert len(app.wanted) == 1
        app.lines.add_children(app.wanted[0], [Node("a", "child [/]"), Node("b", "last", expandable=False)])
        screen = await until_shown(pilot, "child [/]")
        assert "▾ main" in screen
        await pilot.press("h")
        await pilot.pause()
        assert "child" not in screen_text(app)
        await pilot.press("l", "l")
        await until_shown(pilot, "child [/]")
        assert len(app.wanted) == 1
        assert app.lines.cursor == 1
        await pilot.press("h")
        assert app.lines.cursor == 0


async def test_the_cursor_stays_on_its_node_when_nodes_above_open() -> None:
    async with tree_of("main", "other") as (app, pilot):
        await pilot.press("j")
        main = app.lines.roots[0]
        app.lines.open_node(main)
        app.lines.add_children(main, [Node(number, f"child {number}") for number in range(3)])
        await pilot.pause()
        assert app.lines.cursor_key == "other"


async def test_a_node_without_children_stops_pretending() -> None:
    async with tree_of("main") as (app, pilot):
        await pilot.press("l")
        await pilot.pause()
        app.lines.add_children(app.wanted[0], [])
        await pilot.pause()
        assert "▾" not in screen_text(app)
        assert "▸" not in screen_text(app)


async def test_a_page_of_siblings_says_how_many_are_left_and_enter_wants_them() -> None:
    async with tree_of("main") as (app, pilot):
        await pilot.press("l")
        await pilot.pause()
        app.lines.add_children(app.wanted[0], [Node("a", "child a")], more=29_999)
        await until_shown(pilot, "29,999 more")
        await pilot.press("G", "enter")
        await pilot.pause()
        assert app.wanted == [app.lines.roots[0]] * 2
        app.lines.add_children(app.wanted[1], [Node("b", "child b")], more=0)
        await until_shown(pilot, "child b")
        assert "more" not in screen_text(app)


async def test_a_click_on_the_sign_opens_and_a_click_on_the_current_line_selects() -> None:
    async with tree_of("main", "other") as (app, pilot):
        await pilot.click(LineTree, offset=(1, 2))
        await pilot.pause()
        assert [node.data for node in app.wanted] == ["other"]
        await pilot.click(LineTree, offset=(9, 1))
        await pilot.pause()
        assert app.selected == ["main"]


async def test_100000_open_siblings_draw_only_what_is_seen() -> None:
    async with tree_of("main") as (app, pilot):
        main = app.lines.roots[0]
        app.lines.open_node(main)
        app.lines.add_children(main, [Node(number, f"child {number}") for number in range(100_000)])
        await pilot.pause()
        app.rendered = 0
        await pilot.press("G")
        await until_shown(pilot, "child 99999")
        assert app.rendered <= 5 * 12
