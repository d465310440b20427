"""Keeps every theme readable on every terminal: the last filter before a line is drawn.

A terminal of 8, 16 or 256 colours shows other colours than the theme names, and none with NO_COLOR.  So this
measures the contrast of the colours as shown, and changes the text's colour until it suffices.
"""

from __future__ import annotations

import colorsys
import re
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Literal

from rich.color import Color, ColorSystem
from rich.color_triplet import ColorTriplet
from rich.palette import Palette
from rich.segment import Segment
from rich.style import Style
from textual.filter import LineFilter

if TYPE_CHECKING:
    from textual import color

System = Literal["truecolor", "256", "standard", "none"]
"""What the terminal can show; ``standard``: 8 or 16 colours, ``none``: NO_COLOR."""

TEXT, GRAPHIC = 4.5, 3.0
"""Minimum contrast of text, and of sparklines and charts."""

STANDS_OUT = 1.35
"""Contrast to the theme's background from which a background carries meaning: a cursor, a badge."""

_LETTERS = re.compile(r"[^\s\u2500-\u259f\u2800-\u28ff]")
_GRAPHICS = re.compile(r"[\u2581-\u2588\u258c\u258f\u2801-\u28ff]")

_VGA = Palette(
    [
        *((0, 0, 0), (170, 0, 0), (0, 170, 0), (170, 85, 0), (0, 0, 170), (170, 0, 170), (0, 170, 170)),
        *((170, 170, 170), (85, 85, 85), (255, 85, 85), (85, 255, 85), (255, 255, 85), (85, 85, 255)),
        *((255, 85, 255), (85, 255, 255), (255, 255, 255)),
    ]
)
_XTERM = Palette(
    [
        *((0, 0, 0), (205, 0, 0), (0, 205, 0), (205, 205, 0), (0, 0, 238), (205, 0, 205), (0, 205, 205)),
        *((229, 229, 229), (127, 127, 127), (255, 0, 0), (0, 255, 0), (255, 255, 0), (92, 92, 255)),
        *((255, 0, 255), (0, 255, 255), (255, 255, 255)),
    ]
)
PALETTES = (_VGA, _XTERM)
"""The sixteen colours on the Linux console and in xterm.  A choice must be readable on both."""

_BLACK, _RED, _BLUE, _WHITE, _BRIGHT = 0, 1, 4, 7, 8
_DEFAULT = Style(color=Color.default(), bgcolor=Color.default(), reverse=False, dim=False)


class Legible(LineFilter):
    """Changes text colours, as ``system`` shows them, until their contrast suffices."""

    def __init__(self, system: System, base: color.Color) -> None:
        """``base`` is the theme's background."""
        super().__init__()
        self._system = system
        self._base = ColorTriplet(*base.rgb)

    def apply(self, segments: list[Segment], background: color.Color) -> list[Segment]:
        system, base = self._system, self._base
        return [
            segment
            if segment.style is None or segment.control
            else Segment(segment.text, _legible(segment.style, least(segment.text), system, base))
            for segment in segments
        ]


def least(text: str) -> float:
    """The contrast that this text needs; 0 for borders and blanks."""
    if _LETTERS.search(text):
        return TEXT
    return GRAPHIC if _GRAPHICS.search(text) else 0.0


@lru_cache(4096)
def _legible(style: Style, needed: float, system: System, base: ColorTriplet) -> Style:
    front, back = seen(style, base)
    if system == "standard":
        return _in_sixteen(style, front, back, base, needed)
    if system == "none":
        faint = needed == GRAPHIC and contrast(front, back) < TEXT
        reverse = contrast(back, base) >= STANDS_OUT
        return style + _DEFAULT + Style(reverse=reverse, dim=faint and not reverse)
    shown = _shown(back, system)
    end = _away(shown)
    step, fits = 0, _shown(front, system)
    while contrast(fits, shown) < needed and step < 20:
        step += 1
        fits = _shown(_blend(front, end, step / 20), system)
    colour = Color.from_triplet(_blend(front, end, step / 20))
    return style + Style(color=colour, bgcolor=Color.from_triplet(back), reverse=False, dim=False)


def seen(style: Style, base: ColorTriplet) -> tuple[ColorTriplet, ColorTriplet]:
    """Foreground and background as seen, after reverse and dim; the terminal's defaults are guessed."""
    back = _triplet(style.bgcolor) or base
    front = _triplet(style.color) or _away(base)
    if style.reverse:
        front, back = back, front
    return (_blend(front, back, 0.5), back) if style.dim else (front, back)


def _in_sixteen(
    style: Style, front: ColorTriplet, back: ColorTriplet, base: ColorTriplet, needed: float
) -> Style:
    """Limits backgrounds to the first eight; makes a bright foreground bold, as eight colours show it."""
    plain = _BLACK if luminance(base) < 0.18 else _WHITE
    behind = plain if contrast(back, base) < STANDS_OUT else _RED if _is_red(back) else _BLUE
    number = _front(front, behind, max(needed, GRAPHIC)) if needed else plain ^ _WHITE
    bold = True if number >= _BRIGHT else style.bold
    faint = needed == GRAPHIC and contrast(front, back) < TEXT
    return style + Style(color=_ansi(number), bgcolor=_ansi(behind), bold=bold, reverse=False, dim=faint)


@cache
def _front(front: ColorTriplet, behind: int, needed: float) -> int:
    """The readable one of the sixteen colours that is nearest in hue; grey stays grey."""
    readable = [
        number
        for number in range(16)
        if all(contrast(palette[number], palette[behind]) >= needed for palette in PALETTES)
    ]
    hue, _, saturation = _hls(front)
    greys = [number for number in (_WHITE, _BLACK, 15) if number in readable]
    hued = [number for number in readable if _hls(_XTERM[number])[2] > 0.5]
    if saturation < 0.2 or not hued:
        return greys[0]
    return min(hued, key=lambda number: (_apart(hue, _hls(_XTERM[number])[0]), -number))


def _apart(one: float, other: float) -> float:
    return min(abs(one - other), 1 - abs(one - other))


def _is_red(colour: ColorTriplet) -> bool:
    hue, _, saturation = _hls(colour)
    return saturation > 0.3 and _apart(hue, 0.0) < 0.06


def _hls(colour: ColorTriplet) -> tuple[float, float, float]:
    return colorsys.rgb_to_hls(*colour.normalized)


def _ansi(number: int) -> Color:
    return Color.from_ansi(number)


def _triplet(colour: Color | None) -> ColorTriplet | None:
    return None if colour is None or colour.is_default else colour.get_truecolor()


def _shown(colour: ColorTriplet, system: System) -> ColorTriplet:
    if system == "256":
        return Color.from_triplet(colour).downgrade(ColorSystem.EIGHT_BIT).get_truecolor()
    return colour


def _away(colour: ColorTriplet) -> ColorTriplet:
    """Black or white, whichever is readable on ``back``."""
    return ColorTriplet(0, 0, 0) if luminance(colour) > 0.179 else ColorTriplet(255, 255, 255)


def _blend(one: ColorTriplet, other: ColorTriplet, share: float) -> ColorTriplet:
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(one, other, strict=True))
    return ColorTriplet(red, green, blue)


def contrast(one: tuple[int, int, int], other: tuple[int, int, int]) -> float:
    """Contrast ratio of WCAG 2: 1 (none) to 21."""
    darker, lighter = sorted((luminance(one), luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


@lru_cache(4096)
def luminance(colour: tuple[int, int, int]) -> float:
    """Relative luminance of WCAG 2: 0 (black) to 1."""
    red, green, blue = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4
        for part in (each / 255 for each in colour)
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
