"""When a timer of a loop is due, by the loop's own clock where that is known to be asyncio's or uvloop's."""

from __future__ import annotations

from types import FunctionType

from taskscope.agent.inspect.looking import attribute, in_class, native, seconds, text
from taskscope.system import clock


def left(handle: object, loop: object) -> float | None:
    """Seconds until a timer is due; None if it is no timer, or the loop's clock is the program's own."""
    when = seconds(attribute(handle, "_when"))
    when = when if when is not None else seconds(native(handle, "when"))
    now = _now(loop)
    return max(0.0, when - now) if when is not None and now is not None else None


def _now(loop: object) -> float | None:
    method = in_class(type(loop), "time")
    if type(method) is FunctionType and text(method.__code__.co_filename).endswith("asyncio/base_events.py"):
        return clock.monotonic()
    return seconds(native(loop, "time"))
