"""The one theme definition: an accent, a warning and an alarm; everything else is shades of grey.

The alarm colour is for findings alone.  Textual's own themes stay choosable: `palette` reads the roles
from whichever is active.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from rich.style import Style
from textual.color import Color
from textual.theme import Theme

if TYPE_CHECKING:
    from collections.abc import Mapping

THEME = Theme(
    name="taskscope",
    primary="#5fafd7",
    secondary="#5fafd7",
    accent="#5fafd7",
    foreground="#d0d0d0",
    background="#101214",
    surface="#16191c",
    panel="#22262a",
    success="#5fafd7",
    warning="#d7af5f",
    error="#e0566b",
    dark=True,
    variables={
        "border": "#3a4046",
        "footer-key-foreground": "#5fafd7",
        "footer-background": "#16191c",
        "footer-description-foreground": "#9aa0a6",
    },
)


@dataclass(frozen=True, slots=True)
class Palette:
    """Roles as Rich styles, for widgets that draw their own lines."""

    text: Style
    dim: Style
    strong: Style
    accent: Style
    warning: Style
    alarm: Style
    border: Style
    accent_color: str


def palette(variables: Mapping[str, str]) -> Palette:
    """The roles of the active theme (``app.theme_variables``)."""
    return _palettes(
        *(variables[name] for name in ("primary", "warning", "error", "foreground", "background"))
    )


@cache
def _palettes(accent: str, warning: str, alarm: str, foreground: str, background: str) -> Palette:
    text = _style(foreground)
    dim = Color.parse(foreground).blend(Color.parse(background), 0.45, alpha=1)
    faint = Style(dim=True) if dim.ansi is not None else Style(color=dim.rich_color)
    return Palette(
        text=text,
        dim=faint,
        strong=text + Style(bold=True),
        accent=_style(accent),
        warning=_style(warning),
        alarm=_style(alarm) + Style(bold=True),
        border=faint,
        accent_color=accent,
    )


def _style(color: str) -> Style:
    """Themes may leave colours to the terminal (``ansi_blue``), which Rich alone cannot read."""
    return Style(color=Color.parse(color).rich_color)
