"""A program with timers of every kind, each armed at a line of its own; it prints ``standing``."""

from __future__ import annotations

WAYS = """
import asyncio, functools

class Session:
    def __init__(self):
        self.state = {"payload": bytearray(20_000)}
        self.self = self
    def opened(self, loop):
        self.timer = loop.call_later(7200, self.expire)  # arms Session.expire
    def expire(self):
        pass

class Hub:
    def __init__(self, loop):
        self.loop = loop
        self.seen = {}
    def note(self, key):
        self.loop.call_at(
            self.loop.time() + 3600, self.drop, key)  # arms Hub.drop
    def drop(self, key):
        self.seen.pop(key, None)
    def other(self, key):
        self.loop.call_soon(self.drop, key)

def traced(function):
    @functools.wraps(function)
    def wrapper(*given):
        return function(*given)
    return wrapper

@traced
def tick():
    pass

@traced
def beat():
    pass

def flush(data):
    pass

def later(loop, data):
    loop.call_later(60, print)
    loop.call_later(61, tick)  # arms tick
    loop.call_later(62, beat)  # arms beat
    loop.call_later(600, functools.partial(flush, data))  # arms flush

def nested(loop, data):
    def inside():
        return data
    loop.call_later(900, inside)  # arms nested.inside
    loop.call_later(901, lambda: data)  # arms nested.<lambda>

def handed(loop, callback):
    loop.call_later(1000, callback)

def through_a_helper(loop):
    handed(loop, elsewhere)

def elsewhere():
    pass

class Flag:
    def clear(self):
        pass

class Logins:
    def touch(self, loop, login):
        loop.call_later(1900, self.over, login)  # arms Logins.over
    def over(self, login):
        pass

class Two:
    def first(self, loop):
        loop.call_later(800, self.ring)
    def second(self, loop):
        loop.call_at(loop.time() + 800, self.ring)
    def ring(self):
        pass

cache = {}

async def sleeper():
    await asyncio.sleep(3600)

async def impatient():
    async with asyncio.timeout(3000):
        await asyncio.Event().wait()

async def main():
    loop = asyncio.get_running_loop()
    hub, kept, two = Hub(loop), [], Two()
    tasks = [asyncio.create_task(sleeper()) for _ in range(250)]
    tasks += [asyncio.create_task(impatient()) for _ in range(5)]
    await asyncio.sleep(0.01)
    for number in range(30):
        Session().opened(loop)
        hub.note(f"key {number}")
        later(loop, bytearray(3_000))
        nested(loop, kept)
        cache[f"entry {number}"] = bytearray(5_000)
        loop.call_later(1800, cache.pop, f"entry {number}", None)
    logins, names = Logins(), [{"name": number} for number in range(10)]
    for number in range(30):
        logins.touch(loop, names[number % 10])
    for number in range(3):
        through_a_helper(loop)
        two.first(loop)
        two.second(loop)
    for number in range(20):
        loop.call_later(5000, print).cancel()
    print("standing", flush=True)
    await asyncio.Event().wait()
"""

PLAIN = f"{WAYS}asyncio.run(main())\n"
DEBUG = f"{WAYS}asyncio.run(main(), debug=True)\n"

EXPECTED = {
    "Session.expire": (30, "Session.opened"),
    "Hub.drop": (30, "Hub.note"),
    "Logins.over": (30, "Logins.touch"),
    "flush": (30, "later"),
    "tick": (30, "later"),
    "beat": (30, "later"),
    "nested.inside": (30, "nested"),
    "nested.<lambda>": (30, "nested"),
}
"""By function: how many there are, and which function arms them, at a line that says so."""

UVLOOP = """
import asyncio, uvloop
async def main():
    for _ in range(30):
        asyncio.get_running_loop().call_later(7200, print)
    print("standing", flush=True)
    await asyncio.Event().wait()
uvloop.run(main())
"""

IN_USE = """
import asyncio

class Connection(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport = transport
        self.timer = asyncio.get_running_loop().call_later(7200, self.expire)
    def expire(self):
        self.transport.close()

async def main():
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Connection, "127.0.0.1", 0)
    address = server.sockets[0].getsockname()
    clients = [await asyncio.open_connection(*address) for _ in range(10)]
    while len(loop._scheduled) < 10:
        await asyncio.sleep(0.01)
    print("standing", flush=True)
    await asyncio.Event().wait()
asyncio.run(main())
"""
"""Open connections, each with a timer."""

RESET = IN_USE.replace(
    '    print("standing"',
    """    for reader, writer in clients:
        writer.transport.abort()
    while any("Transport" in type(each).__name__ for each in objects(loop)):
        await asyncio.sleep(0.01)
    print("standing\"""",
).replace(
    "async def main",
    """def objects(loop):
    return [key.data[0] and key.data[0]._callback.__self__ for key in loop._selector.get_map().values()]

async def main""",
)
"""The same, once all of them were closed."""
