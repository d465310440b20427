"""The recording format: lines of JSON in gzip members, each member readable on its own.

A line is an object with one key, its ``Kind``.  Every member begins with a start and a full sample, then the
findings and details known by then.  So any moment is found from the member it lies in, and damage costs no
more than the rest of its member.  A member's header carries when it begins (``HEAD``): a reader finds all
members without decompressing any.
"""

from __future__ import annotations

import struct
from typing import Any, Literal

from taskscope.model.findings import Finding  # noqa: TC001  (field types are resolved at run time)
from taskscope.model.process import Hello  # noqa: TC001  (field types are resolved at run time)
from taskscope.values import dataclass

FORMAT, SCHEMA = "taskscope-recording", 1

Kind = Literal["start", "sample", "history", "site_history", "findings", "answer"]

MARK = b"TaskScope\x01"
"""In the header of each member."""

_TIMES = struct.Struct("<dd")

HEAD = b"\x1f\x8b\x08\x04\0\0\0\0\0\xff" + struct.pack(
    "<H2sH", 4 + len(MARK) + _TIMES.size, b"TS", len(MARK) + _TIMES.size
)
"""A gzip header up to our extra field, which holds ``MARK`` and two times."""

SIGNATURE = HEAD + MARK
HEADER_BYTES = len(SIGNATURE) + _TIMES.size

MAX_LINE = 16 << 20
"""Bytes of one line: as long as a message of an agent may be."""

MAX_MEMBER = 64 << 20
"""Bytes of a member, decompressed."""


@dataclass(frozen=True, slots=True)
class Start:
    """Begins a member: the format, and the hello of the agent connected to."""

    format: str
    schema: int
    taskscope: str
    hello: Hello


@dataclass(frozen=True, slots=True)
class Found:
    """The findings from then on, worst first."""

    monotonic: float
    findings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True)
class Answer:
    """The target's answer to the request ``method`` with ``params``, as it was then."""

    monotonic: float
    method: str
    params: dict[str, Any]
    value: Any


def header(wall: float, monotonic: float) -> bytes:
    """The gzip header of a member that begins then."""
    return SIGNATURE + _TIMES.pack(wall, monotonic)


def times_in(data: bytes) -> tuple[float, float]:
    """Wall and monotonic time in a header."""
    wall, monotonic = _TIMES.unpack_from(data, len(SIGNATURE))
    return wall, monotonic
