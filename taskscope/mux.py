"""Many connections over one pair of byte streams, sans-I/O: what ``taskscope relay`` and ``--via`` speak.

The near end begins with one line of JSON-RPC, a ``hello``, and the far end answers it; whatever else a login
prints before that answer is skipped.  From then on both send frames: a channel and a length, four bytes each,
and so many bytes.  Channel 0 carries JSON-RPC lines about the far machine (`sources.relayed`).  Each other
channel carries what the socket of one agent would, unread; an empty frame ends it.  If the ends are on
different machines, the frames of each direction are one zlib stream, flushed after every frame.
"""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from taskscope import wire

if TYPE_CHECKING:
    from collections.abc import Iterator

RELAY = 1
"""Version of all this; both ends must agree."""

MAX_FRAME = 1 << 16
"""Bytes of one frame: what is kept of a stream until it can be passed on."""

MAX_GREETING = 1 << 16
"""Bytes of one line before the frames, and lines that are skipped there."""

CONTROL = 0
"""The channel of the relay itself."""

_HEAD = struct.Struct("!II")


class MuxError(Exception):
    """The bytes are no frames; the stream is unusable."""


class Frames:
    """Both directions of one end."""

    def __init__(self, *, compressed: bool) -> None:
        self._deflate = zlib.compressobj() if compressed else None
        self._inflate = zlib.decompressobj() if compressed else None
        self._left = bytearray()

    def pack(self, channel: int, data: bytes) -> bytes:
        """The frames that carry ``data``; without any, the one that ends the channel."""
        pieces = [data[at : at + MAX_FRAME] for at in range(0, len(data), MAX_FRAME)] or [b""]
        packed = b"".join(_HEAD.pack(channel, len(piece)) + piece for piece in pieces)
        if self._deflate is None:
            return packed
        return self._deflate.compress(packed) + self._deflate.flush(zlib.Z_SYNC_FLUSH)

    def feed(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        """Yields every frame completed by ``data``.  Raises MuxError.

        However much the data expands to, only one frame of it is kept.
        """
        if self._inflate is None:
            yield from self._cut(data)
            return
        while True:
            try:
                piece = self._inflate.decompress(data, MAX_FRAME)
            except zlib.error as error:
                raise MuxError(f"it is not compressed: {error}") from None
            data = self._inflate.unconsumed_tail
            yield from self._cut(piece)
            if self._inflate.eof:
                raise MuxError("its compressed stream has ended")
            if not data:  # nothing has stayed inside: the flush after a frame is left over until all is out
                return

    def _cut(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        self._left += data
        at = 0
        while len(self._left) - at >= _HEAD.size:
            channel, length = _HEAD.unpack_from(self._left, at)
            if length > MAX_FRAME:
                raise MuxError(f"a frame is longer than {MAX_FRAME} bytes")
            end = at + _HEAD.size + length
            if end > len(self._left):
                break
            yield channel, bytes(self._left[at + _HEAD.size : end])
            at = end
        del self._left[:at]


def machine() -> str:
    """What tells this machine, until it boots again, from every other; empty if unknown."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def greeting() -> bytes:
    """The first line of the near end."""
    return wire.request(1, "hello", {"relay": RELAY, "machine": machine()})


def welcome(line: bytes, about: dict[str, Any]) -> tuple[bytes, Frames]:
    """The far end's answer to that line, and what follows.  Raises WireError if it is no greeting."""
    message = wire.decode(line)
    theirs = message.get("params", {}).get("machine") if isinstance(message, dict) else None
    if not isinstance(theirs, str):
        raise wire.WireError("not the greeting of a TaskScope")
    compressed = not theirs or theirs != machine()
    answer = {**about, "relay": RELAY, "compressed": compressed}
    return wire.response(1, answer), Frames(compressed=compressed)


def welcomed(line: bytes) -> dict[str, Any] | None:
    """What the far end says of itself; None: the line is something else."""
    try:
        message = wire.decode(line)
    except wire.WireError:
        return None
    result = message.get("result") if isinstance(message, dict) else None
    return result if isinstance(result, dict) and "relay" in result else None
