"""Whether an object stands for an open connection: data may come in at any time, and may take long to."""

from __future__ import annotations

import _socket
from itertools import islice
from typing import TYPE_CHECKING

from taskscope.agent.inspect.looking import (
    attribute,
    attributes_of,
    class_name,
    in_class,
    is_a,
    module_of,
    native,
    pairs,
    slots_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

_NAMES = ("transport", "_transport")
_OF_DATABASES = ("cursor", "commit", "rollback", "close")

MAX_PARTS = 50
"""Most attributes of an object that are looked into: it may keep its reader or writer in one of them."""


def open_transport(thing: object) -> object:
    """A transport that it, or an object it has as an attribute, has and that is not closing; or None."""
    return next((each for each in _transports(thing) if is_open(each)), None)


def is_closed(thing: object) -> bool:
    """Whether they have transports, and none of these is open."""
    transports = list(_transports(thing))
    return len(transports) > 0 and not any(map(is_open, transports))


def _transports(thing: object) -> Iterator[object]:
    """Each transport that it or an attribute of it has."""
    parts = islice((*pairs(attributes_of(thing)), *slots_of(thing)), MAX_PARTS)
    for each in (thing, *(part for _, part in parts)):
        transport = next((found for name in _NAMES if (found := attribute(each, name)) is not None), None)
        if transport is not None and is_transport(transport):
            yield transport


def is_open(transport: object) -> bool:
    """Whether a transport or a socket is neither closed nor about to be."""
    if is_a(transport, _socket.socket):
        return _socket.socket.fileno(transport) >= 0
    for name in ("_closing", "_closed"):  # asyncio's sockets and pipes, asyncio's TLS
        state = attribute(transport, name)
        if state is not None:
            return state is False
    return native(transport, "is_closing") is False


def is_end(thing: object) -> bool:
    """Whether it is a transport or a socket."""
    return is_a(thing, _socket.socket) or is_transport(thing)


def is_connection(thing: object) -> bool:
    """Likewise, or a connection to a database: with the methods that Python's DB-API asks for."""
    return is_end(thing) or all(in_class(type(thing), name) is not None for name in _OF_DATABASES)


def is_class(thing: object) -> bool:
    """Whether it is a class of connections: to a database, or with methods to connect and to close."""
    ways = _OF_DATABASES, ("connect", "close")
    return is_a(thing, type) and any(all(in_class(thing, each) is not None for each in way) for way in ways)


def is_transport(thing: object) -> bool:
    """Whether it is one of asyncio or uvloop."""
    return module_of(type(thing)).partition(".")[0] in ("asyncio", "uvloop") and "Transport" in class_name(
        thing
    )
