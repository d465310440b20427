"""The one theme definition: an accent, a warning and an alarm; everything else is shades of grey.

The alarm colour is for findings alone.  Textual's own themes stay choosable: `palette` reads the roles
from whichever is active.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.style import Style
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
    warning_color: str


def palette(variables: Mapping[str, str]) -> Palette:
    """The roles of the active theme (``app.theme_variables``)."""
    accent, warning, alarm = variables["primary"], variables["warning"], variables["error"]
    foreground, background = variables["foreground"], variables["background"]
    dim = _mix(foreground, background)
    return Palette(
        text=Style.parse(foreground),
        dim=Style.parse(dim),
        strong=Style.parse(f"bold {foreground}"),
        accent=Style.parse(accent),
        warning=Style.parse(warning),
        alarm=Style.parse(f"bold {alarm}"),
        border=Style.parse(dim),
        accent_color=accent,
        warning_color=warning,
    )


def _mix(foreground: str, background: str) -> str:
    """Halfway to the background; grey where a theme leaves colours to the terminal."""
    from textual.color import Color, ColorParseError

    try:
        return Color.parse(foreground).blend(Color.parse(background), 0.45, alpha=1).hex
    except ColorParseError:
        return "#808080"
