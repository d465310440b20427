"""Two loops in two threads share the asyncio.Lock of a module: a release in one leaves the other asleep.

``--fixed``: a lock for each loop.

Needs: mesh==3.7.0 of mcp-mesh
Line: mesh/jobs.py _get_or_create_proxy
Shows: lost wake-up
"""

import asyncio
import sys
import threading

from mesh import jobs


class LockOfEachLoop:
    def __init__(self):
        self.locks = {}

    def of_this_loop(self):
        return self.locks.setdefault(asyncio.get_running_loop(), asyncio.Lock())

    async def __aenter__(self):
        return await self.of_this_loop().__aenter__()

    async def __aexit__(self, *error):
        return await self.of_this_loop().__aexit__(*error)


async def look_up(number):
    while True:
        number += 4
        try:
            await jobs._get_or_create_proxy("http://127.0.0.1:9", f"{threading.get_ident()}-{number}")
        except RuntimeError:  # "bound to a different event loop": the request fails, the service goes on
            await asyncio.sleep(0.1)
        else:
            await asyncio.sleep(0.005)


async def serve():
    await asyncio.gather(*(look_up(number) for number in range(4)))


if "--fixed" in sys.argv:
    jobs._proxy_cache_lock = LockOfEachLoop()
sys.setswitchinterval(1e-5)  # more switches: the race of an hour within a second
for name in ("Worker-A", "Worker-B"):
    threading.Thread(target=asyncio.run, args=(serve(),), name=name, daemon=True).start()
print("standing", flush=True)
threading.Event().wait()
