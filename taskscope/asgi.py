"""An ASGI application that serves the metrics of its own process, to mount in a service.

It passes on what the companion (see ``companion``) says over a Unix socket; the service computes nothing.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, MutableMapping

    Message = MutableMapping[str, Any]

PATIENCE = 10.0
"""Seconds for the companion to answer."""

MAX_BYTES = 16 << 20


class MetricsApp:
    """The application; ``path`` is where the companion listens.  Needs asyncio."""

    def __init__(self, path: str) -> None:
        self._path = path

    async def __call__(
        self,
        scope: Message,
        receive: Callable[[], Awaitable[Message]],
        send: Callable[[Message], Awaitable[None]],
    ) -> None:
        if scope["type"] == "lifespan":
            await _live(receive, send)
        elif scope["type"] == "http":
            accept = dict(scope["headers"]).get(b"accept", b"*/*")
            try:
                async with asyncio.timeout(PATIENCE):
                    kind, body = await self._asked(accept)
                status = 200
            except (OSError, ValueError):  # a TimeoutError is one
                status, kind, body = 503, b"text/plain", b"the companion of this process does not answer\n"
            await send(
                {"type": "http.response.start", "status": status, "headers": [(b"content-type", kind)]}
            )
            await send({"type": "http.response.body", "body": body})

    async def _asked(self, accept: bytes) -> tuple[bytes, bytes]:
        """Content type and text of the metrics.  Raises OSError, ValueError."""
        reader, writer = await asyncio.open_unix_connection(self._path, limit=MAX_BYTES)
        try:
            wanted = b"".join(accept.splitlines())
            writer.write(b"GET /metrics HTTP/1.1\r\nAccept: " + wanted + b"\r\n\r\n")
            await writer.drain()
            head, _, body = (await reader.read(-1)).partition(b"\r\n\r\n")
        finally:
            writer.close()
        first, *headers = head.split(b"\r\n")
        if b" 200 " not in first:
            raise ValueError(first)
        kind = next(each for each in headers if each.lower().startswith(b"content-type: "))
        return kind.partition(b": ")[2], body


async def _live(
    receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]
) -> None:
    """Begins and ends with a server that has nothing else to run."""
    while True:
        event = (await receive())["type"]
        await send({"type": f"{event}.complete"})
        if event == "lifespan.shutdown":
            return
