"""A real redis-server for the programs that need one; it lives as long as they do."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
from typing import TYPE_CHECKING

import redis.asyncio as redis

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@contextlib.asynccontextmanager
async def redis_client() -> AsyncIterator[redis.Redis]:
    """A client of a server of its own, on a Unix socket."""
    with tempfile.TemporaryDirectory() as folder:
        address = f"{folder}/redis"
        command = ("redis-server", "--port", "0", "--unixsocket", address, "--dir", folder)
        server = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.DEVNULL)
        try:
            client = redis.Redis(unix_socket_path=address)
            while True:
                with contextlib.suppress(redis.ConnectionError):
                    await client.ping()
                    break
                await asyncio.sleep(0.1)
            yield client
        finally:
            server.kill()
            await server.wait()
