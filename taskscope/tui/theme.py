"""The dark and the light theme: an accent, a warning and an alarm colour; all else is grey.

The alarm colour is for findings and limits that are nearly reached.  Textual's own themes work too:
`palette` reads the roles from the active one.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from rich.style import Style
from textual.color import Color
from textual.theme import BUILTIN_THEMES, Theme

from taskscope.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Mapping

DARK = Theme(
    name="taskscope-dark",
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
LIGHT = Theme(
    name="taskscope-light",
    primary="#00608f",
    secondary="#00608f",
    accent="#00608f",
    foreground="#202428",
    background="#fafafa",
    surface="#f0f1f2",
    panel="#e6e8ea",
    success="#00608f",
    warning="#805500",
    error="#b00030",
    dark=False,
    variables={
        "border": "#c0c4c8",
        "footer-key-foreground": "#00608f",
        "footer-background": "#f0f1f2",
        "footer-description-foreground": "#50565c",
    },
)

SHORT = {"dark": DARK.name, "light": LIGHT.name}
"""Short names of the two for `--theme`."""


def names() -> list[str]:
    """The names that `--theme` takes; no ``ansi`` ones, since every theme works with sixteen colours."""
    return [*SHORT, *(name for name, each in BUILTIN_THEMES.items() if not each.ansi)]


@dataclass(frozen=True, slots=True)
class Palette:
    """Roles as Rich styles, for widgets that draw their own lines."""

    text: Style
    dim: Style
    flat: Style
    strong: Style
    accent: Style
    warning: Style
    alarm: Style
    border: Style
    accent_color: str
    dim_color: str


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
    flat = Color.parse(foreground).blend(Color.parse(background), 0.6, alpha=1)
    return Palette(
        text=text,
        dim=faint,
        flat=Style(color=flat.rich_color),
        strong=text + Style(bold=True),
        accent=_style(accent),
        warning=_style(warning),
        alarm=_style(alarm) + Style(bold=True),
        border=faint,
        accent_color=accent,
        dim_color=foreground if dim.ansi is not None else dim.hex,
    )


def _style(color: str) -> Style:
    """Parses a colour; themes may name the terminal's (``ansi_blue``), which Rich does not know."""
    return Style(color=Color.parse(color).rich_color)
