"""A tornado websocket handler starts a push for each browser, which goes on when the browser has gone.

Leak: Board.push
Line: tornado/gen.py convert_yielded, tornado/gen.py _wrap_awaitable, tornado/ioloop.py IOLoop._run_callback
Rate: 45
Needs: tornado
Shows: nobody feeds it, held by a growing container
"""

import asyncio
import random

from tornado.httpserver import HTTPServer
from tornado.ioloop import IOLoop
from tornado.netutil import bind_sockets
from tornado.queues import Queue
from tornado.web import Application
from tornado.websocket import WebSocketHandler, websocket_connect

boards = {}


class Board(WebSocketHandler):
    def open(self):
        self.news = Queue()
        boards[id(self)] = self
        IOLoop.current().spawn_callback(self.push)
        self.news.put_nowait("welcome")

    async def push(self):
        while True:
            await self.write_message(await self.news.get())


async def browse(port):
    connection = await websocket_connect(f"ws://127.0.0.1:{port}/")
    await connection.read_message()
    connection.close()


async def main():
    sockets = bind_sockets(0, "127.0.0.1")
    HTTPServer(Application([("/", Board)])).add_sockets(sockets)
    while True:
        await asyncio.create_task(browse(sockets[0].getsockname()[1]))
        await asyncio.sleep(random.uniform(0.8, 1.8))


asyncio.run(main())
