"""One creation site: finding, chart, source, where its tasks are parked, and the tasks."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from rich.text import Text
from textual.binding import Binding, BindingType
from textual.containers import Container
from textual.content import Content
from textual.widget import Widget

from taskscope import text as fmt
from taskscope.model import ParkedGroup, Task, requests
from taskscope.sources.base import NotAvailable, SourceError
from taskscope.tui.evidence import EvidencePanel
from taskscope.tui.line_table import Cell, Column, LineTable
from taskscope.tui.site_panels import AgeHistogram, SiteChart
from taskscope.tui.source_panel import SourcePanel
from taskscope.tui.stack_panel import SHOWN_OF_CREATION, Section, StackPanel
from taskscope.tui.task_list import EXPLAINS as TASK_COLUMNS
from taskscope.tui.task_list import TaskList, fetch_of
from taskscope.tui.theme import palette
from taskscope.tui.views.detail import DetailScreen
from taskscope.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Sequence

    from textual import events
    from textual.app import ComposeResult

    from taskscope.model import Failure, Finding, Frame, SiteDetail, Thread
    from taskscope.tui.context import Context
    from taskscope.tui.line_list import LineList
    from taskscope.tui.rows import Row

PANELS = ("finding", "chart", "source", "parked", "ages", "stack")
"""The panels above the tasks.  A small terminal shows one at a time, and ``v`` the next; "finding" is listed
only while the site has one.
"""

_ALL_AT_ONCE = (110, 36)  # columns and lines from which all panels show

_PARKED = (
    Column("live", "live", 7, align="right", sortable=False),
    Column("text", "waiting in", 18, flex=2, sortable=False),
    Column("left", "left", 13, priority=2, sortable=False),
    Column("oldest", "oldest", 7, align="right", priority=1, sortable=False),
    Column("where", "at", 16, flex=2, priority=1, sortable=False),
)

EXPLAINS_PANELS = """\
A creation site is the line of code that starts tasks of one
coroutine, or threads of one function.

finding    why this site is a finding: verdict, cause with its
           evidence, what grows with it, when a limit is reached, and
           the usual fix; d dismisses it for this target
chart      live tasks over ten minutes; births and ends per second;
           ~ is the past from before the agent, by its older tasks
source     the code around the line, which ▶ marks
parked     where its tasks wait now, largest group first; Enter shows
           only those tasks, Esc all again
ages       number of tasks by age
stack      errors of its tasks and where they were raised; sampled
           creation stacks; for threads, the stack of the one under
           the cursor"""

EXPLAINS = f"""\
{EXPLAINS_PANELS}

{TASK_COLUMNS}

v shows the next panel, tab moves to it.  Enter on a task opens it.
e opens the editor at the line, y copies the creation stack, r
refreshes.  ~ marks a site that is a guess: its tasks are older than
the agent."""


def _failed(failure: Failure, now: float) -> str:
    """``12 failed, the last 3s ago: ValueError: no such order, raised at``."""
    ago = fmt.age(now - failure.last)
    when = f"1 failed {ago} ago" if failure.count == 1 else f"{failure.count:,} failed, the last {ago} ago"
    return f"{when}: {failure.error}, raised at"


def _unique(*frames: Frame | None) -> list[Frame]:
    return list(dict.fromkeys(frame for frame in frames if frame is not None))


class PanelTabs(Widget):
    """The names of the panels, the one in front marked; a click brings one to the front."""

    DEFAULT_CSS = "PanelTabs { height: 1; text-wrap: nowrap; }"

    def render(self) -> Text:
        colours = palette(self.app.theme_variables)
        screen = self.screen
        assert isinstance(screen, SiteScreen)
        text = Text(" ", no_wrap=True, overflow="ellipsis")
        for name in screen.panels:
            front = name == screen.front
            text.append(f"[{name}]" if front else f" {name} ", colours.strong if front else colours.dim)
        return text.append("   v: next panel", colours.dim)

    def on_click(self, event: events.Click) -> None:
        screen = self.screen
        assert isinstance(screen, SiteScreen)
        at = 1
        for name in screen.panels:
            at += len(name) + 2
            if event.x < at:
                screen.choose(name)
                return


@dataclass(frozen=True, slots=True)
class Place:
    """Where tasks are parked: ``key`` as in ``Group`` and ``ParkedGroup``, ``text`` for the user."""

    key: str
    text: str


class SiteScreen(DetailScreen):
    """The tasks of ``row``, one site or several together; ``only`` restricts them to one parking place.

    ``ThreadSiteScreen`` overrides ``members`` to show threads.
    """

    TITLE = "Site"
    NOUN: ClassVar[str] = "task"
    EXPLAINS = EXPLAINS
    DEFAULT_CSS = """
    SiteScreen {
        #panels { height: 8; }
        #panels > * { display: none; height: 1fr; width: 1fr; }
        #panels > .-front { display: block; }
        #members { height: 1fr; border-top: solid $border; border-title-color: $text-muted; }
        #parked { border-top: solid $border; border-title-color: $text-muted; }
        &.-roomy {
            PanelTabs { display: none; }
            #panels { height: 60%; layout: grid; grid-size: 2 3; grid-rows: 3fr 2fr 2fr; grid-gutter: 0 1; }
            #panels > * { display: block; }
            #source { row-span: 2; }
        }
        #panels > #finding { display: none; border-top: solid $border; border-title-color: $text-muted; }
        &.-found #panels > #finding.-front { display: block; }
        &.-found #panels { height: 10; }
        &.-found.-roomy {
            #panels { height: 70%; grid-size: 2 4; grid-rows: 13 3fr 2fr 2fr; }
            #panels > #finding { display: block; column-span: 2; }
        }
        &.-tiny { PanelTabs { display: none; } #panels { display: none; } }
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("v", "next_panel", "Panel"),
        Binding("o", "order", "Order", show=False),
        Binding("d", "toggle_finding", "Dismiss the finding", show=False),
    ]

    def __init__(self, context: Context, row: Row, only: Place | None = None) -> None:
        super().__init__(context)
        self.row = row
        self.front = self.panels[0]
        self._offered: Sequence[str] = ()
        self._chosen = False  # whether the user chose a panel
        self._detail: SiteDetail | None = None
        self._only = only

    def body(self) -> ComposeResult:
        context = self.context
        yield self.subject
        yield PanelTabs()
        with Container(id="panels"):
            yield EvidencePanel(context, id="finding")
            yield SiteChart(context, self.row.sites, id="chart")
            yield SourcePanel(self.reader, id="source")
            yield LineTable[ParkedGroup](
                _PARKED,
                self._parked_cells,
                lambda group: group.key,
                id="parked",
                empty="Reading where the tasks wait …",
            )
            yield AgeHistogram(context, exact=self.row.exact, id="ages")
            yield StackPanel(self.reader, inline=False, id="stack", empty="Reading the creation stacks …")
        yield self.members()

    def members(self) -> Widget:
        """The list below the panels."""
        return TaskList(self.context, id="members")

    def on_mount(self) -> None:
        self.query_one(EvidencePanel).border_title = Content("finding")
        self.query_one("#parked").border_title = Content("parked at")
        self.query_one("#stack").border_title = Content("created by")
        self.query_one(SourcePanel).show(self.row.frame)
        self.bring(self.front)
        self.ask_members()
        self.query_one("#members").focus()

    def on_resize(self, event: events.Resize) -> None:
        super().on_resize(event)
        columns, lines = _ALL_AT_ONCE
        self.set_class(event.size.width >= columns and event.size.height >= lines, "-roomy")

    # -- data

    @property
    def finding(self) -> Finding | None:
        return self.context.store.findings.of(self.row.sites)

    @property
    def panels(self) -> Sequence[str]:
        """The panels that have content."""
        return PANELS if self.finding is not None else PANELS[1:]

    def look(self) -> None:
        super().look()
        self.query_one(EvidencePanel).show(self.finding)
        self.set_class(self.finding is not None, "-found")
        if self.panels != self._offered:  # the finding came or went
            self._offered = self.panels
            keep = self._chosen and self.front in self.panels
            self.bring(self.front if keep else self.panels[0])
        self.query_one(SiteChart).look()
        self._say()

    def _say(self) -> None:
        store, row = self.context.store, self.row
        counts = f"live {fmt.count(row.live)}, {fmt.rate_per_min(row.growth(store.now))}/min"
        oldest = f"oldest {store.age_text(row.oldest, exact=row.exact)}" if row.live else "none live"
        parts = [row.label, counts, oldest, f"errors {fmt.count(row.errors())}", row.coroutine]
        if len(row.sites) > 1:
            parts.insert(1, f"{len(row.sites)} sites")
        parts += self._provenance()
        self.subject.show(*(part for part in parts if part))

    def _provenance(self) -> list[str]:
        """More about the site's place: guesses, the plumbing's line, the caller."""
        if self._detail is None:
            return []
        site = self._detail.site
        if site.known == "imputed":
            others = [fmt.frame(frame) for frame in site.candidates if frame != site.frame]
            return ["a guess: its tasks are older than the agent", *(f"or {other}" for other in others)]
        if site.known == "parked":
            return ["its tasks wait at this line; what creates them is not seen from outside"]
        if site.known == "unknown":
            return ["unknown: older than the agent; the line shown defines the coroutine"]
        parts = [f"through {fmt.frame(site.via)}"] if site.via else []
        if site.user_frame and site.user_frame != site.frame:
            parts.append(f"called from {fmt.frame(site.user_frame)}")
        return parts

    async def load(self) -> None:
        if not self.row.sites:
            return
        source, sites = self.context.source, self.row.sites
        if self._detail is None:
            await self.load_detail()
        else:
            await self.look_for_failures()
        self.query_one(TaskList).refresh_page()
        ages = self.query_one(AgeHistogram)
        try:
            ages.show(await source.ask(requests.Ages(sites)))
        except NotAvailable as problem:
            ages.show_empty(str(problem))
        try:
            self.show_parked(await source.ask(requests.Parked(sites)))  # last: it walks all tasks
        except NotAvailable as problem:
            self.query_one("#parked", LineTable).show_empty(str(problem))

    async def load_detail(self) -> None:
        """Loads what does not change: the source and the creation stacks."""
        self._detail = await self.context.source.ask(requests.Site(self.row.sites[0]))
        self._say()
        self.query_one(SourcePanel).show(self._detail.site.frame)
        self.show_stacks()

    async def look_for_failures(self) -> None:
        """Rereads the failures; nothing else in a site's detail changes."""
        before, self._detail = self._detail, await self.context.source.ask(requests.Site(self.row.sites[0]))
        if before is None or before.failures != self._detail.failures:
            self.show_stacks()

    def show_stacks(self) -> None:
        """Shows how its tasks failed, and the creation stacks."""
        assert self._detail is not None
        panel = self.query_one(StackPanel)
        older = "No creation stacks: these tasks are older than the agent."
        panel.show_empty(
            older if self.context.store.counts_births else "Only an agent tells what creates tasks."
        )
        failed = [
            Section(_failed(failure, self.context.store.now), _unique(failure.raised, failure.user_frame))
            for failure in self._detail.failures
        ]
        created = [
            Section(f"task {stack.serial} was created by, innermost first", stack.frames, SHOWN_OF_CREATION)
            for stack in self._detail.stacks
        ]
        panel.show_sections([*failed, *created])

    def show_parked(self, groups: Sequence[ParkedGroup]) -> None:
        table = self.query_one("#parked", LineTable)
        table.show_empty(f"No {self.NOUN} of this site is waiting: none is live, or all are running.")
        table.show(groups)
        total = sum(group.live for group in groups)
        table.border_title = Content(
            f"parked at: {fmt.plural(total, self.NOUN)} in {fmt.plural(len(groups), 'place')}"
        )

    def _parked_cells(self, group: ParkedGroup) -> Sequence[Cell]:
        store = self.context.store
        least, most = group.remaining_min, group.remaining_max
        left = "" if least is None or most is None else f"{fmt.age(least)} to {fmt.age(most)}"
        return (
            fmt.count(group.live),
            group.text,
            left,
            store.age_text(group.oldest, exact=self.row.exact),
            fmt.frame(group.frame),
        )

    def ask_members(self) -> None:
        """Fills the list below the panels."""
        only = self._only
        fetch = fetch_of(self.context, requests.Tasks(self.row.sites, parked=only.key if only else None))
        what = f"in {only.text} (Esc: all)" if only else "tasks"
        why = "No task of this site is live.  3 lists recently ended tasks."
        self.query_one(TaskList).ask_for(fetch, what, why)

    # -- what e and y act on

    @property
    def frame(self) -> Frame | None:
        stack = self.query_one(StackPanel)
        return stack.frame if stack.has_focus else self.query_one(SourcePanel).frame

    def as_text(self) -> str:
        return self.query_one(StackPanel).as_text()

    # -- events

    def on_line_list_row_selected(self, event: LineList.RowSelected) -> None:
        event.stop()
        if isinstance(event.row, ParkedGroup):
            self._only = Place(event.row.key, event.row.text)
            self.ask_members()
            self.query_one("#members").focus()
        else:
            self.open_member(event.row)

    def open_member(self, member: Task | Thread) -> None:
        """Enter on a line of the list below the panels."""
        from taskscope.tui.views.task import TaskScreen

        assert isinstance(member, Task)
        self.app.push_screen(TaskScreen(self.context, member))

    def on_task_list_failed(self, event: TaskList.Failed) -> None:
        event.stop()
        self.subject.note(self.failed(event.problem))

    def failed(self, problem: SourceError) -> str:
        self.query_one("#parked", LineTable).show_empty(str(problem))
        return str(problem)

    def leave(self) -> None:
        """Esc: shows all tasks again, then goes back."""
        if self._only is None:
            super().leave()
        else:
            self._only = None
            self.ask_members()

    def action_order(self) -> None:
        self.query_one(TaskList).turn_round()

    def action_next_panel(self) -> None:
        panels = self.panels
        self.choose(panels[(panels.index(self.front) + 1) % len(panels)])

    def choose(self, name: str) -> None:
        """Brings a panel to the front for the user; a new finding no longer takes its place."""
        self._chosen = True
        self.bring(name)

    def action_toggle_finding(self) -> None:
        self.context.dismiss(self.finding)

    def bring(self, name: str) -> None:
        """Brings a panel to the front, if only one is shown."""
        self.front = name
        for each in PANELS:
            self.query_one(f"#{each}").set_class(each == name, "-front")
        self.query_one(PanelTabs).refresh()
