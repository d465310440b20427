"""The last 500 contexts are kept, so that a late callback runs in that of its request.

Healthy.
Looks like: ended tasks kept
"""

import asyncio
import contextvars
import random
from collections import OrderedDict

request = contextvars.ContextVar("request")
contexts = OrderedDict()


async def handle(number):
    request.set({"number": number, "body": bytes(2000)})
    contexts[number] = contextvars.copy_context()
    if len(contexts) > 500:
        contexts.popitem(last=False)
    await asyncio.sleep(random.uniform(0.01, 0.5))


async def main():
    kept, number = set(), 0
    while True:
        number += 1
        task = asyncio.create_task(handle(number))
        kept.add(task)
        task.add_done_callback(kept.discard)
        await asyncio.sleep(0.01)


asyncio.run(main())
