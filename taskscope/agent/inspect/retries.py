"""Whether a task tries the same thing again and again, and whether its code limits how often."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from taskscope.agent.inspect import origins
from taskscope.agent.inspect.looking import attribute, class_name
from taskscope.agent.inspect.variables import variables_of

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import FrameType

    from taskscope.agent.inspect.paths import Place

ENDLESS = "_stop_never"
"""The class of what tenacity is given as ``stop`` by default."""


class Tries(NamedTuple):
    """``limited``: at most so many rounds are left; ``endless``: only what it tries ends it."""

    limited: bool
    endless: bool


def tries_of(frames: Iterable[FrameType], place: Place | None) -> Tries:
    """What a task that is suspended in ``frames`` does; ``place``: in its outermost coroutine."""
    for frame in frames:
        if "/tenacity/" in origins.file_of(frame.f_code):
            stop = attribute(variables_of(frame).get("self"), "stop")
            if stop is not None:
                endless = class_name(stop) == ENDLESS
                return Tries(not endless, endless)
    return Tries(place is not None and place.counted, place is not None and place.retried)
