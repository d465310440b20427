"""A paho client for each device that reports, each with a thread for its network that is never stopped.

Leak: Client._thread_main
Rate: 30
Needs: paho.mqtt
Shows: thread never told to end
"""

import asyncio

from paho.mqtt.client import CallbackAPIVersion, Client

from tests.corpus.servers import MqttBroker, serving


class Device:
    def __init__(self, port):
        self.client = Client(CallbackAPIVersion.VERSION2)
        self.client.connect("127.0.0.1", port)
        self.client.loop_start()  # LEAK


async def main():
    async with serving(MqttBroker) as port:
        while True:
            await asyncio.to_thread(Device, port)
            await asyncio.sleep(2)


asyncio.run(main())
