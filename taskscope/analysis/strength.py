"""How strongly the tasks of a site themselves, apart from their count, show that they will not end."""

from __future__ import annotations

from enum import IntEnum


class Strength(IntEnum):
    """The stronger, the shorter growth is watched before it is a leak (see ``verdict``)."""

    BOUNDED = -4
    """Their number is bounded, which overrules the count."""
    IN_USE = -3
    """All of them are given work now and then: their number is load, whatever it is."""
    OPEN_ENDED = -2
    """Others end them, or a timer does: until some have ended, nobody knows how long they live."""
    UNLIKELY = -1
    """Probably a pool, work in progress, or soon collected."""
    NONE = 0
    """No evidence."""
    PERMANENT = 1
    """They are permanent, or have never moved while known."""
    REPEATED = 2
    """The same thing was started repeatedly."""
    CANNOT_END = 3
    """They should end and cannot."""
    PROVEN = 4
    """Nothing can wake them, which overrules the count."""
