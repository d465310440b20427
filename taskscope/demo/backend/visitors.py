"""The API's users: one starts runs, three watch each run, and a dashboard polls."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

import aiohttp

from taskscope.demo.owning import Owner

if TYPE_CHECKING:
    from taskscope.demo.backend.pace import Pace

log = logging.getLogger("backend.visitors")

WATCHERS = 3
ASK_EVERY = 0.25


class Visitors:
    """Real HTTP and websocket clients on loopback."""

    def __init__(self, address: tuple[str, int], pace: Pace) -> None:
        self._url = f"http://{address[0]}:{address[1]}/runs"
        self._pace = pace
        self._owner = Owner()

    async def start(self) -> None:
        """Starts the clients."""
        self._http = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))
        self._owner.own(asyncio.create_task(self.launch_runs(), name="researcher"))
        self._owner.own(asyncio.create_task(self.ask(), name="dashboard"))

    async def stop(self) -> None:
        """Stops the clients."""
        await self._owner.end()
        await self._http.close()

    async def launch_runs(self) -> None:
        """Starts runs at a steady rate, each with its watchers."""
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            async with self._http.post(self._url) as answer:
                run = (await answer.json())["run"]
            for _ in range(WATCHERS):
                self._owner.own(asyncio.create_task(self.watch(run)))
            due += self._pace.run_every
            await asyncio.sleep(due - loop.time())

    async def watch(self, run: int) -> None:
        """Watches a run to its end and a little longer, then disconnects."""
        try:
            async with self._http.ws_connect(f"{self._url}/{run}/watch") as socket:
                async for message in socket:
                    if message.data == f"run {run} over":
                        break
                await asyncio.sleep(self._pace.linger)
        except aiohttp.ClientError as error:
            log.warning("cannot watch run %d: %s", run, error)

    async def ask(self) -> None:
        """Polls the list of runs."""
        while True:
            await asyncio.sleep(ASK_EVERY)
            async with self._http.get(self._url) as answer:
                await answer.json()
