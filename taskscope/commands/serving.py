"""Serves metrics over HTTP: one path, GET and HEAD, one response a connection."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

from taskscope.export.openmetrics import OPENMETRICS, TEXT, write

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterable

    from taskscope.sources.exposition import Exposition

    Targets = Callable[[], Iterable[Exposition]]

MAX_HEAD = 8 << 10
"""Bytes of a request."""

PATIENCE = 10.0
"""Seconds that a client may take to send a request, and to read the response."""

MAX_CLIENTS = 32
"""Clients served at a time; others are sent away."""

PATH = "/metrics"


async def serve(listener: socket.socket, targets: Targets) -> asyncio.Server:
    """Serves ``targets`` on a listening socket, which it takes over."""
    listener.setblocking(False)
    clients = 0

    async def met(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal clients
        clients += 1
        try:
            async with asyncio.timeout(PATIENCE):
                if clients <= MAX_CLIENTS:
                    await _answer(reader, writer, targets)
        except (TimeoutError, OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass  # a client that does not know how to ask
        finally:
            clients -= 1
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    start = asyncio.start_unix_server if listener.family.name == "AF_UNIX" else asyncio.start_server
    return await start(met, sock=listener, limit=MAX_HEAD)


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, targets: Targets) -> None:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    method, _, rest = head[0].partition(" ")
    path = rest.partition(" ")[0].partition("?")[0]
    accepts = [line for line in head[1:] if line.lower().startswith("accept:")]
    if method not in ("GET", "HEAD"):
        status, kind, text = "405 Method Not Allowed", TEXT, "only GET and HEAD\n"
    elif path not in (PATH, "/"):
        status, kind, text = "404 Not Found", TEXT, f"the metrics are at {PATH}\n"
    else:
        status, (kind, text) = "200 OK", exposed(targets(), "".join(accepts))
    body = text.encode("utf-8", "replace")
    writer.write(
        f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n"
        "Allow: GET, HEAD\r\nConnection: close\r\n\r\n".encode()
        + (body if method != "HEAD" else b"")
    )
    await writer.drain()


def exposed(targets: Iterable[Exposition], accept: str) -> tuple[str, str]:
    """The type and text of all metrics, as whoever sends the header ``accept`` reads them."""
    openmetrics = "application/openmetrics-text" in accept
    text = write([point for each in targets for point in each.points()], openmetrics=openmetrics)
    return OPENMETRICS if openmetrics else TEXT, text
