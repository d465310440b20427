"""Programs whose loop never sleeps: for nothing, or at work.  Each prints ``standing``."""

from __future__ import annotations

_START = """
import asyncio, heapq, itertools, os, socket, subprocess, sys
def say(): print("standing", flush=True)
"""

SPINS = {
    "for a task that has ended": (
        "loop spins",
        "Delivery.deliver",
        "self.loop.call_soon(self.deliver)",
        """
class Delivery:
    def __init__(self, task): self.task, self.tries, self.loop = task, 0, asyncio.get_running_loop()
    def deliver(self):
        self.tries += 1
        self.loop.call_soon(self.deliver)
async def nothing(): pass
async def main():
    task = asyncio.create_task(nothing())
    await task
    Delivery(task).deliver()
    asyncio.get_running_loop().call_later(0.1, say)
    await asyncio.Event().wait()
asyncio.run(main())
""",
    ),
    "a task that yields until a flag is set": (
        "busy wait",
        "main",
        "while not ready: await asyncio.sleep(0)",
        """
ready = False
async def wait_until_ready():
    while not ready: await asyncio.sleep(0)
async def main():
    asyncio.get_running_loop().call_later(0.1, say)
    await wait_until_ready()
asyncio.run(main())
""",
    ),
    "a function that asks a device": (
        "busy wait",
        "ask",
        "else: asyncio.get_running_loop().call_soon(ask, device)",
        """
def ask(device):
    if device["ready"]: say()
    else: asyncio.get_running_loop().call_soon(ask, device)
async def main():
    ask({"ready": False})
    asyncio.get_running_loop().call_later(0.1, say)
    await asyncio.Event().wait()
asyncio.run(main())
""",
    ),
    "a reader that leaves what it reads": (
        "never drained",
        "Gate.open",
        "loop.add_reader(self.end, self.open)",
        """
class Gate:
    def __init__(self, end): self.end, self.opened = end, False
    def open(self): self.opened = True
    def watch(self, loop):
        loop.add_reader(self.end, self.open)
async def main():
    here, there = socket.socketpair()
    Gate(here).watch(asyncio.get_running_loop())
    there.send(b"open")
    asyncio.get_running_loop().call_later(0.1, say)
    await asyncio.Event().wait()
asyncio.run(main())
""",
    ),
    "a reader at the end of its data": (
        "never drained",
        "take",
        "asyncio.get_running_loop().add_reader(end, take, end)",
        """
def take(end): os.read(end, 100)
async def main():
    end, other = os.pipe()
    asyncio.get_running_loop().add_reader(end, take, end)
    os.close(other)
    asyncio.get_running_loop().call_later(0.1, say)
    await asyncio.Event().wait()
asyncio.run(main())
""",
    ),
}
"""Pattern, function, line, program."""

BUSY = {
    "numbers in portions": """
async def primes():
    asyncio.get_running_loop().call_later(0.1, say)
    found = []
    for n in itertools.count(2):
        if all(n % p for p in found): found.append(n)
        await asyncio.sleep(0)
asyncio.run(primes())
""",
    "a simulation in callbacks": """
class Model:
    def __init__(self):
        self.events = [(n, n) for n in range(1, 1000)]
        self.loop = asyncio.get_running_loop()
    def step(self):
        at, every = heapq.heappop(self.events)
        heapq.heappush(self.events, (at + every, every))
        self.loop.call_soon(self.step)
async def main():
    Model().step()
    asyncio.get_running_loop().call_later(0.1, say)
    await asyncio.Event().wait()
asyncio.run(main())
""",
    "a server at its limit": """
async def echo(reader, writer):
    while line := await reader.readline():
        writer.write(line)
        await writer.drain()
async def client(port):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    while True:
        writer.write(b"hello\\n")
        await reader.readline()
async def main():
    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    asyncio.get_running_loop().call_later(0.5, say)
    await asyncio.gather(*(client(server.sockets[0].getsockname()[1]) for _ in range(20)))
asyncio.run(main())
""",
    "a pipe that is always full": """
def take(end): os.read(end, 4096)
async def main():
    yes = subprocess.Popen(["yes"], stdout=-1)
    asyncio.get_running_loop().add_reader(yes.stdout, take, yes.stdout.fileno())
    asyncio.get_running_loop().call_later(0.5, say)
    await asyncio.Event().wait()
asyncio.run(main())
""",
    "a sender that is never done": """
async def sink(reader, writer):
    while await reader.read(100_000): pass
async def main():
    server = await asyncio.start_server(sink, "127.0.0.1", 0)
    _, writer = await asyncio.open_connection(*server.sockets[0].getsockname()[:2])
    asyncio.get_running_loop().call_later(0.5, say)
    while True:
        writer.write(b"x" * 100_000)
        await writer.drain()
asyncio.run(main())
""",
    "a pipeline": """
async def produce(queue):
    while True: await queue.put(b"x")
async def consume(queue):
    while True: await queue.get()
async def main():
    queue = asyncio.Queue(10)
    asyncio.get_running_loop().call_later(0.1, say)
    await asyncio.gather(produce(queue), consume(queue))
asyncio.run(main())
""",
    "a poll with a try count that gives up": """
async def main():
    asyncio.get_running_loop().call_later(0.1, say)
    for attempt in range(10**12):
        await asyncio.sleep(0)
asyncio.run(main())
""",
    "a loop that sleeps": """
async def main():
    asyncio.get_running_loop().call_later(0.1, say)
    while True: await asyncio.sleep(0.001)
asyncio.run(main())
""",
}

PROGRAMS = {name: _START + text for name, text in {**{k: v[3] for k, v in SPINS.items()}, **BUSY}.items()}
