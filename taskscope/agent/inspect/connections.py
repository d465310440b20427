"""Whether an object stands for an open connection: data may come in at any time, and may take long to."""

from __future__ import annotations

from itertools import islice

from taskscope.agent.inspect.looking import (
    attribute,
    attributes_of,
    class_name,
    module_of,
    native,
    pairs,
    slots_of,
)

_NAMES = ("transport", "_transport")

MAX_PARTS = 50
"""Most attributes of an object that are looked into: it may keep its reader or writer in one of them."""


def is_open(thing: object) -> bool:
    """Whether it, or an object it has as an attribute, has a transport that is not closing."""
    parts = islice((*pairs(attributes_of(thing)), *slots_of(thing)), MAX_PARTS)
    return _has_open(thing) or any(_has_open(each) for _, each in parts)


def _has_open(thing: object) -> bool:
    transport = next((each for name in _NAMES if (each := attribute(thing, name)) is not None), None)
    if transport is None or not _is_transport(transport):
        return False
    for name in ("_closing", "_closed"):  # asyncio's sockets and pipes, asyncio's TLS
        state = attribute(transport, name)
        if state is not None:
            return state is False
    return native(transport, "is_closing") is False


def _is_transport(thing: object) -> bool:
    """Whether it is one of asyncio or uvloop."""
    return module_of(type(thing)).partition(".")[0] in ("asyncio", "uvloop") and "Transport" in class_name(
        thing
    )
