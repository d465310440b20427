"""A program that has some of every resource; it prints ``standing``."""

from __future__ import annotations

ZOO = """
import asyncio, concurrent.futures, contextvars, socket, subprocess, threading

request = contextvars.ContextVar("request")
tenant = contextvars.ContextVar("tenant")

class Request:
    def __init__(self):
        self.body = bytearray(5_000)

class Echo(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport = transport

class Kept(Echo):
    def connection_made(self, transport):
        open_ones.append(self)

class Line(Echo):
    pass

class Lines:
    def __init__(self, most):
        self.most, self.taken, self.free = most, set(), asyncio.Condition()
    async def take(self, port):
        async with self.free:
            await self.free.wait_for(lambda: len(self.taken) < self.most)
            _, line = await asyncio.get_running_loop().create_connection(Line, "127.0.0.1", port)
            self.taken.add(line)
            return line

async def call(lines, port):
    line = await lines.take(port)
    await asyncio.Event().wait()

open_ones, kept = [], []

async def handle():
    request.set(Request())
    await asyncio.sleep(3600)

async def count():
    for number in range(10):
        yield number

async def serve(reader, writer):
    if await reader.read(1) == b"x":
        await reader.read(1)

async def hold(lock):
    async with lock:
        await asyncio.Event().wait()

async def wait_for(lock):
    async with lock:
        pass

async def take(queue):
    await queue.get()

def open_tenant():
    return asyncio.new_event_loop()  # makes a loop

async def served(server, number):
    address = server.sockets[0].getsockname()
    return [socket.create_connection(address) for _ in range(number)]

async def main():
    loop = asyncio.get_running_loop()
    tenant.set("ours")
    kept.append([asyncio.create_task(handle()) for _ in range(30)])
    for _ in range(3):
        generator = count()
        await generator.__anext__()
        kept.append(generator)
    kept.append(await served(await loop.create_server(Echo, "127.0.0.1", 0), 4))
    kept.append(await served(await loop.create_server(Kept, "127.0.0.1", 0), 2))
    streams = await served(await asyncio.start_server(serve, "127.0.0.1", 0), 5)
    for each in streams[:3]:
        each.send(b"x")
    for each in streams[3:]:
        each.send(b"y")  # their handler returns and closes nothing
    kept.append(streams)
    pool = concurrent.futures.ThreadPoolExecutor(2, "render")
    for _ in range(5):
        pool.submit(threading.Event().wait)
    kept.append([open_tenant() for _ in range(3)])
    ended = subprocess.Popen(["true"])
    while open(f"/proc/{ended.pid}/stat").read().rpartition(")")[2].split()[0] != "Z":
        await asyncio.sleep(0.01)
    kept.append([ended, subprocess.Popen(["sleep", "60"])])
    loop.call_later(3600, print)
    lock, queues = asyncio.Lock(), [asyncio.Queue() for _ in range(3)]
    kept.append(asyncio.create_task(hold(lock), name="holder"))
    kept.append([asyncio.create_task(wait_for(lock)) for _ in range(4)])
    kept.append([asyncio.create_task(take(each)) for each in queues])
    lines, phone = Lines(1), await loop.create_server(asyncio.Protocol, "127.0.0.1", 0)
    port = phone.sockets[0].getsockname()[1]
    kept.append([asyncio.create_task(call(lines, port), name=f"caller {each}") for each in range(3)])
    while not lines.taken:
        await asyncio.sleep(0.01)
    threading.Thread(target=threading.Event().wait, daemon=True).start()
    await asyncio.sleep(0.1)
    print("standing", flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""
