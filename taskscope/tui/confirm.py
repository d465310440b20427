"""Asks for confirmation before something that changes the target."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from rich.text import Text
from textual.containers import VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Static

if TYPE_CHECKING:
    from textual.app import ComposeResult
    from textual.binding import BindingType


class ConfirmScreen(ModalScreen[bool]):
    """Says what will happen; only ``y`` confirms."""

    DEFAULT_CSS = """
    ConfirmScreen { align: center middle; }
    ConfirmScreen > VerticalScroll {
        width: 76; max-width: 96%; height: auto; max-height: 90%;
        border: round $warning; padding: 1 2; background: $surface;
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        ("y", "dismiss(True)", "Yes"),
        ("escape,n,q", "dismiss(False)", "No"),
    ]

    def __init__(self, question: str, text: str, deed: str) -> None:
        super().__init__()
        self._question = question
        self._text = text
        self._deed = deed

    def compose(self) -> ComposeResult:
        with VerticalScroll() as scroll:
            scroll.border_subtitle = f"y {self._deed}   Esc cancels"
            yield Static(Text.assemble((f"{self._question}\n\n", "bold"), self._text))
