"""The line in which a filter is typed: not there until it is asked for."""

from __future__ import annotations

from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.widgets import Input


class FilterField(Input):
    """The screen it is on decides what Esc clears."""

    DEFAULT_CSS = """
    FilterField { display: none; padding: 0 1; background: $panel; }
    FilterField.-open { display: block; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "submit", "Keep the filter"),
        Binding("escape", "screen.back", "Clear it"),
        Binding("ctrl+c", "app.help_quit", "Quit", show=False),
    ]

    def __init__(self, what: str) -> None:
        super().__init__(placeholder=f"{what}; all words must occur", compact=True)

    def open(self) -> None:
        """Shows it and goes there."""
        self.add_class("-open")
        self.focus()

    def close(self, *, clear: bool) -> bool:
        """Takes it away; whether there was anything to take away or to clear."""
        was = self.has_class("-open") or bool(self.value)
        self.remove_class("-open")
        if clear:
            self.value = ""
        return was
