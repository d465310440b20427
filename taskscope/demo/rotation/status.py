"""Serves the number of captured lines per container over TCP."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

from taskscope.demo.owning import Owner

if TYPE_CHECKING:
    from taskscope.demo.rotation.capturer import LogCapturer


class Status:
    """Answers each connection with one JSON object, then closes it."""

    def __init__(self, capturer: LogCapturer) -> None:
        self._capturer = capturer
        self._answers = Owner()

    async def start(self) -> None:
        """Listens on a free port."""
        self._server = await asyncio.start_server(self.tell, "127.0.0.1", 0)

    @property
    def address(self) -> tuple[str, int]:
        """Host and port."""
        host, port = self._server.sockets[0].getsockname()
        return host, port

    async def stop(self) -> None:
        """Stops listening."""
        self._server.close()
        await self._answers.end()

    async def tell(self, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answers one connection."""
        self._answers.own(asyncio.current_task())
        state = {"rotated": self._capturer.rotated, "lines": dict(self._capturer.lines)}
        try:
            writer.write(json.dumps(state).encode())
            await writer.drain()
        except (ConnectionError, asyncio.CancelledError):
            pass  # the client disconnected, or the service stops
        finally:
            writer.close()
