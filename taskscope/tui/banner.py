"""A line below the header that warns about the observation itself: a lost target, stale or dropped data."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.text import Text
from textual.widget import Widget

from taskscope import text as fmt
from taskscope.sources.outside.source import OutsideSource
from taskscope.tui.context import State
from taskscope.tui.theme import palette

if TYPE_CHECKING:
    from taskscope.tui.context import Context


class Banner(Widget):
    """Hidden while all is well."""

    DEFAULT_CSS = "Banner { height: auto; max-height: 3; padding: 0 1; background: $panel; display: none; }"

    def __init__(self, context: Context) -> None:
        super().__init__()
        self.context = context
        self._text = ""

    def on_mount(self) -> None:
        self.set_interval(1.0, self.look)

    def look(self) -> None:
        """Updates the warning, and hides the banner if there is none."""
        text = sentence(self.context)
        if text != self._text:
            longer = len(text) != len(self._text)  # only then can its number of lines change
            self._text = text
            self.display = bool(text)
            self.refresh(layout=longer)

    def render(self) -> Text:
        return Text(self._text, palette(self.app.theme_variables).warning)


def sentence(context: Context) -> str:
    """The warning; empty while the data is live."""
    if context.state in (State.ENDED, State.LOST, State.FAILED):
        kept = "  Showing the last data" if context.store.sample else ""
        waiting = "; waiting for a restart." if context.waiting else "."
        if context.state is State.LOST:
            waiting = "; C connects again."
        elif context.membership is not None:
            waiting = "; Esc goes back to the group."
        return f"{context.reason}{kept}{waiting if kept else ''}"
    if context.state is State.CONNECTING:
        return context.reason
    if context.stale and context.silence is not None:
        return f"No sample for {fmt.age(context.store.sample_age())}: {context.silence.text}."
    if context.stale:
        age = fmt.age(context.store.sample_age())
        return (
            f"No sample for {age}: the target is stopped or busy in native code.  The data shown is that old."
        )
    if context.silence is not None:
        return fmt.sentence(context.silence.text)
    return _limits(context)


def _limits(context: Context) -> str:
    """What cannot be seen, or was not kept."""
    sample, hello = context.store.sample, context.store.hello
    if sample is None:
        return ""
    if hello is not None and hello.arrived == "outside":
        source = context.source
        return source.note(hello) if isinstance(source, OutsideSource) else " ".join(hello.notes[-1:])
    if sample.disarmed:
        return f"The agent failed and disabled itself; the target keeps running: {'; '.join(sample.disarmed)}"
    lost = {what: number for what, number in sample.dropped.items() if number}
    if lost:
        return "Dropped, over the agent's limits: " + ", ".join(
            f"{fmt.count(n)} {what}" for what, n in lost.items()
        )
    return " ".join(hello.notes) if hello is not None and hello.arrived == "counting" else ""
