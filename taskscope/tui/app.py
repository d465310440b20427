"""The app: one target with its store, connection and views."""

from __future__ import annotations

import asyncio
import time
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from rich.text import Text
from textual.app import App, SystemCommand
from textual.color import Color
from textual.filter import Monochrome
from textual.screen import ModalScreen, Screen

from taskscope.model import requests
from taskscope.sources.base import Repeatable, SourceError
from taskscope.sources.membership import Membership
from taskscope.sources.recorded import RecordedSource
from taskscope.tui import crash, keys_of_app
from taskscope.tui import theme as themes
from taskscope.tui.coming_back import member_coming_back
from taskscope.tui.connection import Connection
from taskscope.tui.context import Context, State, Voice
from taskscope.tui.group import GroupScreen
from taskscope.tui.legible import Legible, System
from taskscope.tui.listed import listed
from taskscope.tui.messages import ProcessChosen, StoreChanged
from taskscope.tui.overview import OverviewScreen
from taskscope.tui.pace import Pace
from taskscope.tui.picker import PickerScreen
from taskscope.tui.playback import Playback
from taskscope.tui.status import StatusLine
from taskscope.tui.store import Store
from taskscope.tui.terminal import ends_with_terminal
from taskscope.tui.view import ViewScreen
from taskscope.tui.views import screen_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from textual.binding import BindingType
    from textual.filter import LineFilter

    from taskscope.model.changes import Side
    from taskscope.sources.base import Source
    from taskscope.tui.connection import Reconnect
    from taskscope.tui.picker import Targets

GARBAGE = (50_000, 20, 100)
"""Thresholds of the garbage collector: at Python's, it takes a sixth of the app's CPU at 5,000 sites."""

QUIT_SECONDS = 3.0
"""Seconds within which a second ctrl+c quits."""

_SYSTEMS: dict[str | None, System] = {"truecolor": "truecolor", "256": "256", "standard": "standard"}

INTERVALS = (0.25, 0.5, 1.0, 2.0, 5.0)
"""The intervals to choose from, in seconds."""


class TaskScopeApp(App[None]):
    """Shows ``source``, or the target chosen from ``targets``.

    ``reconnect`` finds the target after a restart, and returns None until then.
    """

    TITLE = "taskscope"
    BINDINGS: ClassVar[list[BindingType]] = keys_of_app.BINDINGS

    def __init__(
        self,
        source: Source | None = None,
        *,
        reconnect: Reconnect | None = None,
        targets: Targets | None = None,
        clock: Callable[[], float] = time.monotonic,
        theme: str = "dark",
        baseline: tuple[Side, str] | None = None,
    ) -> None:
        """``theme`` is one of `theme.names`; ``baseline``: what is compared with, and its name."""
        super().__init__()
        self.terminal: System = "none" if self.no_color else _SYSTEMS.get(self.console.color_system, "none")
        """The colours that the terminal shows."""
        self._readable: tuple[str, Legible] | None = None
        for name in set(self.available_themes).difference(themes.names()):
            self.unregister_theme(name)
        for each in (themes.DARK, themes.LIGHT):
            self.register_theme(each)
        self._theme_at_first = themes.SHORT.get(theme, theme)
        self._source = source
        self._reconnect = reconnect
        self._targets = targets
        self._baseline = baseline
        self._clock = clock
        self._failure: Exception | None = None
        self._telling = False
        self._told: State | None = None
        self._pace = Pace()
        self._asked_at = float("-inf")
        self.connection: Connection | None = None
        self._beneath: list[Connection] = []
        """The group that the process in front was opened from."""
        self.injected: set[int] = set()
        """Processes that were left with an agent that TaskScope has brought in."""

    def on_mount(self) -> None:
        self.theme = self._theme_at_first
        ends_with_terminal(self)
        self.app_resume_signal.subscribe(self, self._resumed, immediate=True)
        if self._targets is not None:
            self.push_screen(PickerScreen(self._targets, self._voice()))
        if self._source is not None:
            self._watch(self._source, self._reconnect)

    def get_line_filters(self) -> Sequence[LineFilter]:
        """Textual's filters, without its greys for NO_COLOR, and the one that keeps every line readable."""
        if self._readable is None or self._readable[0] != self.theme:
            background = self.current_theme.to_color_system().generate()["background"]
            self._readable = (self.theme, Legible(self.terminal, Color.parse(background)))
        kept = [each for each in super().get_line_filters() if not isinstance(each, Monochrome)]
        return [*kept, self._readable[1]]

    def _watch(
        self,
        source: Source,
        reconnect: Reconnect | None,
        opens: int | None = None,
        membership: Membership | None = None,
    ) -> None:
        """Shows a target, and the site ``opens`` of it; ``membership`` in the group it was opened from."""
        context = Context(source, Store(self._clock), self._clock)
        context.membership = membership
        if self._baseline is not None:
            context.store.compare_with(*self._baseline)
        context.opens = opens
        if isinstance(source, RecordedSource):
            context.playback = Playback(context, source, self._changed)
        context.on_said = self._said
        if (before := self._voice_in_front()) is not None:
            context.said = before.said
        if self.connection is not None:
            self._beneath.append(self.connection)
        self.connection = Connection(context, reconnect, partial(self._changed_of, context))
        self.push_screen(OverviewScreen(context) if context.group is None else GroupScreen(context))
        self.run_worker(self.connection.run(), group=self._connecting, exclusive=True)

    @property
    def _connecting(self) -> str:
        """The name of the worker that connects what is in front."""
        return f"connection {len(self._beneath)}"

    def _changed_of(self, context: Context) -> None:
        """A group goes on behind a process that was opened from it; it is drawn when it comes back."""
        if self.connection is None or self.connection.context is context:
            self._changed()

    def _voice(self) -> Voice:
        voice = Voice(self._clock)
        voice.on_said = self._said
        return voice

    @property
    def context(self) -> Context:
        """The target's context.  Actions that need it are disabled without a target."""
        assert self.connection is not None
        return self.connection.context

    @property
    def _state(self) -> State | None:
        return self.connection.context.state if self.connection is not None else None

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if self.connection is None:
            return action not in keys_of_app.OF_A_TARGET
        if self.context.group is not None and keys_of_app.of_one(action, parameters):
            return False
        if action == "one_process":
            return self.context.group is not None
        if action in keys_of_app.OF_LIVE or action == "not_live":
            live = self.context.source.live
            if live == (action == "not_live"):
                return False
        if action in ("pause", "resume"):
            return self.context.store.paused == (action == "resume")
        return action != "console" or self._has_console()

    def _has_console(self) -> bool:
        """Whether a console is likely enough to list its key; c tries in any case."""
        hello = self.context.store.hello
        return hello is not None and (hello.control or hello.arrived == "aiomonitor")

    async def on_unmount(self) -> None:
        for each in (self.connection, *self._beneath):
            if each is not None:
                self.injected.update(await each.leave())

    async def on_process_chosen(self, event: ProcessChosen) -> None:
        """Opens one process of the group in front, on a connection of its own."""
        group = self.context.group
        if group is None:
            return
        member, site = group.member(event.pid), None
        if member is None:
            self.context.error(f"{event.pid} cannot be opened: it has ended, or was not attached to.")
            return
        if event.site is not None:
            site = next(iter(group.gathered.sites.own(event.site, member.number)), None)
        try:
            source = await asyncio.to_thread(group.connect, member.found)
        except SourceError as problem:
            self.context.error(str(problem))
            return
        self._go(None)
        beneath = self.context
        membership = Membership(lambda: beneath.group, member)
        self._watch(source, member_coming_back(source, membership), site, membership)

    def on_picker_screen_target_chosen(self, event: PickerScreen.TargetChosen) -> None:
        self._watch(event.source, event.reconnect)

    async def on_overview_left(self) -> None:
        """Goes back to the group that it was opened from, or to the picker, if the app started there."""
        if self.connection is None or (self._targets is None and not self._beneath):
            return
        connection = self.connection
        self.workers.cancel_group(self, self._connecting)
        self.connection = self._beneath.pop() if self._beneath else None
        self.injected.update(await connection.leave())
        self.pop_screen()

    def _resumed(self, _: App[Any]) -> None:
        if self.connection is not None:
            self.connection.context.resumed()

    # -- updating the screen in front

    def _changed(self) -> None:
        """Schedules an update of the screen in front, no faster than one can read."""
        if self._state is not self._told:  # the target came, ended or restarted
            self.call_later(self._tell)
        elif not self._telling:
            self._telling = True
            if (wait := self._pace.wait()) > 0:
                self.set_timer(wait, self._tell)
            else:
                self.call_later(self._tell)

    def _tell(self) -> None:
        self._telling = False
        self._told = self._state
        self._pace.drawn()
        if self.screen_stack:  # none while the app closes
            self.screen.post_message(StoreChanged())

    def _said(self) -> None:
        if self.screen_stack:
            for line in self.screen.query(StatusLine):
                line.look()

    def notify(self, message: str, *, severity: str = "information", **_: Any) -> None:
        """Sends Textual's notices to the status line: no toasts, and no markup in text from the target."""
        voice = self._voice_in_front()
        if voice is not None:
            (voice.status if severity == "information" else voice.error)(message)

    def _voice_in_front(self) -> Voice | None:
        """The messages of the view in front; a help page over it has none of its own."""
        screens = reversed(self.screen_stack)
        return next((each.voice for each in screens if isinstance(each, (ViewScreen, PickerScreen))), None)

    # -- crashes: Textual's two hooks for uncaught exceptions, instead of its page of traceback

    def _handle_exception(self, error: Exception) -> None:
        self._failure = error
        super()._handle_exception(error)

    def _fatal_error(self) -> None:
        assert self._failure is not None
        self.panic(Text(crash.told(self._failure)))

    # -- actions of every view

    def action_pause(self) -> None:
        self.context.store.pause()
        self.context.status("Display paused; the target keeps running.")
        self._paused()

    def action_resume(self) -> None:
        self.context.store.resume()
        if self.context.state is State.LIVE and self.connection is not None:
            self.connection.fill_past()
        self.context.status("Resumed.")
        self._paused()

    def _paused(self) -> None:
        self.refresh_bindings()
        self._tell()

    def action_baseline(self) -> None:
        baseline = self.context.store.mark()
        if baseline is None:
            self.context.error("No baseline: no sample has come yet.")
            return
        at = time.strftime("%H:%M:%S", time.localtime(baseline.wall))
        self.context.status(f"Baseline set at {at}: Δ base and D show what changes.  B clears it.")
        self._tell()

    def action_unmark(self) -> None:
        self.context.store.unmark()
        self.context.status("Baseline cleared.")
        self._tell()

    async def action_interval(self) -> None:
        sample = self.context.store.sample
        if sample is None or self.context.state is not State.LIVE:
            self.context.error("The interval can be changed only on a live target.")
            return
        seconds = next((each for each in INTERVALS if each > sample.interval), INTERVALS[0])
        await self.context.ask(self.context.source.ask(requests.SetInterval(seconds)))
        self.context.status(f"One sample every {seconds:g} s.")

    def action_snapshot(self) -> None:
        from taskscope.tui import saving

        self.run_worker(saving.save(self.context), group="snapshot", exclusive=True)

    async def action_record(self) -> None:
        """Starts a recording, or ends the one that runs."""
        context, hello = self.context, self.context.store.hello
        if context.capture is not None:
            await context.capture.stop()
        elif hello is None or context.state is not State.LIVE or not isinstance(context.source, Repeatable):
            context.error("Only a live target can be recorded.")
        else:
            from taskscope.tui.capturing import Capture

            Capture(context, hello.process)
        self._tell()

    def action_not_live(self) -> None:
        self.context.status("This key is for a live target, and this is a file.")

    def action_one_process(self) -> None:
        self.context.status("This key is for one process: Enter on a process or on a site opens one.")

    def action_console(self) -> None:
        from taskscope.tui import console

        self.run_worker(console.enter(self, self.context), group="console", exclusive=True)

    action_try_console = action_console

    def action_connect(self) -> None:
        for each in (self.connection, *self._beneath):  # of what --via has lost, all of it
            if each is not None:
                each.context.again.set()

    def action_messages(self) -> None:
        from taskscope.tui.message_log import MessageLog

        voice = self._voice_in_front()
        if voice is not None and not isinstance(self.screen, ModalScreen):
            self.push_screen(MessageLog(voice.said))

    def action_help_quit(self) -> None:
        """ctrl+c: asks; the second one quits."""
        now = time.monotonic()
        if now - self._asked_at < QUIT_SECONDS:
            self.exit()
        self._asked_at = now
        self.notify("Press ctrl+c again, or q, to quit; the target keeps running.")

    # -- views

    def action_overview(self) -> None:
        self._go(None)

    def action_trees(self) -> None:
        from taskscope.tui.views.tree import TreeScreen

        self._go(TreeScreen(self.context, "parent"))

    def action_view(self, name: str) -> None:
        self._go(screen_of(name, self.context))

    def _go(self, screen: Screen[None] | None) -> None:
        """Goes to the overview, and from there to another view."""
        while not isinstance(self.screen, OverviewScreen):
            self.pop_screen()
        if screen is not None:
            self.push_screen(screen)

    def get_system_commands(self, screen: Screen[Any]) -> Iterable[SystemCommand]:
        """The commands of the palette: all actions with a key, and Textual's themes."""
        for command in super().get_system_commands(screen):
            if command.title in {"Theme", "Screenshot", "Quit"}:
                yield command
        yield from listed(self, screen)
