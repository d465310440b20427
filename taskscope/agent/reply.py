"""Encodes an answer as one line of JSON in slices: 5,000 rows at once would hold the GIL for 10 ms."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING, Any

from taskscope import model, wire
from taskscope.agent.inspect.walk import spent

if TYPE_CHECKING:
    from collections.abc import Callable

    from taskscope.agent.inspect.walk import Job

ROWS = 25
"""Most rows encoded between checks of the clock: 0.1 ms if they are small.  Large ones go one by one."""

_HOLE = "@taskscope-hole@"


def encoded(envelope: Callable[[Any], dict[str, Any]], value: Any) -> Job[bytes]:
    """``envelope(value)`` as a line; long tuples of ``value`` are encoded in slices."""
    head, _, tail = json.dumps(envelope(_HOLE), separators=(",", ":")).partition(f'"{_HOLE}"')
    body = yield from _pieces(value)
    return b"".join([head.encode(), *body, tail.encode(), b"\n"])


def _pieces(value: Any) -> Job[list[bytes]]:
    if isinstance(value, tuple):
        return (yield from _rows(value))
    if not dataclasses.is_dataclass(value) or isinstance(value, type):
        return [_dump(wire.pack(value))]
    parts: list[bytes] = []
    for field in dataclasses.fields(value):
        parts.append((b"," if parts else b"{") + _dump(field.name) + b":")
        item = getattr(value, field.name)
        if isinstance(item, tuple):
            parts.extend((yield from _rows(item)))
        else:
            parts.append(_dump(wire.pack(item)))
    parts.append(b"}")
    return parts


def _rows(rows: tuple[Any, ...]) -> Job[list[bytes]]:
    pack = wire.pack_row if rows and isinstance(rows[0], model.SiteCounts) else wire.pack
    parts = [b"["]
    start, count = 0, 1
    while start < len(rows):
        packed = _dump([pack(row) for row in rows[start : start + count]])
        parts.append((b"," if start else b"") + packed[1:-1])
        start += count
        count = min(2 * count, ROWS)
        if spent():
            count = 1
            yield
    parts.append(b"]")
    return parts


def _dump(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":"), check_circular=False).encode()
