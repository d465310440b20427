"""A FastAPI route leaves a confirmation to a background task; one in three is never given.

Leak: RequestResponseCycle.run_asgi
Line: h11_impl.py H11Protocol.handle_events, httptools_impl.py HttpToolsProtocol._start_asgi_task
Rate: 40
Needs: fastapi, uvicorn
Shows: nobody can set it
"""

import asyncio
import itertools
import random

from fastapi import BackgroundTasks, FastAPI

from tests.corpus.servers import uvicorn_server, visit

app = FastAPI()
numbers = itertools.count()


async def confirm(number):
    given = asyncio.Event()
    if number % 3:
        asyncio.get_running_loop().call_later(random.uniform(0.1, 2), given.set)
    await given.wait()


@app.post("/orders")
@app.get("/orders")
async def order(tasks: BackgroundTasks):
    tasks.add_task(confirm, next(numbers))
    return "accepted"


async def main():
    async with uvicorn_server(app) as port:
        while True:
            await visit(f"http://127.0.0.1:{port}/orders")
            await asyncio.sleep(random.uniform(0.2, 0.8))


asyncio.run(main())
