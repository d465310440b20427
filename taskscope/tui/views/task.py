"""One task: its await chain, what it waits on, what awaits it, and what created it."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.screen import ModalScreen
from textual.widgets import Static

from taskscope import text as fmt
from taskscope.model import requests
from taskscope.sources.base import NotAvailable, SourceError, TargetGone
from taskscope.tui.source_panel import SourcePanel
from taskscope.tui.stack_panel import SHOWN_OF_CREATION, Link, Section, StackPanel
from taskscope.tui.task_list import EXPLAINS as TASK_COLUMNS
from taskscope.tui.task_list import TaskList, fetch_of, oldest_age, parked_text
from taskscope.tui.views.detail import DetailScreen

if TYPE_CHECKING:
    from collections.abc import Sequence

    from textual import events
    from textual.app import ComposeResult

    from taskscope.model import Ancestor, Frame, Task, TaskDetail
    from taskscope.tui.context import Context
    from taskscope.tui.line_list import LineList

SIBLINGS = "siblings"
_WIDE = 120

EXPLAINS = """\
One task, from the frame it is suspended in to the line that created
it.  Refreshes every second.

await chain   the frames it is suspended in, innermost first; Enter
              opens a frame's source, ▶ marks the line; runs of
              library frames are folded into one line
waits on      what it needs to resume; → is a link to a task, which
              Enter follows
held by       tasks inside "async with" on the lock it waits for, or
              the object that keeps the bare future it waits for
awaited by    tasks that await this one; none: nothing reads its
              result (yet)
created by    its parent, its parent's parent and so on; †: ended
siblings      live tasks of the same parent
created at    its creation stack, or one from the same site if its
              own was not kept

e opens the editor at the line, y copies the stacks as text, x
cancels the task (only if the agent was started with control=True).
A task that ends keeps its last state on the screen."""


def _cancelling(task: Task) -> str:
    """The requests to cancel a task that still runs."""
    if not task.cancelling or task.state not in ("pending", "running"):
        return ""
    return f"✕ {fmt.plural(task.cancelling, 'cancel request')} ignored so far"


class TaskScreen(DetailScreen):
    """``task``: as last seen, or its serial if nothing else is known yet."""

    TITLE = "Task"
    EXPLAINS = EXPLAINS
    DEFAULT_CSS = """
    TaskScreen {
        Horizontal { height: 1fr; }
        StackPanel { width: 1fr; }
        SourcePanel { display: none; width: 1fr; }
        &.-wide SourcePanel { display: block; }
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [Binding("x", "cancel", "Cancel")]

    def __init__(self, context: Context, task: Task | int) -> None:
        super().__init__(context)
        self.serial = task if isinstance(task, int) else task.serial
        self._known = None if isinstance(task, int) else task
        self._detail: TaskDetail | None = None
        self.ended = False

    def body(self) -> ComposeResult:
        yield self.subject
        with Horizontal():
            yield StackPanel(self.reader, empty="Reading the task …")
            yield SourcePanel(self.reader)

    def on_mount(self) -> None:
        self._say()
        panel = self.query_one(StackPanel)
        panel.focus()
        if self._known is not None:
            panel.show_sections(_first_sections(self._known))

    def on_resize(self, event: events.Resize) -> None:
        super().on_resize(event)
        self.set_class(event.size.width >= _WIDE, "-wide")

    # -- data

    def look(self) -> None:
        if not self.ended:
            self._say()
            super().look()

    async def load(self) -> None:
        if self.ended:
            return
        self._detail = await self.context.source.ask(requests.Task(self.serial))
        self._known = self._detail.task
        self._say()
        panel = self.query_one(StackPanel)
        panel.show_sections(self._sections(self._detail))
        self.query_one(SourcePanel).show(panel.frame)

    def failed(self, problem: SourceError) -> str:
        if isinstance(problem, NotAvailable) and self._known is not None and self.context.source.live:
            self.ended = True
            self._not_read(str(problem), "3 lists recently ended tasks")
            return "■ ended; its last state" if self._detail else "■ ended before details loaded"
        self._not_read(str(problem))
        if isinstance(problem, TargetGone):
            return "■ the target ended; its last state"
        return str(problem)

    def _not_read(self, *reasons: str) -> None:
        """Shows why there are no more details; details read before stay."""
        panel = self.query_one(StackPanel)
        panel.show_empty(".  ".join(reasons))
        if self._detail is None and self._known is not None:
            panel.show_sections([*_first_sections(self._known)[:-1], Section("not read", reasons)])

    def _say(self) -> None:
        task = self._known
        if task is None:
            self.subject.show(f"task {self.serial}")
            return
        parts = [
            f"task {task.serial} {task.coroutine}",
            f"age {oldest_age(self.context, task.birth)}",
            _cancelling(task),
            parked_text(task.parked, task.state),
            "† orphan" if task.orphan else "",
            task.name,
        ]
        self.subject.show(*(part for part in parts if part))

    def _sections(self, detail: TaskDetail) -> list[Section]:
        outside = not self.context.store.counts_births
        awaits: list[Link | str] = [*self._links(detail.awaited_by)] or [
            "none is seen" if outside else "nothing awaits it"
        ]
        held: list[Link | str] = [*self._links(detail.held_by), *detail.holders]
        return [
            Section("await chain, innermost first", detail.stack or ["running now, or not started"]),
            Section("waits on", self._waits_on(detail)),
            *([Section("woken by", [_waking(detail)])] if detail.fate is not None else []),
            *([Section("held by", held)] if held else []),
            Section("awaited by", awaits),
            *([Section("created by", ["only an agent tells"])] if outside else self._creation(detail)),
        ]

    def _creation(self, detail: TaskDetail) -> list[Section]:
        exact = "" if detail.creation_exact else ", of another task of the same site"
        return [
            Section("created by", [*map(self._ancestor, detail.created_by), *self._origin(detail)]),
            Section("siblings", self._siblings(detail)),
            Section(
                f"created at{exact}, innermost first",
                detail.creation or ["unknown: older than the agent"],
                unfolded=SHOWN_OF_CREATION,
            ),
        ]

    def _waits_on(self, detail: TaskDetail) -> Sequence[Link | str]:
        parked = detail.task.parked
        links = self._links(detail.waits_for)
        if parked is None:
            return links or ["nothing"]
        if parked.task is not None and not any(link.target == parked.task for link in links):
            links.append(Link(f"task {parked.task}", parked.task))
        on = [parked.descriptor.text] if parked.descriptor is not None and parked.detail else []
        return [parked_text(parked, detail.task.state), *on, *links]

    def _links(self, tasks: Sequence[Task]) -> list[Link]:
        return [self._link(task) for task in tasks]

    def _link(self, task: Task) -> Link:
        where = parked_text(task.parked, task.state)
        age = oldest_age(self.context, task.birth)
        again = "  ↻ this task itself" if task.serial == self.serial else ""
        return Link(f"task {task.serial} {task.name}  {task.coroutine}  {age}  {where}{again}", task.serial)

    def _ancestor(self, ancestor: Ancestor) -> Link:
        row = self.context.store.site(ancestor.site)
        place = f"  from {row.label}" if row else ""
        text = f"task {ancestor.serial} {ancestor.name}  {ancestor.coroutine}{place}"
        if ancestor.live:
            return Link(text, ancestor.serial)
        return Link(f"{text}  (ended)", None, ended=True)

    def _origin(self, detail: TaskDetail) -> list[str]:
        if detail.created_by:
            return []
        hello, birth = self.context.store.hello, detail.task.birth
        older = birth is None or (hello is not None and birth < hello.agent_since)
        return ["unknown: before the agent" if older else "no task: created outside any task"]

    @staticmethod
    def _siblings(detail: TaskDetail) -> Sequence[Link | str]:
        if not detail.siblings:
            return ["none live"]
        return [Link(fmt.plural(detail.siblings, "live sibling"), SIBLINGS)]

    # -- what e and y act on

    @property
    def frame(self) -> Frame | None:
        return self.query_one(StackPanel).frame

    def as_text(self) -> str:
        if self._detail is None:
            return ""
        return f"{self.subject.text.rstrip()}\n{self.query_one(StackPanel).as_text()}"

    # -- events

    def on_line_list_row_highlighted(self, event: LineList.RowHighlighted) -> None:
        event.stop()
        self.query_one(SourcePanel).show(self.frame)

    def on_stack_panel_link_selected(self, event: StackPanel.LinkSelected) -> None:
        event.stop()
        if event.target == SIBLINGS:
            assert self._known is not None
            self.app.push_screen(SiblingsScreen(self.context, self._known))
        else:
            self.app.push_screen(TaskScreen(self.context, event.target))

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Shows the cancel key only if the target allows it."""
        hello = self.context.store.hello
        if action == "cancel":
            return bool(hello and hello.control)
        return super().check_action(action, parameters)

    def action_cancel(self) -> None:
        def confirmed(yes: bool | None) -> None:
            if yes:
                self.run_worker(self._cancel(), group="cancel")

        self.app.push_screen(Confirm(f"Cancel task {self.serial}?"), confirmed)

    async def _cancel(self) -> None:
        try:
            await self.context.source.ask(requests.Cancel(self.serial))
        except SourceError as problem:
            self.context.error(f"Could not cancel task {self.serial}: {problem}")
        else:
            self.context.status(f"Requested cancellation of task {self.serial}.")
        self.reload()


def _first_sections(task: Task) -> list[Section]:
    """What the list already shows: the rest takes a walk over all tasks, seconds at 300,000."""
    parked = task.parked
    frames = [frame for frame in (parked.frame, parked.user_frame) if frame] if parked else []
    parent = [Link(f"task {task.parent}", task.parent)] if task.parent and not task.orphan else []
    return [
        Section("parked at", list(dict.fromkeys(frames))),
        Section("waits on", [parked_text(parked, task.state)]),
        *([Section("created by", parent)] if parent else []),
        Section("reading what awaits and what created it …", []),
    ]


class Confirm(ModalScreen[bool]):
    """A yes-or-no question; only ``y`` confirms."""

    DEFAULT_CSS = """
    Confirm { align: center middle; }
    Confirm > Static {
        width: auto; max-width: 90%; border: round $warning; padding: 1 2; background: $surface;
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "dismiss(True)", "Yes"),
        Binding("n,escape,enter,q", "dismiss(False)", "No"),
    ]

    def __init__(self, question: str) -> None:
        super().__init__()
        self._question = question

    def compose(self) -> ComposeResult:
        yield Static(f"{self._question}\n\ny: yes    n: no", markup=False)


class SiblingsScreen(DetailScreen):
    """The live tasks of one parent."""

    TITLE = "Siblings"
    EXPLAINS = f"Live tasks of the same parent.\n\n{TASK_COLUMNS}\n\nEnter opens a task."
    DEFAULT_CSS = "SiblingsScreen TaskList { height: 1fr; }"
    BINDINGS: ClassVar[list[BindingType]] = [Binding("o", "order", "Order")]

    def __init__(self, context: Context, task: Task) -> None:
        super().__init__(context)
        self._of = task

    def body(self) -> ComposeResult:
        yield self.subject
        yield TaskList(self.context)

    def on_mount(self) -> None:
        parent = self._of.parent
        whose = f"task {parent}" if parent else "no task"
        self.subject.show(f"created by {whose}")
        fetch = fetch_of(self.context, requests.Tasks(parent=parent))
        tasks = self.query_one(TaskList)
        tasks.ask_for(fetch, "siblings", f"No task created by {whose} is live any more.")
        tasks.focus()

    async def load(self) -> None:
        self.query_one(TaskList).refresh_page()

    def on_task_list_failed(self, event: TaskList.Failed) -> None:
        event.stop()
        self.subject.note(self.failed(event.problem))

    def on_line_list_row_selected(self, event: LineList.RowSelected) -> None:
        event.stop()
        self.app.push_screen(TaskScreen(self.context, event.row))

    def action_order(self) -> None:
        self.query_one(TaskList).turn_round()


def _waking(detail: TaskDetail) -> str:
    """Whether anything can wake the task, in a sentence."""
    if detail.fate == "stuck":
        return "nothing can wake it: no living code can reach what it waits for"
    if detail.fate == "lost":
        return "nothing can wake it and nothing keeps it: the garbage collector will destroy it"
    if detail.fate == "endless":
        return "nothing was meant to wake it: it waits until it is cancelled"
    named = detail.woken_by or ", ".join(detail.holders)
    return (
        f"may be woken by {named}" if named else "may be woken: something still refers to what it waits for"
    )
