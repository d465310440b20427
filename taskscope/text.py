"""Numbers in sentences, for every output."""

from __future__ import annotations


def plural(number: int, noun: str) -> str:
    """``1 stall``, ``2,000 stalls``."""
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def be(number: int, *, past: bool = False) -> str:
    """``is`` or ``are``, ``was`` or ``were``, to agree with ``number``."""
    singular, plural = ("was", "were") if past else ("is", "are")
    return singular if number == 1 else plural


_NAMES = ("aiomonitor", "taskscope")


def sentence(said: str) -> str:
    """``cannot read FILE`` as ``Cannot read FILE.``: an error as a message of its own."""
    first = said.partition(" ")[0]
    if first.isalpha() and first not in _NAMES:  # neither a path nor an address
        said = said[0].upper() + said[1:]
    return said if not said or said.endswith((".", "?", "!")) else f"{said}."


def seconds(value: float) -> str:
    """``64 s``, ``12 min``, ``3.5 h``: a duration in running text."""
    if value < 120:
        return f"{value:,.0f} s"
    return f"{value / 60:,.0f} min" if value < 7200 else f"{value / 3600:,.1f} h"


def per_minute(rate: float) -> str:
    """``+6,000/min``; below ten per minute with one decimal: ``+0.4/min``."""
    return f"{rate:+,.0f}/min" if abs(rate) >= 10 else f"{rate:+,.1f}/min"
