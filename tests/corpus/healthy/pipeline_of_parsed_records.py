"""A benchmark: a producer, a queue, and a task for each record that comes out of it.

Healthy.
Looks like: tasks for nothing
"""

import asyncio
import json


async def produce(queue, records):
    while True:
        for record in records:
            await queue.put(record)


async def parse(text, totals):
    record = json.loads(text)
    totals[record["shop"]] = totals.get(record["shop"], 0) + record["price"]


async def main():
    queue = asyncio.Queue(100)
    records = [json.dumps({"shop": f"shop {number % 7}", "price": number}) for number in range(500)]
    producer = asyncio.create_task(produce(queue, records))
    totals = {}
    while not producer.done():
        await asyncio.create_task(parse(await queue.get(), totals))


asyncio.run(main())
