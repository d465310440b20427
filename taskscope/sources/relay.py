"""The far end of ``--via``: answers for this machine and carries connections to its agents.

It speaks `mux` on its standard input and output, listens nowhere, and ends when its input does, whatever has
happened to the other end.  It leaves nothing behind: the agents that it injects leave by themselves once
nobody is connected to them, even if the relay is killed.
"""

from __future__ import annotations

import asyncio
import socket
import sys
from functools import partial
from typing import TYPE_CHECKING, Any

from taskscope import __version__, endpoint, mux, wire
from taskscope.attach.diagnosis import diagnose
from taskscope.attach.discover import processes
from taskscope.attach.errors import AttachError
from taskscope.attach.family import parents
from taskscope.checked import unpack
from taskscope.sources import relayed
from taskscope.sources.base import SourceError, TargetSilent
from taskscope.sources.detaching import detach
from taskscope.sources.link import Link
from taskscope.sources.reach import Socket
from taskscope.sources.resolve import agents_named, endpoint_of, pid_of, pids_in

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from taskscope.sources.reach import Looks

    Progress = Callable[[str], None]

LINGERS = 30.0
"""Seconds that an agent injected by a relay stays without a client: who reconnects finds it again."""

PATIENCE = 30.0
"""Seconds to connect to an agent."""


async def serve() -> None:
    """Serves standard input and output until the input ends.  Raises WireError, MuxError, OSError."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=mux.MAX_GREETING)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin.buffer)
    transport, protocol = await loop.connect_write_pipe(
        lambda: asyncio.StreamReaderProtocol(asyncio.StreamReader()), sys.stdout.buffer
    )
    writer = asyncio.StreamWriter(transport, protocol, None, loop)
    line = await reader.readline()
    if line:
        answer, frames = mux.welcome(line, {"taskscope": __version__, "host": socket.gethostname()})
        writer.write(answer)
        await Relay().run(reader, writer, frames)


class Relay:
    """What is asked, and the processes behind the channels."""

    def __init__(self) -> None:
        self._link: Link
        self._outside: dict[int, Looks | None] = {}
        self._answering: set[asyncio.Task[None]] = set()
        self._answers: dict[str, Callable[[Any, Progress], Awaitable[Any]]] = {
            "find": self._find,
            "named": self._named,
            "processes": self._processes,
            "parents": self._parents,
            "contained": self._contained,
            "open": self._open,
            "look": self._look,
            "impute": self._impute,
            "doctor": self._doctor,
            "detach": self._detach,
        }

    async def run(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, frames: mux.Frames
    ) -> None:
        """Until ``reader`` ends.  Raises WireError, MuxError, OSError."""
        self._link = Link(reader, writer, frames, self._take)
        try:
            await self._link.run()
        finally:
            await self._link.close()
            for each in self._answering:
                each.cancel()

    def _take(self, message: wire.Message) -> None:
        if isinstance(message, wire.Request):
            task = asyncio.create_task(self._answer(message))
            self._answering.add(task)
            task.add_done_callback(self._answering.discard)

    async def _answer(self, request: wire.Request) -> None:
        loop = asyncio.get_running_loop()

        def tell(text: str) -> None:
            params = {"id": request.id, "text": wire.clean_text(text)}
            loop.call_soon_threadsafe(self._link.tell, wire.request(None, "progress", params))

        try:
            kind = relayed.METHODS.get(request.method)
            if kind is None:
                raise SourceError(f"the relay there has no {request.method!r}: it is TaskScope {__version__}")
            result = await self._answers[request.method](unpack(kind, request.params), tell)
            self._link.tell(wire.response(request.id, wire.pack(result)))
        except (SourceError, AttachError, endpoint.EndpointError, wire.WireError, OSError) as error:
            self._link.tell(wire.failure(request.id, _code(error), wire.clean_text(str(error))))

    async def _find(self, asked: relayed.Find, tell: Progress) -> endpoint.Endpoint:
        return await asyncio.to_thread(
            endpoint_of, asked.target, inject=asked.inject, lingers=LINGERS, progress=tell
        )

    async def _named(self, asked: relayed.Named, _: Progress) -> list[endpoint.Endpoint]:
        return await asyncio.to_thread(agents_named, asked.name)

    async def _processes(self, _: relayed.Processes, __: Progress) -> Any:
        return await asyncio.to_thread(processes)

    async def _parents(self, _: relayed.Parents, __: Progress) -> relayed.Family:
        found = await asyncio.to_thread(parents)
        return relayed.Family(tuple(found.keys()), tuple(found.values()))

    async def _contained(self, asked: relayed.Contained, _: Progress) -> relayed.Pids:
        return relayed.Pids(tuple(await asyncio.to_thread(pids_in, asked.container)))

    async def _open(self, asked: relayed.Open, _: Progress) -> relayed.Connected:
        try:
            async with asyncio.timeout(PATIENCE):
                reached = await Socket(asked.path).connect()
        except TimeoutError:
            raise TargetSilent(f"no connection to {asked.path} within {PATIENCE:g} s") from None
        outside = reached.outside
        self._outside = {each: self._outside.get(each) for each in self._link.channels}
        self._outside[asked.channel] = outside
        self._link.carry(asked.channel, reached.reader, reached.writer)
        return relayed.Connected(outside.pid if outside is not None else 0)

    async def _look(self, asked: relayed.Look, _: Progress) -> Any:
        outside = self._outside.get(asked.channel)
        return await asyncio.to_thread(outside.look) if outside is not None else None

    async def _impute(self, asked: relayed.Impute, _: Progress) -> Any:
        return await Socket(asked.path).imputed(asked.files, asked.sites)

    async def _doctor(self, asked: relayed.Doctor, _: Progress) -> relayed.Diagnosed:
        return relayed.Diagnosed.of(await asyncio.to_thread(diagnose, pid_of(asked.target)))

    async def _detach(self, asked: relayed.Detach, tell: Progress) -> None:
        work = partial(detach, pid_of(asked.target), tell, only_injected=asked.only_injected)
        await asyncio.to_thread(work)


def _code(error: Exception) -> int:
    return next((code for kind, code in relayed.CODES.items() if isinstance(error, kind)), wire.NOT_FOUND)
