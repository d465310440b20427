"""What changed since the baseline: a moment marked here, or a file, maybe of another process."""

from __future__ import annotations

from pathlib import PurePath
from typing import TYPE_CHECKING, ClassVar

from rich.text import Text
from textual.binding import Binding, BindingType

from taskscope import text as fmt
from taskscope.analysis.diff import compare
from taskscope.export.changes import matched, verdict
from taskscope.model.changes import SiteChange
from taskscope.sources.sides import texts_of
from taskscope.tui.line_table import Cell, Column, LineTable
from taskscope.tui.theme import palette
from taskscope.tui.view import ViewScreen
from taskscope.tui.views import site_screen
from taskscope.tui.views.detail import Subject

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.style import Style
    from textual.app import ComposeResult

    from taskscope.model.changes import Diff, Side
    from taskscope.tui.context import Context
    from taskscope.tui.line_list import LineList

COLUMNS = (
    Column("state", "", 6, sortable=False),
    Column("change", "change", 8, align="right", sortable=False),
    Column("before", "before", 8, align="right", sortable=False, priority=2),
    Column("after", "now", 8, align="right", sortable=False, priority=1),
    Column("site", "site", 28, flex=3, sortable=False, shorten=True),
    Column("coroutine", "coroutine", 16, flex=2, sortable=False, priority=4, shorten=True),
    Column("note", "note", 18, flex=2, sortable=False, priority=3),
)

NONE = (
    "No baseline to compare with.  b marks this moment; `--baseline FILE` of attach and open compares with a "
    "snapshot or a recording."
)

EXPLAINS = """\
What changed since the baseline, by creation site: first lines that
are at fault on one side only, then the largest changes.

change     of the number of live tasks or threads; before: then
note       LEAK before, LEAK now: a finding on one side only.
           moved, line edited: the function is the same, the line has
           another number, or text; was …: the file lies in another
           folder.  Without a note, it is the same line

b marks a baseline here and now, B clears it.  A file as the baseline:
taskscope attach TARGET --baseline FILE, and the same with open."""


class ChangesScreen(ViewScreen):
    """The sites that changed, largest change first."""

    TITLE = "Changes"
    EXPLAINS = EXPLAINS
    DEFAULT_CSS = "ChangesScreen LineTable { height: 1fr; }"
    BINDINGS: ClassVar[list[BindingType]] = [Binding("D", "back", "Back", show=False)]

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._shown: object = None

    def body(self) -> ComposeResult:
        yield Subject()
        yield LineTable[SiteChange](COLUMNS, self._cells, _key, empty=NONE)

    def on_mount(self) -> None:
        self.query_one(LineTable).focus()
        self.run_worker(self._read_lines(), group="lines")

    async def _read_lines(self) -> None:
        """Reads the lines of the sites, by which those that moved are found again."""
        store = self.context.store
        now = store.side()
        if now is not None:
            store.texts = await self.context.ask(texts_of(self.context.source, now.sample)) or {}
            self._shown = None
            self.look()

    def look(self) -> None:
        store, table = self.context.store, self.query_one(LineTable)
        shown = (store.baseline, store.sample, store.findings.version)
        if shown == self._shown:
            return
        self._shown = shown
        now = store.side()
        if store.baseline is None or now is None:
            self.query_one(Subject).show("changes")
            table.show_empty(NONE)
            table.show([])
            return
        found = compare(store.baseline.side, now)
        self._say(found, store.baseline.name, store.baseline.side, now)
        table.show_empty("No creation site has more or fewer live tasks than then.")
        table.show([each for each in found.sites if each.delta or each.turned])

    def _say(self, found: Diff, name: str, before: Side, now: Side) -> None:
        added = now.sample.tasks.live - before.sample.tasks.live
        parts = [f"since {PurePath(name).name or 'baseline'}, {fmt.moment(before.sample.wall)}"]
        if before.process and now.process and before.process.pid != now.process.pid:
            parts.append(f"of pid {before.process.pid}")
        order = "" if found.seconds >= 0 else ", which is later"
        parts += [f"{fmt.age(abs(found.seconds))} apart{order}", f"{fmt.change(added)} tasks"]
        self.query_one(Subject).show(*parts)

    def _cells(self, change: SiteChange) -> Sequence[Cell]:
        colours = palette(self.app.theme_variables)
        style: Style = colours.strong if change.delta > 0 else colours.text
        notes = "; ".join(filter(None, (verdict(change), matched(change))))
        return (
            change.state,
            Text(fmt.change(change.delta), style),
            fmt.count(change.before.live),
            fmt.count(change.after.live),
            fmt.site(change.site),
            change.site.coroutine,
            Text(notes, colours.alarm if change.turned and change.level_after else colours.text),
        )

    def on_line_list_row_selected(self, event: LineList.RowSelected) -> None:
        event.stop()
        change = event.row
        row = None if change.state == "went" else self.context.store.site(change.site.id)
        if row is None:
            self.context.error("This line has no tasks now, so there is nothing to open.")
        else:
            self.app.push_screen(site_screen(self.context, row))


def _key(change: SiteChange) -> object:
    frame = change.site.frame
    return (change.site.kind, frame.file, frame.line, frame.function, change.site.coroutine)
