"""Receives the nodes' reports over UDP and serves them over TCP."""

from __future__ import annotations

import asyncio
import json
from collections import Counter

from taskscope.demo.owning import Owner


class Collector(asyncio.DatagramProtocol):
    """The last report of each node, and the number of reports per zone."""

    def __init__(self) -> None:
        self.last: dict[str, str] = {}
        self.reports: Counter[str] = Counter()
        self._answers = Owner()

    async def start(self) -> None:
        """Listens on two free ports."""
        loop = asyncio.get_running_loop()
        self._inbox, _ = await loop.create_datagram_endpoint(lambda: self, local_addr=("127.0.0.1", 0))
        self._server = await asyncio.start_server(self.tell, "127.0.0.1", 0)

    @property
    def inbox(self) -> tuple[str, int]:
        """The UDP address for reports."""
        host, port = self._inbox.get_extra_info("sockname")
        return host, port

    @property
    def address(self) -> tuple[str, int]:
        """The TCP address that serves the state."""
        host, port = self._server.sockets[0].getsockname()
        return host, port

    async def stop(self) -> None:
        """Closes both ports."""
        self._server.close()
        await self._answers.end()
        self._inbox.close()

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        node, _, state = data.decode().partition(" ")
        self.last[node] = state
        self.reports[node.partition("/")[0]] += 1

    async def tell(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answers ``zones`` or ``nodes``, then closes the connection."""
        self._answers.own(asyncio.current_task())
        try:
            word = (await reader.readline()).decode(errors="replace").strip()
            known = {"zones": dict(self.reports), "nodes": self.last}
            answer = known.get(word, {"error": f"no {word}; ask for zones or nodes"})
            writer.write(json.dumps(answer).encode())
            await writer.drain()
        except (ConnectionError, asyncio.CancelledError):
            pass  # the client disconnected, or the collector stops
        finally:
            writer.close()
