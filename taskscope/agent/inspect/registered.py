"""What an event loop watches for others: transports by their protocol, and asynchronous generators."""

from __future__ import annotations

from types import AsyncGeneratorType
from typing import TYPE_CHECKING, NamedTuple
from weakref import ref

from taskscope.agent.inspect import origins, stacks, turns
from taskscope.agent.inspect.island import OwnRef
from taskscope.agent.inspect.looking import attribute, class_name, is_a, items, owner_of
from taskscope.agent.inspect.walk import spent

if TYPE_CHECKING:
    from taskscope import model
    from taskscope.agent.inspect.walk import Job
    from taskscope.model.vocabulary import ResourceState

MOST = 100_000
"""Most registered descriptors or generators read per loop."""


class Connection(NamedTuple):
    """A transport: its ``kind``, its protocol, and the handle by which the loop reaches it."""

    kind: str
    protocol: str
    state: ResourceState
    handle: OwnRef | None


def connections(loop: object) -> Job[list[Connection]]:
    """The descriptors that a loop reads from or writes to, without its own."""
    found: list[Connection] = []
    keys = items(attribute(turns.variable(loop, "_selector"), "_fd_to_key"), MOST)
    for key in keys:
        one = _connection(key, loop)
        if one is not None:
            found.append(one)
        if spent():
            yield
    return found


def _connection(key: object, loop: object) -> Connection | None:
    parts = items(key, 4)
    handles = items(parts[3], 2) if len(parts) == 4 else []
    handle = next((each for each in handles if each is not None), None)
    callback = attribute(handle, "_callback")
    owner = owner_of(callback)
    if handle is None or callback is None:
        return None
    if owner is not loop:
        kind = class_name(owner) if owner is not None else ""
        return Connection(kind, protocol_of(owner), _state_of(owner), OwnRef(handle))
    given = items(attribute(handle, "_args"), 2)
    if len(given) < 2:  # its own, by which other threads wake it
        return None
    return Connection("server", "", "listening", None)


def protocol_of(transport: object) -> str:
    """The class of a transport's protocol, of that behind TLS; "" if it has none."""
    protocol = attribute(transport, "_protocol")
    inner = attribute(protocol, "_app_protocol")
    protocol = protocol if inner is None else inner
    return class_name(protocol) if protocol is not None else ""


def is_one_of(thing: object, row: model.Resource) -> bool:
    """Whether it is a transport, or an asynchronous generator, that was counted there."""
    if row.kind == "generator":
        if type(thing) is not AsyncGeneratorType or thing.ag_running:
            return False
        frame = stacks.frame_of(thing)
        return frame is not None and origins.frame_of(frame.f_code, frame.f_lineno) == row.frame
    kind = row.detail or row.name
    return (
        class_name(thing) == kind and _state_of(thing) == row.state and row.name in (protocol_of(thing), kind)
    )


def _state_of(transport: object) -> ResourceState:
    return "closing" if attribute(transport, "_closing") is True else "open"


def generators(loop: object) -> Job[dict[tuple[model.Frame, bool], int]]:
    """Asynchronous generators begun and not finished: where each stands, and whether it runs just now."""
    found: dict[tuple[model.Frame, bool], int] = {}
    for reference in items(attribute(turns.variable(loop, "_asyncgens"), "data"), MOST):
        generator = reference() if is_a(reference, ref) else None
        if type(generator) is AsyncGeneratorType:
            frame = stacks.frame_of(generator)
            if frame is not None:
                key = origins.frame_of(frame.f_code, frame.f_lineno), generator.ag_running
                found[key] = found.get(key, 0) + 1
            del frame
        del generator
        if spent():
            yield
    return found
