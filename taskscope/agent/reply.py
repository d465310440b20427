"""Encodes an answer as one line of JSON in slices: 5,000 rows at once would hold the GIL for 10 ms."""

from __future__ import annotations

import dataclasses
import json
from functools import partial
from typing import TYPE_CHECKING, Any

from taskscope import model, wire
from taskscope.agent.inspect.walk import spent

if TYPE_CHECKING:
    from collections.abc import Callable

    from taskscope.agent.inspect.walk import Job

ROWS = 25
"""Most rows encoded between checks of the clock: 0.1 ms if they are small.  Large ones go one by one."""

_HOLE = "@taskscope-hole@"


def encoded(envelope: Callable[[Any], dict[str, Any]], value: Any, *, named: bool = False) -> Job[bytes]:
    """``envelope(value)`` as a line; long tuples of ``value`` are encoded in slices.

    ``named``: with the names of all fields, as in files; else counts of sites are rows of numbers.
    """
    head, _, tail = json.dumps(envelope(_HOLE), separators=(",", ":")).partition(f'"{_HOLE}"')
    body = yield from _pieces(value, named=named)
    return b"".join([head.encode(), *body, tail.encode(), b"\n"])


def part_senders(
    send: Callable[[bytes], None],
) -> tuple[Callable[[str, Any], None], Callable[[str, Any], Job[None]]]:
    """Two ways to send a part of a snapshot: at once, and in slices."""

    def emit(section: str, value: Any) -> None:
        send(wire.request(None, "part", {"section": section, "value": value}))

    def emit_large(section: str, value: Any) -> Job[None]:
        send((yield from encoded(partial(_as_part, section), value, named=True)))

    return emit, emit_large


def _as_part(section: str, value: object) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "method": "part", "params": {"section": section, "value": value}}


def _pieces(value: Any, *, named: bool) -> Job[list[bytes]]:
    if isinstance(value, tuple):
        return (yield from _rows(value, named=named))
    if not dataclasses.is_dataclass(value) or isinstance(value, type):
        return [_dump(wire.pack(value))]
    parts: list[bytes] = []
    for field in dataclasses.fields(value):
        parts.append((b"," if parts else b"{") + _dump(field.name) + b":")
        item = getattr(value, field.name)
        if isinstance(item, tuple):
            parts.extend((yield from _rows(item, named=named)))
        else:
            parts.append(_dump(wire.pack(item)))
    parts.append(b"}")
    return parts


def _rows(rows: tuple[Any, ...], *, named: bool) -> Job[list[bytes]]:
    pack = wire.pack_row if not named and rows and isinstance(rows[0], model.SiteCounts) else wire.pack
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
