"""One end of the streams between ``--via`` and ``taskscope relay``: channels in and out of their frames."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

from taskscope import wire
from taskscope.mux import CONTROL, MAX_FRAME

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from taskscope.mux import Frames

MAX_CONTROL = 4 << 20
"""Bytes of one line on the control channel: the list of ten thousand processes."""


class Link:
    """Carries connections over ``reader`` and ``writer``; ``take`` gets what comes on the control channel.

    What one connection does not read holds up the others, so both ends always read; what the link cannot
    take is not read from the connections.
    """

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        frames: Frames,
        take: Callable[[wire.Message], None],
    ) -> None:
        self._reader, self._writer, self._frames = reader, writer, frames
        self._take = take
        self._decoder = wire.Decoder(MAX_CONTROL)
        self._channels: dict[int, asyncio.StreamWriter] = {}
        self._pumps: set[asyncio.Task[None]] = set()

    @property
    def channels(self) -> Collection[int]:
        """Those that are open."""
        return self._channels.keys()

    def tell(self, line: bytes) -> None:
        """Sends a line on the control channel."""
        self._writer.write(self._frames.pack(CONTROL, line))

    def carry(self, channel: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Makes a connection a channel, until either end closes it."""
        self._channels[channel] = writer
        pump = asyncio.create_task(self._pump(channel, reader))
        self._pumps.add(pump)
        pump.add_done_callback(self._pumps.discard)

    async def run(self) -> None:
        """Passes on what comes until the stream ends.  Raises OSError, MuxError, WireError."""
        while data := await self._reader.read(MAX_FRAME):
            for channel, piece in self._frames.feed(data):
                await self._deliver(channel, piece)

    async def close(self) -> None:
        """Ends all channels.  The streams belong to the caller."""
        for channel in list(self._channels):
            self._end(channel)
        if self._pumps:
            await asyncio.wait(self._pumps)

    async def _deliver(self, channel: int, piece: bytes) -> None:
        if channel == CONTROL:
            for message in self._decoder.feed(piece):
                self._take(message)
        elif not piece:
            self._end(channel)
        elif channel in self._channels:
            writer = self._channels[channel]
            writer.write(piece)
            with contextlib.suppress(OSError):
                await writer.drain()

    async def _pump(self, channel: int, reader: asyncio.StreamReader) -> None:
        """Passes on what a connection says, then its end, unless the other side has ended it.

        If the link breaks meanwhile, the connection stays until `close`, when it is known why.
        """
        with contextlib.suppress(OSError):
            while data := await reader.read(MAX_FRAME):
                self._writer.write(self._frames.pack(channel, data))
                await self._writer.drain()
        if channel in self._channels and not self._writer.is_closing():
            self._writer.write(self._frames.pack(channel, b""))
            self._end(channel)

    def _end(self, channel: int) -> None:
        """Closes a connection, with which its pump ends."""
        writer = self._channels.pop(channel, None)
        if writer is not None:
            writer.close()
