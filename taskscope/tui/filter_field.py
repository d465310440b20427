"""The input line of a filter, hidden until it is opened."""

from __future__ import annotations

from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.widgets import Input

SLASH = Binding("slash", "filter", "Filter", priority=True)
"""For the screen of a filter.  It has priority, so that what is typed right after it is the filter's, however
busy the app is: else the next keys are on their way to the table by then, where Enter attaches."""


class FilterField(Input):
    """Its screen handles Esc."""

    DEFAULT_CSS = """
    FilterField { display: none; padding: 0 1; background: $panel; }
    FilterField.-open { display: block; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "submit", "Keep the filter"),
        Binding("escape", "screen.back", "Clear the filter"),
        Binding("ctrl+c", "app.help_quit", "Quit", show=False),
    ]

    def __init__(self, what: str) -> None:
        super().__init__(placeholder=f"{what}; all words must match", compact=True)

    def open(self) -> None:
        """Shows and focuses the field, at once; in it, a slash is a character as any other."""
        if self.has_focus:
            self.insert_text_at_cursor("/")
            return
        self.add_class("-open")
        self.screen.set_focus(self)

    def close(self, *, clear: bool) -> bool:
        """Hides the field; returns whether it was open or held a filter."""
        was = self.has_class("-open") or bool(self.value)
        self.remove_class("-open")
        if clear:
            self.value = ""
        return was
