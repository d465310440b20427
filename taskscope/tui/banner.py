"""One line under the header when something about the observation itself needs saying."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.text import Text
from textual.widget import Widget

from taskscope.tui import format as fmt
from taskscope.tui.context import State
from taskscope.tui.theme import palette

if TYPE_CHECKING:
    from taskscope.tui.context import Context


class Banner(Widget):
    """Not there while all is well."""

    DEFAULT_CSS = "Banner { height: auto; max-height: 2; padding: 0 1; background: $panel; display: none; }"

    def __init__(self, context: Context) -> None:
        super().__init__()
        self.context = context
        self._text = ""

    def on_mount(self) -> None:
        self.set_interval(1.0, self.look)

    def look(self) -> None:
        """Shows, changes or goes."""
        text = sentence(self.context)
        if text != self._text:
            longer = len(text) != len(self._text)  # only then can it need another line
            self._text = text
            self.display = bool(text)
            self.refresh(layout=longer)

    def render(self) -> Text:
        return Text(self._text, palette(self.app.theme_variables).warning)


def sentence(context: Context) -> str:
    """What the user must know about what is shown; empty if it is simply live."""
    if context.state in (State.ENDED, State.FAILED):
        kept = "  Showing the last data" if context.store.sample else ""
        waiting = "; waiting for a restart." if context.waiting else "."
        return f"{context.reason.rstrip('.')}.{kept}{waiting if kept else ''}"
    if context.state is State.CONNECTING:
        return context.reason and f"{context.reason.rstrip('.')}."
    if context.stale and context.silence is not None:
        return f"No sample for {fmt.age(context.store.sample_age())}: {context.silence.text}."
    if context.stale:
        age = fmt.age(context.store.sample_age())
        return (
            f"No sample for {age}: the target is stopped or busy in native code.  What is shown is that old."
        )
    sample = context.store.sample
    if sample is None:
        return ""
    if sample.disarmed:
        return f"The agent failed and switched itself off; the target goes on: {'; '.join(sample.disarmed)}"
    lost = {what: number for what, number in sample.dropped.items() if number}
    if lost:
        return "Dropped, since the agent keeps no more: " + ", ".join(
            f"{fmt.count(n)} {what}" for what, n in lost.items()
        )
    return ""
