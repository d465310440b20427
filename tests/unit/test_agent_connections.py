"""An object with a transport stands for a connection, as long as that is open."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
import uvloop

from taskscope.agent.inspect.connections import open_transport
from taskscope.agent.inspect.primitives import descriptor_of

if TYPE_CHECKING:
    from collections.abc import Callable


class Protocol(asyncio.Protocol):
    def __init__(self) -> None:
        self.transport: object = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport


class Alike:
    """Named like one, but the program's own."""

    class Transport:
        _closing = False

    def __init__(self) -> None:
        self.transport = self.Transport()


class Session:
    def __init__(self, writer: Protocol) -> None:
        self.writer = writer


@pytest.mark.parametrize("make", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_a_connection_is_open_until_it_is_closed(make: Callable[[], asyncio.AbstractEventLoop]) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(asyncio.Protocol, "127.0.0.1", 0)
        transport, protocol = await loop.create_connection(Protocol, *server.sockets[0].getsockname())
        sock = transport.get_extra_info("socket")
        for each in (protocol, Session(protocol)):
            assert open_transport(each) is transport
            assert descriptor_of(open_transport(each)) == sock.fileno()
        transport.close()
        assert not open_transport(protocol)
        assert not open_transport(Session(protocol))
        server.close()
        assert not open_transport(Protocol())
        assert not open_transport(Alike())
        assert not open_transport(object())

    with asyncio.Runner(loop_factory=make) as runner:
        runner.run(main())
