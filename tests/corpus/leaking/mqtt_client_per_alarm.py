"""An aiomqtt client is entered for each alarm and never left; each has a task of its own in the library.

Leak: Client._misc_loop
Line: aiomqtt/client.py create_misc_task
Rate: 40
Needs: aiomqtt
Shows: orphan, held by a growing container
"""

import asyncio

import aiomqtt

from tests.corpus.servers import MqttBroker, serving

clients = []


async def alarm(port):
    client = aiomqtt.Client("127.0.0.1", port)
    await client.__aenter__()
    await client.subscribe("alarms")
    clients.append(client)


async def main():
    async with serving(MqttBroker) as port:
        while True:
            await asyncio.create_task(alarm(port))
            await asyncio.sleep(1.5)


asyncio.run(main())
