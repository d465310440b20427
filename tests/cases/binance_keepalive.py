"""A user stream that is dropped every few seconds: each reconnect starts one more keep-alive chain.

A chain is a timer that starts a task that sets the timer; none ever stops.  ``--fixed``: a timer is set only
if none is.

Needs: binance==1.0.32 of python-binance, websockets
Line: keepalive_websocket.py KeepAliveWebsocket._start_socket_timer
Level: suspect
Shows: chains that renew themselves
"""

import asyncio
import json
import logging
import sys

import websockets
from binance.ws.keepalive_websocket import KeepAliveWebsocket

logging.disable(logging.CRITICAL)


class Account:
    """What the stream asks of the REST client; answers at once."""

    async def futures_stream_get_listen_key(self):
        await asyncio.sleep(0.01)
        return "key"

    async def futures_stream_keepalive(self, listenKey):  # noqa: N803  (binance's name)
        await asyncio.sleep(0.01)


class Stream(KeepAliveWebsocket):
    def _start_socket_timer(self):
        if "--fixed" in sys.argv and self._timer is not None and self._timer.when() > self._loop.time():
            return
        super()._start_socket_timer()


async def exchange(connection):
    for number in range(6):
        await connection.send(json.dumps({"e": "tick", "n": number}))
        await asyncio.sleep(0.5)
    connection.transport.abort()


async def main():
    async with websockets.serve(exchange, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        print("standing", flush=True)
        async with Stream(Account(), f"ws://127.0.0.1:{port}/", "futures", user_timeout=1) as stream:
            while True:
                await stream.recv()


asyncio.run(main())
