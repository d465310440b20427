"""The input line of a filter, hidden until it is opened."""

from __future__ import annotations

from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.widgets import Input


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
        """Shows and focuses the field."""
        self.add_class("-open")
        self.focus()

    def close(self, *, clear: bool) -> bool:
        """Hides the field; returns whether it was open or held a filter."""
        was = self.has_class("-open") or bool(self.value)
        self.remove_class("-open")
        if clear:
            self.value = ""
        return was
