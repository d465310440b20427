"""When a loop's timer is due, by the loop's clock if that is asyncio's or uvloop's."""

from __future__ import annotations

from types import FunctionType

from taskscope.agent.inspect.caches import Cache
from taskscope.agent.inspect.looking import attribute, in_class, native, seconds, text
from taskscope.system import clock

FOREVER = 30 * 365 * 86_400.0
"""Seconds.  Libraries sleep forever by sleeping for decades, or until infinity, which JSON lacks."""

_tells_our_time: Cache[bool] = Cache(16)
"""Classes of loops, and whether their clock is the machine's: asked for every task that sleeps."""


def left(handle: object, loop: object) -> float | None:
    """Seconds until a timer is due; None if it is not a timer, or the program overrides the loop's clock."""
    when = seconds(attribute(handle, "_when"))
    when = when if when is not None else seconds(native(handle, "when"))
    now = _now(loop)
    return max(0.0, when - now) if when is not None and now is not None else None


def ahead_of(loop: object) -> float | None:
    """Seconds by which the machine's clock is ahead of a loop's; None: the program overrides that clock."""
    now = _now(loop)
    return clock.monotonic() - now if now is not None else None


def _now(loop: object) -> float | None:
    cls = type(loop)
    plain = _tells_our_time.get(cls)
    if plain is None:
        method = in_class(cls, "time")
        file = text(method.__code__.co_filename) if type(method) is FunctionType else ""
        plain = _tells_our_time.put(cls, file.endswith("asyncio/base_events.py"))
    return clock.monotonic() if plain else seconds(native(loop, "time"))
