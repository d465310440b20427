"""uvicorn behind a balancer that resets idle connections: each leaves its keep-alive timer of two hours.

``--fixed``: the client closes in order, so the timer is dropped.

Needs: uvicorn==0.54.0, h11
Line: uvicorn/protocols/http/h11_impl.py H11Protocol.on_response_complete
Shows: timers never cancelled
"""

import asyncio
import socket
import struct
import sys
import threading
import time

import uvicorn

RESET = struct.pack("ii", 1, 0)


async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            await send({"type": message["type"] + ".complete"})
            if message["type"] == "lifespan.shutdown":
                return
    scope["state"]["payload"] = bytearray(20_000)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


def balance(address):
    while True:
        with socket.create_connection(address) as connection:
            connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            answer = b""
            while b"ok" not in answer:
                answer += connection.recv(4096)
            if "--fixed" not in sys.argv:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        time.sleep(0.05)


async def main():
    listening = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(app, http="h11", log_level="warning", timeout_keep_alive=7200)
    threading.Thread(target=balance, args=(listening.getsockname(),), daemon=True).start()
    print("standing", flush=True)
    await uvicorn.Server(config).serve([listening])


asyncio.run(main())
